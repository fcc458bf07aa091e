"""What the page in the browser costs, and whether it grows.

    python benchmarks/web.py soak [--messages 57600] [--clients 20]
    python benchmarks/web.py speed [--pairs 20] [--seconds 60]

`soak`: a run that writes its live game for eight hours, twice a second, in fast forward: every message is
written once everybody has seen the one before.  One of those who look on is a page in a headless Chromium.
Memory of the server, heap and nodes of the page are compared at equal phases of a game, after a tenth of the
messages and at the end.

`speed`: two runs by the defaults on one pinned core learn in turns, one with its page open in a Chromium and
five more clients, all of them and the server on the other core; the other without a page.  Wall clock.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from common import Comparison, load, machine, pin, save, show, usable_cores
from telling import COMMON, WARM_UP, Learner, take_turns

NAME = "soak"
PHASE = 800
"""Messages after which the games that are written come again."""
BARS = {"server": 0.05, "heap": 0.20, "nodes": 0.02}
"""Growth that is allowed; nodes: what one more row of a list may be."""
SLOWER = 1.02
"""Slow-down that the upper end of the interval may have."""
TURN = 15.0
"""Seconds after which the other run goes on: long beside the half second that a page may lag behind."""


def serve(root: Path, port: int, *, fast: bool) -> None:
    """Be the server; in fast forward it looks as soon as it can."""
    from keisei_agent.web import process, server, watch

    if fast:
        server.LOOK = watch.PAUSE = 0.0005
    with process.listen("127.0.0.1", port) as found:
        process.serve(found, root, None)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def served(root: Path, core: int | None, *, fast: bool) -> Iterator[tuple[int, int]]:
    """A server; yields its port and its process number."""
    port = free_port()
    command = [sys.executable, __file__, "serve", str(root), str(port), *(["--fast"] if fast else [])]
    process = subprocess.Popen(on(core, command))
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def on(core: int | None, command: list[str]) -> list[str]:
    """A command, on one core if one is given."""
    return command if core is None else ["taskset", "-c", str(core), *command]


class Client(threading.Thread):
    """Looks on, and knows the time stamp of the newest live game it was told of."""

    def __init__(self, port: int, run: str) -> None:
        super().__init__(daemon=True)
        self.port, self.run_name, self.seen, self.messages = port, run, 0.0, 0

    def run(self) -> None:
        """Read what comes until the server is gone."""
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", f"/api/events?run={self.run_name}")
        answer = connection.getresponse()
        while line := answer.readline():
            at = line.rfind(b'"live": {')
            if line.startswith(b"data: ") and at > 0:
                begin = line.index(b'"time": ', at) + 8
                self.seen = float(line[begin : line.index(b",", begin)])
                self.messages += 1


@contextmanager
def page(address: str, core: int | None) -> Iterator[Callable[[], dict[str, float]]]:
    """A page in a browser of its own; yields what counts its messages, its heap and its nodes."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("no chromium")
    script = Path(tempfile.mkdtemp()) / "chromium"
    script.write_text(f'#!/bin/sh\nexec {" ".join(on(core, [chromium]))} "$@"\n')
    script.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=script, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.set_default_timeout(600_000)  # in fast forward it has much to catch up with
        tab.goto(address)
        tab.wait_for_selector("main[data-ready]")
        session = tab.context.new_cdp_session(tab)
        session.send("Performance.enable")

        def look() -> dict[str, float]:
            session.send("HeapProfiler.collectGarbage")
            found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            shown = tab.locator('[data-fact="decisions"]').inner_text().replace(",", "")
            steps = float(shown) if shown.isdecimal() else 0.0
            return {"heap": found["JSHeapUsedSize"], "nodes": found["Nodes"], "steps": steps}

        yield look
        browser.close()


