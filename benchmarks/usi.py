"""The USI engine under somebody else's runner: seconds to `usiok`, and a match under cshogi's `cshogi.cli`.

    python benchmarks/usi.py --model RUN [--games 20] [--byoyomi 1000] [--opponent COMMAND] [--starts 10]

Without `--opponent` the engine plays itself, drawing its moves at temperature 1. The runner judges
moves and endings. It does not judge byoyomi or the protocol: the time from each `go` to its
`bestmove`, and the form of each line, are taken from what it prints.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from common import interval, load, machine, save, show

BAR = 0.5  # seconds to usiok
MOVE = r"([1-9][a-i][1-9][a-i]\+?|[PLNSGBR]\*[1-9][a-i])"
HEARD = re.compile(
    r"id name .+|id author .+|option name \S+ type .+|usiok|readyok|info string .*"
    rf"|info depth \d+( nodes \d+( nps \d+)? time \d+)? score (cp|mate) -?\d+ pv {MOVE}( {MOVE})*"
    rf"|bestmove ({MOVE}|resign|win)"
)
SENT = re.compile(r"usi|isready|setoption .*|usinewgame|position .*|go .*|gameover.*|quit|Keisei .*")
"""Besides what it says, the runner prints the engine's name."""
ENDINGS = {
    "%TORYO": "mate or resignation",
    "%KACHI": "declaration",
    "%SENNICHITE": "repetition",
    "%JISHOGI": "ply limit",
    "%ILLEGAL_MOVE": "illegal move",
    "ILLEGAL_MOVE": "perpetual check",  # so spelled by the runner where the mover broke the rule,
    "%+ILLEGAL_ACTION": "perpetual check",  # and so where the other side did
    "%-ILLEGAL_ACTION": "perpetual check",
}


def install(model: Path, folder: Path) -> Path:
    """Write the launcher as a user does."""
    command = [sys.executable, "-m", "keisei_agent", "usi", "--install", str(folder), "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip())
    return next(path for path in folder.iterdir() if path.name.startswith("keisei-usi."))


def time_start(launcher: Path) -> tuple[float, float]:
    """Seconds from starting the process to its `usiok`: of the wall clock, and of CPU until it has quit."""
    pipe = subprocess.PIPE
    began = time.perf_counter()
    engine = subprocess.Popen([launcher], stdin=pipe, stdout=pipe, cwd=launcher.parent, text=True)
    assert engine.stdin is not None and engine.stdout is not None
    engine.stdin.write("usi\n")
    engine.stdin.flush()
    lines = iter(engine.stdout.readline, "")
    if "usiok\n" not in lines:
        raise SystemExit("the engine ended before usiok")
    wall = time.perf_counter() - began
    engine.communicate("quit\n")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, usage.ru_utime + usage.ru_stime


def starts(launcher: Path, times: int) -> dict[str, Any]:
    """How long the engine takes to `usiok`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    runs = [time_start(launcher) for _ in range(times)]
    wall, total = [run[0] for run in runs], [before.ru_utime + before.ru_stime, *(run[1] for run in runs)]
    cpu = [after - earlier for earlier, after in itertools.pairwise(total)]
    row = {"bar": BAR, "wall": wall, "median": statistics.median(wall), "cpu_median": statistics.median(cpu)}
    row["low"], row["high"] = interval(wall)
    show(
        f"usiok after {row['median']:.3f} s [{row['low']:.3f}, {row['high']:.3f}] of {times}, at most "
        f"{max(wall):.3f}, bar {BAR}; CPU {row['cpu_median']:.3f} s; load {load()}"
    )
    return row


class EngineEnded(Exception):
    """The runner reads nothing but empty lines for ever."""


class Ear(io.TextIOBase):
    """A stdout that remembers when each line was printed.

    Raises:
        EngineEnded: an engine has ended, which the runner itself does not notice.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[float, str]] = []
        self._begun = ""

    def write(self, text: str) -> int:
        """Take a part of what is printed."""
        *whole, self._begun = (self._begun + text).split("\n")
        self.lines += [(time.perf_counter(), line) for line in whole]
        if [line for _, line in self.lines[-50:]] in (50 * ["1:"], 50 * ["2:"]):
            raise EngineEnded("\n".join(line for _, line in self.lines[-60:-49]))
        return len(text)

    def said_by(self, engine: str) -> list[tuple[float, str]]:
        """What the runner told engine "1" or "2", and heard from it."""
        return [(at, line[2:]) for at, line in self.lines if line.startswith(f"{engine}:")]


