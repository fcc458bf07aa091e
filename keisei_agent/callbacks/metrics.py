"""How fast a run is, what memory it takes, and how well its values foretell results."""

import os
import time
from pathlib import Path

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.learning.buffer import PackedRolloutBuffer
from keisei_agent.learning.ppo import SelfPlayPPO
from shogi_env.types import BoolArray, Float32Array

BINS = 10
"""Bins of predicted values, -1..1, in which prediction and results are compared."""
_MEGABYTE = 2**20


class MetricsCallback(BaseCallback):
    """Records after each update: `speed/...`, `memory/...`, and of its rollout `value/...`.

    See docs/METRICS.md for each key.
    """

    def __init__(self) -> None:
        super().__init__()
        self._steps = 0
        self._start = 0.0

    def _on_training_start(self) -> None:
        self._mark()

    def _on_rollout_start(self) -> None:
        elapsed = time.perf_counter() - self._start
        steps = self.model.num_timesteps - self._steps
        if steps > 0:
            self._record_speed(steps, elapsed)
            self._record_memory()
        self._mark()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        buffer = self.model.rollout_buffer
        assert isinstance(buffer, PackedRolloutBuffer)
        ended = np.asarray(self.model._last_episode_starts, bool)
        results = find_results(buffer.rewards, buffer.episode_starts, ended, buffer.gamma)
        known = ~np.isnan(results)
        self.logger.record("value/positions", int(known.sum()))
        if known.any():
            values, reached = buffer.values[known], results[known]
            self.logger.record("value/bias", float((values - reached).mean()))
            self.logger.record("value/calibration_error", calibration_error(values, reached))
        starts = buffer.episode_starts.astype(bool)
        if starts.any():
            self.logger.record("value/start", float(buffer.values[starts].mean()))

    def _mark(self) -> None:
        self._steps, self._start = self.model.num_timesteps, time.perf_counter()

    def _record_speed(self, steps: int, elapsed: float) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        buffer, parts = self.model.rollout_buffer, self.model.parts
        answered = float((np.asarray(buffer.gamma) > 0).mean())  # columns in which an opponent answers
        self.logger.record("speed/decisions", steps / elapsed)
        self.logger.record("speed/plies", steps * (1 + answered) / elapsed)
        shares = {
            "acting": parts.acting / elapsed,
            "environment": parts.environment / elapsed,
            "callbacks": parts.callbacks / elapsed,
            "learning": parts.learning / elapsed,
        }
        if self.model.workers is not None:
            shares["waiting"] = parts.waiting / elapsed
        for name, share in shares.items():
            self.logger.record(f"speed/{name}", share)
        self.logger.record("speed/other", max(0.0, 1 - sum(shares.values())))

    def _record_memory(self) -> None:
        resident = resident_bytes()
        if resident is not None:
            self.logger.record("memory/resident", resident / _MEGABYTE)
        if self.model.device.type == "cuda":
            self.logger.record("memory/device", th.cuda.max_memory_allocated(self.model.device) / _MEGABYTE)


def find_results(
    rewards: Float32Array, starts: Float32Array, ended: BoolArray, discounts: Float32Array
) -> Float32Array:
    """What the ends of the games were worth in a rollout's positions, for whoever decided there.

    Args:
        rewards: float32[T, N] of those who acted, 0 but for the last decision of a game.
        starts: float32[T, N], 1 where a game begins.
        ended: bool[N], whether the rollout's last decision ended the game.
        discounts: float32[N]; negative where the next decision is the opponent's.

    Returns:
        float32[T, N]: -1..1; NaN where the game outlasts the rollout.
    """
    results = np.empty_like(rewards)
    after = np.full_like(discounts, np.nan)
    for t in range(len(rewards) - 1, -1, -1):
        last = ended if t == len(rewards) - 1 else starts[t + 1].astype(bool)
        after = results[t] = np.where(last, rewards[t], discounts * after)
    return results


def calibration_error(values: Float32Array, results: Float32Array) -> float:
    """Mean difference of predicted values and mean results, both taken over `BINS` ranges of the value.

    The expected calibration error of Naeini et al., "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015.

    Args:
        values: float32[K], predicted, -1..1.
        results: float32[K], -1..1, discounted as the values are.
    """
    bins = ((values.clip(-1, 1) + 1) / 2 * BINS).astype(int).clip(max=BINS - 1)
    gaps = np.bincount(bins, weights=(values - results).astype(np.float64), minlength=BINS)
    return float(np.abs(gaps).sum() / len(values))


def resident_bytes() -> int | None:
    """Memory of this process that is in use now, in bytes; None where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
