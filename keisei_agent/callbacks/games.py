"""What the games of each rollout were like; strength needs matches, see `evaluation`."""

from collections import Counter
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from shogi_env.types import Color, Termination

_ENDINGS = [reason for reason in Termination if reason is not Termination.RUNNING]


class GamesCallback(BaseCallback):
    """Records, per rollout, how many games ended, who won, how long they were and why they ended.

    Keys: `games/...` and `termination/<reason>`, see docs/METRICS.md. A rollout in which no game ended
    records only the two counts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        """Games finished since the run began."""
        self._ends: Counter[int] = Counter()
        self._winners: Counter[int] = Counter()
        self._plies: list[int] = []

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON; between rollouts there is nothing else."""
        return {"total": self.total}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.total = state["total"]

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        for idx in np.flatnonzero(self.locals["dones"]):
            self._ends[int(infos[idx]["termination"])] += 1
            self._winners[int(infos[idx]["winner"])] += 1
            self._plies.append(int(infos[idx]["ply"]))
        return True

    def _on_rollout_end(self) -> None:
        finished = len(self._plies)
        self.total += finished
        self.logger.record("games/finished", finished)
        self.logger.record("games/total", self.total)
        if finished:
            self._record_games(finished)
        self._ends.clear()
        self._winners.clear()
        self._plies.clear()

    def _record_games(self, finished: int) -> None:
        black, white = self._winners[Color.BLACK], self._winners[Color.WHITE]
        self.logger.record("games/black_wins", black / finished)
        self.logger.record("games/white_wins", white / finished)
        self.logger.record("games/draws", (finished - black - white) / finished)
        self.logger.record("games/plies", float(np.mean(self._plies)))
        self.logger.record("games/plies_shortest", min(self._plies))
        self.logger.record("games/plies_longest", max(self._plies))
        for reason in _ENDINGS:
            self.logger.record(f"termination/{reason.name.lower()}", self._ends[reason] / finished)
