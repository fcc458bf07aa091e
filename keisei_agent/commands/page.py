"""The page in the browser, beside a training."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keisei_agent.config.sections import WebConfig


def missing_web() -> str:
    """What of the extra "web" is missing and how to install it, in one line; empty if nothing is."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    return f'{", ".join(missing)} missing, install the extra: pip install "keisei[web]"' if missing else ""


@contextmanager
def page_beside(web: "WebConfig", runs: Path) -> Iterator[bool]:
    """Have the page run meanwhile, and print its address; yields whether it does.

    Where it cannot, one line says why, and nothing was started.

    Args:
        web: where it listens.
        runs: folder of the runs that it shows.
    """
    with ExitStack() as stack:
        problem = missing_web()
        if not problem:
            from keisei_agent.web.process import AddressError, beside

            try:
                print(f"Page: {stack.enter_context(beside(web.host, web.port, runs))}", flush=True)
            except (AddressError, OSError) as error:
                problem = str(error)
        if problem:
            print(f"No page in the browser: {problem}", file=sys.stderr)
        yield not problem
