"""Why a move is not legal, in words."""

from collections.abc import Iterator

from shogi_env.core.constants import GOLD, KING, PAWN, WHITE_PIECE
from shogi_env.core.tables import walk
from shogi_env.notation.checks import RANKS_AHEAD, SLIDES, STEP_DIRECTIONS, find_attacker
from shogi_env.notation.sfen import Setup
from shogi_env.notation.usi import Move, square_name
from shogi_env.types import Color, PieceType


def why_illegal(setup: Setup, move: Move) -> str:
    """Say why a move is not legal in a position, in English without a final stop.

    Args:
        setup: the position.
        move: a move that is not legal there; for a legal one the answer means nothing.
    """
    us = setup.turn
    name = us.name.capitalize()
    target = int(setup.board[move.to])
    if move.drop is not None:
        return _why_no_drop(setup, move.drop, move.to)
    assert move.source is not None  # a move has a source or a drop
    piece = int(setup.board[move.source])
    if not piece or _color(piece) != us:
        return f"{name} has no piece on {square_name(move.source)}"
    if target and _color(target) == us:
        return f"{name}'s own {_name(target)} is on {square_name(move.to)}"
    if move.to not in _reach(setup, move.source, piece):
        return f"a {_name(piece)} on {square_name(move.source)} does not reach {square_name(move.to)}"
    kind = piece & 15
    if move.promotion and (kind >= GOLD):
        return f"a {_name(piece)} cannot promote"
    if move.promotion and min(_rank(move.source, us), _rank(move.to, us)) > 2:
        return "a piece promotes only on entering, leaving or inside the three far ranks"
    if not move.promotion and _rank(move.to, us) < RANKS_AHEAD.get(kind, 0):
        return f"a {_name(piece)} must promote there: it could never move again"
    return _attacker_of_king(setup, move, piece)


def _why_no_drop(setup: Setup, drop: PieceType, to: int) -> str:
    us = setup.turn
    if not setup.hands[us, drop - 1]:
        return f"{us.name.capitalize()} has no {_name(drop)} in hand"
    if setup.board[to]:
        return f"{square_name(to)} is not empty"
    if _rank(to, us) < RANKS_AHEAD.get(drop, 0):
        return f"a {_name(drop)} dropped there could never move"
    if drop == PAWN:
        file = setup.board[to // 9 * 9 : to // 9 * 9 + 9]
        if PAWN + WHITE_PIECE * us in file:
            return "a second unpromoted pawn on the file (nifu)"
    return _attacker_of_king(setup, Move(to, drop=drop), drop + WHITE_PIECE * us)


def _attacker_of_king(setup: Setup, move: Move, piece: int) -> str:
    """The one reason left: the own king is attacked afterwards, or a pawn drop gives mate."""
    board = setup.board.tolist()
    if move.source is not None:
        board[move.source] = 0
    board[move.to] = piece
    king = KING + WHITE_PIECE * setup.turn
    attacker = find_attacker(board, board.index(king), setup.turn.other) if king in board else None
    if attacker is None:
        return "a pawn drop may not give mate (uchifuzume)"
    return f"the king would be in check from {square_name(attacker)}"


def _reach(setup: Setup, source: int, piece: int) -> Iterator[int]:
    """Cells a piece reaches, not counting pins."""
    kind, sign = piece & 15, -1 if _color(piece) else 1
    for direction in STEP_DIRECTIONS[kind]:
        far = direction in SLIDES.get(kind, ())
        for cell in walk(source, direction, sign, 9 if far else 1):
            yield cell
            if setup.board[cell]:
                break


def _color(piece: int) -> Color:
    return Color.WHITE if piece > WHITE_PIECE else Color.BLACK


def _rank(cell: int, color: Color) -> int:
    """Rank counted from the far side, 0..8."""
    return 8 - cell % 9 if color else cell % 9


def _name(piece: int) -> str:
    return PieceType(piece & 15).name.replace("_", " ").lower()
