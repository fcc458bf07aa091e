"""Learning with two workers against none, on this machine.

    python benchmarks/workers.py [--workers 2] [--rounds 3] [--time 40] [--set network.channels=64 ...]

Whole runs in turns: without workers, with them, with them playing ahead.  Two rates are taken from the end of
the first rollout to that of the last, so that starting Ray is in neither: decisions per second, for which the
machine has to be idle (the load before each run is kept with it), and decisions per CPU second of learner,
workers and Ray together, which says what workers cost on any machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from common import load, machine, save, show
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.config import load_config
from keisei_agent.runs.training import train

MODES: dict[str, dict[str, Any]] = {
    "none": {},
    "workers": {"workers.required": True},
    "workers that play ahead": {"workers.required": True, "workers.max_staleness": 1},
}


class Stopwatch(BaseCallback):
    """Notes decisions, time and CPU time at the end of each rollout."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[tuple[int, float, float]] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.looks.append((self.model.num_timesteps, time.perf_counter(), cpu_seconds()))


def cpu_seconds() -> float:
    """CPU seconds that this process has used and all below it that are still there."""
    parents, seconds = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("utf-8").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        pid = int(path.parent.name)
        parents[pid] = int(fields[1])
        seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    found, total = {os.getpid()}, 0.0
    while found:
        total += sum(seconds[pid] for pid in found)
        found = {pid for pid, parent in parents.items() if parent in found}
    return total


def measure(settings: dict[str, Any], folder: Path) -> dict[str, float | None]:
    """Train once; return both rates and the load before."""
    before, watch = load(), Stopwatch()
    quiet = {"eval_games": 0, "log.display": "off", "log.boards_every": None, "log.mates_every": None}
    train(load_config(preset="cpu", settings={**quiet, **settings}), folder, callbacks=[watch])
    (steps, start, cpu), (last, end, last_cpu) = watch.looks[0], watch.looks[-1]
    decisions = last - steps
    return {"rate": decisions / (end - start), "cpu_rate": decisions / (last_cpu - cpu), "load": before}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--time", type=float, default=40.0, help="seconds of each run")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER", help="other settings")
    parser.add_argument("--out", type=Path, help="results/workers.json if not given")
    args = parser.parse_args()
    given = {name: int(value) for name, _, value in (word.partition("=") for word in args.set)}
    given |= {"max_time": args.time}
    found: dict[str, list[dict[str, float | None]]] = {mode: [] for mode in MODES}
    result = {"machine": machine(), "workers": args.workers, "settings": given, "runs": found}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(args.rounds):
            for number, (mode, settings) in enumerate(MODES.items()):
                count = args.workers if settings else 0
                path = Path(folder, f"{turn}-{number}")
                found[mode].append(measure({**given, **settings, "workers.count": count}, path))
                row = found[mode][-1]
                rates = f"{row['rate']:.0f} decisions/s, {row['cpu_rate']:.0f} a CPU second"
                show(f"{mode}: {rates}, load {row['load']}")
    medians = {
        mode: {kind: statistics.median(run[kind] or 0 for run in runs) for kind in ("rate", "cpu_rate")}
        for mode, runs in found.items()
    }
    for mode, row in medians.items():
        ratios = [row[kind] / medians["none"][kind] for kind in ("rate", "cpu_rate")]
        show(f"{mode}: x{ratios[0]:.2f} decisions/s, x{ratios[1]:.2f} a CPU second")
    save("workers", {**result, "medians": medians}, args.out)


if __name__ == "__main__":
    main()
