"""The games of a log, for lists and for replay; only what a list shows stays in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from shogi_env import Board, Color, RecordError
from shogi_env.arena.games import to_kifu
from shogi_env.arena.records import GameRecord, from_line
from shogi_env.kifu import Kifu, ki2


class Entry(NamedTuple):
    """A game in a list."""

    number: int
    """Its place in the log, from 0."""
    id: str
    event: str
    black: str
    white: str
    result: str
    reason: str
    plies: int


class Games:
    """A log of games, read as it grows.

    Args:
        path: of the log; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._offsets: list[int] = [0]
        self.bad: str = ""
        """What is wrong with the log's first line that cannot be read; empty if nothing is."""

    @property
    def size(self) -> int:
        """Bytes that were read."""
        return self._offsets[-1]

    def read(self) -> None:
        """Take the lines that were written since the last time."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self.size:  # the run was resumed from an earlier checkpoint
            self.entries, self._offsets, self.bad = [], [0], ""
        if size <= self.size or self.bad:
            return
        with self.path.open("rb") as file:
            file.seek(self.size)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if not self._take(line):
                    return

    def _take(self, line: bytes) -> bool:
        try:
            game = from_line(line.decode("utf-8"))
        except (RecordError, UnicodeDecodeError) as error:
            self.bad = f"line {len(self.entries) + 1}: {error}"
            return False
        names = game.black.name, game.white.name
        plies = len(game.moves)
        number = len(self.entries)
        self.entries.append(Entry(number, game.id, game.event, *names, game.result, game.reason, plies))
        self._offsets.append(self.size + len(line))
        return True

    def record(self, number: int) -> GameRecord:
        """One game of the log.

        Raises:
            IndexError: there is none of that number.
            RecordError: the log has changed since it was read.
        """
        if not 0 <= number < len(self.entries):
            raise IndexError(f"no game {number}")
        with self.path.open("rb") as file:
            file.seek(self._offsets[number])
            return from_line(file.readline().decode("utf-8"))


def matching(entries: list[Entry], player: str, result: str, reason: str) -> Iterator[Entry]:
    """The games that a filter lets through, the newest first; empty texts let everything through.

    Args:
        entries: all games.
        player: either side's name.
        result: black, white, draw, void; or won, lost, of `player`.
        reason: why it ended.
    """
    for entry in reversed(entries):
        if player and player not in (entry.black, entry.white):
            continue
        if reason and reason != entry.reason:
            continue
        if result in ("won", "lost"):
            side = "black" if entry.black == player else "white"
            if entry.result not in ("black", "white") or (entry.result == side) != (result == "won"):
                continue
        elif result and result != entry.result:
            continue
        yield entry


def replay(game: Kifu) -> dict[str, Any]:
    """A record move by move, as JSON.

    Returns:
        `start`; `moves` in USI; `texts`, the same as people write them in Japanese; `sfens`, one more than
        moves; `checks`, whether the side to move is in check in each of them; `end` and `winner`.

    Raises:
        IllegalMoveError: a move is not legal.
    """
    board = Board(game.start, max_plies=None, declaration="off")
    texts, sfens, checks = [], [board.sfen()], [board.is_check()]
    before = None
    for move in game.moves:
        legal = move in board.legal_moves
        texts.append(ki2.format_move(board, move, before) if legal else str(move))
        board.push(move)
        before = move
        sfens.append(board.sfen())
        checks.append(board.is_check())
    end = game.end
    return {
        "start": game.start,
        "moves": [str(move) for move in game.moves],
        "texts": texts,
        "sfens": sfens,
        "checks": checks,
        "end": None if end is None else str(end.ending),
        "winner": None if end is None else color_name(end.winner),
        "headers": game.headers,
    }


def replay_record(record: GameRecord) -> dict[str, Any]:
    """A game of a log move by move, as JSON; see `replay`.

    Raises:
        RecordError: its moves are not legal.
    """
    return {
        **replay(to_kifu(record)),
        "id": record.id,
        "event": record.event,
        "black": record.black.name,
        "white": record.white.name,
        "result": record.result,
        "reason": record.reason,
        "opening_plies": record.opening_plies,
    }


def color_name(color: Color | None) -> str | None:
    """black, white or None."""
    return None if color is None else color.name.lower()