def answer_seconds(talk: list[tuple[float, str]]) -> list[float]:
    """Seconds from each `go` to its `bestmove`."""
    asked, seconds = 0.0, []
    for at, line in talk:
        if line.startswith("go "):
            asked = at
        elif line.startswith("bestmove "):
            seconds.append(at - asked)
    return seconds


def match(launcher: Path, opponent: str, games: int, byoyomi: list[int], folder: Path) -> dict[str, Any]:
    """Play the match and judge what the runner wrote down.

    Raises:
        EngineEnded: an engine ended during the match; holds the last lines.
    """
    from cshogi import cli  # a development tool

    records, ear = folder / "games.csa", Ear()
    drawn = {"Temperature": 100}
    with contextlib.redirect_stdout(ear):
        score = cli.main(
            str(launcher),
            opponent or str(launcher),
            options1=drawn,
            options2={} if opponent else drawn,
            names=["keisei", None if opponent else "itself"],
            games=games,
            byoyomi=byoyomi,
            draw=512,
            csa=str(records),
            multi_csa=True,
            debug=True,
        )
    endings = Counter(
        ENDINGS[line]
        for line in records.read_text(encoding="utf-8").splitlines()
        if line.startswith("%") or line in ENDINGS
    )
    talks = [ear.said_by(engine) for engine in ("1" if opponent else "12")]
    seconds = [one for talk in talks for one in answer_seconds(talk)]
    return {
        "score": score,
        "byoyomi": byoyomi,
        "endings": dict(endings),
        "illegal_moves": endings["illegal move"],
        "answers": len(seconds),
        "answer_median": statistics.median(seconds),
        "answer_max": max(seconds),
        "time_losses": sum(1000 * one > byoyomi[0] for one in seconds),
        "protocol_errors": [
            line for talk in talks for _, line in talk if not (HEARD.fullmatch(line) or SENT.fullmatch(line))
        ],
        "complaints": [line for talk in talks for _, line in talk if line.startswith("info string error")],
    }


def report(result: dict[str, Any]) -> bool:
    """Print the match and return whether it was without fault."""
    score = result["score"]
    endings = ", ".join(f"{count} {name}" for name, count in sorted(result["endings"].items()))
    faults = len(result["protocol_errors"]) + len(result["complaints"])
    show(
        f"{score['engine1_name']} against {score['engine2_name']}: {score['total']} games, won "
        f"{score['engine1_won']}, lost {score['engine2_won']}, drawn {score['draw']}; {endings}\n"
        f"{result['illegal_moves']} illegal moves, {result['time_losses']} time losses, {faults} protocol "
        f"errors; {result['answers']} answers in {1000 * result['answer_median']:.0f} ms (median), "
        f"{1000 * result['answer_max']:.0f} ms (longest)"
    )
    return not (result["illegal_moves"] or result["time_losses"] or faults)


def main() -> None:
    """Measure, play, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, metavar="RUN", help="run folder or checkpoint")
    parser.add_argument("--games", type=int, default=20)
    parser.add_argument(
        "--byoyomi", type=int, nargs="+", default=[1000], help="milliseconds, one or for each"
    )
    parser.add_argument("--opponent", default="", metavar="COMMAND", help="another engine, without arguments")
    parser.add_argument("--starts", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        launcher = install(args.model, Path(folder, "engine"))
        result: dict[str, Any] = {"machine": machine(), "usiok": starts(launcher, args.starts)}
        result["match"] = match(launcher, args.opponent, args.games, args.byoyomi, Path(folder))
    clean = report(result["match"])
    save("usi" if not args.opponent else f"usi-{Path(args.opponent).name}", result)
    if not clean:
        raise SystemExit("not without fault")


if __name__ == "__main__":
    main()
