"""`SearchPlayer`: plays what a search finds best."""

import weakref

import numpy as np

from shogi_env.core.tree import LOST, WON
from shogi_env.positions import Positions
from shogi_env.search.mate import MateSolver
from shogi_env.search.puct import Choice, Evaluate, Search
from shogi_env.types import Int64Array

SIMULATIONS = 64
"""Of a search player, unless its spec says otherwise."""
MATE_NODES = 500
"""Positions in which a forced mate is looked for before each search: a millisecond or two."""


class SearchPlayer:
    """Plays what a search finds best; an `Opponent`.

    Args:
        evaluate: guides the search.
        simulations: of each move, those that are kept from the move before included.
        temperature: 0 plays the best move; above, moves are drawn by their visits to the power of
            1 / temperature.
        mate_nodes: positions in which a forced mate is looked for first; 0 for none.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        *,
        simulations: int = SIMULATIONS,
        temperature: float = 0.0,
        mate_nodes: int = MATE_NODES,
    ) -> None:
        self._evaluate = evaluate
        self.simulations = simulations
        self.temperature = temperature
        self.mate_nodes = mate_nodes
        self._solver = MateSolver()
        self._searches: weakref.WeakKeyDictionary[Positions, Search] = weakref.WeakKeyDictionary()

    def __call__(self, positions: Positions, idx: Int64Array) -> Int64Array:
        """Return int64[K], the actions of games `idx`; draws come from the games' streams."""
        actions = np.full(len(idx), -1, np.int64)
        if self.mate_nodes:
            for k, i in enumerate(idx.tolist()):
                found = self._solver.solve(positions.snapshot(i), nodes=self.mate_nodes)
                if found.moves:
                    actions[k] = positions.action(i, found.moves[0])
        left = np.flatnonzero(actions < 0)
        if len(left):
            actions[left] = self._search(positions, idx[left])
        return actions

    def _search(self, positions: Positions, idx: Int64Array) -> Int64Array:
        search = self._searches.get(positions)
        if search is None:
            search = self._searches[positions] = Search(self._evaluate, slots=len(positions))
        search.run(positions.snapshot(idx), idx, self.simulations)
        found = [search.choices(i) for i in idx.tolist()]
        if self.temperature == 0:
            return np.array([choices[0].action for choices in found])
        numbers = positions.random_numbers(2**24, idx) / 2**24
        drawn = (
            draw(choices, self.temperature, x) for choices, x in zip(found, numbers.tolist(), strict=True)
        )
        return np.array([choice.action for choice in drawn])


def draw(choices: list[Choice], temperature: float, number: float) -> Choice:
    """The choice that a number 0..1 draws by visits to the power of 1 / temperature.

    A certain win is always taken, and a certain loss only where nothing else is left.
    """
    if choices[0].certain == WON:
        return choices[0]
    open_ = [choice for choice in choices if choice.certain != LOST] or choices
    visits = np.maximum([choice.visits for choice in open_], 1e-9)
    weights = (visits / visits.max()) ** (1 / temperature)
    return open_[int(np.searchsorted(weights.cumsum(), number * weights.sum(), side="right"))]
