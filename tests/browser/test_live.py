"""The page while a run goes on, and when either process is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import SETTINGS, Tab, start_site, train

from shogi_env import Board

OpenTab = Callable[..., Tab]
WITHIN = 5_000
"""Milliseconds in which the page has to say what happened."""


@pytest.fixture
def root(tmp_path: Path, browser: object) -> Path:
    return tmp_path / "runs"


def test_training_is_watched_and_either_process_is_killed(root: Path, open_tab: OpenTab) -> None:
    root.mkdir()
    training = train(root / "now", "--total-timesteps", "1000000")
    site = start_site(root)
    again = None
    try:
        live = root / "now/live.json"
        while not (live.exists() and (json.loads(live.read_text())["game"] or {}).get("moves")):
            assert training.poll() is None
            time.sleep(0.2)
        tab = open_tab()
        page = tab.go(site.address, "live/now")
        moves = "() => document.querySelectorAll('.moves li').length"
        page.wait_for_function(f"() => ({moves})() > 0")  # a bare expression, waited for, breaks the CSP
        page.wait_for_function("() => document.querySelectorAll('.shares li').length === 5")
        tab.shoot("live-running")
        shown = page.evaluate(moves)
        page.wait_for_function(f"(before) => ({moves})() !== before", arg=shown)
        assert page.locator("[data-state]").get_attribute("data-state") == "running"

        training.send_signal(signal.SIGKILL)
        training.wait()
        page.locator('[data-state="died"]').wait_for(timeout=WITHIN)
        page.wait_for_timeout(1500)
        frame = json.loads(live.read_text())  # what was written last is what is shown
        texts = page.locator(".moves li").all_inner_texts()
        assert texts == frame["game"]["moves"]
        board = Board(frame["game"]["start"], max_plies=None)
        for move in texts:
            board.push_usi(move)
        assert page.locator(".board").get_attribute("aria-label") == f"Shogi board: {board.sfen()}"
        assert page.locator('[data-fact="decisions"]').inner_text() == f"{frame['steps']:,}"
        assert page.locator("[data-part=ended] tbody tr").count() == len(frame["ended"])
        if frame["policy"]["ply"] == len(texts):
            shares = page.locator(".shares li").evaluate_all("all => all.map((one) => one.dataset.move)")
            assert shares == [move for move, _ in frame["policy"]["best"]]

        again = train(root / "after", "--total-timesteps", "1000000")
        while not (root / "after/live.json").exists():
            assert again.poll() is None
            time.sleep(0.2)
        page = tab.go(site.address, "live/after")
        page.locator('[data-state="running"]').wait_for()
        port = int(site.address.rstrip("/").rpartition(":")[2])
        os.kill(site.process.pid, signal.SIGKILL)
        site.process.wait()
        page.locator("#banner").wait_for(timeout=WITHIN)
        tab.shoot("server-gone")
        assert again.poll() is None, "training goes on"
        tab.complaints.clear()  # the browser notes that nobody answers
        site = start_site(root, port)
        page.wait_for_function("() => document.getElementById('banner').hidden", timeout=30_000)
        shown = page.evaluate(moves)
        page.wait_for_function(f"(before) => ({moves})() !== before", arg=shown)
        page.wait_for_timeout(300)
        tab.complaints.clear()
    finally:
        for process in (training, again, site.process):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()


def test_the_command_starts_the_page_and_ends_it(tmp_path: Path, browser: object) -> None:
    arguments = [*SETTINGS, "--web", "--web.port", "0", "--total-timesteps", "512", "--run-dir", "runs/one"]
    arguments = [word for word in arguments if word != "true" and word != "--web.enabled"]
    command = [sys.executable, "-m", "keisei_agent.commands.train", *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Page: http://127.0.0.1:"), line
    port = int(line.strip().rstrip("/").rpartition(":")[2])
    assert process.wait(timeout=300) == 0
    with pytest.raises(OSError):  # the port is free
        import socket

        socket.create_connection(("127.0.0.1", port), timeout=1).close()
