"""Is a run that was killed and resumed the run that was never interrupted?

    python benchmarks/resume.py [--kills 20] [--seed 0]

A small run with everything in it (a pool, evaluations by another process, boards, mates, schedules, random
starts) is trained once without a break.  Then again and again by the same command line, which is ended by
SIGKILL at a random moment of its life, and resumed.  Compared bit for bit: weights, optimizer, games,
generators, every curve that does not depend on time, evaluations and the games they played.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import ROOT, machine, save, show

sys.path.insert(0, str(ROOT / "tests" / "agent"))

from runs import assert_same

SETTINGS: dict[str, Any] = {
    "device": "cpu",
    "precision": "float32",
    "total_timesteps": 16_384,
    "max_time": None,
    "eval_games": 4,
    "checkpoint": {"every": 2048, "keep": 3},
    "evaluation": {"every": 8192, "games": 4, "opponents": ["random", "greedy"]},
    "league": {"share": 0.25, "size": 3, "snapshot_every": 2048, "players": ["greedy"]},
    "env": {"n_envs": 32, "max_plies": 100, "start": {"random_share": 0.5, "random_plies": 6}},
    "network": {"channels": 16, "blocks": 1},
    "ppo": {"n_steps": 32, "batch_size": 256, "n_epochs": 2, "learning_rate_schedule": "linear"},
    "log": {"boards_every": 4096, "mates_every": 4096},
}


def command(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start the command line."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    log = (folder.parent / "out.txt").open("ab")
    line = [sys.executable, "-m", "keisei_agent", "train", *arguments]
    return subprocess.Popen(line, env=environment, stdout=log, stderr=log)


def begin(folder: Path, settings: Path) -> subprocess.Popen[bytes]:
    """Start a run, or resume it if it had begun."""
    if (folder / "config.yaml").exists():
        return command(folder, "--resume", str(folder))
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return command(folder, "--config", str(settings), "--run-dir", str(folder))


def run_and_kill(folder: Path, settings: Path, after: float) -> bool:
    """Begin a run and kill it after some seconds; return whether it was still running then."""
    shutil.rmtree(folder, ignore_errors=True)
    process = begin(folder, settings)
    time.sleep(after)
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def kill_once(straight: Path, folder: Path, settings: Path, after: float) -> dict[str, Any]:
    """Kill a run after some seconds, resume it, and compare it with the one that was never killed."""
    while not run_and_kill(folder, settings, after):
        after *= 0.8  # a run that was faster than the kill proves nothing
    latest = folder / "checkpoints" / "latest"
    row: dict[str, Any] = {
        "after": round(after, 3),
        "resumed_from": int(latest.read_text("utf-8")) if latest.exists() else None,
    }
    status = begin(folder, settings).wait()
    try:
        assert status == 0, f"exit status {status}"
        assert_same(straight, folder)
    except AssertionError as error:
        return row | {"same": False, "why": " ".join(str(error).split())[:500]}
    return row | {"same": True}


def main() -> None:
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    moments = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        settings = work / "settings.json"
        settings.write_text(json.dumps(SETTINGS), encoding="utf-8")
        straight = work / "straight" / "run"
        for _ in range(2):  # the first one may have to compile
            shutil.rmtree(straight, ignore_errors=True)
            start = time.monotonic()
            status = begin(straight, settings).wait()
            seconds = time.monotonic() - start
            assert status == 0, (straight.parent / "out.txt").read_text("utf-8")
        show(f"without a break: {seconds:.1f} s")
        rows = []
        for number in range(args.kills):
            folder = work / str(number) / "run"
            rows.append(kill_once(straight, folder, settings, moments.uniform(0, seconds)))
            show(json.dumps(rows[-1]))
            shutil.rmtree(folder.parent)
    same = sum(row["same"] for row in rows)
    show(f"{same} of {len(rows)} are the same run, bit for bit")
    save("resume", {"machine": machine(), "seconds": seconds, "same": same, "kills": rows})


if __name__ == "__main__":
    main()
