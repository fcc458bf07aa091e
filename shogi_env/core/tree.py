"""Trees of a search, one for each game of a batch.

A node is a position; its edges are the legal moves, in rising order of their actions.  A node's value is
that of its side to move, so its sign changes at every ply.  A position that is won, lost or drawn for certain
is marked; that a move mates at once is seen when a position is added.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shogi_env.core.actions import move_of
from shogi_env.core.bitboard import first, get, rest
from shogi_env.core.checks import list_checks
from shogi_env.core.constants import MAX_LEGAL_MOVES, NUM_ACTION_PLANES
from shogi_env.core.jit import as_int, compiled, inlined, kernel
from shogi_env.core.movegen import LEGAL_SHAPE, count_moves, generate
from shogi_env.core.ordering import CHECKS_SHAPE
from shogi_env.core.play import do_move
from shogi_env.core.state import STATE
from shogi_env.types import (
    NO_WINNER,
    Int16Array,
    Int64Array,
    Row,
    StateArray,
    UInt64Array,
)

OPEN, WON, LOST, DRAWN = range(4)
"""What is certain about a node, for its side to move."""
NONE = -1
"""No node."""

NODE = np.dtype(
    (
        np.record,
        [
            ("key", np.uint64),  # of the position
            ("total", np.float64),  # sum of the values of its simulations
            ("parent", np.int32),
            ("edge", np.int32),  # which of the parent's leads here, counted from its first
            ("edges", np.int32),  # the first of its own
            ("visits", np.int32),  # simulations that went through it
            ("waiting", np.int32),  # those among them whose value is not known yet: counted as lost
            ("n", np.int16),  # edges
            ("plies", np.int16),  # to the end, where the end is certain
            ("certain", np.int8),  # OPEN, WON, LOST, DRAWN
            ("in_check", np.int8),
            ("ready", np.int8),  # 1: its edges have their priors
        ],
    )
)
EDGE = np.dtype(
    (
        np.record,
        [
            ("prior", np.float32),
            ("child", np.int32),
            ("move", np.int16),  # as in `core.play`
            ("action", np.int16),
        ],
    )
)
NodeArray: TypeAlias = NDArray[np.void]
EdgeArray: TypeAlias = NDArray[np.void]


class Walk(NamedTuple):
    """Where a simulation is, and room for its work."""

    row: StateArray  # STATE[1]
    scratch: StateArray  # STATE[1]
    legal: UInt64Array  # uint64[27, 2]
    reply: UInt64Array  # uint64[27, 2]
    checks: UInt64Array  # uint64[8, 2]
    moves: Int16Array  # int16[593]
    trail: UInt64Array  # uint64[T], position keys by ply


@inlined
def new_walk(plies: int) -> Walk:
    """Room for games of up to so many plies."""
    return Walk(
        np.zeros(1, STATE),
        np.zeros(1, STATE),
        np.zeros(LEGAL_SHAPE, np.uint64),
        np.zeros(LEGAL_SHAPE, np.uint64),
        np.zeros(CHECKS_SHAPE, np.uint64),
        np.empty(MAX_LEGAL_MOVES, np.int16),
        np.zeros(plies, np.uint64),
    )


@kernel
def plant(
    nodes: NodeArray,
    edges: EdgeArray,
    used: Int64Array,
    rows: StateArray,
    legal: UInt64Array,
    slots: Int64Array,
    begin: int,
    stop: int,
) -> None:
    """Start new trees, each with its root alone, waiting for a network.

    Args:
        nodes: NODE[S, M], the trees' nodes; the root is node 0.
        edges: EDGE[S, E], their edges.
        used: int64[S, 2], how many nodes and edges a tree has.
        rows: STATE[K], the games' positions; running games.
        legal: uint64[K, 27, 2].
        slots: int64[K], the trees.
        begin: the first k.
        stop: the k after the last.
    """
    walk = new_walk(1)
    for k in range(begin, stop):
        walk.row[0] = rows[k]
        walk.legal[:] = legal[k]
        used[slots[k]] = 0
        add_node(nodes[slots[k]], edges[slots[k]], used[slots[k]], walk, NONE, NONE)


@compiled
def add_node(nodes: NodeArray, edges: EdgeArray, used: Int64Array, walk: Walk, parent: int, edge: int) -> int:
    """Add the position of a walk, whose legal moves are there, to a tree; return its node."""
    node = used[0]
    used[0] += 1
    nodes[node].key = walk.row[0].key
    nodes[node].total = 0.0
    nodes[node].parent, nodes[node].edge = parent, edge
    nodes[node].edges = used[1]
    nodes[node].visits = nodes[node].waiting = nodes[node].n = nodes[node].plies = 0
    nodes[node].certain = OPEN
    nodes[node].in_check = walk.row[0].in_check
    nodes[node].ready = 0
    if walk.row[0].termination:
        nodes[node].certain = verdict(walk.row[0])
        return as_int(node)
    mate = find_mate(walk)
    at = used[1]
    for plane in range(NUM_ACTION_PLANES):
        cells = get(walk.legal, plane)
        while cells:
            seen = first(cells)
            cells = rest(cells)
            move = move_of(walk.row[0], plane, seen)
            edges[at].child, edges[at].prior = NONE, 0.0
            edges[at].move, edges[at].action = move, plane * 81 + seen
            if move == mate:
                edges[at].child = add_mated(nodes, used, node, as_int(at - used[1]))
            at += 1
    nodes[node].n = at - used[1]
    used[1] = at
    if mate:
        nodes[node].certain, nodes[node].plies = WON, 1
    return as_int(node)


@inlined
def add_mated(nodes: NodeArray, used: Int64Array, parent: int, edge: int) -> int:
    """Add the position in which a mate in one ends; return its node."""
    node = used[0]
    used[0] += 1
    nodes[node] = nodes[parent]
    nodes[node].key = 0  # never looked for
    nodes[node].parent, nodes[node].edge = parent, edge
    nodes[node].n = nodes[node].plies = 0
    nodes[node].certain = LOST
    return as_int(node)


@inlined
def verdict(row: Row) -> int:
    """What a game's result is to the side to move."""
    if row.winner == NO_WINNER:
        return DRAWN
    return WON if row.winner == row.turn else LOST


