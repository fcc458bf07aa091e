"""A browser, and the page over runs of seconds.  Skipped where there is no Chromium or no Playwright.

Screenshots go to the folder that KEISEI_SHOTS names, if there is one.
"""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

if find_spec("playwright") is None or find_spec("starlette") is None:
    collect_ignore_glob = ["*.py"]
else:
    from browsing import CHROMIUM, PATIENCE, Site, Tab, make_runs, start_site
    from playwright.sync_api import Browser, Error, sync_playwright

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
            context.set_default_timeout(PATIENCE)
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
