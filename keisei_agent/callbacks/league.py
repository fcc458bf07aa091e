"""The pool while learning: snapshots when due, opponents for each rollout, results."""

from collections import defaultdict
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.callbacks.due import Due
from keisei_agent.league.league import League
from keisei_agent.learning.policy import NetworkPolicy


class LeagueCallback(BaseCallback):
    """Runs a league; to be called before the callback that saves.

    At the start of a rollout a snapshot is taken if one is due, and opponents are drawn.  At its end the
    results go to the pool and to the log: `league/...`, see docs/METRICS.md.

    Args:
        league: sits in the pool's columns.
        snapshot_every: decisions between snapshots.
    """

    fatal = True  # with a broken pool the learner would go on against whom nobody asked for

    def __init__(self, league: League, snapshot_every: int) -> None:
        super().__init__()
        self.league = league
        self._due = Due(snapshot_every)
        self._boundary: int | None = None
        self._results: dict[int, list[float]] = defaultdict(list)

    def _on_rollout_start(self) -> None:
        self._before = self.league.columns.copy()
        steps = self.model.num_timesteps
        if steps != self._boundary:  # a resumed run comes here a second time
            before = self._due.steps
            if self._due.crossed(steps):
                policy = self.model.policy
                assert isinstance(policy, NetworkPolicy)
                self._due.steps = before  # it stays due if it fails
                self.league.pool.take(policy.network, steps)
                self._due.steps = steps
            self.league.draw(steps)
            self._boundary = steps
            self.logger.record("league/playing", len(self.league.needed))

    def _on_step(self) -> bool:
        # A game that ended has started anew in the same step, against somebody else.
        for column in np.flatnonzero(self.locals["dones"] & (self._before >= 0)).tolist():
            points = (float(self.locals["rewards"][column]) + 1) / 2
            self._results[int(self._before[column])].append(points)
        self._before[:] = self.league.columns
        return True

    def _on_rollout_end(self) -> None:
        points = [point for results in self._results.values() for point in results]
        for number, results in self._results.items():
            self.league.pool[number].credit(sum(results), len(results))
        self._results.clear()
        members = self.league.pool.members
        self.logger.record("league/games", len(points))
        if points:
            self.logger.record("league/score", float(np.mean(points)))
        self.logger.record("league/members", len(members))
        self.logger.record("league/hardest", min(member.score for member in members))
        self.logger.record("league/easiest", max(member.score for member in members))
        for member in members:
            if member.spec is not None:
                self.logger.record(f"league/{member.name}/score", member.score)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it: JSON and arrays."""
        return {"boundary": self._boundary, "due": self._due.steps, "league": self.league.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state`.

        Raises:
            OpponentError: a snapshot is gone or damaged.
            ValueError: the number of columns differs, or a player cannot be made.
        """
        self._boundary = state["boundary"]
        self._due.steps = state["due"]
        self.league.restore(state["league"])
