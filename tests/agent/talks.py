"""Talking to the USI engine, in this process and in another."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Queue

import torch as th

from keisei_agent.config import Config
from keisei_agent.files.weights import LATEST, WEIGHTS, save_weights
from keisei_agent.networks import build
from keisei_agent.players import PLANES
from keisei_agent.usi.engine import Engine
from keisei_agent.usi.thinking import Thinker

MATE = "sfen 4k4/9/4G4/9/9/9/9/9/4K4 b G 1"
MATED = "sfen 4k4/4G4/4G4/9/9/9/9/9/4K4 w - 2"
CAN_DECLARE = "sfen K1GGG4/SSSS5/NNN6/9/9/9/9/9/8k b 2R2BG2L9Pnl9p 1"
TO_GUI = re.compile(
    r"id (name|author) \S.*|option name \S+ type (spin|string|filename|check) default \S.*|usiok|readyok"
    r"|info string \S.*|info depth \d+ (nodes \d+ (nps \d+ )?time \d+ (multipv \d+ )?)?"
    r"score (cp|mate) -?\d+ pv \S+( \S+)*|bestmove \S+|checkmate \S+( \S+)*"
)


def write_run(folder: Path, config: Config) -> Path:
    """Write what a run's folder has of checkpoints 32 and 64: two networks whose heads are not zero."""
    checkpoints = folder / "checkpoints"
    for seed in (32, 64):
        th.manual_seed(seed)
        network = build(config.network, planes=PLANES[config.env.observation], dtype=th.float32)
        for head in (network.policy_head, network.value_head):
            th.nn.init.normal_(head.weight)
        save_weights(checkpoints / f"{seed:012d}" / WEIGHTS, network, config, seed)
    (checkpoints / LATEST).write_text(f"{64:012d}\n", encoding="utf-8")
    return folder


class Talk:
    """An engine in this process, with a model, ready; it plays without search unless it is told to."""

    def __init__(self, model: Path, **options: object) -> None:
        options = {"Search": "false"} | options
        self.lines: list[str] = []
        self.engine = Engine(self.lines.append, str(model))
        self(*(f"setoption name {name} value {value}" for name, value in options.items()), "isready")

    def __call__(self, *commands: str) -> list[str]:
        """Send commands and return what they were answered, without the remarks."""
        self.lines.clear()
        for command in commands:
            self.engine.obey(command)
            self.engine.wait()
        assert all(TO_GUI.fullmatch(line) for line in self.lines), self.lines
        return [line for line in self.lines if not line.startswith("info string")]

    def hear(self, count: int) -> None:
        """Wait until the thread that thinks has said so many lines since the last commands."""
        until = time.monotonic() + 60
        while len(self.lines) < count:
            assert time.monotonic() < until, self.lines
            time.sleep(0.001)

    def best(self, *commands: str) -> str:
        (answer,) = [line for line in self(*commands) if not line.startswith("info ")]
        return answer.removeprefix("bestmove ")

    @property
    def thinker(self) -> Thinker:
        assert self.engine._thinker is not None
        return self.engine._thinker


class Process:
    """`keisei-usi` as a GUI runs it."""

    def __init__(self, *arguments: str, code: str = "") -> None:
        command = ["-c", code] if code else ["-P", "-m", "keisei_agent", "usi"]
        self.process = subprocess.Popen(
            [sys.executable, *command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.heard: Queue[str | None] = Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.heard.put(line.rstrip("\n"))
        self.heard.put(None)

    def send(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.stdin = None

    def until(self, last: str | None) -> list[str]:
        """Return the lines up to one that begins with `last`, or up to the end of the process for None."""
        lines: list[str] = []
        while (line := self.heard.get(timeout=120)) is not None:
            lines.append(line)
            if last is not None and line.startswith(last):
                return lines
        assert last is None, f"no {last!r} in {lines}"
        return lines

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and stderr."""
        assert self.process.stderr is not None
        errors = self.process.stderr.read()
        return self.process.wait(timeout=120), errors
