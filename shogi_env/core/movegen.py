"""Fully legal move generation, straight into action planes.

The legal moves of a position are 27 bitboards, ``legal[plane]``, of destinations as the mover sees
them: the action mask itself.  Pieces that are free to move are generated as sets, one shift for a
whole kind; only pinned pieces and sliders are taken one by one.
"""

import numpy as np

from shogi_env.core.attacks import (
    View,
    between,
    board,
    checks_and_pins,
    down,
    king_escapes,
    left,
    look,
    ray_ascending,
    ray_descending,
    right,
    sliders_towards,
    steppers_towards,
    up,
)
from shogi_env.core.bitboard import (
    Bitboard,
    bit,
    bits,
    count,
    count_word,
    first,
    get,
    high,
    low,
    minus,
    plus,
    put,
    rest,
    shl,
    shr,
    turned,
)
from shogi_env.core.constants import (
    DOWN,
    DOWN_LEFT,
    DOWN_RIGHT,
    DROP_PLANE,
    JUMP_LEFT,
    JUMP_RIGHT,
    KNIGHT,
    LANCE,
    LEFT,
    NO_CELL,
    NUM_ACTION_PLANES,
    NUM_HAND_TYPES,
    PAWN,
    PROMOTION_PLANE,
    RIGHT,
    UP,
    UP_LEFT,
    UP_RIGHT,
)
from shogi_env.core.jit import as_int, compiled, inlined
from shogi_env.core.tables import (
    DIRECTION,
    FALLING,
    RAY,
    RISING,
    TOP_HIGH,
    TOP_LOW,
    TOP_TWO_HIGH,
    TOP_TWO_LOW,
    ZONE_HIGH,
    ZONE_LOW,
)
from shogi_env.types import Int8Array, Row, UInt64Array

LEGAL_SHAPE = (NUM_ACTION_PLANES, 2)
"""Shape of the uint64 words that hold one position's legal moves."""

_FILE_LOW_EIGHT = sum(0xFF << 9 * file for file in range(9))
_FILE_NINTH = sum(0x100 << 9 * file for file in range(9))
_EIGHT_LOW, _EIGHT_HIGH = np.uint64(_FILE_LOW_EIGHT & 2**64 - 1), np.uint64(_FILE_LOW_EIGHT >> 64)
_NINTH_LOW, _NINTH_HIGH = np.uint64(_FILE_NINTH & 2**64 - 1), np.uint64(_FILE_NINTH >> 64)


@inlined
def zone() -> Bitboard:
    """The promotion zone: the three far ranks."""
    return bits(ZONE_LOW, ZONE_HIGH)


@inlined
def top() -> Bitboard:
    """The last rank, a dead end for pawns and lances."""
    return bits(TOP_LOW, TOP_HIGH)


@inlined
def top_two() -> Bitboard:
    """The last two ranks, dead ends for knights."""
    return bits(TOP_TWO_LOW, TOP_TWO_HIGH)


@inlined
def add(legal: UInt64Array, plane: int, cells: Bitboard) -> None:
    """Add destinations to an action plane."""
    legal[plane, 0] |= low(cells)
    legal[plane, 1] |= high(cells)


@inlined
def add_reach(legal: UInt64Array, direction: int, reached: Bitboard, may_promote: Bitboard) -> None:
    """Add what one slider reaches in one direction, and where it may promote there."""
    if reached:
        add(legal, direction, reached)
        if reached & may_promote:
            add(legal, PROMOTION_PLANE + direction, reached & may_promote)


@inlined
def add_steps(
    legal: UInt64Array, direction: int, cells: Bitboard, promotable: Bitboard, target: Bitboard
) -> None:
    """Add a direction's steps: `cells` reached by any piece, `promotable` those that may promote."""
    add(legal, direction, cells & target)
    add(legal, PROMOTION_PLANE + direction, promotable & target)


@inlined
def add_pieces(legal: UInt64Array, view: View, movers: Bitboard, target: Bitboard) -> None:
    """Add the moves of own pieces other than the king, as sets.

    Args:
        legal: uint64[27, 2], added to.
        view: the position as the mover sees it.
        movers: the pieces to move.
        target: allowed destinations.
    """
    pawns, silvers = movers & view.pawns, movers & view.silvers
    golds, crowned = movers & view.golds, movers & view.kings
    around = golds | crowned
    four = silvers | around
    back = silvers | crowned
    # A move may promote if it starts or ends in the zone: up if it ends there, down if it starts.
    add_steps(legal, UP, up(pawns) & ~top() | up(four), up(pawns | silvers) & zone(), target)
    step = up(silvers) & zone()
    add_steps(legal, UP_LEFT, left(up(four)), left(step), target)
    add_steps(legal, UP_RIGHT, right(up(four)), right(step), target)
    step = down(silvers & zone())
    add_steps(legal, DOWN_LEFT, left(down(back)), left(step), target)
    add_steps(legal, DOWN_RIGHT, right(down(back)), right(step), target)
    add(legal, LEFT, left(around) & target)
    add(legal, RIGHT, right(around) & target)
    add(legal, DOWN, down(around) & target)

    knights = movers & view.knights & ~top_two()
    if knights:
        step = shl(knights, 7)
        add_steps(legal, JUMP_LEFT, step & ~top_two(), step & zone(), target)
        step = shr(knights, 11)
        add_steps(legal, JUMP_RIGHT, step & ~top_two(), step & zone(), target)
    add_sliders(legal, view, movers, target)


