"""A browser, a run of seconds, and the page over it.  Skipped where there is no Chromium or no Playwright.

Screenshots go to the folder that KEISEI_SHOTS names, if there is one.
"""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("starlette")

from playwright.sync_api import Browser, Error, Page, sync_playwright

CHROMIUM = os.environ.get("KEISEI_CHROMIUM") or shutil.which("chromium")
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


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page over a run that has finished."""
    if CHROMIUM is None:
        pytest.skip("no chromium")
    if known := os.environ.get("KEISEI_BROWSER_RUNS"):  # made before by this very fixture
        root = Path(known)
    else:
        root = tmp_path_factory.mktemp("runs")
        make_runs(root)
    found = start_site(root)
    yield found
    found.process.terminate()
    found.process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@dataclass
class Tab:
    """A tab whose every complaint is noted."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def go(self, address: str, route: str) -> Page:
        """Open a view and wait until it stands."""
        self.page.goto("about:blank")
        self.page.goto(f"{address}#/{route}")
        self.page.wait_for_selector("main[data-ready]", timeout=60_000)
        return self.page

    def shoot(self, name: str) -> None:
        """Keep a picture."""
        if folder := os.environ.get("KEISEI_SHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.wait_for_timeout(500)
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[Callable[..., Tab]]:
    """Opens tabs; in the end there must be no complaint in any of them."""
    tabs: list[Tab] = []

    def make(*, width: int = 1280, height: int = 900, dark: bool = False, locale: str = "en-US") -> Tab:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale=locale,
        )
        context.set_default_timeout(30_000)
        tab = Tab(context.new_page())
        tab.page.on("pageerror", lambda error: tab.complaints.append(f"error: {error}"))
        tab.page.on(
            "console",
            lambda message: (
                tab.complaints.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        tabs.append(tab)
        return tab

    yield make
    complaints = [text for tab in tabs for text in tab.complaints]
    for tab in tabs:
        try:
            tab.page.context.close()
        except Error:
            continue
    assert complaints == []
