"""What the games of each rollout were like; strength needs matches, see `players`."""

from collections import Counter

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from shogi_env.types import Color, Termination


class GamesCallback(BaseCallback):
    """Records, per rollout, how many games ended, who won, how long they were and why they ended.

    Keys: `games/finished`, `games/black_wins`, `games/white_wins`, `games/draws` (shares, 0..1),
    `games/plies` (mean), `termination/<reason>` (shares), and `games/total`. A rollout in which
    no game ended records only the two counts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        """Games finished since training started."""
        self._ends: Counter[int] = Counter()
        self._winners: Counter[int] = Counter()
        self._plies: list[int] = []

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
            black, white = self._winners[Color.BLACK], self._winners[Color.WHITE]
            self.logger.record("games/black_wins", black / finished)
            self.logger.record("games/white_wins", white / finished)
            self.logger.record("games/draws", (finished - black - white) / finished)
            self.logger.record("games/plies", float(np.mean(self._plies)))
            for code, count in self._ends.items():
                self.logger.record(f"termination/{Termination(code).name.lower()}", count / finished)
        self._ends.clear()
        self._winners.clear()
        self._plies.clear()
