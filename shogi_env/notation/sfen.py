"""SFEN: a position as one line of text, read strictly and written canonically.

Four fields stand between single spaces: board, side to move, hands, move number.  The format is
the one of the USI protocol (http://hgm.nubati.net/usi.html); what a reader may accept beyond it
differs between programs, so everything that is not exactly SFEN is refused here, and so is every
position that cannot occur.  A side without a king is allowed: tsume problems are set up that way.
"""

import re
from typing import NamedTuple

import numpy as np

from shogi_env.core.constants import HAND_TYPES, MAX_COUNT, NUM_CELLS, NUM_HAND_TYPES, PROMOTED, WHITE_PIECE
from shogi_env.errors import SfenError
from shogi_env.notation.checks import check_position, quote, refuse
from shogi_env.types import Color, Int8Array, PieceType

START_SFEN = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1"

_BLACK_AT_START = "ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL"
HANDICAPS = {
    "even": START_SFEN,
    "lance": f"lnsgkgsn1/1r5b1/{_BLACK_AT_START} w - 1",
    "right-lance": f"1nsgkgsnl/1r5b1/{_BLACK_AT_START} w - 1",
    "bishop": f"lnsgkgsnl/1r7/{_BLACK_AT_START} w - 1",
    "rook": f"lnsgkgsnl/7b1/{_BLACK_AT_START} w - 1",
    "rook-lance": f"lnsgkgsn1/7b1/{_BLACK_AT_START} w - 1",
    "2-piece": f"lnsgkgsnl/9/{_BLACK_AT_START} w - 1",
    "3-piece": f"lnsgkgsn1/9/{_BLACK_AT_START} w - 1",
    "4-piece": f"1nsgkgsn1/9/{_BLACK_AT_START} w - 1",
    "5-piece": f"2sgkgsn1/9/{_BLACK_AT_START} w - 1",
    "left-5-piece": f"1nsgkgs2/9/{_BLACK_AT_START} w - 1",
    "6-piece": f"2sgkgs2/9/{_BLACK_AT_START} w - 1",
    "left-7-piece": f"2sgkg3/9/{_BLACK_AT_START} w - 1",
    "right-7-piece": f"3gkgs2/9/{_BLACK_AT_START} w - 1",
    "8-piece": f"3gkg3/9/{_BLACK_AT_START} w - 1",
    "10-piece": f"4k4/9/{_BLACK_AT_START} w - 1",
}
"""Handicap games by name: White (uwate) gives the pieces and moves first.

"left" and "right" are White's own, as in the Japanese names; without a word it is the usual one.
"""

MAX_NUMBER = 9999
"""Largest move number that is read; no game comes near it."""

_LETTERS = "PLNSBRGK"
_TYPES = {letter: PieceType(index + 1) for index, letter in enumerate(_LETTERS)}
_CODES = _TYPES | {letter.lower(): kind + WHITE_PIECE for letter, kind in _TYPES.items()}
_HAND_ORDER = (PieceType.ROOK, PieceType.BISHOP, PieceType.GOLD, PieceType.SILVER,
               PieceType.KNIGHT, PieceType.LANCE, PieceType.PAWN)  # fmt: skip
_HAND_ITEM = re.compile(r"([0-9]*)([A-Za-z])")
_RANKS = "abcdefghi"


class Setup(NamedTuple):
    """A position as SFEN describes it.

    Attributes:
        board: int8[81] by cell = 9 * file + rank; 0 empty, a `PieceType` for Black's pieces,
            the type + 16 for White's.
        hands: int8[2, 7], counts by [color, type - 1] for pawn..gold.
        turn: the side to move.
        number: move number, 1..9999; 1 before the first move.
    """

    board: Int8Array
    hands: Int8Array
    turn: Color
    number: int


def parse_sfen(text: object) -> Setup:
    """Read a position, accepting nothing that is not exactly SFEN.

    Hands may list their letters in any order; everything else has one spelling.

    Args:
        text: the SFEN, such as `START_SFEN`; anything but a str is refused.

    Returns:
        The position, with arrays of its own.

    Raises:
        SfenError: the text is malformed or the position cannot occur; the message names the part
            ("board", "side to move", "hands" or "move number"), the reason and the value.
    """
    if not isinstance(text, str):
        raise SfenError(f"an SFEN is a str, not {type(text).__name__}: {quote(text)}")
    placement, side, in_hand, number = _split(text)
    board = _parse_board(placement)
    if side not in ("b", "w"):
        refuse("side to move", "is 'b' or 'w'", side)
    turn = Color.BLACK if side == "b" else Color.WHITE
    hands = _parse_hands(in_hand)
    check_position(board, hands, turn, text)
    return Setup(np.array(board, np.int8), np.array(hands, np.int8), turn, _parse_number(number))


