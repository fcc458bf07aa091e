"""Simulations of a search guided by a network (PUCT), in the trees of `core.tree`.

Positions are not kept: a simulation plays its way from the root again, by the functions that play the game,
and so meets repetitions, declarations and the ply limit as the game will.

The score of an edge is AlphaZero's, with its constants (Silver et al., A general reinforcement learning
algorithm that masters chess, shogi and Go through self-play, 2018).  A result that is certain is carried up
and believed from then on (Winands et al., Monte-Carlo tree search solver, 2008).
"""

import math

import numpy as np

from shogi_env.core.jit import as_int, compiled, inlined, kernel
from shogi_env.core.movegen import generate
from shogi_env.core.play import do_move
from shogi_env.core.rules import judge, record
from shogi_env.core.tree import (
    DRAWN,
    LOST,
    NONE,
    OPEN,
    WON,
    EdgeArray,
    NodeArray,
    Walk,
    add_node,
    new_walk,
)
from shogi_env.types import Float32Array, Int64Array, StateArray, UInt64Array

C_INIT, C_BASE = 1.25, 19652.0
"""Exploration: ``C_INIT + log((1 + visits + C_BASE) / C_BASE)``."""
FIRST_PLAY = 0.25
"""How much worse than its parent an unvisited move is taken to be where all others were visited."""


@kernel
def select(
    nodes: NodeArray,
    edges: EdgeArray,
    used: Int64Array,
    rows: StateArray,
    history: UInt64Array,
    slots: Int64Array,
    wanted: Int64Array,
    leaves: Int64Array,
    found: StateArray,
    done: Int64Array,
    begin: int,
    stop: int,
) -> None:
    """Begin simulations, each down to a position that a network must judge.

    A simulation that ends where the result is certain is finished here.

    Args:
        nodes: NODE[S, M], with room for two more for each that is wanted.
        edges: EDGE[S, E], with room for 593 for each of them.
        used: int64[S, 2].
        rows: STATE[K], the positions at the roots.
        history: uint64[K, >= ply + 1], their games' position keys by ply.
        slots: int64[K], the trees.
        wanted: int64[K], simulations to begin in each, at most W.
        leaves: int64[K, W], overwritten: nodes to be judged, `NONE` behind the last.
        found: STATE[K, W], their positions.
        done: int64[K], overwritten: simulations begun, those of `leaves` and the finished ones.
        begin: the first k.
        stop: the k after the last.
    """
    walk = new_walk(history.shape[1] + nodes.shape[1] + 1)
    for k in range(begin, stop):
        slot, n = slots[k], 0
        done[k] = 0
        leaves[k] = NONE
        for ply in range(as_int(rows[k].ply) + 1):
            walk.trail[ply] = history[k, ply]
        if nodes[slot, 0].visits == 0:  # a new root: judged before anything else
            nodes[slot, 0].visits = nodes[slot, 0].waiting = done[k] = 1
            found[k, 0], leaves[k, 0] = rows[k], 0
            continue
        for _ in range(wanted[k]):
            if nodes[slot, 0].certain:
                break
            walk.row[0] = rows[k]
            leaf = descend(nodes[slot], edges[slot], used[slot], walk)
            if leaf < 0:
                break  # met one that still waits: a network should have its say first
            done[k] += 1
            if nodes[slot, leaf].certain:
                settle(nodes[slot], edges[slot], leaf)
            else:
                found[k, n], leaves[k, n] = walk.row[0], leaf
                n += 1


@compiled
def descend(nodes: NodeArray, edges: EdgeArray, used: Int64Array, walk: Walk) -> int:
    """Go from the root to a node that is new or certain, counting visits that wait; return it, or `NONE`."""
    node = 0
    while True:
        nodes[node].visits += 1
        nodes[node].waiting += 1
        if nodes[node].certain:
            return node
        if not nodes[node].ready:
            take_back(nodes, node)
            return NONE
        edge = best_edge(nodes, edges, node)
        do_move(walk.row[0], as_int(edges[edge].move))
        child = as_int(edges[edge].child)
        if child == NONE:
            generate(walk.row[0], walk.legal)
            record(walk.row[0], walk.trail)
            judge(walk.row[0], walk.legal)
            child = add_node(nodes, edges, used, walk, node, edge - as_int(nodes[node].edges))
            edges[edge].child = child
            nodes[child].visits = nodes[child].waiting = 1
            return child
        walk.row[0].in_check = nodes[child].in_check
        if not nodes[child].certain:
            record(walk.row[0], walk.trail)
        node = child


@inlined
def take_back(nodes: NodeArray, node: int) -> None:
    """Forget a simulation that cannot go on."""
    while node != NONE:
        nodes[node].visits -= 1
        nodes[node].waiting -= 1
        node = as_int(nodes[node].parent)


