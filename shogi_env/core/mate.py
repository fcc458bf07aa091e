"""Proves forced mates by depth-first proof-number search.

Every move of the attacker gives check; the defender may answer in any way.  A proof number says how many
positions at least have yet to be mates for a mate to be proved, a disproof number how many have yet to be
none; the search goes on where the number is least (A. Nagai, Df-pn algorithm for searching AND/OR trees and
its applications, 2002).  Where numbers of several moves would be added, the largest is taken and one for
each other move: lines that meet again are then not counted twice (T. Ueda et al., Weak proof-number search,
2008).

Positions are reached and judged by the functions that play the game.  One that occurred before, in the game
or on the way to it, counts as no mate: so proofs hold wherever the position is met, and few mates are missed.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shogi_env.core.actions import list_moves
from shogi_env.core.checks import list_checks
from shogi_env.core.constants import MAX_LEGAL_MOVES
from shogi_env.core.jit import as_int, compiled, inlined, kernel
from shogi_env.core.movegen import LEGAL_SHAPE, count_moves, generate
from shogi_env.core.ordering import CHECKS_SHAPE
from shogi_env.core.play import do_move
from shogi_env.core.rules import judge, record
from shogi_env.core.state import STATE
from shogi_env.types import (
    Int8Array,
    Int16Array,
    Int32Array,
    Int64Array,
    StateArray,
    UInt64Array,
)

MAX_MATE = 127
"""Longest line that is searched, in plies."""
NO_MATE, MATE, UNDECIDED = 0, 1, -1
"""What a search found."""

_SURE = 1 << 29
"""Proof or disproof number of what is settled the other way."""
_WAYS = 4
"""Places of the table in which a position may lie."""

ENTRY = np.dtype(
    (
        np.record,
        [
            ("key", np.uint64),
            ("proof", np.int32),
            ("disproof", np.int32),
            ("work", np.int32),  # positions that were opened below it, the least of which gives way
            ("search", np.int32),  # whose entry it is; others are empty places
            ("move", np.int16),  # of a mate: the attacker's fastest known, the defender's slowest
            ("length", np.int16),  # of a mate: plies to its end by these moves
        ],
    )
)
"""What is known of a position; its key says whose move it is."""
EntryArray: TypeAlias = NDArray[np.void]

FRAME = np.dtype(
    (
        np.record,
        [
            ("proof", np.int32),  # as the children have it now
            ("disproof", np.int32),
            ("proof_limit", np.int32),  # the numbers from which on another branch is better
            ("disproof_limit", np.int32),
            ("n", np.int32),  # children
            ("child", np.int32),  # the one to go on with, or where it has gone
            ("work", np.int32),
            ("move", np.int16),
            ("length", np.int16),
        ],
    )
)
"""What the search knows at one level of its path."""


class Path(NamedTuple):
    """From the position to be solved, level 0, to the one being looked at."""

    rows: StateArray  # STATE[L]
    frames: NDArray[np.void]  # FRAME[L]
    moves: Int16Array  # int16[L, 593]
    keys: UInt64Array  # uint64[L, 593]: of the positions after the moves
    guesses: Int32Array  # int32[L, 593]: proof numbers before a child is opened
    closed: Int8Array  # int8[L, 593]: 1 for a child that ends the game here otherwise than by mate
    scratch: StateArray  # STATE[1]
    legal: UInt64Array  # uint64[27, 2]
    checks: UInt64Array  # uint64[8, 2]
    trail: UInt64Array  # uint64[T], position keys by ply


@kernel
def solve_mate(
    rows: StateArray,
    history: UInt64Array,
    legal: UInt64Array,
    i: int,
    table: EntryArray,
    search: int,
    nodes: int,
    line: Int16Array,
    report: Int64Array,
) -> int:
    """Look for a forced mate by the side to move of a game.

    A search that stopped at its limit goes on if it is called again with the same number.

    Args:
        rows: STATE[N].
        history: uint64[N, > max_plies], position keys by ply.
        legal: uint64[N, 27, 2].
        i: the game; it runs.
        table: ENTRY[power of two], what this and earlier searches found.
        search: number of this search, at least 1 and another for each position.
        nodes: most positions to open.
        line: int16[>= 127], the mate's moves as in `play`, written from the front.
        report: int64[3], overwritten: positions opened, moves in `line`, lines cut short because a
            position came again or by the limits on plies.

    Returns:
        `MATE`, `NO_MATE` (none by checks alone), or `UNDECIDED`.
    """
    levels = MAX_MATE + 1
    path = Path(
        np.zeros(levels, STATE),
        np.zeros(levels, FRAME),
        np.empty((levels, MAX_LEGAL_MOVES), np.int16),
        np.empty((levels, MAX_LEGAL_MOVES), np.uint64),
        np.empty((levels, MAX_LEGAL_MOVES), np.int32),
        np.empty((levels, MAX_LEGAL_MOVES), np.int8),
        np.zeros(1, STATE),
        np.zeros(LEGAL_SHAPE, np.uint64),
        np.zeros(CHECKS_SHAPE, np.uint64),
        np.zeros(history.shape[1] + levels, np.uint64),
    )
    path.rows[0] = rows[i]
    path.legal[:] = legal[i]
    for ply in range(as_int(rows[i].ply) + 1):
        path.trail[ply] = history[i, ply]
    path.frames[0].proof_limit = path.frames[0].disproof_limit = _SURE
    report[:] = 0
    climb(path, table, search, nodes, report)
    if path.frames[0].disproof == 0 and report[2] == 0:
        return NO_MATE
    if path.frames[0].proof > 0:
        return UNDECIDED
    report[1] = write_line(path, table, search, line)
    return MATE


@compiled
def climb(path: Path, table: EntryArray, search: int, nodes: int, report: Int64Array) -> None:
    """Search from level 0 until it is settled or `nodes` positions are opened.

    Iterative: a cached self-recursive function can crash when it is loaded (Numba #6061).
    """
    level = 0
    report[0] = 1
    open_attack(path, 0)
    path.frames[0].work = 0
    while True:
        gather(path, table, search, level)
        if (
            report[0] >= nodes
            or path.frames[level].proof >= path.frames[level].proof_limit
            or path.frames[level].disproof >= path.frames[level].disproof_limit
        ):
            store(path, table, search, level)
            if level == 0:
                return
            level -= 1
            path.frames[level].work += path.frames[level + 1].work + 1
            continue
        report[0] += 1
        if enter(path, level + 1):
            level += 1
        else:
            report[2] += 1


@compiled
def enter(path: Path, level: int) -> bool:
    """Play the chosen move of the level above and list what can be answered; False if the game ends there."""
    child = as_int(path.frames[level - 1].child)
    path.rows[level] = path.rows[level - 1]
    do_move(path.rows[level], as_int(path.moves[level - 1, child]))
    generate(path.rows[level], path.legal)
    record(path.rows[level], path.trail)
    judge(path.rows[level], path.legal)
    if path.rows[level].termination or path.rows[level].repetitions or level == MAX_MATE:
        path.closed[level - 1, child] = 1
        return False
    path.frames[level].work = 0
    if level & 1:
        open_defence(path, level)
    else:
        open_attack(path, level)
    return True


@compiled
def open_attack(path: Path, level: int) -> None:
    """List the checks at a level, each with the number of answers to it; `path.legal` is overwritten."""
    n = list_checks(path.rows[level], path.legal, path.checks, path.moves[level])
    path.frames[level].n = n
    for k in range(n):
        path.scratch[0] = path.rows[level]
        do_move(path.scratch[0], as_int(path.moves[level, k]))
        generate(path.scratch[0], path.legal)
        path.keys[level, k] = path.scratch[0].key
        path.guesses[level, k] = count_moves(path.legal)
        path.closed[level, k] = 0


@compiled
def open_defence(path: Path, level: int) -> None:
    """List the answers to a check at a level, the legal moves `path.legal`."""
    n = list_moves(path.rows[level], path.legal, path.moves[level])
    path.frames[level].n = n
    for k in range(n):
        path.scratch[0] = path.rows[level]
        do_move(path.scratch[0], as_int(path.moves[level, k]))
        path.keys[level, k] = path.scratch[0].key
        path.guesses[level, k] = 1
        path.closed[level, k] = 0


@compiled
def gather(path: Path, table: EntryArray, search: int, level: int) -> None:
    """Take a level's numbers from its children, and choose the one to go on with and its limits.

    To the attacker `near` is the proof number: one child that is a mate is enough; `far` is the disproof
    number, for which all of them count.  To the defender it is the other way round.
    """
    attack = level & 1 == 0
    near = second = far_of_best = _SURE
    far, alive, best = 0, 0, 0
    for k in range(path.frames[level].n):
        proof, disproof, _ = child_numbers(path, table, search, level, k)
        mine, other = (proof, disproof) if attack else (disproof, proof)
        if other > 0:
            alive += 1
            far = max(far, other)
        if mine < near or (mine == near and other < far_of_best):
            second = near
            near, far_of_best, best = mine, other, k
        elif mine < second:
            second = mine
    if alive == 0:
        near, far = _SURE, 0
    elif near == 0:
        far = _SURE
    else:
        far += alive - 1
    path.frames[level].child = best
    path.frames[level].proof, path.frames[level].disproof = (near, far) if attack else (far, near)
    if path.frames[level].proof == 0:
        note_mate(path, table, search, level)
    elif near and far:
        set_limits(path, level, second + second // 4 + 1, alive - 1)


@inlined
def set_limits(path: Path, level: int, limit: int, others: int) -> None:
    """Say when to come back from the chosen child: another is better by then, or the level is settled."""
    proof, disproof = path.frames[level].proof_limit, path.frames[level].disproof_limit
    if level & 1 == 0:
        path.frames[level + 1].proof_limit = min(as_int(proof), limit)
        path.frames[level + 1].disproof_limit = disproof - others
    else:
        path.frames[level + 1].proof_limit = proof - others
        path.frames[level + 1].disproof_limit = min(as_int(disproof), limit)


@compiled
def note_mate(path: Path, table: EntryArray, search: int, level: int) -> None:
    """Note a mated level's move and length: the shortest mate of the attacker, the longest of the other."""
    attack = level & 1 == 0
    best, chosen = MAX_MATE if attack else -1, 0
    for k in range(path.frames[level].n):
        proof, _, length = child_numbers(path, table, search, level, k)
        if proof == 0 and (length < best if attack else length > best):
            best, chosen = length, k
    path.frames[level].length = best + 1
    path.frames[level].move = path.moves[level, chosen]


@inlined
def child_numbers(path: Path, table: EntryArray, search: int, level: int, k: int) -> tuple[int, int, int]:
    """Proof number, disproof number and, of a mate, length of what follows the k-th move of a level."""
    if path.closed[level, k]:
        return _SURE, 0, 0
    guess = as_int(path.guesses[level, k])
    if guess == 0:
        return 0, _SURE, 0
    at = find(table, search, path.keys[level, k])
    if at < 0:
        return guess, 1, 0
    length, last = as_int(table[at].length), as_int(path.rows[level].max_plies)
    if table[at].proof == 0 and last and path.rows[level].ply + 1 + length > last:
        return _SURE, 0, 0  # proved where more plies were left
    return as_int(table[at].proof), as_int(table[at].disproof), length


@inlined
def find(table: EntryArray, search: int, key: np.uint64) -> int:
    """Where in the table a position lies, or -1."""
    first = as_int(key & np.uint64(len(table) - _WAYS))
    for at in range(first, first + _WAYS):
        if table[at].key == key and table[at].search == search:
            return at
    return -1


@compiled
def store(path: Path, table: EntryArray, search: int, level: int) -> None:
    """Keep what a level found."""
    key = path.rows[level].key
    at = find(table, search, key)
    if at < 0:
        at = first = as_int(key & np.uint64(len(table) - _WAYS))
        for other in range(first, first + _WAYS):
            if table[other].search != search:
                at = other
                break
            if table[other].work < table[at].work:
                at = other
        table[at].work = 0
    table[at].key, table[at].search = key, search
    table[at].proof, table[at].disproof = path.frames[level].proof, path.frames[level].disproof
    table[at].move, table[at].length = path.frames[level].move, path.frames[level].length
    table[at].work += path.frames[level].work


@compiled
def write_line(path: Path, table: EntryArray, search: int, line: Int16Array) -> int:
    """Write the moves of a proved mate, as far as the table still knows them; return how many."""
    move, n = as_int(path.frames[0].move), 0
    path.scratch[0] = path.rows[0]
    while True:
        line[n] = move
        n += 1
        do_move(path.scratch[0], move)
        at = find(table, search, path.scratch[0].key)
        if n == len(line) or at < 0 or table[at].proof:
            return n
        move = as_int(table[at].move)