def format_sfen(setup: Setup) -> str:
    """Write a position as canonical SFEN: `parse_sfen` reads the same position back.

    Hands stand as Black's, then White's, each in the order R B G S N L P.
    """
    cells = [int(piece) for piece in setup.board]
    ranks = "/".join(_format_rank([cells[9 * file + rank] for file in range(8, -1, -1)]) for rank in range(9))
    in_hand = "".join(
        (str(count) if count > 1 else "") + _letter(kind + WHITE_PIECE * color)
        for color in Color
        for kind in _HAND_ORDER
        if (count := int(setup.hands[color, kind - 1]))
    )
    return f"{ranks} {'b' if setup.turn == Color.BLACK else 'w'} {in_hand or '-'} {setup.number}"


def _split(text: str) -> list[str]:
    fields = text.split(" ", 5)
    names = ("board", "side to move", "hands", "move number")
    if "" in fields[:5]:
        empty = names[min(fields.index(""), 3)]
        refuse(empty, "nothing stands here; fields are parted by single spaces, with none at the ends", text)
    if len(fields) < 4:
        missing = ", ".join(names[len(fields) :])
        refuse(missing, f"missing, only {len(fields)} of 4 fields are there", text)
    if len(fields) > 4:
        refuse("move number", "nothing may follow it", text)
    return fields


def _parse_board(placement: str) -> list[int]:
    """The 81 cells of the first field."""
    ranks = placement.split("/", 9)
    if len(ranks) != 9:
        refuse("board", f"has {'more than 9' if len(ranks) > 9 else len(ranks)} ranks, not 9", placement)
    board = [0] * NUM_CELLS
    for rank, text in enumerate(ranks):
        file = 8
        for code in _parse_rank(text, _RANKS[rank]):
            board[9 * file + rank] = code
            file -= 1
    return board


def _parse_rank(text: str, name: str) -> list[int]:
    """The nine cells of one rank, file 9 first."""
    cells: list[int] = []
    promoted = after_digit = False
    for char in text[:20]:  # a longer rank is refused below anyway
        code = _CODES.get(char)
        if code is not None:
            if promoted and char in "KkGg":
                refuse("board", f"rank {name}: {char!r} cannot be promoted", text)
            cells.append(code + PROMOTED if promoted else code)
            promoted = after_digit = False
        elif promoted:
            refuse("board", f"rank {name}: '+' stands before {char!r}, not before a piece", text)
        elif char == "+":
            promoted, after_digit = True, False
        elif char in "123456789":
            if after_digit:
                refuse("board", f"rank {name}: two digits side by side", text)
            cells.extend([0] * int(char))
            after_digit = True
        else:
            refuse("board", f"rank {name}: unknown character {char!r}", text)
    if promoted:
        refuse("board", f"rank {name}: '+' at the end", text)
    if len(cells) != 9 or len(text) > 20:
        refuse("board", f"rank {name} has {'too many' if len(cells) > 9 else len(cells)} files, not 9", text)
    return cells


def _parse_hands(text: str) -> list[list[int]]:
    """Counts as hands[color][type - 1]."""
    hands = [[0] * NUM_HAND_TYPES for _ in Color]
    if text == "-":
        return hands
    position = 0
    while position < len(text):
        item = _HAND_ITEM.match(text, position)
        if item is None:
            refuse("hands", f"{text[position : position + 8]!r} is not a count and a piece", text)
        digits, letter = item.groups()
        kind = _TYPES.get(letter.upper())
        if kind is None or kind not in HAND_TYPES:
            refuse("hands", f"{letter!r} is not a piece that can be held", text)
        if digits.startswith("0") or digits == "1":
            refuse("hands", f"the count {quote(digits)} of {letter!r}: none or 2 and up is written", text)
        if len(digits) > 2 or int(digits or 1) > MAX_COUNT[kind]:
            refuse("hands", f"too many of {letter!r}, the set has {MAX_COUNT[kind]}", text)
        color = Color.BLACK if letter.isupper() else Color.WHITE
        if hands[color][kind - 1]:
            refuse("hands", f"{letter!r} is listed twice", text)
        hands[color][kind - 1] = int(digits or 1)
        position = item.end()
    return hands


def _parse_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or text.startswith("0"):
        refuse("move number", "is a positive integer without leading zeros", text)
    if len(text) > 4:
        refuse("move number", f"is at most {MAX_NUMBER}", text)
    return int(text)


def _format_rank(cells: list[int]) -> str:
    """One rank, file 9 first."""
    parts: list[str] = []
    empty = 0
    for piece in [*cells, None]:
        if piece == 0:
            empty += 1
            continue
        if empty:
            parts.append(str(empty))
            empty = 0
        if piece is not None:
            parts.append(_letter(piece))
    return "".join(parts)


def _letter(piece: int) -> str:
    """A piece as on the board: ``P``, ``+p``."""
    kind = piece % WHITE_PIECE
    letter = _LETTERS[(kind - 1) % PROMOTED]
    return ("+" if kind > PROMOTED else "") + (letter if piece < WHITE_PIECE else letter.lower())
