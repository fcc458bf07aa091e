"""Which moves a search tries first, and which it looks at where it should come to rest."""

from shogi_env.core.actions import move_of
from shogi_env.core.attacks import bishop_reach, look, ray_ascending, ray_descending, rook_reach
from shogi_env.core.bitboard import bit, first, get, put, rest, turned
from shogi_env.core.constants import DOWN, DROP_PLANE, HORSE, NO_CELL, PROMOTED, PROMOTION_PLANE, UP
from shogi_env.core.greedy import PIECE_VALUE
from shogi_env.core.jit import as_int, compiled, inlined
from shogi_env.core.movegen import takers_of
from shogi_env.core.tables import KIND, KIND_BISHOP, KIND_KING, KIND_LANCE, KIND_ROOK, STEP
from shogi_env.types import Int16Array, Int64Array, Row, UInt64Array

CHECKS_SHAPE = (8, 2)
"""Shape of the uint64 words that `find_checks` writes."""


@inlined
def gain(row: Row, move: int) -> int:
    """How soon to try a move: big victims first, small takers among them, then promotions, >= 0."""
    source = move >> 7 & 127
    if source >= 81:
        return 0
    piece = row.board[source] & 15
    victim = PIECE_VALUE[row.board[move & 127] & 15]
    value = 16 * victim - PIECE_VALUE[piece] // 8 if victim else 0
    if move >> 14:
        value += PIECE_VALUE[piece + PROMOTED] - PIECE_VALUE[piece]
    return as_int(value)


@compiled
def list_captures(row: Row, legal: UInt64Array, moves: Int16Array, order: Int64Array) -> int:
    """List captures and promotions, without those that lose a bigger piece for a smaller one at once.

    Args:
        row: the position.
        legal: uint64[27, 2], its legal moves.
        moves: int16[593], written from the front.
        order: int64[593], likewise.

    Returns:
        How many.
    """
    view = look(row, row.turn)
    n = 0
    for plane in range(DROP_PLANE):
        cells = get(legal, plane)
        if plane < PROMOTION_PLANE:
            cells &= view.their
        while cells:
            seen = first(cells)
            cells = rest(cells)
            move = move_of(row, plane, seen)
            victim = PIECE_VALUE[row.board[move & 127] & 15]
            taker = PIECE_VALUE[row.board[move >> 7 & 127] & 15]
            if victim >= taker or not takers_of(view, seen):
                moves[n] = move
                order[n] = gain(row, move)
                n += 1
    return n


@compiled
def find_checks(row: Row, checks: UInt64Array) -> None:
    """Write from where each kind of piece of the side to move would attack the other king.

    Args:
        row: the position.
        checks: uint64[8, 2], overwritten: absolute cells by kind; none for a missing king.
    """
    king = as_int(row.king[1 - row.turn])
    checks[:] = 0
    if king == NO_CELL:
        return
    for kind in range(CHECKS_SHAPE[0]):
        # A piece attacks a cell exactly if the same piece of the other side, there, attacks it.
        cells = get(STEP[kind], king) if row.turn else turned(get(STEP[kind], 80 - king))
        put(checks, kind, cells)
    occupied = get(row.color, 0) | get(row.color, 1)
    lance = ray_descending(UP, king, occupied) if row.turn else ray_ascending(DOWN, king, occupied)
    put(checks, KIND_LANCE, lance)
    put(checks, KIND_BISHOP, bishop_reach(king, occupied))
    put(checks, KIND_ROOK, rook_reach(king, occupied))


@inlined
def gives_check(row: Row, move: int, checks: UInt64Array) -> bool:
    """Whether the moved piece attacks the other king, by `find_checks`; not whether another one does."""
    source = move >> 7 & 127
    piece = source - 80
    if source < 81:
        piece = (as_int(row.board[source]) & 15) + (move >> 14) * PROMOTED
    cells = get(checks, KIND[piece])
    if piece >= HORSE:
        cells |= get(checks, KIND_KING)
    return bool(cells & bit(move & 127))
