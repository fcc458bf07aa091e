"""`MateSolver`: is there a forced mate?"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from shogi_env.core import mate
from shogi_env.notation.moves import from_packed
from shogi_env.notation.usi import Move
from shogi_env.types import Snapshot

_NODES = 4096
"""Positions between two looks at the clock: some 10 ms."""


class MateSearch(NamedTuple):
    """What a search for a mate found."""

    found: bool | None
    """True: a forced mate; False: none by checks alone; None: neither was proved in the time given."""
    moves: tuple[Move, ...]
    """The mate, the defender's longest answers in it; empty if none was found."""
    nodes: int
    """Positions looked at."""


def _never() -> bool:
    return False


class MateSolver:
    """Finds forced mates by proof numbers; see `core.mate`.

    Args:
        megabytes: size of its table, rounded down to a power of two of entries.
    """

    def __init__(self, *, megabytes: int = 32) -> None:
        entries = 1 << (megabytes * 2**20 // mate.ENTRY.itemsize).bit_length() - 1
        self._table: mate.EntryArray = np.zeros(entries, mate.ENTRY)
        self._search = 0

    def solve(
        self,
        game: Snapshot,
        *,
        seconds: float = 1.0,
        nodes: int | None = None,
        stop: Callable[[], bool] = _never,
    ) -> MateSearch:
        """Look for a mate by the side to move.

        Args:
            game: one running game.
            seconds: how long at most.
            nodes: how many positions at most; None for any number.
            stop: asked every 10 ms whether to give up.
        """
        self._search += 1
        line = np.zeros(mate.MAX_MATE, np.int16)
        report = np.zeros(3, np.int64)
        looked, until = 0, time.monotonic() + seconds
        while True:
            most = _NODES if nodes is None else min(_NODES, nodes - looked)
            found = mate.solve_mate(
                game.rows, game.history, game.legal, 0, self._table, self._search, most, line, report
            )
            looked += int(report[0])
            if found != mate.UNDECIDED:
                moves = tuple(from_packed(move) for move in line[: report[1]].tolist())
                return MateSearch(found == mate.MATE, moves, looked)
            if (nodes is not None and looked >= nodes) or time.monotonic() >= until or stop():
                return MateSearch(None, (), looked)
