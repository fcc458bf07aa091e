"""What every benchmark shares: one pinned core, CPU time, alternating pairs, median ratios, JSON.

A machine is never quite idle, so no single number is trusted: ours and the peer run in turns in the
same process on the same core, each pair gives one ratio of rates, and the median of many ratios is
reported with the 95 % bootstrap interval of that median.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = (
    "keisei",
    "numpy",
    "numba",
    "gymnasium",
    "torch",
    "stable-baselines3",
    "sb3-contrib",
    "cshogi",
    "rsshogi",
    "open-spiel",
    "envpool",
    "pgx",
    "jax",
    "pettingzoo",
    "chess",
    "torchrl",
    "tianshou",
    "ray",
)


class NotInstalled(Exception):
    """A peer is missing; its text says which. It is reported, never replaced by a number."""


@dataclass(frozen=True)
class Task:
    """Something to be timed.

    Attributes:
        name: what is shown.
        run: does a fixed amount of work and returns how many units that was.
        clock: CPU seconds used so far by everything that works for this task.
        close: gives back processes and memory.
    """

    name: str
    run: Callable[[], int]
    clock: Callable[[], float] = time.process_time
    close: Callable[[], None] = lambda: None


@dataclass
class Comparison:
    """Rates of two tasks measured in turns, in units per CPU second."""

    ours: str
    peer: str
    unit: str
    our_rates: list[float] = field(default_factory=list)
    peer_rates: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Our rate over the peer's, pair by pair."""
        return [a / b for a, b in zip(self.our_rates, self.peer_rates, strict=True)]

    def summary(self) -> dict[str, Any]:
        """The figures as JSON values."""
        low, high = interval(self.ratios)
        return {
            "ours": self.ours,
            "peer": self.peer,
            "unit": self.unit,
            "pairs": len(self.ratios),
            "ratio": statistics.median(self.ratios),
            "ratio_low": low,
            "ratio_high": high,
            "ratio_min": min(self.ratios),
            "ratio_max": max(self.ratios),
            "our_rate": statistics.median(self.our_rates),
            "peer_rate": statistics.median(self.peer_rates),
        }


def usable_cores() -> list[int]:
    """Numbers of the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(core: int | None = None) -> int | None:
    """Keep this process (and its children) on one core.

    Args:
        core: number of the core; by default the last one this process may use.

    Returns:
        The core, or None where the system has no way to pin.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = usable_cores()[-1] if core is None else core
    os.sched_setaffinity(0, {core})
    return core


def single_threaded() -> None:
    """Tell the number libraries to use one thread; call it before they are imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def rate(task: Task, seconds: float) -> float:
    """Units per CPU second over at least `seconds` of CPU time."""
    units, start = 0, task.clock()
    while True:
        units += task.run()
        used = task.clock() - start
        if used >= seconds:
            return units / used


def compare(ours: Task, peer: Task, unit: str, *, pairs: int = 15, seconds: float = 0.3) -> Comparison:
    """Measure two tasks in turns, changing who starts, after one run of each that is thrown away."""
    ours.run()
    peer.run()
    result = Comparison(ours.name, peer.name, unit)
    for pair in range(pairs):
        order = ((ours, result.our_rates), (peer, result.peer_rates))
        for task, rates in order if pair % 2 == 0 else order[::-1]:
            rates.append(rate(task, seconds))
    return result


def interval(values: list[float], rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the median, with a fixed seed."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(rounds))
    return medians[int(0.025 * rounds)], medians[int(0.975 * rounds) - 1]


def cpu_seconds_with(pids: Callable[[], Iterable[int]]) -> Callable[[], float]:
    """A clock that adds the CPU time of live processes to that of this one (Linux)."""

    def clock() -> float:
        total = time.process_time()
        for pid in pids():
            for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int(file.read_text(encoding="ascii").split()[0]) * 1e-9
        return total

    return clock


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": commit(),
        "load_before": load(),
        "versions": versions,
    }


def load() -> float | None:
    """Processes at work over the last minute; None where the system does not count them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def commit() -> str | None:
    """The commit the code stands at, with a "+" when files differ from it; None outside git."""
    try:
        head = run_git("rev-parse", "--short=10", "HEAD")
        return head + ("+" if run_git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def run_git(*arguments: str) -> str:
    """What git prints."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def show(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def show_comparison(row: dict[str, Any]) -> None:
    """One line: who against whom, both rates, the ratio and its interval."""
    ours, peer = f"{row['ours']} {human(row['our_rate'])}", f"{row['peer']} {human(row['peer_rate'])}"
    bounds = f"[{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]"
    show(f"x{row['ratio']:<6.2f} {bounds:16} {ours} against {peer} {row['unit']} ({row['pairs']} pairs)")


def human(value: float) -> str:
    """1234567 -> "1.23 M"."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"


def save(name: str, result: dict[str, Any], where: Path | None = None) -> Path:
    """Write the result as JSON and say where."""
    path = where or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    show(f"saved {path}")
    return path
