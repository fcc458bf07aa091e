"""Makes the levels of `shogi_env.levels` again: `python benchmarks/reproduce.py player`.

    python benchmarks/reproduce.py player [--folder runs/player]

1. Fairy-Stockfish 11.1 judges positions of games against itself (`benchmarks/teacher.py`), on two cores.
2. `keisei-pretrain` learns them on one core, and keeps the network on the way.
3. `keisei-train` goes on from there by self-play.
4. Networks of both runs, from early to last, are frozen (`tools/make_levels.py`) and rated on the scale.

What is there already is not made again, and an interrupted first step goes on.  The first step takes about
half an hour, the second 35 minutes of one core, the third 14.  The positions come out equal to the byte if
the first step is not interrupted; the weights then too, where torch computes the same sums.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from pathlib import Path

from common import ROOT, show, single_threaded, usable_cores

TEACHER = ["--go", "nodes 500"]
LEARNER = [
    *("--batch-size", 512, "--learning-rate", 2e-3, "--score-weight", 0.7, "--mirror"),
    *("--save-every", 10_000),
]
POSITIONS = {102: 327_704, 103: 543_600}
"""In each file, by the seed of its games; what the levels that ship have learned from."""
EPOCHS = 4
DECISIONS = 790_528
"""Of self-play."""
LEVELS = (20_000, 40_000, 200_000)
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


def teach(folder: Path) -> list[Path]:
    """Step 1; files share the cores in turn."""
    cores = itertools.cycle(usable_cores())
    files = {seed: folder / f"teacher-{seed}.hcpe" for seed in POSITIONS}
    script = ROOT / "benchmarks" / "teacher.py"
    finish(
        *(
            run(script, file, "--positions", POSITIONS[seed], "--seed", seed, "--core", core, *TEACHER)
            for (seed, file), core in zip(files.items(), cores, strict=False)
        )
    )
    return list(files.values())


def learn(folder: Path, files: list[Path]) -> Path:
    """Step 2."""
    network = folder / "network"
    if not (network / "results.json").exists():
        finish(
            run("-m", "keisei_agent", "pretrain", *files, "--run-dir", network, "--epochs", EPOCHS, *LEARNER)
        )
    return network


def play_on(folder: Path, network: Path) -> Path:
    """Step 3."""
    after = folder / "self-play"
    if not (after / "results.json").exists():
        how = ["--ppo.learning-rate", 2e-4, "--total-timesteps", DECISIONS, "--eval-games", 0]
        finish(run("-m", "keisei_agent", "train", "--init-from", network, "--run-dir", after, *how))
    return after


def freeze(network: Path, after: Path) -> None:
    """Step 4."""
    snapshots = sorted((network / "snapshots").iterdir())
    chosen = [next(path for path in snapshots if int(path.stem) >= least) for least in LEVELS]
    finish(run(ROOT / "tools" / "make_levels.py", *chosen, after))
    for number in range(1, len(chosen) + 2):
        finish(run(ROOT / "benchmarks" / "scale.py", "evaluate", f"level:{number}", "--games", 400))


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["player"])
    parser.add_argument("--folder", type=Path, default=Path("runs/player"))
    args = parser.parse_args()
    single_threaded()
    args.folder.mkdir(parents=True, exist_ok=True)
    network = learn(args.folder, teach(args.folder))
    freeze(network, play_on(args.folder, network))


if __name__ == "__main__":
    main()
