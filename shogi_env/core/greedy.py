"""The move of a greedy player: mate in one if there is one, else the biggest capture."""

import numpy as np

from shogi_env.core.actions import list_moves
from shogi_env.core.attacks import checks_and_pins, look
from shogi_env.core.batch import nth_action, random_below
from shogi_env.core.constants import MAX_LEGAL_MOVES, NO_CELL
from shogi_env.core.jit import as_int, compiled, kernel
from shogi_env.core.movegen import LEGAL_SHAPE, count_moves, generate
from shogi_env.core.play import do_move
from shogi_env.core.state import STATE
from shogi_env.types import Int64Array, Row, StateArray, UInt64Array

PIECE_VALUE = np.array([0, 90, 315, 405, 495, 855, 990, 540, 0, 540, 540, 540, 540, 945, 1395, 0], np.int64)
"""Value of capturing each piece type (Bonanza's piece values, as used by Apery), a pawn 90."""
_MATE = 1 << 40


@compiled
def mates(scratch: StateArray, row: Row, move: int, legal: UInt64Array) -> bool:
    """Whether a move leaves the opponent in check without a reply.

    Args:
        scratch: STATE[1], overwritten with the position after the move.
        row: the game.
        move: a legal move of it (see `play`).
        legal: uint64[27, 2], overwritten.
    """
    scratch[0] = row
    do_move(scratch[0], move)
    if scratch[0].king[scratch[0].turn] == NO_CELL:
        return False
    checkers, _ = checks_and_pins(look(scratch[0], scratch[0].turn))
    if not checkers:
        return False
    generate(scratch[0], legal)
    return count_moves(legal) == 0


@kernel
def choose_greedy(rows: StateArray, legal: UInt64Array, where: Int64Array, actions: Int64Array) -> None:
    """Write a greedy action of some games, ties drawn from their streams.

    Args:
        rows: STATE[N]; the streams of these games move on.
        legal: uint64[N, 27, 2].
        where: int64[K], the games.
        actions: int64[K], overwritten; -1 where there is no legal move.
    """
    scratch = np.zeros(1, STATE)
    reply = np.zeros(LEGAL_SHAPE, np.uint64)
    moves = np.empty(MAX_LEGAL_MOVES, np.int16)
    best = np.empty(MAX_LEGAL_MOVES, np.int64)
    for k in range(len(where)):
        i = where[k]
        n = list_moves(rows[i], legal[i], moves)
        top, ties = -1, 0
        for m in range(n):
            move = as_int(moves[m])
            value = PIECE_VALUE[rows[i].board[move & 127] & 15]
            if mates(scratch, rows[i], move, reply):
                value = _MATE
            if value > top:
                top, ties = value, 0
            if value == top:
                best[ties] = m
                ties += 1
        actions[k] = nth_action(legal[i], best[random_below(rows[i], ties)]) if ties else -1
