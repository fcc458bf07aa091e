"""A member of the pool: the learner's results against it, and how often it is met.

Who is met is decided by prioritised fictitious self-play (Vinyals et al., "Grandmaster level in StarCraft II
using multi-agent reinforcement learning", Nature 575, 2019, Methods): a member is drawn in proportion to
``(1 - s) ** hardness``, where s is the learner's share of the points against it, a draw being half a point.
As in their pseudocode, old results fade: each further game leaves `DECAY` of what was known.  Here one won
and one lost game are added to those played (Laplace's rule of succession): a member that nothing is known
of counts as even, as an earlier self should, and is soon tried; and one that never wins is still met now
and then, which shows whether the learner has forgotten how to beat it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shogi_env.opponents import Opponent
from shogi_env.types import Float64Array, Int64Array

DECAY = 0.99
"""What a result still weighs after one more game against the same member."""
_SAVED = ("number", "name", "digest", "spec", "points", "games", "pooled", "unused_since")


class OpponentError(RuntimeError):
    """A member of the pool failed, played an illegal move, or is not what it was; the text names it."""


@dataclass(eq=False)
class Member:
    """Somebody in the pool, and how the learner does against it."""

    number: int
    """Never given twice."""
    name: str
    digest: str
    """Names what plays: of a snapshot's file, or as the player gives it."""
    spec: str | None = None
    """What it is made from, as in `league.players`; None for a snapshot."""
    points: float = 0.0
    """The learner's: 1 for a win, 1/2 for a draw; decayed."""
    games: float = 0.0
    """Finished against it; decayed."""
    pooled: bool = True
    """Whether new games may be against it; one that has left plays its games to the end."""
    unused_since: int | None = None
    """Decisions at the boundary at which it had left and all its games were over."""
    choose: Opponent | None = field(default=None, repr=False)
    """Plays; None for a snapshot that no game is against at the moment."""
    close: Callable[[], None] | None = field(default=None, repr=False)
    """Gives back what a player holds."""

    @property
    def score(self) -> float:
        """The learner's share of the points against it, above 0 and below 1."""
        return (self.points + 1) / (self.games + 2)

    def credit(self, points: float, games: int) -> None:
        """Add the results of a rollout's games: the learner's points in them, and how many."""
        kept = DECAY**games
        self.points, self.games = self.points * kept + points, self.games * kept + games

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it, for JSON."""
        return {name: getattr(self, name) for name in _SAVED}


def shares(scores: Float64Array, hardness: float) -> Float64Array:
    """How often members shall be met, float64[M] that add up to 1.

    Args:
        scores: float64[M], the learner's share of the points against each, all below 1.
        hardness: power of the share that it lost; 0 meets all alike.
    """
    weights = (1 - scores) ** hardness
    expected: Float64Array = weights / weights.sum()
    return expected


def draw(expected: Float64Array, count: int, generator: np.random.Generator) -> Int64Array:
    """Draw int64[count] of 0..M-1, number m ``count * expected[m]`` times, rounded up or down by chance.

    Systematic sampling in random order: on average the shares are kept exactly, and nobody whose share
    is at most 1 / count is drawn twice.

    Args:
        expected: float64[M] that add up to 1.
        count: how many.
        generator: draws.
    """
    order: Int64Array = generator.permutation(len(expected))
    marks = (np.arange(count) + generator.random()) / count
    places = np.searchsorted(np.cumsum(expected[order]), marks, side="right")
    return order[np.minimum(places, len(order) - 1)]  # rounding may end the sum just below 1
