"""The move of a greedy player: mate in one if there is one, else the biggest capture."""

import numpy as np

from shogi_env.core.actions import list_moves
from shogi_env.core.attacks import checks_and_pins, look
from shogi_env.core.batch import nth_action, random_below
from shogi_env.core.constants import MAX_LEGAL_MOVES, NO_CELL
from shogi_env.core.jit import compiled, kernel
from shogi_env.core.movegen import LEGAL_SHAPE, count_moves, generate
from shogi_env.core.play import do_move
from shogi_env.core.state import STATE

PIECE_VALUE = np.array(
    [0, 90, 315, 405, 495, 855, 990, 540, 0, 540, 540, 540, 540, 945, 1395, 0], np.int64
)
"""Value of capturing each piece type (Bonanza's piece values, as used by Apery), in pawns / 90."""


@compiled
def mates(scratch, row, move, legal):  # type: ignore[no-untyped-def]
    """Whether a move leaves the opponent in check without a reply."""
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
def choose_greedy(rows, legal, where, actions):  # type: ignore[no-untyped-def]
    """Write a greedy action of each game in `where` (int64[k]), ties drawn from its stream.

    Args:
        rows: STATE[N].
        legal: uint64[N, 27, 2].
        where: int64[k].
        actions: int64[k], overwritten; -1 where there is no legal move.
    """
    scratch = np.zeros(1, STATE)
    reply = np.zeros(LEGAL_SHAPE, np.uint64)
    moves = np.empty(MAX_LEGAL_MOVES, np.int16)
    best = np.empty(MAX_LEGAL_MOVES, np.int64)
    for k in range(len(where)):
        i = where[k]
        n = list_moves(rows[i], legal[i], moves)
        top, ties = np.int64(-1), 0
        for m in range(n):
            move = np.int64(moves[m])
            value = PIECE_VALUE[rows[i].board[move & 127] & 15]
            if mates(scratch, rows[i], move, reply):
                value = np.int64(1) << 40
            if value > top:
                top, ties = value, 0
            if value == top:
                best[ties] = m
                ties += 1
        actions[k] = nth_action(legal[i], best[random_below(rows[i], ties)]) if ties else -1
