"""Who attacks what, on a board seen by the side to move."""

from typing import NamedTuple

from shogi_env.core.bitboard import (
    Bitboard,
    bit,
    bits,
    count,
    first,
    get,
    last,
    rest,
    shl,
    shr,
    turned,
)
from shogi_env.core.constants import (
    DOWN,
    DOWN_LEFT,
    DOWN_RIGHT,
    LEFT,
    NO_CELL,
    RIGHT,
    UP,
    UP_LEFT,
    UP_RIGHT,
    WHITE,
)
from shogi_env.core.jit import as_int, compiled, inlined
from shogi_env.core.tables import (
    BOARD_HIGH,
    BOARD_LOW,
    BOTTOM_HIGH,
    BOTTOM_LOW,
    BOTTOM_TWO_HIGH,
    BOTTOM_TWO_LOW,
    DIRECTION,
    KIND_BISHOP,
    KIND_GOLD,
    KIND_KING,
    KIND_KNIGHT,
    KIND_LANCE,
    KIND_PAWN,
    KIND_ROOK,
    KIND_SILVER,
    LINE_DIAGONAL,
    LINE_STRAIGHT,
    LINE_UP,
    LINES,
    OPPOSITE,
    RAY,
    STEP,
    TOP_HIGH,
    TOP_LOW,
    TOP_TWO_HIGH,
    TOP_TWO_LOW,
)
from shogi_env.types import Row


class View(NamedTuple):
    """A position as one side sees it: bitboards with that side's pieces moving up."""

    own: Bitboard
    their: Bitboard
    pawns: Bitboard
    lances: Bitboard
    knights: Bitboard
    silvers: Bitboard
    bishops: Bitboard  # horses too
    rooks: Bitboard  # dragons too
    golds: Bitboard  # and all that moves as gold
    kings: Bitboard  # horses and dragons too
    king: int  # own king's cell, or NO_CELL
    their_king: int


@inlined
def facing(bb: Bitboard, color: int) -> Bitboard:
    """The set as `color` sees it."""
    return turned(bb) if color == WHITE else bb


@inlined
def cell_facing(cell: int, color: int) -> int:
    """A cell as `color` sees it; NO_CELL stays."""
    absolute = as_int(cell)
    return 80 - absolute if color == WHITE and absolute != NO_CELL else absolute


@inlined
def look(row: Row, color: int) -> View:
    """The position as `color` sees it: the one place where the board is turned."""
    return View(
        facing(get(row.color, color), color),
        facing(get(row.color, 1 - color), color),
        facing(get(row.kind, KIND_PAWN), color),
        facing(get(row.kind, KIND_LANCE), color),
        facing(get(row.kind, KIND_KNIGHT), color),
        facing(get(row.kind, KIND_SILVER), color),
        facing(get(row.kind, KIND_BISHOP), color),
        facing(get(row.kind, KIND_ROOK), color),
        facing(get(row.kind, KIND_GOLD), color),
        facing(get(row.kind, KIND_KING), color),
        cell_facing(row.king[color], color),
        cell_facing(row.king[1 - color], color),
    )


@inlined
def board() -> Bitboard:
    """All 81 cells."""
    return bits(BOARD_LOW, BOARD_HIGH)


@inlined
def up(bb: Bitboard) -> Bitboard:
    """Every cell moved one rank towards the opponent."""
    return shr(bb & ~bits(TOP_LOW, TOP_HIGH), 1)


@inlined
def down(bb: Bitboard) -> Bitboard:
    """Every cell moved one rank back."""
    return shl(bb & ~bits(BOTTOM_LOW, BOTTOM_HIGH), 1)


@inlined
def left(bb: Bitboard) -> Bitboard:
    """Every cell moved one file to the left."""
    return shl(bb, 9)


@inlined
def right(bb: Bitboard) -> Bitboard:
    """Every cell moved one file to the right."""
    return shr(bb, 9)


@inlined
def jumps_up(bb: Bitboard) -> Bitboard:
    """Where knights that move up land."""
    from_here = bb & ~bits(TOP_TWO_LOW, TOP_TWO_HIGH)
    return shl(from_here, 7) | shr(from_here, 11)


@inlined
def jumps_down(bb: Bitboard) -> Bitboard:
    """Where knights that move down land."""
    from_here = bb & ~bits(BOTTOM_TWO_LOW, BOTTOM_TWO_HIGH)
    return shr(from_here, 7) | shl(from_here, 11)


@inlined
def ray_ascending(direction: int, cell: int, occupied: Bitboard) -> Bitboard:
    """Cells reached along a direction of rising cell numbers, up to the first piece."""
    reached = get(RAY[direction], cell)
    return reached ^ get(RAY[direction], first(reached & occupied | bit(80)))


