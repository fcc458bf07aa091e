"""Alpha-beta search of fixed depth with quiescence, over a batch of games.

Every position is reached and judged by the functions that play the game itself, so that mates,
repetitions, declarations and the ply limit count in the search exactly as they will on the board.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shogi_env.core.actions import action_of, list_moves
from shogi_env.core.batch import random_below
from shogi_env.core.constants import MAX_LEGAL_MOVES
from shogi_env.core.evaluate import evaluate
from shogi_env.core.jit import as_int, compiled, inlined, kernel
from shogi_env.core.movegen import LEGAL_SHAPE, generate
from shogi_env.core.ordering import CHECKS_SHAPE, find_checks, gain, gives_check, list_captures
from shogi_env.core.play import do_move
from shogi_env.core.rules import judge, record
from shogi_env.core.state import STATE
from shogi_env.types import NO_WINNER, Int16Array, Int64Array, Row, StateArray, UInt64Array

MAX_DEPTH = 6
QUIET_PLIES = 8
"""Most plies that captures, promotions and answers to check go on below the full depth."""
MATE = 1 << 30
"""Value of having won; a win or loss n plies away is n nearer to 0."""

# What to try first: captures and promotions by their gain (hundreds), then these.
_KILLER, _OLD_KILLER, _CHECK = 80, 70, 60

FRAME = np.dtype(
    (
        np.record,
        [
            ("alpha", np.int64),  # what the side to move has already
            ("beta", np.int64),  # what the other side will not allow it
            ("best", np.int64),  # value of the best move so far
            ("best_move", np.int64),
            ("move", np.int64),  # the move being searched
            ("n", np.int64),  # moves to search
            ("next", np.int64),  # how many of them were taken
            ("killers", np.int64, (2,)),  # quiet moves that refuted others at this level, newest first
        ],
    )
)
"""What the search knows at one level of its path. Moves are as in `core.play`."""
FrameArray: TypeAlias = NDArray[np.void]


class Tree(NamedTuple):
    """The path from a game's position, level 0, to the position being searched."""

    rows: StateArray  # STATE[L]
    frames: FrameArray  # FRAME[L]
    moves: Int16Array  # int16[L, 593]
    order: Int64Array  # int64[L, 593]: the highest is tried first; those with 0 in no order
    legal: UInt64Array  # uint64[27, 2], of the position that was reached last
    checks: UInt64Array  # uint64[8, 2], scratch of `list_all`
    trail: UInt64Array  # uint64[T], position keys by ply: the game's, then the path's


def check_depth(depth: object) -> int:
    """The depth as an `int`.

    Raises:
        ValueError: it is no integer 1..6.
    """
    if isinstance(depth, bool) or not isinstance(depth, (int, np.integer)) or not 1 <= depth <= MAX_DEPTH:
        raise ValueError(f"the depth of a minimax player is 1..{MAX_DEPTH} plies, not {depth!r}")
    return int(depth)


@kernel
def choose_minimax(
    rows: StateArray,
    history: UInt64Array,
    legal: UInt64Array,
    where: Int64Array,
    depth: int,
    quiet: int,
    actions: Int64Array,
    values: Int64Array,
    begin: int,
    stop: int,
) -> None:
    """Write the best action of the games ``where[k]`` for k in ``range(begin, stop)``.

    Args:
        rows: STATE[N]; the streams of these games move on: they order moves of the same value.
        history: uint64[N, > max_plies], position keys by ply.
        legal: uint64[N, 27, 2].
        where: int64[K], distinct games.
        depth: plies searched in full, 1..6.
        quiet: most plies of captures, promotions and answers to check searched below, >= 0.
        actions: int64[K], overwritten; -1 where the game has ended.
        values: int64[K], overwritten: the value of the position to the mover, a pawn about 90, `MATE`
            less the plies to go for a win; 0 where the game has ended.
        begin: the first k.
        stop: the k after the last.
    """
    levels = depth + quiet + 1
    tree = Tree(
        np.zeros(levels, STATE),
        np.zeros(levels, FRAME),
        np.empty((levels, MAX_LEGAL_MOVES), np.int16),
        np.empty((levels, MAX_LEGAL_MOVES), np.int64),
        np.zeros(LEGAL_SHAPE, np.uint64),
        np.zeros(CHECKS_SHAPE, np.uint64),
        np.zeros(history.shape[1] + levels, np.uint64),
    )
    for k in range(begin, stop):
        i = where[k]
        actions[k], values[k] = -1, 0
        if rows[i].termination:
            continue
        open_root(tree, rows[i], history[i], legal[i])
        for plies in range(1, depth + 1):
            values[k] = search(tree, plies, quiet)
            if abs(values[k]) >= MATE - plies:
                break  # seen to the end: more depth changes nothing
            for m in range(tree.frames[0].n):  # the best so far comes first at the next depth
                if tree.moves[0, m] == tree.frames[0].best_move:
                    tree.order[0, m] = MATE + plies
        actions[k] = action_of(rows[i], legal[i], as_int(tree.frames[0].best_move))


