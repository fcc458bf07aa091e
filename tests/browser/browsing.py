"""Runs, servers and tabs for the tests in a browser."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page

CHROMIUM = os.environ.get("KEISEI_CHROMIUM") or shutil.which("chromium")
PATIENCE = 180_000
"""Milliseconds until something that is waited for has failed: first uses compile, on busy machines."""
SETTINGS = [
    *(
        "--preset",
        "tiny",
        "--device",
        "cpu",
        "--eval-games",
        "2",
        "--log.display",
        "off",
        "--web.enabled",
        "true",
    ),
    *("--n-envs", "8", "--ppo.n-steps", "32", "--ppo.batch-size", "64", "--network.channels", "8"),
    *("--network.blocks", "1", "--env.max-plies", "64"),
]
EVALUATED = [
    *("--eval-freq", "512", "--eval-opponents", "random", "greedy", "--evaluation.games", "4"),
    *("--evaluation.blocking", "true"),
]


def train(folder: Path, *more: str) -> "subprocess.Popen[str]":
    """Start a training, which writes the live game and starts no page of its own."""
    arguments = [*SETTINGS, "--run-dir", str(folder), *more]
    return subprocess.Popen([sys.executable, Path(__file__).with_name("trains.py"), *arguments], text=True)


def make_runs(root: Path) -> None:
    """The runs that the page is tested with."""
    assert train(root / "first", "--total-timesteps", "2048", *EVALUATED).wait() == 0
    assert train(root / "second", "--total-timesteps", "512", "--seed", "1").wait() == 0


@dataclass
class Site:
    """A running page."""

    root: Path
    process: "subprocess.Popen[str]"
    address: str

    def get(self, path: str) -> dict[str, object]:
        """What the server says."""
        with urllib.request.urlopen(self.address + path.lstrip("/")) as answer:
            return dict(json.loads(answer.read()))


def start_site(root: Path, port: int = 0) -> Site:
    """Start the server and wait until it tells its address."""
    command = [sys.executable, "-m", "keisei_agent.commands.web", str(root), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Page: "), line
    return Site(root, process, line.split()[1])


@dataclass
class Tab:
    """A tab whose every complaint is noted."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def go(self, address: str, route: str) -> Page:
        """Open a view and wait until it stands."""
        self.page.goto("about:blank")
        self.page.goto(f"{address}#/{route}")
        self.page.wait_for_selector("main[data-ready]", timeout=PATIENCE)
        return self.page

    def shoot(self, name: str) -> None:
        """Keep a picture."""
        if folder := os.environ.get("KEISEI_SHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.wait_for_timeout(500)
            self.page.screenshot(path=Path(folder) / f"{name}.png")