@inlined
def value_of(nodes: NodeArray, node: int) -> float:
    """Value of a visited node to its side to move, -1..1, waiting simulations counted as won by it.

    So they are as lost to the side that would choose it, and other moves come first.
    """
    certain = nodes[node].certain
    if certain:
        return 1.0 if certain == WON else -1.0 if certain == LOST else 0.0
    return float((nodes[node].total + nodes[node].waiting) / nodes[node].visits)


@compiled
def best_edge(nodes: NodeArray, edges: EdgeArray, node: int) -> int:
    """The edge with the highest score that does not lose for certain."""
    visits = nodes[node].visits
    explore = (C_INIT + math.log((1.0 + visits + C_BASE) / C_BASE)) * math.sqrt(float(visits))
    begin, end = nodes[node].edges, nodes[node].edges + nodes[node].n
    tried = 0.0
    for edge in range(begin, end):
        if edges[edge].child != NONE:
            tried += edges[edge].prior
    known = max(1, nodes[node].visits - nodes[node].waiting)
    untried = nodes[node].total / known - FIRST_PLAY * math.sqrt(tried)
    best, highest = begin, -np.inf
    for edge in range(begin, end):
        child = edges[edge].child
        if child == NONE:
            score = untried + explore * edges[edge].prior
        elif nodes[child].certain == WON:
            score = -1e9
        else:
            score = explore * edges[edge].prior / (1 + nodes[child].visits) - value_of(nodes, child)
        if score > highest:
            best, highest = edge, score
    return as_int(best)


@kernel
def expand(
    nodes: NodeArray,
    edges: EdgeArray,
    slots: Int64Array,
    leaves: Int64Array,
    logits: Float32Array,
    values: Float32Array,
    firsts: Int64Array,
    begin: int,
    stop: int,
) -> None:
    """Finish the simulations of some trees with what a network says.

    Args:
        nodes: NODE[S, M].
        edges: EDGE[S, E].
        slots: int64[K], the trees.
        leaves: int64[K, W], as `select` left them.
        logits: float32[number of leaves, 2187], in the order of `leaves`.
        values: float32[number of leaves], to the side to move, -1..1.
        firsts: int64[K], which of these is a tree's first.
        begin: the first k.
        stop: the k after the last.
    """
    for k in range(begin, stop):
        at = firsts[k]
        for w in range(leaves.shape[1]):
            leaf = leaves[k, w]
            if leaf == NONE:
                break
            slot = slots[k]
            write_priors(nodes[slot], edges[slot], leaf, logits[at])
            back_up(nodes[slot], leaf, float(values[at]))
            if nodes[slot, leaf].certain:  # a root with a mate in one
                settle_above(nodes[slot], edges[slot], leaf)
            at += 1


@compiled
def write_priors(nodes: NodeArray, edges: EdgeArray, node: int, logits: Float32Array) -> None:
    """Give a node's edges the softmax of their logits."""
    begin, end = nodes[node].edges, nodes[node].edges + nodes[node].n
    highest = np.float32(-np.inf)
    for edge in range(begin, end):
        highest = max(highest, logits[edges[edge].action])
    total = np.float32(0)
    for edge in range(begin, end):
        weight = np.exp(logits[edges[edge].action] - highest)
        edges[edge].prior = weight
        total += weight
    for edge in range(begin, end):
        edges[edge].prior /= total
    nodes[node].ready = 1


@inlined
def back_up(nodes: NodeArray, node: int, value: float) -> None:
    """Add a simulation's value, as the side to move at its last node sees it, all the way to the root."""
    while node != NONE:
        nodes[node].total += value
        nodes[node].waiting -= 1
        value = -value
        node = as_int(nodes[node].parent)


@compiled
def settle(nodes: NodeArray, edges: EdgeArray, node: int) -> None:
    """Finish a simulation that ended where the result is certain."""
    back_up(nodes, node, value_of(nodes, node))
    settle_above(nodes, edges, node)


@compiled
def settle_above(nodes: NodeArray, edges: EdgeArray, node: int) -> None:
    """Mark the nodes above whose result has become certain."""
    while nodes[node].parent != NONE:
        above = as_int(nodes[node].parent)
        certain, plies = judge_node(nodes, edges, above, node)
        if certain == OPEN or nodes[above].certain:
            return
        nodes[above].certain, nodes[above].plies = certain, plies
        node = above


@inlined
def judge_node(nodes: NodeArray, edges: EdgeArray, node: int, child: int) -> tuple[int, int]:
    """What is certain about a node since something is about one of its children, and the plies to the end."""
    if nodes[child].certain == LOST:
        return WON, as_int(nodes[child].plies) + 1
    certain, plies = LOST, 0
    for edge in range(nodes[node].edges, nodes[node].edges + nodes[node].n):
        other = edges[edge].child
        if other == NONE or nodes[other].certain == OPEN:
            return OPEN, 0
        if nodes[other].certain == DRAWN and certain == LOST:
            certain, plies = DRAWN, 0
        plies = max(plies, as_int(nodes[other].plies) + 1)
    return certain, plies
