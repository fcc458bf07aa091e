"""cshogi driven from Python: perft, and the fastest batch loop we could write around it."""

from __future__ import annotations

import random

import cshogi
import numpy as np
from cshogi.dlshogi import FEATURES1_NUM, FEATURES2_NUM, make_input_features, make_move_label

NUM_ACTIONS = 2187
MAX_PLIES = 512


def perft_bulk(board: cshogi.Board, depth: int) -> int:
    """Count leaves; the last ply is only counted, not played."""
    if depth == 1:
        return len(board.legal_moves)
    push, pop, total = board.push, board.pop, 0
    for move in board.legal_moves:
        push(move)
        total += perft_bulk(board, depth - 1)
        pop()
    return total


def perft_full(board: cshogi.Board, depth: int) -> int:
    """Count leaves; every move of every ply is played and taken back."""
    push, pop, total = board.push, board.pop, 0
    if depth == 1:
        for move in board.legal_moves:
            push(move)
            pop()
            total += 1
        return total
    for move in board.legal_moves:
        push(move)
        total += perft_full(board, depth - 1)
        pop()
    return total


class Batch:
    """Games in lists; a step is a random legal move each, end of game, reset, mask and features.

    Attributes:
        features: float32[N, 119, 9, 9], dlshogi's planes of every position.
        masks: bool[N, 2187], legal labels.
    """

    def __init__(self, games: int, seed: int = 0) -> None:
        self.boards = [cshogi.Board() for _ in range(games)]
        self.moves = [list(board.legal_moves) for board in self.boards]
        self.features = np.zeros((games, FEATURES1_NUM + FEATURES2_NUM, 9, 9), np.float32)
        self.masks = np.zeros((games, NUM_ACTIONS), np.bool_)
        self.first = [rows[:FEATURES1_NUM] for rows in self.features]
        self.second = [rows[FEATURES1_NUM:] for rows in self.features]
        self.rows = [memoryview(row) for row in self.masks.view(np.uint8)]
        self.random = random.Random(seed).random

    def step(self) -> int:
        """One ply in every game; returns the number of games."""
        draw = self.random
        self.masks[...] = False
        for i, board in enumerate(self.boards):
            moves = self.moves[i]
            board.push(moves[int(draw() * len(moves))])
            moves = list(board.legal_moves)
            if not moves or board.move_number > MAX_PLIES:
                board.reset()
                moves = list(board.legal_moves)
            self.moves[i] = moves
            row, turn = self.rows[i], board.turn
            for move in moves:  # twice as fast as NumPy with a list of labels
                row[make_move_label(move, turn)] = 1
            make_input_features(board, self.first[i], self.second[i])
        return len(self.boards)