@compiled
def open_root(tree: Tree, row: Row, history: UInt64Array, legal: UInt64Array) -> None:
    """Put a game at the root of a tree, its moves in random order."""
    tree.rows[0] = row
    for ply in range(as_int(row.ply) + 1):
        tree.trail[ply] = history[ply]
    n = list_moves(row, legal, tree.moves[0])
    for k in range(n - 1, 0, -1):
        other = random_below(row, k + 1)
        move = tree.moves[0, k]
        tree.moves[0, k] = tree.moves[0, other]
        tree.moves[0, other] = move
    for k in range(n):
        tree.order[0, k] = gain(row, as_int(tree.moves[0, k]))
    tree.frames[0].n = n
    for level in range(len(tree.frames)):
        tree.frames[level].killers[0] = tree.frames[level].killers[1] = -1


@compiled
def search(tree: Tree, depth: int, quiet: int) -> int:
    """Value of the game for the side to move; its best move is left in the root's frame.

    Iterative: a cached self-recursive function can crash when it is loaded (Numba #6061).

    Args:
        tree: a tree with an open root.
        depth: plies searched in full, >= 1.
        quiet: most plies searched below.
    """
    tree.frames[0].alpha = tree.frames[0].best = -MATE
    tree.frames[0].beta = MATE
    tree.frames[0].next = 0
    level = 0
    while True:
        if has_next(tree, level):
            move = take_next(tree, level)
            tree.frames[level].move = move
            level += 1
            tree.rows[level] = tree.rows[level - 1]
            do_move(tree.rows[level], move)
            enter(tree, level, depth, depth + quiet)
            if has_next(tree, level):
                continue
        elif level == 0:
            return as_int(tree.frames[0].best)
        level -= 1
        credit(tree, level, -as_int(tree.frames[level + 1].best))


@inlined
def has_next(tree: Tree, level: int) -> bool:
    """Whether a move is left at a level that could still change something."""
    return bool(
        tree.frames[level].next < tree.frames[level].n and tree.frames[level].alpha < tree.frames[level].beta
    )


@compiled
def enter(tree: Tree, level: int, depth: int, last: int) -> None:
    """Judge the position at a level below the root and list the moves to search there, if any.

    Args:
        tree: the path; a move has just led to ``rows[level]``.
        level: plies from the root, >= 1.
        depth: the level from which on only captures, promotions and answers to check are searched.
        last: the level at which nothing is searched any more.
    """
    generate(tree.rows[level], tree.legal)
    record(tree.rows[level], tree.trail)
    judge(tree.rows[level], tree.legal)
    tree.frames[level].n = tree.frames[level].next = 0
    if tree.rows[level].termination:
        tree.frames[level].best = result(tree.rows[level], level)
        return
    # The game can end at the next ply at the soonest.
    alpha = max(-as_int(tree.frames[level - 1].beta), level + 1 - MATE)
    beta = min(-as_int(tree.frames[level - 1].alpha), MATE - level - 1)
    best = alpha if alpha >= beta else -MATE
    may_rest = level == last or (level >= depth and not tree.rows[level].in_check)
    if may_rest and alpha < beta:
        best = evaluate(tree.rows[level])
    tree.frames[level].best = best
    tree.frames[level].alpha = max(alpha, best)
    tree.frames[level].beta = beta
    if level == last or best >= beta:
        return
    if may_rest:
        n = list_captures(tree.rows[level], tree.legal, tree.moves[level], tree.order[level])
    else:
        n = list_all(tree, level)
    tree.frames[level].n = n


@inlined
def result(row: Row, level: int) -> int:
    """Value of a game that has ended, for the side to move: the winner likes it soon, the loser late."""
    if row.winner == NO_WINNER:
        return 0
    return MATE - level if row.winner == row.turn else level - MATE


@compiled
def list_all(tree: Tree, level: int) -> int:
    """List the legal moves at a level, `tree.legal`, and their order; return how many there are."""
    n = list_moves(tree.rows[level], tree.legal, tree.moves[level])
    find_checks(tree.rows[level], tree.checks)
    for k in range(n):
        move = as_int(tree.moves[level, k])
        order = gain(tree.rows[level], move)
        if move == tree.frames[level].killers[0]:
            order += _KILLER
        elif move == tree.frames[level].killers[1]:
            order += _OLD_KILLER
        elif gives_check(tree.rows[level], move, tree.checks):
            order += _CHECK
        tree.order[level, k] = order
    return n


@inlined
def take_next(tree: Tree, level: int) -> int:
    """The next move to search at a level."""
    n, at = tree.frames[level].n, tree.frames[level].next
    if at == 0 or tree.order[level, at - 1] > 0:
        best = at
        for k in range(at + 1, n):
            if tree.order[level, k] > tree.order[level, best]:
                best = k
        move, order = tree.moves[level, best], tree.order[level, best]
        tree.moves[level, best], tree.order[level, best] = tree.moves[level, at], tree.order[level, at]
        tree.moves[level, at], tree.order[level, at] = move, order
    tree.frames[level].next = at + 1
    return as_int(tree.moves[level, at])


@inlined
def credit(tree: Tree, level: int, value: int) -> None:
    """Note what the move being searched at a level is worth."""
    if value <= tree.frames[level].best:
        return
    move = as_int(tree.frames[level].move)
    tree.frames[level].best = value
    tree.frames[level].best_move = move
    tree.frames[level].alpha = max(as_int(tree.frames[level].alpha), value)
    refutes = value >= tree.frames[level].beta and not tree.rows[level].board[move & 127]
    if refutes and move != tree.frames[level].killers[0]:
        tree.frames[level].killers[1] = tree.frames[level].killers[0]
        tree.frames[level].killers[0] = move
