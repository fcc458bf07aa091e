"""How a number changes over a run."""

import math
from dataclasses import dataclass

from keisei_agent.config import Schedule


def value(schedule: Schedule, start: float, final: float, done: float) -> float:
    """Return what a number is at a point of the run.

    Args:
        schedule: constant; linear: along a straight line; cosine: along half a wave, slowly at both ends.
        start: the number at the start.
        final: share of it that is left at the end.
        done: share of the run that is behind, 0..1.

    >>> [value("linear", 8.0, 0.25, done) for done in (0.0, 0.5, 1.0)]
    [8.0, 5.0, 2.0]
    """
    if schedule == "constant":
        return start
    way = done if schedule == "linear" else (1 - math.cos(math.pi * done)) / 2
    return start * (1 - (1 - final) * way)


@dataclass(frozen=True)
class Scheduled:
    """A number with its schedule, called as stable-baselines3 does: with the share of the run left."""

    schedule: Schedule
    start: float
    final: float

    def __call__(self, remaining: float) -> float:
        """Return the number where 1 - `remaining` of the run is behind."""
        return value(self.schedule, self.start, self.final, 1 - remaining)
