"""`Search`: PUCT over many games at once, guided by a network."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from shogi_env.core import batch, puct, tree
from shogi_env.core.constants import MAX_LEGAL_MOVES, NUM_ACTIONS, NUM_CELLS, NUM_PLANES
from shogi_env.core.state import STATE
from shogi_env.notation.moves import from_packed
from shogi_env.notation.usi import Move
from shogi_env.threads import Threads
from shogi_env.types import Float32Array, Int64Array, Snapshot, StateArray, UInt8Array

Evaluate: TypeAlias = Callable[[UInt8Array], tuple[Float32Array, Float32Array]]
"""What guides a search: planes uint8[k, 136, 9, 9] of k positions to logits float32[k, 2187] and values
float32[k], -1..1, to the side to move."""

_MARGIN = 2
"""Nodes that a simulation may add: its position, and the mate in one that was found there."""


class Choice(NamedTuple):
    """One move at the root of a tree."""

    move: Move
    action: int
    visits: int
    value: float | None
    """Of the move to the side that plays it, -1..1; None if it was not visited."""
    prior: float
    """What the network alone gives it, 0..1."""
    certain: int
    """`core.tree.OPEN`, or `WON`, `LOST`, `DRAWN` for the side that plays it."""
    plies: int
    """To the end of the game, where it is certain."""


class Search:
    """Trees for a number of games.

    A tree grows on when its game goes on: what follows from the moves that were played is kept.

    >>> from shogi_env import Board
    >>> def evaluate(planes):
    ...     return np.zeros((len(planes), 2187), np.float32), np.zeros(len(planes), np.float32)
    >>> search, slots = Search(evaluate), np.array([0])
    >>> search.run(Board("4k4/9/4P4/9/9/9/9/9/4K4 b G 1").snapshot(), slots, 100)
    >>> best = search.choices()[0]
    >>> str(best.move), best.plies
    ('G*5b', 1)

    For training, `add_noise` after a first simulation, and `policy` and `value` in the end.

    Args:
        evaluate: the network.
        slots: number of trees.
        leaves: positions of one tree that are judged together; more at once are judged faster, but chosen
            with less knowledge.
        threads: how many threads share the trees.
    """

    def __init__(self, evaluate: Evaluate, *, slots: int = 1, leaves: int = 1, threads: int = 1) -> None:
        self.evaluate = evaluate
        self.leaves = leaves
        self._threads = Threads(threads)
        self._nodes: tree.NodeArray = np.zeros((slots, 0), tree.NODE)
        self._edges: tree.EdgeArray = np.zeros((slots, 0), tree.EDGE)
        self._used: Int64Array = np.zeros((slots, 2), np.int64)
        self._lines: list[tuple[int, ...]] = [()] * slots  # keys of the games up to the roots

    def run(
        self,
        games: Snapshot,
        slots: Int64Array,
        simulations: int,
        *,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        """Search until each root was visited so often, earlier visits that still count included.

        Args:
            games: K running games.
            slots: int64[K], the tree of each.
            simulations: visits of a root, at least 1.
            stop: asked between two calls of the network whether to end now.
        """
        self._begin(games, slots)
        going = np.arange(len(slots))
        try:
            while len(going) and not (stop and stop()):
                roots = self._nodes[slots[going], 0]
                open_ = (roots["visits"] < simulations) & (roots["certain"] == tree.OPEN)
                going = going[open_ | (roots["visits"] == 0)]
                if len(going):
                    self._simulate(games, slots, going, simulations)
        except BaseException:
            for slot in slots.tolist():  # simulations were begun that nobody finishes
                self._lines[slot] = ()
            raise

    def add_noise(
        self, slots: Int64Array, generator: np.random.Generator, *, alpha: float = 0.15, share: float = 0.25
    ) -> None:
        """Mix Dirichlet noise into the priors of some roots, so that self-play tries other moves, too.

        Once for each move, when the roots are judged: after a `run` with one simulation.  The defaults are
        AlphaZero's for shogi (see `core.puct`).

        Args:
            slots: int64[K], the trees.
            generator: draws the noise.
            alpha: the distribution's parameter; the smaller, the fewer moves get most of it.
            share: of the noise in the priors, 0..1.

        Raises:
            ValueError: a root has no priors yet.
        """
        if not all(self._lines[slot] and self._nodes["ready"][slot, 0] for slot in slots.tolist()):
            raise ValueError("run one simulation first: a root has no priors yet")
        for slot in slots.tolist():
            first, n = int(self._nodes["edges"][slot, 0]), int(self._nodes["n"][slot, 0])
            priors = self._edges["prior"][slot, first : first + n]
            priors += share * (generator.dirichlet(np.full(n, alpha)) - priors)

    def _simulate(self, games: Snapshot, slots: Int64Array, going: Int64Array, simulations: int) -> None:
        """One call of the network."""
        trees = slots[going]
        wanted = np.minimum(simulations - self._nodes["visits"][trees, 0], self.leaves).astype(np.int64)
        self._make_room(trees)
        leaves = np.empty((len(going), self.leaves), np.int64)
        found = np.zeros((len(going), self.leaves), STATE)
        done = np.empty(len(going), np.int64)
        arrays = self._nodes, self._edges, self._used
        rows, history = games.rows[going], games.history[going]
        self._threads.share(
            puct.select, len(going), *arrays, rows, history, trees, wanted, leaves, found, done
        )
        judged = leaves != tree.NONE
        counts = judged.sum(1)
        if not counts.any():
            return
        logits, values = (
            np.ascontiguousarray(answer, np.float32) for answer in self.evaluate(_planes(found[judged]))
        )
        firsts = np.cumsum(counts) - counts
        self._threads.share(
            puct.expand, len(going), self._nodes, self._edges, trees, leaves, logits, values, firsts
        )

    def _begin(self, games: Snapshot, slots: Int64Array) -> None:
        """Have each tree's root at its game's position, with what is known of it already."""
        fresh = []
        for k, slot in enumerate(slots.tolist()):
            line = tuple(games.history[k, : games.rows[k]["ply"] + 1].tolist())
            node = self._follow(slot, line)
            if node < 0:
                fresh.append(k)
            elif node > 0:
                tree.reroot(self._nodes[slot], self._edges[slot], self._used[slot], node)
            self._lines[slot] = line
        if fresh:
            self._make_room(slots[fresh])
            arrays = self._nodes, self._edges, self._used
            rows, legal = games.rows[fresh], games.legal[fresh]
            self._threads.share(tree.plant, len(fresh), *arrays, rows, legal, slots[fresh])

    def _follow(self, slot: int, line: tuple[int, ...]) -> int:
        """The node of a tree at which a game has arrived that went on from its root, or `NONE`."""
        old = self._lines[slot]
        if not old or line[: len(old)] != old:
            return tree.NONE
        node = 0
        for key in line[len(old) :]:
            children = self._children(slot, node)
            keys = self._nodes["key"][slot, children]
            found = np.flatnonzero((keys == key) & (children != tree.NONE))
            if not len(found):
                return tree.NONE
            node = int(children[found[0]])
        return node if self._nodes["ready"][slot, node] else tree.NONE

    def _children(self, slot: int, node: int) -> Int64Array:
        first, n = int(self._nodes["edges"][slot, node]), int(self._nodes["n"][slot, node])
        return self._edges["child"][slot, first : first + n]

    def _make_room(self, slots: Int64Array) -> None:
        """Make the arrays large enough for the next simulations of some trees."""
        nodes, edges = self._used[slots].max(0) + np.array([_MARGIN, MAX_LEGAL_MOVES]) * self.leaves
        self._nodes = _at_least(self._nodes, int(nodes))
        self._edges = _at_least(self._edges, int(edges))

    def choices(self, slot: int = 0) -> list[Choice]:
        """The moves at a root, the best first: by what is certain, then by visits."""
        nodes, edges = self._nodes[slot], self._edges[slot]
        first = int(nodes["edges"][0])
        found = []
        for edge in edges[first : first + int(nodes["n"][0])]:
            child = int(edge["child"])
            visits = int(nodes["visits"][child]) if child != tree.NONE else 0
            certain = int(nodes["certain"][child]) if child != tree.NONE else tree.OPEN
            value = -float(nodes["total"][child]) / visits if visits else None
            mine = _OTHER_SIDE[certain]
            if certain:
                value = {tree.WON: 1.0, tree.LOST: -1.0, tree.DRAWN: 0.0}[mine]
            plies = int(nodes["plies"][child]) + 1 if certain else 0
            move = from_packed(int(edge["move"]))
            found.append(Choice(move, int(edge["action"]), visits, value, float(edge["prior"]), mine, plies))
        return sorted(found, key=_rank)

    def line(self, choice: Choice, slot: int = 0) -> list[Move]:
        """What the search expects from a choice on: it, and the most visited moves behind it."""
        nodes, edges = self._nodes[slot], self._edges[slot]
        first = int(nodes["edges"][0])
        edge = next(
            k for k in range(first, first + int(nodes["n"][0])) if edges["action"][k] == choice.action
        )
        moves = [choice.move]
        while (node := int(edges["child"][edge])) != tree.NONE:
            begin = int(nodes["edges"][node])
            children = edges["child"][begin : begin + int(nodes["n"][node])]
            tried = np.flatnonzero(children != tree.NONE)
            if not len(tried):
                break
            visits = nodes["visits"][children[tried]]
            if nodes["certain"][node] == tree.WON:  # the move that wins may have been found without a visit
                visits = visits + (nodes["certain"][children[tried]] == tree.LOST) * 2**30
            edge = begin + int(tried[visits.argmax()])
            moves.append(from_packed(int(edges["move"][edge])))
        return moves

    def policy(self, slots: Int64Array) -> Float32Array:
        """Shares of the visits at some roots, float32[K, 2187]: what a network would learn from."""
        shares = np.zeros((len(slots), NUM_ACTIONS), np.float32)
        for k, slot in enumerate(slots.tolist()):
            for choice in self.choices(slot):
                shares[k, choice.action] = choice.visits
        shares /= np.maximum(shares.sum(1, keepdims=True), 1)
        return shares

    def value(self, slot: int = 0) -> float:
        """The value of a root to its side to move, -1..1."""
        root = self._nodes[slot, 0]
        if root["certain"]:
            return {tree.WON: 1.0, tree.LOST: -1.0, tree.DRAWN: 0.0}[int(root["certain"])]
        return float(root["total"]) / max(1, int(root["visits"]))

    def visit_counts(self, slot: int = 0) -> list[int]:
        """Simulations that each move at a root has, those without one left out."""
        nodes = self._nodes[slot]
        children = self._children(slot, 0)
        found: list[int] = nodes["visits"][children[children != tree.NONE]].tolist()
        return found

    def visits(self, slot: int = 0) -> int:
        """Simulations that a root has."""
        return int(self._nodes[slot, 0]["visits"])


_OTHER_SIDE = {tree.OPEN: tree.OPEN, tree.WON: tree.LOST, tree.LOST: tree.WON, tree.DRAWN: tree.DRAWN}


def _rank(choice: Choice) -> tuple[float, ...]:
    """Sorts the best first: a win, the sooner the better; a loss last, the later the better."""
    if choice.certain == tree.WON:
        return (0, choice.plies)
    if choice.certain == tree.LOST:
        return (2, -choice.plies, -choice.visits)
    return (1, -choice.visits, -(choice.value or 0.0), -choice.prior)


def _planes(rows: StateArray) -> UInt8Array:
    """The planes uint8[k, 136, 9, 9] of rows STATE[k]."""
    out = np.empty((len(rows), NUM_PLANES * NUM_CELLS), np.uint8)
    batch.write_planes(rows, out, 0, len(rows))
    return out.reshape(len(rows), NUM_PLANES, 9, 9)


def _at_least(array: tree.NodeArray, n: int) -> tree.NodeArray:
    """The array, or a copy twice as wide as is needed if it is narrower than n columns."""
    if array.shape[1] >= n:
        return array
    wider = np.zeros((len(array), 2 * n), array.dtype)
    wider[:, : array.shape[1]] = array
    return wider
