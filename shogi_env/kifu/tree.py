"""`Kifu`: a game record, with its variations, comments and clock times, whatever format it was written in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, NoReturn

from shogi_env.board import Board
from shogi_env.errors import IllegalMoveError, RecordError
from shogi_env.notation.sfen import START_SFEN
from shogi_env.notation.usi import Move
from shogi_env.types import Color


class Ending(StrEnum):
    """How a line of a record ends."""

    RESIGNATION = "resignation"
    CHECKMATE = "checkmate"
    TIMEOUT = "timeout"
    ILLEGAL_MOVE = "illegal move"
    DECLARATION = "declaration"
    REPETITION = "repetition"
    IMPASSE = "impasse"
    MAX_PLIES = "max plies"
    INTERRUPTED = "interrupted"
    NO_MATE = "no mate"
    """Of a mating problem without a solution."""
    FORFEIT = "forfeit"
    ERROR = "error"


class End(NamedTuple):
    """The end of a line."""

    ending: Ending
    winner: Color | None = None
    """None: nobody, or it is not said."""
    seconds: int | None = None
    """Spent before it, if that is said."""


@dataclass(slots=True)
class Node:
    """A position of a record: the move that led to it, and how the game goes on."""

    move: Move | None = None
    """None at the beginning."""
    seconds: int | None = None
    """Spent on the move, if that is said."""
    comments: list[str] = field(default_factory=list)
    """Line by line."""
    bookmark: str = ""
    end: End | None = None
    """How the line ends here, if it does and that is said."""
    next: list["Node"] = field(default_factory=list)
    """What follows: first the line's next move, then variations; where the line ends, variations alone."""


@dataclass(slots=True)
class Kifu:
    """A game record."""

    start: str = START_SFEN
    """SFEN of the first position."""
    headers: dict[str, str] = field(default_factory=dict)
    """What is said about the game: `HEADERS` by these names, anything else as the record calls it."""
    root: Node = field(default_factory=Node)
    """The first position."""

    def main_line(self) -> Iterator[Node]:
        """The nodes behind the root up to the end, always the first of what follows."""
        node = self.root
        while node.next and node.end is None:
            node = node.next[0]
            yield node

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves of the main line."""
        return tuple(node.move for node in self.main_line() if node.move is not None)

    @property
    def end(self) -> End | None:
        """How the main line ends; None if the record does not say."""
        return [self.root, *self.main_line()][-1].end

    def board(self) -> Board:
        """The main line played to its end."""
        board = Board(self.start, max_plies=None, declaration="off")
        for move in self.moves:
            board.push(move)
        return board


HEADERS = ("black", "white", "event", "site", "started", "ended", "time control")
"""Names of what most formats have in common."""


def fail(line: int, reason: str, text: str = "") -> NoReturn:
    """Refuse a record.

    Args:
        line: number of the line, from 1.
        reason: what is wrong.
        text: the line itself.

    Raises:
        RecordError: always.
    """
    shown = f": {text if len(text) <= 60 else text[:57] + '...'}" if text else ""
    raise RecordError(f"line {line}: {reason}{shown}")


class Builder:
    """Grows a record's tree while it is read, by moves that are checked.

    Args:
        start: SFEN of the first position.
    """

    def __init__(self, start: str) -> None:
        self.kifu = Kifu(start)
        self.board = Board(start, max_plies=None, declaration="off")
        self._path = [self.kifu.root]
        self._over = False  # the line that is read has ended

    @property
    def node(self) -> Node:
        """Where the record has arrived."""
        return self._path[-1]

    @property
    def number(self) -> int:
        """Number of the next move, from 1."""
        return len(self._path)

    def push(self, move: Move, line: int, text: str, seconds: int | None = None) -> None:
        """Play a move.

        Raises:
            RecordError: it is not legal, or the line has ended.
        """
        if self._over:
            fail(line, "a move after the end of the game", text)
        try:
            self.board.push(move)
        except IllegalMoveError as error:
            fail(line, f"move {self.number} is illegal: {error}")
        child = Node(move, seconds)
        self.node.next.append(child)
        self._path.append(child)

    def finish(self, end: End, line: int, text: str) -> None:
        """Note how the line ends.

        Raises:
            RecordError: it has ended before.
        """
        if self.node.end is not None:
            fail(line, f"a second end of the game, after {self.node.end.ending}", text)
        self.node.end, self._over = end, True

    def branch(self, number: int, line: int, text: str) -> None:
        """Go back to the position before a move of the line that was read last.

        Raises:
            RecordError: the line has no such move.
        """
        if not 1 <= number <= self.number:
            fail(line, f"a variation from move {number}, but the line before it has {self.number - 1}", text)
        self._over = False
        while self.number > number:
            self.board.pop()
            self._path.pop()
