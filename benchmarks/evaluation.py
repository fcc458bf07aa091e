"""Does an evaluation beside training slow training down?

    python benchmarks/evaluation.py [--pairs 20] [--seconds 60] [--shared-pairs 4]

One training run on one core, one evaluating process on another, as `keisei-train --eval-freq` starts it.
In turns it plays matches without a pause, or nothing; each pair of stretches gives one ratio of plies
learned from per second.  Then the same with both processes on both cores, in fewer pairs: no bar is set
for that.  Wall clock, so the machine has to be idle otherwise.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Comparison, load, machine, save, show, usable_cores
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.config import Config
from keisei_agent.evaluation import Evaluator, Task
from keisei_agent.files.weights import save_weights
from keisei_agent.runs.build import build_env, build_model
from keisei_agent.runs.training import NO_LIMIT

GAMES = 64
"""Against each opponent in a task; one task follows the other without a pause."""
MOST = 1.05
"""Slow-down that the upper end of the interval may have."""
WARM_UP = 20.0
"""Seconds of training before anything is measured."""


class Stretches(BaseCallback):
    """Measures plies per second in stretches, with and without an evaluation beside."""

    def __init__(self, folder: Path, pairs: int, seconds: float, cores: list[int]) -> None:
        super().__init__()
        self.weights, self.seconds, self.cores = folder / "weights.safetensors", seconds, cores
        self.beside = [bool(k % 2) ^ bool(k // 2 % 2) for k in range(2 * pairs)]
        self.rates: list[float] = []
        self.evaluator = Evaluator()

    def _on_training_start(self) -> None:
        self.begin, self.at = time.perf_counter() + WARM_UP, -1

    def _on_rollout_start(self) -> None:
        """Stretches begin and end between rollouts, so that they hold whole ones."""
        now = time.perf_counter()
        if now < self.begin + (self.seconds if self.at >= 0 else 0.0):
            return
        if self.at >= 0:
            self.rates.append((self.model.num_timesteps - self.steps) / (now - self.begin))
        self.at += 1
        self.evaluator.close()
        if self.at < len(self.beside) and self.beside[self.at]:
            self._evaluate()
        self.begin, self.steps = time.perf_counter(), self.model.num_timesteps

    def _evaluate(self) -> None:
        """Start to evaluate and wait for the first result, so that the process's start is in no stretch."""
        save_weights(self.weights, self.model.policy.network, Config(), self.model.num_timesteps)
        for _ in range(3):
            self._submit()
        if self.cores and self.evaluator.pid is not None:
            for thread in os.listdir(f"/proc/{self.evaluator.pid}/task"):
                os.sched_setaffinity(int(thread), self.cores)
        self.evaluator.result(None)

    def _submit(self) -> None:
        self.evaluator.submit(Task(self.weights, 0, "learner", ("random", "greedy"), GAMES, 1.0, 0, 512))

    def _on_step(self) -> bool:
        if self.evaluator.tasks and self.evaluator.result() is not None:
            self._submit()
        return self.at < len(self.beside)


def measure(pairs: int, seconds: float, train_on: list[int], evaluate_on: list[int]) -> dict[str, Any]:
    """Train for two stretches a pair; the ratio is training alone over training with company."""
    os.sched_setaffinity(0, train_on)
    import torch as th

    th.set_num_threads(len(train_on))
    config = Config(total_timesteps=1, max_time=None)
    env = build_env(config)
    model = build_model(config, env)
    with tempfile.TemporaryDirectory() as folder:
        stretches = Stretches(Path(folder), pairs, seconds, evaluate_on)
        try:
            model.learn(NO_LIMIT, callback=stretches)
        finally:
            stretches.evaluator.close()
            env.close()
    result = Comparison("training alone", "training beside an evaluation", "plies/s")
    for beside, rate in zip(stretches.beside, stretches.rates, strict=True):
        (result.peer_rates if beside else result.our_rates).append(rate)
    return result.summary()


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each stretch")
    parser.add_argument("--shared-pairs", type=int, default=4, help="where both processes share two cores")
    args = parser.parse_args()
    cores = usable_cores()
    if len(cores) < 2 or not hasattr(os, "sched_setaffinity"):
        raise SystemExit("this needs two cores, and a system that can pin processes to them")
    ways = {
        "a core each": (args.pairs, cores[:1], cores[1:2]),
        "both on two cores": (args.shared_pairs, cores[:2], cores[:2]),
    }
    result: dict[str, Any] = {"machine": machine(), "bar": MOST}
    for name, (pairs, train_on, evaluate_on) in ways.items():
        show(f"-- {name}, load before: {load()}")
        row = measure(pairs, args.seconds, train_on, evaluate_on)
        result[name] = row
        show(
            f"slow-down x{row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]: alone "
            f"{row['our_rate']:.0f}, with company {row['peer_rate']:.0f} plies/s ({row['pairs']} pairs)"
        )
        save("evaluation", result)


if __name__ == "__main__":
    main()
