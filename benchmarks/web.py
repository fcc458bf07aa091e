"""What the page in the browser costs a run, and how soon it is there.

    python benchmarks/web.py speed [--pairs 20] [--seconds 60]
    python benchmarks/web.py paint RUNS_DIR [--times 20]

`speed`: two runs by the defaults on one pinned core learn in turns, one with its page open in a Chromium and
five more clients, all of them and the server on the other core; the other without a page.  Wall clock.

`paint`: how long after it was asked for a page shows something, and everything, in a browser that has seen
nothing of it before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
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

SLOWER = 1.02
"""Slow-down that the upper end of the interval may have."""
TURN = 15.0
"""Seconds after which the other run goes on: long beside the half second that a page may lag behind."""
PAINTED = 1000.0
"""Milliseconds within which a page shows something."""


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
def browser(core: int | None) -> Iterator[Any]:
    """A headless Chromium, on one core if one is given."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("no chromium")
    script = Path(tempfile.mkdtemp()) / "chromium"
    script.write_text(f'#!/bin/sh\nexec {" ".join(on(core, [chromium]))} "$@"\n')
    script.chmod(0o755)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=script, args=["--no-sandbox"])
        yield found
        found.close()


@contextmanager
def page(address: str, core: int | None) -> Iterator[Callable[[], dict[str, float]]]:
    """A page in a browser of its own; yields what counts its messages, its heap and its nodes."""
    with browser(core) as chromium:
        tab = chromium.new_page(viewport={"width": 1280, "height": 900})
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


def paint(root: Path, times: int) -> dict[str, Any]:
    """Milliseconds to the first paint of each view, and until it is ready."""
    runs = sorted(folder.name for folder in root.iterdir() if (folder / "config.yaml").exists())
    if not runs:
        raise SystemExit(f"{root} holds no run")
    views = [
        "runs",
        *(f"{view}/{runs[-1]}" for view in ("training", "live", "games", "strength")),
        "play",
        "analysis",
    ]
    rows: dict[str, Any] = {}
    with served(root, None, fast=False) as (port, _), browser(None) as chromium:
        for view in views:
            found = []
            for _ in range(times):
                with chromium.new_context() as context:
                    tab = context.new_page()
                    tab.goto(f"http://127.0.0.1:{port}/#/{view}")
                    tab.wait_for_selector("main[data-ready]")
                    first = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
                    found.append(tab.evaluate(f"[{first}, performance.now()]"))
            painted, ready = zip(*found, strict=True)
            rows[view] = {
                "painted": statistics.median(painted),
                "worst": max(painted),
                "ready": statistics.median(ready),
            }
            show(f"  {view}: " + ", ".join(f"{name} {value:.0f} ms" for name, value in rows[view].items()))
    return {"views": rows, "times": times, "bar": PAINTED}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_subparsers(dest="what", required=True)
    speeding = what.add_parser("speed")
    speeding.add_argument("--pairs", type=int, default=20)
    speeding.add_argument("--seconds", type=float, default=60.0, help="of each run in a pair")
    painting = what.add_parser("paint")
    painting.add_argument("root", type=Path, metavar="RUNS_DIR")
    painting.add_argument("--times", type=int, default=20)
    serving = what.add_parser("serve")
    serving.add_argument("root", type=Path)
    serving.add_argument("port", type=int)
    serving.add_argument("--fast", action="store_true")
    args = parser.parse_args()
    if args.what == "serve":
        serve(args.root, args.port, fast=args.fast)
        return
    found: dict[str, Any] = {"machine": machine(), "load_before": load()}
    if args.what == "paint":
        save("web-paint", found | paint(args.root, args.times))
    else:
        row = speed(args.pairs, args.seconds)
        show(f"slow-down x{row['ratio']:.3f} [{row['ratio_low']:.3f}, {row['ratio_high']:.3f}]")
        save("web-speed", found | row)


if __name__ == "__main__":
    main()
