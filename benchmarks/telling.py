"""What display, tracking and checkpoints cost a run.

    python benchmarks/telling.py [--pairs 20] [--seconds 60] [--restart 4] [--control]

Two runs by the defaults on one pinned core, each in a process of its own: one with the live view on a
terminal, TensorBoard, Weights & Biases (offline), alarms, boards, mates and checkpoints as a run has them,
the other with all that can be switched off switched off.  They learn in turns of a few seconds, since what
else the machine does changes more slowly than that; turns of `--seconds` each make a pair, which gives one
ratio of decisions per second.  Wall clock: what helping processes use counts, too.  After `--restart` pairs
both begin anew, since processes that do the same are not equally fast; `--control` shows that with
everything off in both.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pty
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from common import Comparison, load, machine, pin, save, show, single_threaded

single_threaded()

from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402

from keisei_agent.config import parse_config  # noqa: E402
from keisei_agent.runs.training import train  # noqa: E402

MOST = 1.03
"""Slow-down that the upper end of the interval may have."""
WARM_UP = 20.0
"""Seconds of each run before anything is measured."""
TURN = 5.0
"""Seconds after which the other one goes on, at the end of its rollout."""
COMMON: dict[str, Any] = {"total_timesteps": 1 << 40, "max_time": None, "eval_games": 0}
ON: dict[str, Any] = {"log": {"display": "rich", "track": "wandb", "level": "info"}}
OFF: dict[str, Any] = {
    "log": {
        "display": "off",
        "tensorboard": False,
        "boards_every": None,
        "mates_every": None,
        "level": "error",
    },
    "checkpoint": {"every": 1 << 40},
}


class Turns(BaseCallback):
    """Learns for as many seconds as it is told, says how many decisions in how many, and waits."""

    fatal = True  # nobody would end a run that nobody asks any more

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        super().__init__()
        self.pipe, self.until = pipe, 0.0

    def _on_rollout_start(self) -> None:
        now = time.perf_counter()
        if now < self.until or self.model.stop_requested:
            return
        if self.until:
            self.pipe.send((self.model.num_timesteps - self.steps, now - self.began))
        seconds = self.pipe.recv()
        self.model.stop_requested = seconds is None
        self.began, self.steps = time.perf_counter(), self.model.num_timesteps
        self.until = self.began + (seconds or 0.0)

    def _on_step(self) -> bool:
        return True


def learn(pipe: Connection[Any, Any], settings: dict[str, Any], folder: Path, terminal: str) -> None:
    """Train in a process of its own, with a terminal as its output."""
    os.dup2(os.open(terminal, os.O_RDWR), 1)
    train(parse_config(COMMON | settings), folder / "run", callbacks=[Turns(pipe)])


def drain(terminal: int) -> None:
    """Read what is written to a terminal, as a terminal does."""
    while os.read(terminal, 65536):
        pass


class Learner:
    """A run that learns when told."""

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        screen, terminal = pty.openpty()
        threading.Thread(target=drain, args=(screen,), daemon=True).start()
        context = multiprocessing.get_context("spawn")
        self.pipe, end = context.Pipe()
        arguments = (end, settings, folder, os.ttyname(terminal))
        self.process = context.Process(target=learn, args=arguments)
        self.process.start()
        end.close()

    def turn(self, seconds: float) -> np.ndarray:
        """Learn for at least so many seconds; return decisions and seconds."""
        self.pipe.send(seconds)
        return np.array(self.pipe.recv())

    def close(self) -> None:
        """End the run; raises if it did not end well."""
        self.pipe.send(None)
        self.process.join()
        if self.process.exitcode:
            raise RuntimeError(f"a run ended with status {self.process.exitcode}")


def take_turns(
    ours: Learner, peer: Learner, result: Comparison, pairs: int, seconds: float, turn: float
) -> None:
    """Let two learn in turns until each has had its seconds, so many times; adds the rates."""
    learners = (ours, peer)
    for _ in range(pairs):
        spent, order = np.zeros((2, 2)), [0, 1] if len(result.ratios) % 2 == 0 else [1, 0]
        while spent[:, 1].min() < seconds:
            for k in order:
                spent[k] += learners[k].turn(turn)
        rates = (spent[:, 0] / spent[:, 1]).tolist()
        result.our_rates.append(rates[0])
        result.peer_rates.append(rates[1])
        show(
            f"  pair {len(result.ratios)}: {result.ours} {rates[0]:.0f}, {result.peer} {rates[1]:.0f}: "
            f"x{rates[0] / rates[1]:.3f}"
        )
    for learner in learners:
        learner.close()


def compare(
    ours: dict[str, Any], peer: dict[str, Any], result: Comparison, pairs: int, seconds: float
) -> None:
    """Let two fresh processes take turns."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (
            Learner(each, Path(folder) / name) for name, each in (("ours", ours), ("peer", peer))
        )
        for learner in (first, second):
            learner.turn(WARM_UP)
        take_turns(first, second, result, pairs, seconds, TURN)


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run in a pair")
    parser.add_argument("--restart", type=int, default=4, help="pairs after which both begin anew")
    parser.add_argument("--control", action="store_true", help="everything off in both, saved as no result")
    args = parser.parse_args()
    if args.pairs < 1 or args.restart < 1:
        parser.error("--pairs and --restart are at least 1")
    os.environ |= {"WANDB_MODE": "offline", "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50"}
    found: dict[str, Any] = {"machine": machine(), "core": pin(), "load_before": load(), "bar": MOST}
    result = Comparison("all off", "all off" if args.control else "all on", "decisions/s")
    while left := args.pairs - len(result.ratios):
        compare(OFF, OFF if args.control else ON, result, min(left, args.restart), args.seconds)
    row = result.summary()
    show(
        f"slow-down x{row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]: "
        f"{result.ours} {row['our_rate']:.0f}, {result.peer} {row['peer_rate']:.0f} decisions/s "
        f"({row['pairs']} pairs)"
    )
    if not args.control:
        save("telling", found | row | {"restart": args.restart, "ratios": result.ratios})


if __name__ == "__main__":
    main()
