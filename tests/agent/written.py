"""Runs of a small learner under a list of callbacks, and what they write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakes import Quiet, RandomPlanes
from learners import ROLLOUT as ROLLOUT
from learners import planes_model
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from keisei_agent.callbacks.dump import DumpCallback
from keisei_agent.callbacks.guard import Guard
from keisei_agent.learning.ppo import SelfPlayPPO

METRICS = Path(__file__).parents[2] / "docs" / "METRICS.md"


class Written(KVWriter):
    """Keeps what is written, with its steps."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, Any]]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append((step, dict(key_values)))

    def close(self) -> None:
        pass

    @property
    def latest(self) -> dict[str, Any]:
        """The last value of each key."""
        return {key: value for _, row in self.rows for key, value in row.items()}

    def series(self, key: str) -> dict[int, Any]:
        """The values of a key by step."""
        return {step: row[key] for step, row in self.rows if key in row}


def learner(env: Any = None, **arguments: Any) -> tuple[SelfPlayPPO, Written]:
    model = planes_model(RandomPlanes(4) if env is None else env, **arguments)
    written = Written()
    model.set_logger(Logger(None, [written]))
    return model, written


def learn(callbacks: Sequence[BaseCallback], steps: int, env: Any = None, **arguments: Any) -> Written:
    """Let callbacks watch a small learner; return what they wrote."""
    model, written = learner(env, **arguments)
    run(model, callbacks, steps)
    return written


def run(model: SelfPlayPPO, callbacks: Sequence[BaseCallback], steps: int) -> None:
    model.learn(steps, callback=Guard([*callbacks, DumpCallback(), Quiet()]), log_interval=None)
