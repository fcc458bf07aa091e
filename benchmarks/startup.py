"""CPU seconds of fresh processes: import, first board and first make on an empty compile cache, make warm.

    python benchmarks/startup.py [--pairs 15] [--cold 3] [--only imports | play]

Also: eight processes at once on one empty cache, all of which must succeed and agree.  And, as `play`: the
package's wheel in a fresh environment without PyTorch, and how long `keisei-play --level 1` takes there by
the clock for its start, one move of its user, its answer, and its end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any, NamedTuple

from common import ROOT, interval, machine, pin, save, show

BASE = "import gymnasium"
IMPORT = "import shogi_env"
BOARD = "import shogi_env; board = shogi_env.Board(); board.push_usi('7g7f'); print(len(board.legal_moves))"
MAKE = (
    "import gymnasium; env = gymnasium.make('shogi_env:Shogi-v0'); env.reset(seed=1); "
    "print(env.step(int(env.unwrapped.action_masks().argmax()))[0].sum())"
)
HIDE_SCIPY = "import sys; sys.modules['scipy'] = None; "
"""Numba imports SciPy where it is installed; a plain install of this package does not have it."""
PROCESSES = 8
MOVE = "7g7f\nquit\n"


class Run(NamedTuple):
    """One finished process."""

    cpu: float
    wall: float
    code: int
    out: str
    err: str


def start(code: str, cache: str | None) -> subprocess.Popen[str]:
    """Start a fresh interpreter; `cache` is the compile cache it uses, None for the user's."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    if cache:
        env["NUMBA_CACHE_DIR"] = cache
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=pipe, stderr=pipe, text=True)


def finish(process: subprocess.Popen[str], started: float) -> Run:
    """Wait for a process and take its CPU time, its children's included."""
    out, err = process.stdout.read(), process.stderr.read()  # type: ignore[union-attr]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    return Run(usage.ru_utime + usage.ru_stime, wall, process.returncode, out.strip(), err.strip())


def run(code: str, cache: str | None = None) -> Run:
    """Run code in a fresh interpreter.

    Raises:
        RuntimeError: it failed; holds its stderr.
    """
    done = finish(start(code, cache), time.perf_counter())
    if done.code:
        raise RuntimeError(f"{code!r} failed:\n{done.err}")
    return done


def row(name: str, values: list[float], bar: float) -> dict[str, Any]:
    """Median and interval of CPU seconds against the most that is allowed."""
    low, high = interval(values)
    median = statistics.median(values)
    show(f"{name:44} {median:6.3f} s CPU [{low:.3f}, {high:.3f}] of {len(values)}; at most {bar}")
    return {"name": name, "cpu": median, "low": low, "high": high, "runs": values, "bar": bar}


def import_difference(pairs: int) -> dict[str, Any]:
    """How much more than gymnasium our import costs, pair by pair, changing who starts."""
    differences = []
    run(BASE), run(IMPORT)
    for pair in range(pairs):
        codes = (BASE, IMPORT) if pair % 2 else (IMPORT, BASE)
        cpu = {code: run(code).cpu for code in codes}
        differences.append(cpu[IMPORT] - cpu[BASE])
    return row("import shogi_env over import gymnasium", differences, 0.05)


def cold(name: str, code: str, times: int, bar: float) -> dict[str, Any]:
    """CPU of the first call on an empty cache, and what it says meanwhile."""
    runs = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as cache:
            runs.append(run(code, cache))
    return row(name, [r.cpu for r in runs], bar) | {"stderr": runs[0].err}


def warm(name: str, code: str, times: int) -> dict[str, Any]:
    """CPU of import, make, reset and step when the cache is full."""
    with tempfile.TemporaryDirectory() as cache:
        run(code, cache)
        return row(name, [run(code, cache).cpu for _ in range(times)], 0.8)


def together() -> dict[str, Any]:
    """Eight processes start at once on one empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        runs = [finish(process, began) for process in [start(MAKE, cache) for _ in range(PROCESSES)]]
        after = run(MAKE, cache)
    agreed = len({r.out for r in [*runs, after]}) == 1 and not any(r.code for r in runs)
    show(
        f"{PROCESSES} processes at once on an empty cache: {'all agree' if agreed else 'FAILED'}, "
        f"{max(r.wall for r in runs):.1f} s wall, {sum(r.cpu for r in runs):.1f} s CPU; "
        f"the next one {after.cpu:.2f} s CPU"
    )
    errors = [r.err for r in runs if r.code]
    return {"agreed": agreed, "cpu": [r.cpu for r in runs], "cpu_after": after.cpu, "errors": errors}


def install(folder: Path) -> Path:
    """Make an environment with nothing but the package's wheel; return its folder of programs.

    Raises:
        RuntimeError: PyTorch came with it.
    """
    pip = ["-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, *pip, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
    venv.create(folder / "environment", with_pip=True)
    programs = folder / "environment" / "bin"
    (wheel,) = folder.glob("*.whl")
    constraints = ROOT / "constraints.txt"
    subprocess.run([programs / "python", *pip, "install", "-c", constraints, wheel], check=True)
    if not subprocess.run([programs / "python", "-c", "import torch"], capture_output=True).returncode:
        raise RuntimeError("the wheel brings PyTorch with it: that is not what is measured here")
    return programs


def play(times: int) -> dict[str, Any]:
    """Seconds by the clock of `keisei-play --level 1`, from the command to its end after one answer."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "NUMBA_CACHE_DIR")}
    with tempfile.TemporaryDirectory() as folder:
        programs = install(Path(folder))
        subprocess.run([programs / "python", "-m", "shogi_env", "warmup"], env=env, cwd=folder, check=True)
        command = [programs / "keisei-play", "--level", "1", "--color", "black"]
        seconds = []
        for _ in range(times):
            began = time.perf_counter()
            done = subprocess.run(
                command, env=env, cwd=folder, input=MOVE, capture_output=True, text=True, check=True
            )
            seconds.append(time.perf_counter() - began)
        show(done.stdout)
    show(
        f"keisei-play --level 1, a move and its answer: {statistics.median(seconds):.2f} s by the clock "
        f"({min(seconds):.2f} .. {max(seconds):.2f}) of {times}; at most 3"
    )
    return {"name": "keisei-play --level 1 from the wheel", "wall": seconds, "bar": 3, "said": done.stdout}


def imports(pairs: int, times: int) -> dict[str, Any]:
    """Import, first board and first make, with empty caches and full ones, and eight processes at once."""
    result: dict[str, Any] = {"together": together(), "core": pin()}
    result["rows"] = [
        import_difference(pairs),
        cold("first Board cold", BOARD, times, 6),
        cold("first make, reset, step cold", MAKE, times, 25),
        warm("make, reset, step warm", MAKE, pairs),
        warm("the same, SciPy hidden from Numba", HIDE_SCIPY + MAKE, pairs),
    ]
    for cold_row in result["rows"][1:3]:
        show(f"{cold_row['name']} says: {cold_row['stderr'] or '-'}")
    return result


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--cold", type=int, default=3, help="runs on an empty cache")
    parser.add_argument("--only", choices=("imports", "play"))
    args = parser.parse_args()
    if args.only != "play":
        save("startup", {"machine": machine()} | imports(args.pairs, args.cold))
    if args.only != "imports":
        save("startup-play", {"machine": machine()} | play(args.pairs))


if __name__ == "__main__":
    main()
