"""USI: a move as text, such as ``7g7f``, ``8h2b+`` or ``P*5e``."""

from dataclasses import dataclass
from typing import NoReturn

from shogi_env.core.constants import NUM_CELLS
from shogi_env.errors import UsiError
from shogi_env.types import PieceType

_FILES = "123456789"
_RANKS = "abcdefghi"
_DROP_LETTERS = "PLNSBRG"
_DROPS = {letter: PieceType(index + 1) for index, letter in enumerate(_DROP_LETTERS)}
_SQUARES = tuple(file + rank for file in _FILES for rank in _RANKS)
_CELLS = {name: cell for cell, name in enumerate(_SQUARES)}


@dataclass(frozen=True, slots=True)
class Move:
    """A move: a piece goes from `source` to `to`, or `drop` is put on `to` from the hand.

    Whether it is legal is a question for a position; a `Move` is only well formed.

    Attributes:
        to: destination cell, 0..80.
        source: cell the piece comes from, or None for a drop.
        drop: kind of piece dropped, pawn to gold, or None for a move on the board.
        promotion: whether the piece promotes.

    Raises:
        UsiError: the parts do not make a move.

    >>> str(Move.from_usi("7g7f")), Move.from_usi("P*5e").drop.name
    ('7g7f', 'PAWN')
    """

    to: int
    source: int | None = None
    drop: PieceType | None = None
    promotion: bool = False

    def __post_init__(self) -> None:
        """Check that the parts make a move."""
        if not 0 <= self.to < NUM_CELLS:
            _refuse("destination", "is a cell, 0 to 80", self.to)
        if (self.source is None) == (self.drop is None):
            _refuse("source", "a move has either a source cell or a dropped piece", (self.source, self.drop))
        if self.source is not None:
            if not 0 <= self.source < NUM_CELLS:
                _refuse("source", "is a cell, 0 to 80", self.source)
            if self.source == self.to:
                _refuse("destination", "is the square the piece stands on", square_name(self.to))
        elif self.promotion:
            _refuse("promotion", "a dropped piece cannot promote", f"{self.drop!r}")
        elif self.drop not in _DROPS.values():
            _refuse("dropped piece", "is a pawn, lance, knight, silver, bishop, rook or gold", self.drop)

    @classmethod
    def from_usi(cls, text: object) -> "Move":
        """Read a move.

        Args:
            text: ``7g7f``, ``8h2b+`` (with promotion) or ``P*5e`` (a drop); anything but a str is
                refused.

        Raises:
            UsiError: the text is not a move; the message names the part, the reason and the value.
        """
        if not isinstance(text, str):
            raise UsiError(f"a USI move is a str, not {type(text).__name__}")
        if len(text) not in (4, 5):
            _refuse("length", "a move has 4 characters, 5 with promotion", text)
        if len(text) == 5 and text[4] != "+":
            _refuse("promotion", f"is '+' or nothing, not {text[4]!r}", text)
        if text[1] == "*":
            if text[0] not in _DROPS:
                _refuse("dropped piece", f"{text[0]!r} is not one of {_DROP_LETTERS}", text)
            if len(text) == 5:
                _refuse("promotion", "a dropped piece cannot promote", text)
            return cls(_find_square(text[2:4], "destination", text), drop=_DROPS[text[0]])
        source = _find_square(text[:2], "source", text)
        to = _find_square(text[2:4], "destination", text)
        if source == to:
            _refuse("destination", "is the square the piece stands on", text)
        return cls(to, source=source, promotion=len(text) == 5)

    def __str__(self) -> str:
        """The move in USI notation."""
        if self.source is None:
            assert self.drop is not None  # __post_init__
            return f"{_DROP_LETTERS[self.drop - 1]}*{_SQUARES[self.to]}"
        return f"{_SQUARES[self.source]}{_SQUARES[self.to]}{'+' if self.promotion else ''}"


def square_name(cell: int) -> str:
    """Name a cell, 0..80.

    >>> square_name(60)
    '7g'
    """
    if not 0 <= cell < NUM_CELLS:
        _refuse("square", "is a cell, 0 to 80", cell)
    return _SQUARES[cell]


def parse_square(text: object) -> int:
    """Read a square's name and return its cell, 0..80.

    Raises:
        UsiError: the text is not a square.
    """
    if not isinstance(text, str):
        raise UsiError(f"a square is a str, not {type(text).__name__}")
    return _find_square(text, "square", text)


def _find_square(name: str, part: str, text: str) -> int:
    cell = _CELLS.get(name)
    if cell is None:
        _refuse(part, f"{name[:8]!r} is not a square (a file 1-9 and a rank a-i)", text)
    return cell


def _refuse(part: str, reason: str, value: object) -> NoReturn:
    shown = repr(value) if not isinstance(value, str) or len(value) <= 60 else f"{value[:60]!r}..."
    raise UsiError(f"USI {part}: {reason}: {shown}")
