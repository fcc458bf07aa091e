"""What `go` allows: how long to think, and when to stop. Imports the standard library only."""

import threading
import time
from typing import NamedTuple

_MOVES_LEFT = 30
"""Moves that the time of a whole game is thought to be needed for."""
_LEAST = 0.01
"""Seconds that are always taken."""
NODES = 800
"""Simulations where nothing else ends the search."""


class Limits(NamedTuple):
    """The words of a `go` command; times in seconds."""

    nodes: int | None = None
    movetime: float | None = None
    byoyomi: float = 0.0
    times: tuple[float, float] = (0.0, 0.0)
    """Left on the clock of Black and of White."""
    increments: tuple[float, float] = (0.0, 0.0)
    infinite: bool = False
    ponder: bool = False
    mate: float | None = None
    """How long a mate is looked for; infinity without a limit; None if no mate is asked for."""

    @property
    def is_timed(self) -> bool:
        """Whether a clock limits the move."""
        return self.movetime is not None or bool(self.byoyomi or any(self.times) or any(self.increments))

    def seconds(self, color: int, delay: float) -> float | None:
        """How long to think, None for no limit.

        Args:
            color: side to move, 0 or 1.
            delay: seconds that the answer may take to reach the clock.
        """
        if not self.is_timed:
            return None
        if self.movetime is not None:
            return max(_LEAST, self.movetime - delay)
        left, more = self.times[color], self.byoyomi + self.increments[color]
        most = left + self.byoyomi - delay  # an increment comes after the move
        return max(_LEAST, min(left / _MOVES_LEFT + more - delay, most))


_MILLISECONDS = ("movetime", "byoyomi", "btime", "wtime", "binc", "winc")


def parse_limits(text: str) -> Limits:
    """Read what follows `go`; what is unknown or no number is passed over, as engines do.

    `depth N` means nothing to a tree that grows where it promises most: like a bare `go` it is `NODES`.
    """
    words = text.split()
    numbers = {
        name: int(words[at + 1])
        for at, name in enumerate(words[:-1])
        if words[at + 1].isascii() and words[at + 1].isdigit()
    }
    times = {name: numbers[name] / 1000 for name in _MILLISECONDS if name in numbers}
    mate = numbers["mate"] / 1000 if "mate" in numbers else float("inf") if "mate" in words else None
    unlimited = not times and "infinite" not in words
    return Limits(
        nodes=max(1, numbers["nodes"]) if "nodes" in numbers else NODES if unlimited else None,
        movetime=times.get("movetime"),
        byoyomi=times.get("byoyomi", 0.0),
        times=(times.get("btime", 0.0), times.get("wtime", 0.0)),
        increments=(times.get("binc", 0.0), times.get("winc", 0.0)),
        infinite="infinite" in words,
        ponder="ponder" in words,
        mate=mate,
    )


class Clock:
    """Says when to stop thinking, and when the answer is wanted.

    Args:
        limits: of the command.
        seconds: how long to think once it is our turn; None for no limit.
    """

    def __init__(self, limits: Limits, seconds: float | None) -> None:
        self.limits = limits
        self._seconds = seconds
        self._begin = time.monotonic()
        self._stopped = threading.Event()
        self._due = threading.Event()
        self._until: float | None = None
        if not (limits.ponder or limits.infinite):
            self._our_turn()

    def _our_turn(self) -> None:
        self._until = None if self._seconds is None else time.monotonic() + self._seconds
        self._due.set()

    @property
    def elapsed(self) -> float:
        """Seconds since the command."""
        return time.monotonic() - self._begin

    @property
    def left(self) -> float:
        """Seconds until thinking should end; infinity while nothing limits it."""
        return float("inf") if self._until is None else self._until - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether to stop thinking."""
        return self._stopped.is_set() or self.left <= 0

    def stop(self) -> None:
        """Have the answer now."""
        self._stopped.set()
        self._due.set()

    def ponderhit(self) -> None:
        """The guess was right: the time runs from now."""
        self._our_turn()

    @property
    def is_stopped(self) -> bool:
        """Whether the GUI said so."""
        return self._stopped.is_set()

    @property
    def is_open(self) -> bool:
        """Whether the GUI still has to say when the answer is wanted."""
        return not self._due.is_set()

    def wait(self) -> None:
        """Wait until the answer is wanted: after `infinite` and `ponder` the GUI says when."""
        self._due.wait()