@compiled
def find_mate(walk: Walk) -> int:
    """A move that mates at once, or 0."""
    n = list_checks(walk.row[0], walk.legal, walk.checks, walk.moves)
    for k in range(n):
        move = as_int(walk.moves[k])
        walk.scratch[0] = walk.row[0]
        do_move(walk.scratch[0], move)
        generate(walk.scratch[0], walk.reply)
        if count_moves(walk.reply) == 0:
            return move
    return 0


@kernel
def reroot(nodes: NodeArray, edges: EdgeArray, used: Int64Array, node: int) -> None:
    """Make a node of a tree its root and forget all that does not follow from it.

    Args:
        nodes: NODE[M], changed; none waits for a network.
        edges: EDGE[E], changed.
        used: int64[2], changed.
        node: the new root.
    """
    moved = np.full(used[0], NONE, np.int32)  # where a node lies now; children lie behind their parents
    n, at = 0, 0
    for old in range(node, used[0]):
        parent = NONE if old == node else as_int(moved[nodes[old].parent])
        if old > node and parent == NONE:
            continue
        moved[old] = n
        begin = as_int(nodes[old].edges)
        nodes[n] = nodes[old]
        nodes[n].parent, nodes[n].edges = parent, at
        for k in range(nodes[n].n):
            edges[at + k] = edges[begin + k]
        at += as_int(nodes[n].n)
        if parent != NONE:
            edges[nodes[parent].edges + nodes[n].edge].child = n
        n += 1
    used[0], used[1] = n, at
