"""Positions of game records, replayed, to learn from."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from shogi_env import Color, Positions
from shogi_env.core import batch
from shogi_env.core.movegen import LEGAL_SHAPE
from shogi_env.kifu import Ending, Kifu
from shogi_env.kifu.packed import Samples
from shogi_env.types import Int8Array, Int16Array, Int64Array, StateArray

_AT_ONCE = 256
"""Games replayed together."""
_RATING = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class Filter:
    """Which games and positions to learn from."""

    min_plies: int = 0
    """Shorter games are left out."""
    max_plies: int | None = None
    """Longer games are left out."""
    skip: int = 0
    """Positions at a game's beginning that are left out: everybody plays them alike."""
    min_rating: float | None = None
    """Games of a player with a lower rating, or none, are left out."""
    player: str | None = None
    """Only this player's moves are learned, by the name that the records give; None for both sides'."""
    endings: tuple[Ending, ...] = ()
    """Games that ended otherwise are left out; () takes all that have a result."""

    def takes(self, game: Kifu) -> bool:
        """Whether to learn from a game."""
        plies, end = len(game.moves), game.end
        if not any(self.takes_moves(game)):
            return False
        if plies < self.min_plies or (self.max_plies is not None and plies > self.max_plies):
            return False
        if end is None or (self.endings and end.ending not in self.endings):
            return False
        if end.winner is None and end.ending not in _DRAWS:
            return False
        ratings = [_rating(game, side) for side in ("black", "white")]
        return self.min_rating is None or all(
            rating is not None and rating >= self.min_rating for rating in ratings
        )

    def takes_moves(self, game: Kifu) -> tuple[bool, bool]:
        """Whether to learn the moves of Black, and of White."""
        black, white = (self.player in (None, game.headers.get(side)) for side in ("black", "white"))
        return black, white


_DRAWS = (Ending.REPETITION, Ending.IMPASSE, Ending.MAX_PLIES)


def _rating(game: Kifu, side: str) -> float | None:
    found = _RATING.search(game.headers.get(f"{side} rating", ""))
    return float(found[0]) if found else None


class RecordSource:
    """The positions of games, held in memory: 0.3 KB each.

    Args:
        games: what to replay.
        wanted: which of them, and which of their positions.

    Attributes:
        games: number of games taken.
        left_out: number of games not taken.
    """

    def __init__(self, games: Iterable[Kifu], wanted: Filter) -> None:
        self.games = self.left_out = 0
        parts: list[tuple[StateArray, Int16Array, Int8Array]] = []
        waiting: list[Kifu] = []
        for game in games:
            if not wanted.takes(game):
                self.left_out += 1
                continue
            self.games += 1
            waiting.append(game)
            if len(waiting) == _AT_ONCE:
                parts.append(_replay(waiting, wanted))
                waiting = []
        parts.append(_replay(waiting, wanted))
        self._rows, self._actions, self._results = (
            np.concatenate([part[k] for part in parts]) for k in range(3)
        )

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, where: Int64Array) -> Samples:
        """Some of the positions; see `PackedFile.read`."""
        rows = self._rows[where]
        legal = np.zeros((len(rows), *LEGAL_SHAPE), np.uint64)
        batch.generate_all(rows, legal, 0, len(rows))
        return Samples(
            rows,
            legal,
            self._actions[where].astype(np.int64),
            np.zeros(len(rows), np.int16),
            self._results[where],
            rows["ply"].copy(),
            np.arange(len(rows)),
        )


def _replay(games: Sequence[Kifu], wanted: Filter) -> tuple[StateArray, Int16Array, Int8Array]:
    """Positions, actions and results to the side to move of the moves of some games, game by game."""
    if not games:
        empty = Positions(1)
        return empty.rows[:0], np.empty(0, np.int16), np.empty(0, np.int8)
    longest = max(len(game.moves) for game in games)
    positions = Positions(
        len(games), sfens=[game.start for game in games], max_plies=max(longest + 1, 512), declaration="off"
    )
    winners = np.array([_winner(game) for game in games])
    taken = np.array([wanted.takes_moves(game) for game in games])
    rows, actions, results, owners = [], [], [], []
    for ply in range(longest):
        where = np.array([i for i, game in enumerate(games) if ply < len(game.moves)])
        played = np.array([positions.action(i, games[i].moves[ply]) for i in where.tolist()])
        if ply >= wanted.skip:
            turns = positions.rows["turn"][where]
            mine = taken[where, turns]
            owners.append(where[mine])
            rows.append(positions.rows[where[mine]])
            actions.append(played[mine].astype(np.int16))
            won = winners[where] == turns
            results.append(np.where(winners[where] < 0, 0, np.where(won, 1, -1))[mine].astype(np.int8))
        positions.apply(played, where)
    if not rows:
        return positions.rows[:0], np.empty(0, np.int16), np.empty(0, np.int8)
    order = np.argsort(np.concatenate(owners), kind="stable")
    return np.concatenate(rows)[order], np.concatenate(actions)[order], np.concatenate(results)[order]


def _winner(game: Kifu) -> int:
    assert game.end is not None  # Filter.takes
    return -1 if game.end.winner is None else int(Color(game.end.winner))