@inlined
def add_sliders(legal: UInt64Array, view: View, movers: Bitboard, target: Bitboard) -> None:
    """Add the moves of lances, bishops, rooks, horses and dragons along their lines."""
    occupied = view.own | view.their
    pieces = movers & view.lances
    while pieces:
        reached = ray_descending(UP, first(pieces), occupied) & target
        add(legal, UP, reached & ~top())
        add(legal, PROMOTION_PLANE + UP, reached & zone())
        pieces = rest(pieces)
    pieces = movers & (view.bishops | view.rooks)
    while pieces:
        cell = first(pieces)
        here = bit(cell)
        may_promote = bits(0, 0)
        if not here & view.kings:  # a horse or dragon is promoted already
            may_promote = board() if here & zone() else zone()
        straight = 1 if here & view.rooks else 0
        for k in range(2):
            d = RISING[straight, k]
            add_reach(legal, d, ray_ascending(d, cell, occupied) & target, may_promote)
            d = FALLING[straight, k]
            add_reach(legal, d, ray_descending(d, cell, occupied) & target, may_promote)
        pieces = rest(pieces)


@inlined
def add_drops(legal: UInt64Array, view: View, hands: Int8Array, empty: Bitboard) -> None:
    """Add the drops of the pieces in hand on the given empty cells."""
    for index in range(1, NUM_HAND_TYPES):
        if hands[index]:
            cells = empty
            if index == LANCE - 1:
                cells &= ~top()
            elif index == KNIGHT - 1:
                cells &= ~top_two()
            put(legal, DROP_PLANE + index, cells)
    if hands[PAWN - 1]:
        put(legal, DROP_PLANE + PAWN - 1, pawn_drops(view, empty & ~top()))


@inlined
def files_of(pawns: Bitboard) -> Bitboard:
    """All cells of the files that hold a pawn of a side that has at most one on each.

    A file is nine bits of the number: adding 0xFF to each carries into its ninth bit exactly
    where a pawn stands, and that bit minus itself shifted down fills the other eight.
    """
    ninth = plus(pawns, bits(_EIGHT_LOW, _EIGHT_HIGH)) & bits(_NINTH_LOW, _NINTH_HIGH)
    return ninth | minus(ninth, shr(ninth, 8))


@inlined
def pawn_drops(view: View, cells: Bitboard) -> Bitboard:
    """Where a pawn may be dropped: no second pawn on a file (nifu), no mate by it (uchifuzume)."""
    cells &= ~files_of(view.own & view.pawns)
    if view.their_king != NO_CELL:
        check = down(bit(view.their_king)) & cells
        if check and pawn_drop_mates(view, check):
            cells &= ~check
    return cells


@compiled
def pawn_drop_mates(view: View, pawn: Bitboard) -> bool:
    """Would our pawn dropped in front of their king, the one cell in `pawn`, leave no reply?

    The replies are the king's moves and captures of the pawn by a piece that is not pinned, or
    pinned along the file of pawn and king.
    """
    reply = View(
        turned(view.their),
        turned(view.own | pawn),
        turned(view.pawns | pawn),
        turned(view.lances),
        turned(view.knights),
        turned(view.silvers),
        turned(view.bishops),
        turned(view.rooks),
        turned(view.golds),
        turned(view.kings),
        80 - view.their_king,
        NO_CELL,
    )
    if king_escapes(reply):
        return False
    takers = takers_of(view, first(pawn)) & ~bit(view.their_king)
    if not takers:
        return True
    _, pinned = checks_and_pins(reply)
    king_file = get(RAY[UP], view.their_king) | get(RAY[DOWN], view.their_king)
    return not takers & (~turned(pinned) | king_file)


@compiled
def takers_of(view: View, cell: int) -> Bitboard:
    """The opponent's pieces that attack `cell`."""
    occupied = view.own | view.their
    found = view.their & steppers_towards(view, cell)
    sliders = sliders_towards(view, cell)
    while sliders:
        slider = first(sliders)
        if not between(cell, slider) & occupied:
            found |= bit(slider)
        sliders = rest(sliders)
    return found


@compiled
def generate(row: Row, legal: UInt64Array) -> None:
    """Write every legal move of the side to move.

    Args:
        row: one game; `row.in_check` is written, nothing else.
        legal: uint64[27, 2], overwritten: destinations by action plane.
    """
    us = row.turn
    view = look(row, us)
    legal[:] = 0
    target = board() & ~view.own
    movers = view.own
    pinned = bits(0, 0)
    row.in_check = 0
    if view.king != NO_CELL:
        checkers, pinned = checks_and_pins(view)
        movers &= ~(pinned | bit(view.king))
        add_king(legal, view.king, king_escapes(view))
        if checkers:
            row.in_check = 1
            if count(checkers) > 1:
                return
            target = checkers | between(view.king, first(checkers))
    allowed = target
    while True:
        add_pieces(legal, view, movers, allowed)
        if not pinned:
            break
        # A pinned piece, taken alone, keeps to its line with the king.
        movers = bit(first(pinned))
        allowed = target & get(RAY[DIRECTION[view.king, first(pinned)]], view.king)
        pinned = rest(pinned)
    empty = target & ~view.their
    if empty:
        add_drops(legal, view, row.hands[us], empty)


@inlined
def add_king(legal: UInt64Array, king: int, cells: Bitboard) -> None:
    """Add the king's steps."""
    while cells:
        to = first(cells)
        add(legal, as_int(DIRECTION[king, to]), bit(to))
        cells = rest(cells)


@inlined
def count_moves(legal: UInt64Array) -> int:
    """Number of legal moves, 0..593."""
    n = 0
    for plane in range(NUM_ACTION_PLANES):
        n += count_word(legal[plane, 0]) + count_word(legal[plane, 1])
    return n
