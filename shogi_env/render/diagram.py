"""What a picture shows, and the names that every picture uses."""

from typing import NamedTuple

from shogi_env.core.constants import BISHOP, GOLD, KING, KNIGHT, LANCE, PAWN, ROOK, SILVER, WHITE_PIECE
from shogi_env.types import Color, Int8Array


class Diagram(NamedTuple):
    """A position as a picture shows it."""

    board: Int8Array
    """int8[81] by cell: 0 empty, 1..14 a black piece, 17..30 a white one."""
    hands: Int8Array
    """int8[2, 7]: pieces in hand by color, pawn to gold."""
    turn: Color
    """The side to move."""
    highlights: tuple[int, ...] = ()
    """Cells of the last move, the destination last: (from, to), or (to,) for a drop."""


KANJI = " 歩香桂銀角飛金玉と杏圭全馬龍"
"""One character per piece type, in the order of `PieceType`."""
WHITE_KING = "王"
RANK_NUMERALS = "一二三四五六七八九"
HAND_ORDER = (ROOK, BISHOP, GOLD, SILVER, KNIGHT, LANCE, PAWN)


def color_of(piece: int) -> Color:
    """Return whose piece a nonzero cell of `Diagram.board` holds."""
    return Color.WHITE if piece > WHITE_PIECE else Color.BLACK


def type_of(piece: int) -> int:
    """Return the piece type, 1..14, of a nonzero cell of `Diagram.board`."""
    return piece % WHITE_PIECE


def kanji_of(piece: int) -> str:
    """Return the character on a piece; White, the senior side by custom, has the other king."""
    return WHITE_KING if piece == WHITE_PIECE + KING else KANJI[type_of(piece)]


def held_pieces(diagram: Diagram, color: Color) -> list[tuple[int, int]]:
    """Return (piece type, count >= 1) of each type in a side's hand, the strongest first."""
    counts = diagram.hands[color].tolist()
    return [(kind, counts[kind - 1]) for kind in HAND_ORDER if counts[kind - 1]]
