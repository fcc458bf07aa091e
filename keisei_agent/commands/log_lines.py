"""The package's log on stdout, for commands that take their time."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _StdoutHandler(logging.Handler):
    """Prints log lines to whatever stdout is now: a progress bar replaces it while it runs."""

    on_terminal = True
    """The live view shows the lines itself: `callbacks.display`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), flush=True)
        except Exception:
            self.handleError(record)


@contextmanager
def log_on_stdout() -> Iterator[None]:
    """Show the package's log, and nothing else's."""
    package = logging.getLogger("keisei_agent")
    handler, propagate = _StdoutHandler(), package.propagate
    package.addHandler(handler)
    package.propagate = False
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.propagate = propagate
