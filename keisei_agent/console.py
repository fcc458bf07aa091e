"""What the commands share. Imports the standard library only, so that they start at once."""

import argparse
import difflib
import importlib.util
import re
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TextIO

INTERRUPTED = 130
"""What a shell reports for a program that Ctrl-C ended."""
EXTRA = (
    "torch",
    "stable_baselines3",
    "sb3_contrib",
    "tensorboard",
    "pydantic",
    "yaml",
    "rich",
    "safetensors",
)
"""Modules of the extra "agent" that nothing learns or plays without."""


class Parser(argparse.ArgumentParser):
    """A parser that refuses in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with status 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")

    def parse_for_agent(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parse, and refuse too where the extra "agent" is missing; None stands for the process's own."""
        options = self.parse_intermixed_args(arguments)  # an argument that may be missing may come last
        missing = missing_extra()
        if missing:
            self.error(missing)
        return options


def missing_extra() -> str:
    """What of the extra is missing and how to install it, in one line; empty if nothing is."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    return f'{", ".join(missing)} missing, install the extra: pip install "keisei[agent]"' if missing else ""


def never_fail_on_encoding(*streams: TextIO) -> None:
    """Let streams replace what the console cannot show instead of raising."""
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


@contextmanager
def terminating_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, so that what is open is closed and the end is told."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, None if none is like it.

    Args:
        name: what was given.
        known: names whose parts are joined by dots; one that ends in all of `name` comes first.
    """
    names = list(known)
    ending = [candidate for candidate in names if candidate.endswith(f".{name}")]
    return next(iter(ending or difflib.get_close_matches(name, names, n=1, cutoff=0.5)), None)


def count(text: str) -> int:
    """Parse a whole number of at least 1: 4096, 4_096 or 1e6."""
    return number(text, 1)


def whole(text: str) -> int:
    """Parse a whole number of at least 0."""
    return number(text, 0)


def number(text: str, least: int) -> int:
    """Parse a whole number of at least `least`.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text) if re.fullmatch(r"\d+(\.\d+)?[eE]\d{1,2}", text) else int(text)
    except ValueError:
        value = -1
    if value < least or value != int(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(value)


def duration(text: str) -> float:
    """Parse 90s, 10m, 1.5h or 1h30m into seconds.

    Raises:
        argparse.ArgumentTypeError: it is none, or no time at all.
    """
    units = {"h": 3600, "m": 60, "s": 1}
    match = re.fullmatch(
        r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip().lower()
    )
    seconds = (
        sum(float(part) * unit for part, unit in zip(match.groups(), units.values(), strict=True) if part)
        if match
        else 0
    )
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 10m or 1h30m")
    return seconds
