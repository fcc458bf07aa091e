"""Positions that cannot occur: what SFEN can spell and shogi cannot reach is refused with its reason."""

from typing import NoReturn

from shogi_env.core.constants import (
    DOWN,
    DOWN_LEFT,
    DOWN_RIGHT,
    HAND_TYPES,
    JUMP_LEFT,
    JUMP_RIGHT,
    LEFT,
    MAX_COUNT,
    PROMOTED,
    RIGHT,
    STEPS,
    UP,
    UP_LEFT,
    UP_RIGHT,
    WHITE_PIECE,
)
from shogi_env.errors import SfenError
from shogi_env.notation.usi import square_name
from shogi_env.types import Color, PieceType

_GOLD_STEPS = frozenset((UP, UP_LEFT, UP_RIGHT, LEFT, RIGHT, DOWN))
_STRAIGHT = frozenset((UP, LEFT, RIGHT, DOWN))
_DIAGONAL = frozenset((UP_LEFT, UP_RIGHT, DOWN_LEFT, DOWN_RIGHT))
STEP_DIRECTIONS: dict[int, frozenset[int]] = {
    PieceType.PAWN: frozenset((UP,)),
    PieceType.LANCE: frozenset((UP,)),
    PieceType.KNIGHT: frozenset((JUMP_LEFT, JUMP_RIGHT)),
    PieceType.SILVER: _DIAGONAL | {UP},
    PieceType.BISHOP: _DIAGONAL,
    PieceType.ROOK: _STRAIGHT,
    PieceType.GOLD: _GOLD_STEPS,
    PieceType.KING: _STRAIGHT | _DIAGONAL,
    PieceType.PROMOTED_PAWN: _GOLD_STEPS,
    PieceType.PROMOTED_LANCE: _GOLD_STEPS,
    PieceType.PROMOTED_KNIGHT: _GOLD_STEPS,
    PieceType.PROMOTED_SILVER: _GOLD_STEPS,
    PieceType.HORSE: _STRAIGHT | _DIAGONAL,
    PieceType.DRAGON: _STRAIGHT | _DIAGONAL,
}
"""Directions in which each piece type reaches the next cell."""
SLIDES: dict[int, frozenset[int]] = {
    PieceType.LANCE: frozenset((UP,)),
    PieceType.BISHOP: _DIAGONAL,
    PieceType.ROOK: _STRAIGHT,
    PieceType.HORSE: _DIAGONAL,
    PieceType.DRAGON: _STRAIGHT,
}
"""Directions in which a piece type goes further than one cell."""
RANKS_AHEAD: dict[int, int] = {PieceType.PAWN: 1, PieceType.LANCE: 1, PieceType.KNIGHT: 2}
"""Ranks a piece type needs before it, or it could never move."""


def check_position(board: list[int], hands: list[list[int]], turn: Color, text: str) -> None:
    """Refuse a position that cannot occur.

    Args:
        board: 81 cells, 0 empty, type for Black, type + 16 for White.
        hands: counts by [color][type - 1].
        turn: the side to move.
        text: the SFEN, for the message.

    Raises:
        SfenError: a kind has more pieces than the set, a side two kings or two unpromoted pawns on
            a file, a piece could never move, or the side to move could capture the king.
    """
    _check_counts(board, hands, text)
    _check_pawns_and_dead_ends(board, text)
    _check_waiting_king(board, turn, text)


def refuse(part: str, reason: str, value: object) -> NoReturn:
    """Raise the error that names the part of the SFEN, the reason and the value."""
    raise SfenError(f"SFEN {part}: {reason}: {quote(value)}")


def quote(value: object) -> str:
    """The value for a message: what it is when that is short, its beginning when it is not."""
    if isinstance(value, (str, bytes)) and len(value) > 150:
        return f"{value[:150]!r}... ({len(value)} in all)"
    short = isinstance(value, int) and abs(value) < 1 << 64
    if short or isinstance(value, (str, bytes, float, type(None))):
        return repr(value)
    return f"<{type(value).__name__}>"  # the repr of an unknown object may be huge, or fail


def _check_counts(board: list[int], hands: list[list[int]], text: str) -> None:
    """Refuse more pieces of a kind than the set has, and two kings of a side."""
    counts = [0] * (PROMOTED + 1)
    for piece in board:
        kind = piece % WHITE_PIECE
        counts[kind - PROMOTED if kind > PROMOTED else kind] += piece > 0
    for color in Color:
        king = PieceType.KING + WHITE_PIECE * color
        if board.count(king) > 1:
            refuse("board", f"{color.name.title()} has {board.count(king)} kings", text)
    for kind in HAND_TYPES:
        total = counts[kind] + hands[0][kind - 1] + hands[1][kind - 1]
        if total > MAX_COUNT[kind]:
            name = PieceType(kind).name.lower()
            refuse("board and hands", f"{total} pieces of kind {name}, the set has {MAX_COUNT[kind]}", text)


def _check_pawns_and_dead_ends(board: list[int], text: str) -> None:
    """Refuse two unpromoted pawns of a side on a file, and pieces that could never move again."""
    pawns = set()
    for cell, piece in enumerate(board):
        kind = piece % WHITE_PIECE
        if kind not in RANKS_AHEAD:
            continue
        color = Color(piece // WHITE_PIECE)
        rank = cell % 9 if color == Color.BLACK else 8 - cell % 9
        if rank < RANKS_AHEAD[kind]:
            refuse("board", f"{_describe(cell, piece)} could never move", text)
        if kind == PieceType.PAWN:
            if (color, cell // 9) in pawns:
                refuse("board", f"{_describe(cell, piece)} is the second unpromoted pawn on its file", text)
            pawns.add((color, cell // 9))


def _describe(cell: int, piece: int) -> str:
    color, kind = Color(piece // WHITE_PIECE), PieceType(piece % WHITE_PIECE)
    return f"{color.name.title()}'s {kind.name.lower()} on {square_name(cell)}"


def _check_waiting_king(board: list[int], turn: Color, text: str) -> None:
    """Refuse a position in which the side to move could capture the king."""
    king = PieceType.KING + WHITE_PIECE * turn.other
    if king not in board:
        return
    cell = board.index(king)
    attacker = find_attacker(board, cell, turn)
    if attacker is not None:
        reason = f"{_describe(cell, king)} is in check from {square_name(attacker)}"
        refuse("board", f"{reason} although {turn.name.title()} is to move", text)


def find_attacker(board: list[int], cell: int, color: Color) -> int | None:
    """The cell of a piece of this color that attacks the given cell, None if there is none."""
    own = WHITE_PIECE * color
    sign = -1 if color == Color.BLACK else 1  # from the target back to the attacker
    for direction, (file_step, rank_step) in enumerate(STEPS):
        file, rank = cell // 9 + sign * file_step, cell % 9 + sign * rank_step
        distance = 1
        while 0 <= file <= 8 and 0 <= rank <= 8:
            piece = board[9 * file + rank]
            if piece:
                kind = piece - own
                reach = STEP_DIRECTIONS if distance == 1 else SLIDES
                if 0 < kind < WHITE_PIECE and direction in reach.get(kind, ()):
                    return 9 * file + rank
                break
            if direction in (JUMP_LEFT, JUMP_RIGHT):
                break
            file, rank, distance = file + sign * file_step, rank + sign * rank_step, distance + 1
    return None
