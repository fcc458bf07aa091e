"""Moves that give check, discovered checks among them."""

from shogi_env.core.actions import list_moves
from shogi_env.core.attacks import between, facing, look, sliders_towards
from shogi_env.core.bitboard import Bitboard, bit, bits, count, first, rest
from shogi_env.core.constants import NO_CELL
from shogi_env.core.jit import as_int, compiled
from shogi_env.core.ordering import find_checks, gives_check
from shogi_env.core.tables import DIRECTION
from shogi_env.types import Int16Array, Row, UInt64Array


@compiled
def discoverers(row: Row) -> Bitboard:
    """Pieces of the side to move that shield the other king from one of its own sliders, absolute cells."""
    them = 1 - row.turn
    view = look(row, them)
    found = bits(0, 0)
    if view.king == NO_CELL:
        return found
    occupied = view.own | view.their
    sliders = sliders_towards(view, view.king)
    while sliders:
        shield = between(view.king, first(sliders)) & occupied
        if count(shield) == 1:
            found |= shield & view.their
        sliders = rest(sliders)
    return facing(found, them)


@compiled
def list_checks(row: Row, legal: UInt64Array, checks: UInt64Array, moves: Int16Array) -> int:
    """List the legal moves that give check.

    Args:
        row: the position.
        legal: uint64[27, 2], its legal moves.
        checks: uint64[8, 2], overwritten; scratch of `find_checks`.
        moves: int16[593], written from the front in rising order of actions.

    Returns:
        How many; 0 for a missing king.
    """
    king = as_int(row.king[1 - row.turn])
    if king == NO_CELL:
        return 0
    find_checks(row, checks)
    shields = discoverers(row)
    n = list_moves(row, legal, moves)
    kept = 0
    for k in range(n):
        move = as_int(moves[k])
        found = gives_check(row, move, checks)
        if not found and shields:
            source = move >> 7 & 127
            if source < 81 and bit(source) & shields:
                found = DIRECTION[king, move & 127] != DIRECTION[king, source]
        if found:
            moves[kept] = move
            kept += 1
    return kept
