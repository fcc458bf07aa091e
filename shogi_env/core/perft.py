"""Count the leaves of the tree of legal moves."""

import numpy as np

from shogi_env.core.actions import list_moves
from shogi_env.core.constants import MAX_LEGAL_MOVES, NUM_ACTION_PLANES
from shogi_env.core.jit import as_int, compiled, inlined, kernel
from shogi_env.core.movegen import count_moves, generate
from shogi_env.core.play import do_move
from shogi_env.core.state import STATE
from shogi_env.types import Int16Array, StateArray, UInt64Array


@kernel
def count_leaves(rows: StateArray, depth: int, bulk: bool) -> int:
    """Number of positions `depth` plies below ``rows[0]``.

    Iterative: a cached self-recursive function can crash when it is loaded (Numba #6061).

    Args:
        rows: STATE[1].
        depth: plies, >= 1.
        bulk: count the moves of the last ply instead of playing them.
    """
    stack = np.zeros(depth + 1, STATE)
    legal = np.zeros((NUM_ACTION_PLANES, 2), np.uint64)
    moves = np.empty((depth, MAX_LEGAL_MOVES), np.int16)
    left = np.full(depth, -1)  # moves still to try; -1: not generated
    stack[0] = rows[0]
    level = nodes = 0
    while level >= 0:
        if left[level] < 0:
            generate(stack[level], legal)
            if level == depth - 1:
                nodes += count_moves(legal) if bulk else play_each(stack, level, legal, moves[level])
                level -= 1
                continue
            left[level] = list_moves(stack[level], legal, moves[level])
        if left[level] == 0:
            left[level] = -1
            level -= 1
            continue
        left[level] -= 1
        play_on(stack, level, moves[level, left[level]])
        level += 1
    return nodes


@inlined
def play_on(stack: StateArray, level: int, move: int) -> None:
    """Write the position after a move one level up the stack."""
    stack[level + 1] = stack[level]
    do_move(stack[level + 1], as_int(move))


@compiled
def play_each(stack: StateArray, level: int, legal: UInt64Array, moves: Int16Array) -> int:
    """Play every legal move of a level and return how many there were."""
    n = list_moves(stack[level], legal, moves)
    for k in range(n):
        play_on(stack, level, moves[k])
    return n
