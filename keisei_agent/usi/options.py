"""The USI engine's options. Imports the standard library only."""

import re
from typing import NamedTuple

LEVELS = 4
"""`shogi_env.levels.count_levels`, which is too slow to ask before `isready`."""


class Option(NamedTuple):
    """An engine option as a GUI sees it."""

    name: str
    kind: str
    default: str
    low: int = 0
    high: int = 0
    pattern: str = ".*"

    def declare(self) -> str:
        """Return the line for `usi`.

        Nobody knows a GUI's encoding, so a default that is not ASCII is shown as empty, which
        means the default anyway.
        """
        shown = ascii_or_empty(self.default)
        bounds = f" min {self.low} max {self.high}" if self.kind == "spin" else ""
        return f"option name {self.name} type {self.kind} default {shown or '<empty>'}{bounds}"

    def check(self, value: str) -> str:
        """Return the value to use: an empty one stands for the default.

        Raises:
            ValueError: the option cannot have this value.
        """
        if value in ("", "<empty>"):
            return self.default
        if self.kind == "spin":
            if not (re.fullmatch(r"[+-]?\d{1,9}", value) and self.low <= int(value) <= self.high):
                raise ValueError(f"{self.name} is a whole number from {self.low} to {self.high}")
        elif not re.fullmatch(self.pattern, value):
            raise ValueError(f"{self.name} matches {self.pattern}")
        return value


def declare_options(model: str) -> tuple[Option, ...]:
    """Return the engine's options; `model` is the default of the first."""
    return (
        Option("Model", "filename", model),
        Option("Level", "spin", "0", 0, LEVELS),
        Option("Search", "check", "true", pattern="true|false"),
        Option("MultiPV", "spin", "1", 1, 100),
        Option("USI_Hash", "spin", "256", 16, 65536),
        Option("USI_Ponder", "check", "false", pattern="true|false"),
        Option("NetworkDelay", "spin", "100", 0, 10_000),
        Option("Temperature", "spin", "0", 0, 1000),
        Option("ResignValue", "spin", "0", 0, 100),
        Option("Device", "string", "cpu", pattern=r"auto|cpu|mps|cuda(:\d+)?"),
        Option("Threads", "spin", "1", 1, 512),
    )


def ascii_or_empty(text: str) -> str:
    """The text, or nothing if a GUI might not show it."""
    return text if text.isascii() else ""