def resident(pid: int) -> float:
    """Bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def frames() -> list[dict[str, Any]]:
    """`PHASE` live games: random ones that grow by a ply with each message."""
    import numpy as np

    from shogi_env import Board

    random = np.random.default_rng(0)
    found: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    while len(found) < PHASE:
        board = Board(max_plies=None)
        start = board.sfen()
        for _ in range(200):
            moves = list(board.legal_moves)
            best = [[str(move), 0.2] for move in moves[:5]]
            policy = {
                "ply": board.ply,
                "value": 0.1,
                "best": best,
                "heat": random.dirichlet([0.1] * 81).tolist(),
            }
            game = {
                "start": start,
                "moves": [str(move) for move in board.moves],
                "values": [[ply, round(float(random.uniform(-1, 1)), 6)] for ply in range(board.ply)],
            }
            found.append({"game": game, "policy": policy, "ended": list(ended[-12:])})
            if board.outcome() or not moves:
                break
            board.push(moves[int(random.integers(len(moves)))])
        ended.append({"result": "draw", "reason": "max_plies", "plies": board.ply, "steps": len(found)})
    return found[:PHASE]


def soak(messages: int, clients: int) -> dict[str, Any]:
    """Send so many messages to so many clients; the page is one of them."""
    from torch.utils.tensorboard import SummaryWriter

    from keisei_agent.config import parse_config, to_yaml
    from keisei_agent.files.storage import write_for_readers
    from shogi_env.arena.lock import hold

    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = root / NAME
        folder.mkdir()
        (folder / "config.yaml").write_text(to_yaml(parse_config({"total_timesteps": messages})))
        stack.enter_context(hold(folder / "lock", "busy"))
        writer = stack.enter_context(SummaryWriter(str(folder / "tensorboard")))
        games = frames()

        def write(number: int) -> float:
            stamp = float(number + 1)
            if number % 10 == 0:  # eight hours of rollouts of five seconds
                for key in range(60):
                    writer.add_scalar(f"train/key_{key}", float((number * (key + 1)) % 97), number)
                writer.flush()
                with (folder / "log.txt").open("a") as log:
                    log.write(f"message {number}\n")
            frame = {
                "format": 1,
                "pid": 1,
                "time": stamp,
                "doing": "playing",
                "steps": number,
                "seconds": stamp,
            }
            frame |= {"done": number / messages, "speed": 2.0, "left": 1.0, **games[number % PHASE]}
            write_for_readers(folder / "live.json", json.dumps(frame).encode())
            return stamp

        write(0)
        port, pid = stack.enter_context(served(root, None, fast=True))
        look = stack.enter_context(page(f"http://127.0.0.1:{port}/#/live/{NAME}", None))
        others = [Client(port, NAME) for _ in range(clients - 1)]
        for client in others:
            client.start()
        early = max(1, messages // 10 // PHASE) * PHASE
        late = (messages - 1) // PHASE * PHASE
        points: dict[int, dict[str, float]] = {}
        start = time.monotonic()
        for number in range(1, messages):
            stamp = write(number)
            until = time.monotonic() + 60
            while any(client.seen < stamp for client in others):
                if time.monotonic() > until:
                    raise RuntimeError(f"message {number} was not seen by everybody within a minute")
                time.sleep(0.0005)
            if number in (early, late):
                while (found := look())["steps"] != number:
                    time.sleep(0.2)
                points[number] = {**found, "server": resident(pid)}
                show(f"  message {number}: {points[number]}")
    first, last = points[early], points[late]
    growth = {name: last[name] / first[name] - 1 for name in BARS}
    return {
        "messages": messages,
        "clients": clients,
        "told": [client.messages for client in others],
        "points": points,
        "growth": growth,
        "held": {name: growth[name] <= bar for name, bar in BARS.items()},
        "seconds": time.monotonic() - start,
    }


def speed(pairs: int, seconds: float) -> dict[str, Any]:
    """Let a run with its page open and one without learn in turns; the ratio is without over with."""
    cores = usable_cores()
    if len(cores) < 2:
        raise RuntimeError("it takes two cores")
    pin(cores[0])
    settings = {"log": {"display": "off"}}
    result = Comparison("without", "with the page", "decisions/s")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        alone = Learner(COMMON | settings, root / "alone")
        watched = Learner(COMMON | settings | {"web": {"enabled": True}}, root / "watched")
        for learner in (alone, watched):
            learner.turn(WARM_UP)
        port, _ = stack.enter_context(served(root / "watched", cores[1], fast=False))
        stack.enter_context(page(f"http://127.0.0.1:{port}/#/live/run", cores[1]))
        clients = [Client(port, "run") for _ in range(5)]
        for client in clients:
            client.start()
            os.sched_setaffinity(client.native_id or 0, {cores[1]})
        take_turns(alone, watched, result, pairs, seconds, TURN)
        told = [client.messages for client in clients]
    return result.summary() | {"told": told, "bar": SLOWER}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_subparsers(dest="what", required=True)
    soaking = what.add_parser("soak")
    soaking.add_argument("--messages", type=int, default=8 * 3600 * 2)
    soaking.add_argument("--clients", type=int, default=20, help="the page among them")
    speeding = what.add_parser("speed")
    speeding.add_argument("--pairs", type=int, default=20)
    speeding.add_argument("--seconds", type=float, default=60.0, help="of each run in a pair")
    serving = what.add_parser("serve")
    serving.add_argument("root", type=Path)
    serving.add_argument("port", type=int)
    serving.add_argument("--fast", action="store_true")
    args = parser.parse_args()
    if args.what == "serve":
        serve(args.root, args.port, fast=args.fast)
        return
    found: dict[str, Any] = {"machine": machine(), "load_before": load()}
    if args.what == "soak":
        row = soak(args.messages, args.clients)
        shares = ", ".join(f"{name} {share:+.1%}" for name, share in row["growth"].items())
        show(f"{row['messages']} messages to {row['clients']}: {shares} ({row['seconds']:.0f} s)")
        save("web-soak", found | row)
    else:
        row = speed(args.pairs, args.seconds)
        show(f"slow-down x{row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]")
        save("web-speed", found | row)


if __name__ == "__main__":
    main()