@inlined
def ray_descending(direction: int, cell: int, occupied: Bitboard) -> Bitboard:
    """Cells reached along a direction of falling cell numbers, up to the first piece."""
    reached = get(RAY[direction], cell)
    return reached ^ get(RAY[direction], last(reached & occupied | bit(0)))


@compiled
def bishop_reach(cell: int, occupied: Bitboard) -> Bitboard:
    """Cells a bishop attacks."""
    return (
        ray_ascending(UP_LEFT, cell, occupied)
        | ray_ascending(DOWN_LEFT, cell, occupied)
        | ray_descending(UP_RIGHT, cell, occupied)
        | ray_descending(DOWN_RIGHT, cell, occupied)
    )


@compiled
def rook_reach(cell: int, occupied: Bitboard) -> Bitboard:
    """Cells a rook attacks."""
    return (
        ray_ascending(LEFT, cell, occupied)
        | ray_ascending(DOWN, cell, occupied)
        | ray_descending(RIGHT, cell, occupied)
        | ray_descending(UP, cell, occupied)
    )


@inlined
def between(a: int, b: int) -> Bitboard:
    """Cells strictly between two cells; none if they are not in line."""
    d = DIRECTION[a, b]
    return get(RAY[d], a) & get(RAY[OPPOSITE[d]], b)


@inlined
def sliders_towards(view: View, cell: int) -> Bitboard:
    """The opponent's sliders that would attack `cell` on an empty board."""
    return view.their & (
        get(LINES[LINE_UP], cell) & view.lances
        | get(LINES[LINE_DIAGONAL], cell) & view.bishops
        | get(LINES[LINE_STRAIGHT], cell) & view.rooks
    )


@inlined
def steppers_towards(view: View, cell: int) -> Bitboard:
    """Pieces of either side that would step to `cell`, moved as the opponent moves (down).

    A piece attacks a cell exactly if the same piece of the other side, standing there, attacks it.
    """
    return (
        get(STEP[KIND_PAWN], cell) & view.pawns
        | get(STEP[KIND_KNIGHT], cell) & view.knights
        | get(STEP[KIND_SILVER], cell) & view.silvers
        | get(STEP[KIND_GOLD], cell) & view.golds
        | get(STEP[KIND_KING], cell) & view.kings
    )


@compiled
def checks_and_pins(view: View) -> tuple[Bitboard, Bitboard]:
    """The opponent's pieces that attack our king, and our pieces that shield it from a slider."""
    king = view.king
    checkers = view.their & steppers_towards(view, king)
    pinned = bits(0, 0)
    occupied = view.own | view.their
    sliders = sliders_towards(view, king)
    while sliders:
        slider = first(sliders)
        shield = between(king, slider) & occupied
        if not shield:
            checkers |= bit(slider)
        elif count(shield) == 1:
            pinned |= shield & view.own
        sliders = rest(sliders)
    return checkers, pinned


@compiled
def slid_down(view: View, occupied: Bitboard, near: Bitboard) -> Bitboard:
    """Cells that the opponent's sliders attack; right within the set `near`, maybe more outside."""
    attacked = bits(0, 0)
    pieces = view.their & view.lances
    while pieces:
        if get(RAY[DOWN], first(pieces)) & near:
            attacked |= ray_ascending(DOWN, first(pieces), occupied)
        pieces = rest(pieces)
    pieces = view.their & view.bishops
    while pieces:
        if get(LINES[LINE_DIAGONAL], first(pieces)) & near:
            attacked |= bishop_reach(first(pieces), occupied)
        pieces = rest(pieces)
    pieces = view.their & view.rooks
    while pieces:
        if get(LINES[LINE_STRAIGHT], first(pieces)) & near:
            attacked |= rook_reach(first(pieces), occupied)
        pieces = rest(pieces)
    return attacked


@compiled
def king_escapes(view: View) -> Bitboard:
    """Cells our king can step to without being in check there."""
    cells = get(STEP[KIND_KING], view.king) & ~view.own
    if not cells:
        return cells
    their = view.their
    four = view.silvers | view.golds | view.kings
    forward = down(their & (view.pawns | four))
    diagonal = down(their & four)
    around = their & (view.golds | view.kings)
    back = up(their & (view.silvers | view.kings))
    attacked = (
        forward
        | left(diagonal)
        | right(diagonal)
        | left(around)
        | right(around)
        | up(around)
        | left(back)
        | right(back)
        | jumps_down(their & view.knights)
    )
    cells &= ~attacked
    if cells:
        cells &= ~slid_down(view, (view.own | view.their) & ~bit(view.king), cells)
    return cells
