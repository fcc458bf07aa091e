"""Makes the levels of `shogi_env.levels` again: `python benchmarks/reproduce.py player`.

    python benchmarks/reproduce.py player [--folder runs/player] [--positions 1200000] [--epochs 3]

1. Fairy-Stockfish judges positions of games against itself (`benchmarks/teacher.py`), on every core.
2. `keisei-pretrain` learns them, and keeps the network on the way.
3. Networks of that run, from early to last, are frozen (`tools/make_levels.py`) and rated on the scale.

What is there already is not made again, and an interrupted first step goes on.  The first two take about an
hour each on two cores.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from common import ROOT, show, usable_cores

TEACHER = ["--go", "nodes 500"]
LEARNER = [
    *("--batch-size", 512, "--learning-rate", 2e-3, "--score-weight", 0.7, "--mirror"),
    *("--save-every", 10_000),
]
SEED = 102
"""Of the first core's games; the next core has the next."""
LEVELS = (20_000, 100_000, 500_000)
"""Positions learned from at the levels below the strongest."""


def run(*command: object) -> subprocess.Popen[bytes]:
    """Start a command, with this interpreter if it is a Python file or module."""
    words = [sys.executable, *map(str, command)]
    show(" ".join(words))
    return subprocess.Popen(words)


def finish(*running: subprocess.Popen[bytes]) -> None:
    """Wait for commands; the program ends if one fails."""
    if any([process.wait() for process in running]):
        sys.exit("stopped: a step failed")


def teach(folder: Path, positions: int) -> list[Path]:
    """Step 1, a file for each core."""
    cores = usable_cores()
    files = [folder / f"teacher-{k}.hcpe" for k in range(len(cores))]
    each = -(-positions // len(cores))
    script = ROOT / "benchmarks" / "teacher.py"
    finish(
        *(
            run(script, file, "--positions", each, "--seed", SEED + k, "--core", core, *TEACHER)
            for k, (file, core) in enumerate(zip(files, cores, strict=True))
        )
    )
    return files


def learn(folder: Path, files: list[Path], epochs: int) -> Path:
    """Step 2."""
    network = folder / "network"
    if not (network / "results.json").exists():
        finish(
            run("-m", "keisei_agent", "pretrain", *files, "--run-dir", network, "--epochs", epochs, *LEARNER)
        )
    return network


def freeze(network: Path) -> None:
    """Step 3."""
    snapshots = sorted((network / "snapshots").iterdir())
    chosen = [next(path for path in snapshots if int(path.stem) >= least) for least in LEVELS]
    finish(run(ROOT / "tools" / "make_levels.py", *chosen, network))
    for number in range(1, len(chosen) + 2):
        finish(run(ROOT / "benchmarks" / "scale.py", "evaluate", f"level:{number}", "--games", 400))


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["player"])
    parser.add_argument("--folder", type=Path, default=Path("runs/player"))
    parser.add_argument("--positions", type=int, default=1_200_000)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    network = learn(args.folder, teach(args.folder, args.positions), args.epochs)
    freeze(network)


if __name__ == "__main__":
    main()
