"""envpool's Shogi-v1 (its own rules, 119 planes for both players, mask in `info`)."""

from __future__ import annotations

import envpool
import numpy as np

if "Shogi-v1" not in envpool.list_all_envs():
    raise ImportError("this envpool has no Shogi-v1")


class Batch:
    """N games on one thread; a step is a random legal action in each."""

    def __init__(self, games: int, seed: int = 0) -> None:
        self.env = envpool.make_gymnasium("Shogi-v1", num_envs=games, num_threads=1, seed=seed)
        self.mask = self.env.reset()[1]["legal_action_mask"]
        self.rng = np.random.default_rng(seed)

    def step(self) -> int:
        """One ply in every game; returns the number of games."""
        games, legal = np.nonzero(self.mask)
        ends = np.searchsorted(games, np.arange(len(self.mask)), side="right")
        starts = np.concatenate(([0], ends[:-1]))
        choice = starts + (self.rng.random(len(ends)) * (ends - starts)).astype(np.int64)
        self.mask = self.env.step(legal[choice].astype(np.int32))[4]["legal_action_mask"]
        return len(self.mask)
