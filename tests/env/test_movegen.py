"""Legal moves: against sets written by independent engines, and against themselves."""

import random

import numpy as np
import pytest
from data_files import MAX_MOVES, few, flip_sfen, flip_usi, read_rows
from reference import Game

import shogi_env
from shogi_env import Board, IllegalMoveError

CHUNK = 100
NUM_ACTIONS = 2187
LEGAL_SETS = read_rows("legal_sets.jsonl.gz")


def moves_of(board):
    return sorted(str(move) for move in board.legal_moves)


def difference(row, found, expected):
    """Empty if right, else the position and the moves that are wrong."""
    extra, missing = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
    return f"{row}: extra {extra}, missing {missing}" if found != expected else ""


@pytest.mark.parametrize("start", range(0, len(LEGAL_SETS), CHUNK))
def test_legal_sets(start):
    wrong = []
    for row in LEGAL_SETS[start : start + CHUNK]:
        board = Board(row["sfen"])
        wrong.append(difference(row["sfen"], moves_of(board), row["moves"].split()))
        if board.is_check() != row["check"]:
            wrong.append(f"{row['sfen']}: is_check {board.is_check()}")
        flipped = flip_sfen(row["sfen"])
        expected = sorted(flip_usi(usi) for usi in row["moves"].split())
        wrong.append(difference(flipped, moves_of(Board(flipped)), expected))
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.nojit
@pytest.mark.parametrize("row", LEGAL_SETS[:: len(LEGAL_SETS) // 40], ids=lambda row: row["sfen"])
def test_legal_set_in_plain_python(row):
    assert moves_of(Board(row["sfen"])) == row["moves"].split(), row["sfen"]


@pytest.mark.nojit
def test_most_moves_there_can_be():
    board = Board(MAX_MOVES)
    assert len(board.legal_moves) == len(set(board.legal_moves)) == board.action_masks().sum() == 593


@pytest.mark.nojit
def test_view_of_legal_moves():
    board = Board()
    assert len(board.legal_moves) == len(list(board.legal_moves)) == 30
    assert all(move in board.legal_moves for move in board.legal_moves)
    assert shogi_env.Move.from_usi("7g7e") not in board.legal_moves


@pytest.mark.nojit
@pytest.mark.parametrize("seed", range(8))
def test_mask_is_predicate_over_all_actions(seed):
    """On random games: the mask, the reference rules and what can be played agree on every action."""
    rng = random.Random(seed)
    board = Board()
    for ply in range(few(300)):
        sfen = board.sfen()
        mask = board.action_masks()
        game = Game(sfen)
        predicate = np.array([game.is_legal(action) for action in range(NUM_ACTIONS)])
        assert (mask == predicate).all(), f"{sfen}: actions {np.flatnonzero(mask != predicate)}"
        if ply % 30 == 0:
            assert (mask == [can_play(board, action) for action in range(NUM_ACTIONS)]).all(), sfen
        moves = list(board.legal_moves)
        assert mask.sum() == len(moves), sfen
        if board.outcome():
            board = Board()
            continue
        board.push(rng.choice(moves))


def can_play(board, action):
    try:
        board.move(action)
    except IllegalMoveError:
        return False
    return True


@pytest.mark.nojit
def test_illegal_push_changes_nothing():
    board = Board()
    board.push_usi("7g7f")
    before = board.sfen(), board.key, moves_of(board)
    for usi in ("7g7f", "5a5c", "P*5e", "8b8h", "1a1b+"):
        with pytest.raises(IllegalMoveError):
            board.push_usi(usi)
        assert (board.sfen(), board.key, moves_of(board)) == before


@pytest.mark.nojit
@pytest.mark.parametrize("seed", range(8))
def test_pop_takes_everything_back(seed):
    rng = random.Random(seed)
    board = Board()
    trail = []
    while len(trail) < few(200) and board.outcome() is None:
        trail.append((board.sfen(), board.key, board.is_check(), board.planes().tobytes()))
        board.push(rng.choice(list(board.legal_moves)))
    for state in reversed(trail):
        board.pop()
        assert (board.sfen(), board.key, board.is_check(), board.planes().tobytes()) == state
