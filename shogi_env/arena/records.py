"""`GameRecord`: a played game as one line of a log, which every result and rating is computed from.

A log is JSON lines in UTF-8.  It holds no clock times, so that the same match writes the same lines.
"""

import json
import lzma
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shogi_env.errors import RecordError

RESULTS = ("black", "white", "draw", "void")
"""The side that won, or "draw"; "void" for a game that a failing player left without a result."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Who sat at one side of the board."""

    name: str
    """What the player is called; ratings take players of one name for the same."""
    spec: str
    """What `players.make_player` makes it from."""
    version: str
    """Of the program that plays."""
    digest: str
    """Hexadecimal hash of weights and settings; empty where nothing is to be hashed."""


@dataclass(frozen=True, slots=True)
class GameRecord:
    """One game."""

    id: str
    """Its place in the event: "12.0" and "12.1" are the two games of pair 12, with colors swapped."""
    event: str
    """Of which match or tournament the game is a part."""
    black: Seat
    white: Seat
    start: str
    """SFEN of the position that the moves start from."""
    moves: tuple[str, ...]
    """All moves in USI, those of the opening included."""
    opening_plies: int
    """How many of the moves are the opening."""
    result: str
    """One of `RESULTS`."""
    reason: str
    """A `Termination` in lower case; what went wrong where the game is void."""
    seed: int
    """Of the game's random stream."""

    @property
    def pair(self) -> str:
        """What both games of a pair have in common of their ids."""
        return self.id.rpartition(".")[0] or self.id

    @property
    def opening(self) -> tuple[str, tuple[str, ...]]:
        """Start and opening moves."""
        return self.start, self.moves[: self.opening_plies]

    def score(self, name: str) -> float | None:
        """1.0, 0.5 or 0.0 for the player of that name; None where the game is void or not its own."""
        sides = [side for side, seat in (("black", self.black), ("white", self.white)) if seat.name == name]
        if self.result == "void" or not sides:
            return None
        return 0.5 if self.result == "draw" else float(self.result in sides)


def to_line(record: GameRecord) -> str:
    """The record as one line of JSON, without the newline."""
    return json.dumps(asdict(record) | {"moves": " ".join(record.moves)}, ensure_ascii=False)


def from_line(text: str) -> GameRecord:
    """The record of a line that `to_line` wrote.

    Raises:
        RecordError: the line is not such a record; the text says why.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise RecordError(f"not a line of JSON ({error}): {_short(text)}") from None
    _check_fields(values, GameRecord, "a game")
    for side in ("black", "white"):
        _check_fields(values[side], Seat, side)
        values[side] = Seat(**values[side])
    values["moves"] = tuple(values["moves"].split())
    record = GameRecord(**values)
    if record.result not in RESULTS:
        raise RecordError(f"result is one of {', '.join(RESULTS)}, not {_short(record.result)}")
    if not 0 <= record.opening_plies <= len(record.moves):
        raise RecordError(f"opening_plies is 0..{len(record.moves)}, not {record.opening_plies}")
    return record


def _check_fields(values: Any, kind: type[GameRecord] | type[Seat], what: str) -> None:
    """Refuse what is not a mapping with exactly the fields of a class, each of its type."""
    names = {field.name: field.type for field in fields(kind)}
    if not isinstance(values, dict) or values.keys() != names.keys():
        found = ", ".join(values) if isinstance(values, dict) else _short(str(values))
        raise RecordError(f"{what} has the fields {', '.join(names)}; found: {found}")
    for name, wanted in names.items():
        expected = int if wanted is int else dict if wanted is Seat else str
        if type(values[name]) is not expected:
            raise RecordError(f"{what}: {name} is a {expected.__name__}, not {_short(repr(values[name]))}")


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def read_games(path: Path | str) -> list[GameRecord]:
    """All games of a log, in order; one that ends in ".xz" is unpacked.

    A last line without its newline was being written when its program died; it is left out.

    Raises:
        RecordError: naming the file, the line, and what is wrong with it.
        OSError: the file cannot be read.
    """
    try:
        content = Path(path).read_bytes()
        if str(path).endswith(".xz"):
            content = lzma.decompress(content)
        lines = content.decode("utf-8").split("\n")[:-1]
    except (UnicodeDecodeError, lzma.LZMAError) as error:
        raise RecordError(f"{path}: cannot be decoded: {error}") from None
    games = []
    for number, line in enumerate(lines, 1):
        try:
            games.append(from_line(line))
        except RecordError as error:
            raise RecordError(f"{path}:{number}: {error}") from None
    return games


class GameLog:
    """Appends games to a log, each at once, so that a crash loses none.

    Args:
        path: the file, made with its folder. A torn last line is cut off.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            whole = self.path.read_bytes()
            if not whole.endswith(b"\n") and whole:
                with self.path.open("rb+") as file:
                    file.truncate(whole.rfind(b"\n") + 1)
        self._file = self.path.open("a", encoding="utf-8", newline="\n")

    def write(self, games: Iterable[GameRecord]) -> None:
        """Append games and flush."""
        self._file.writelines(to_line(game) + "\n" for game in games)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
