"""What a position is worth without searching: material, mobility and the safety of the kings."""

import numpy as np

from shogi_env.core.attacks import (
    View,
    bishop_reach,
    board,
    down,
    left,
    look,
    ray_descending,
    right,
    rook_reach,
    up,
)
from shogi_env.core.bitboard import Bitboard, bit, bits, count, first, get, rest, shl, shr, turned
from shogi_env.core.constants import NUM_HAND_TYPES, SILVER, UP
from shogi_env.core.jit import as_int, compiled, inlined
from shogi_env.core.movegen import top_two
from shogi_env.core.tables import KIND_KING, STEP
from shogi_env.types import Row

# Values on the board are Bonanza's, as used by Apery (see `core.greedy`); what moves as gold has one
# value, so that material is counted on the sets alone.
_PAWN, _LANCE, _KNIGHT, _SILVER, _BISHOP, _ROOK, _GOLD = 90, 315, 405, 495, 855, 990, 540
_HORSE_BONUS, _DRAGON_BONUS = 90, 405
HAND_VALUE = np.array([100, 345, 440, 540, 930, 1080, 590], np.int64)
"""Value of PAWN..GOLD in hand: about a tenth more than on the board, as it may go anywhere."""

# Chosen by matches at depth 1: without mobility it scores 37 %, without guards 43 %, without
# danger 25 % against all of them (400 games each, +-5 %).
_MOBILITY = 4
"""Value of an attacked cell that holds no own piece."""
_GUARD = 7
"""Value of an attack (piece and cell) on the cells around the own king."""
_HIT, _WEAK, _READY = 4, 5, 3
"""Force of an attack on the cells around a king, of such a cell that only the king guards, and of a
piece in the attacker's hand."""
GRAIN = 15
"""Values are multiples of it, so that moves of about the same worth are equal and games differ."""


@inlined
def material(view: View, row: Row, color: int) -> int:
    """Value of a side's pieces on the board and in hand."""
    own = view.own
    value = (
        _PAWN * count(own & view.pawns)
        + _LANCE * count(own & view.lances)
        + _KNIGHT * count(own & view.knights)
        + _SILVER * count(own & view.silvers)
        + _BISHOP * count(own & view.bishops)
        + _ROOK * count(own & view.rooks)
        + _GOLD * count(own & view.golds)
        + _HORSE_BONUS * count(own & view.bishops & view.kings)
        + _DRAGON_BONUS * count(own & view.rooks & view.kings)
    )
    for index in range(NUM_HAND_TYPES):
        value += as_int(row.hands[color, index]) * HAND_VALUE[index]
    return value


@compiled
def attacks(view: View, target: Bitboard, home: Bitboard) -> tuple[Bitboard, int, int]:
    """What a side's pieces other than the king attack.

    Args:
        view: the position as that side sees it.
        target: cells around their king.
        home: cells around the own king.

    Returns:
        The cells, and how many attacks (piece and cell) fall in `target` and in `home`.
    """
    own = view.own & ~bit(view.king)
    four = own & (view.silvers | view.golds | view.kings)
    around = own & (view.golds | view.kings)
    back = down(own & (view.silvers | view.kings))
    diagonal = up(four)
    knights = own & view.knights & ~top_two()
    reached = bits(0, 0)
    hits = guards = 0
    for cells in (
        up(own & (view.pawns | four)),
        left(diagonal),
        right(diagonal),
        left(around),
        right(around),
        down(around),
        left(back),
        right(back),
        shl(knights, 7),
        shr(knights, 11),
    ):
        reached |= cells
        hits += count(cells & target)
        guards += count(cells & home)
    occupied = view.own | view.their
    sliders = own & (view.lances | view.bishops | view.rooks)
    while sliders:
        piece = first(sliders)
        if bit(piece) & view.lances:
            cells = ray_descending(UP, piece, occupied)
        elif bit(piece) & view.bishops:
            cells = bishop_reach(piece, occupied)
        else:
            cells = rook_reach(piece, occupied)
        reached |= cells
        hits += count(cells & target)
        guards += count(cells & home)
        sliders = rest(sliders)
    return reached, hits, guards


@inlined
def near(king: int) -> Bitboard:
    """A king's cell and those around it; none for a missing king."""
    return get(STEP[KIND_KING], king) | bit(king) & board()


@inlined
def danger(hits: int, weak: Bitboard, row: Row, attacker: int) -> int:
    """How much a king is threatened; it grows with the square of the attacking force.

    Args:
        hits: attacks (piece and cell) on the cells around the king.
        weak: those of the attacked cells that no piece but the king guards.
        row: the position.
        attacker: the other side, whose silvers, bishops, rooks and golds in hand count, two of each.
    """
    force = _HIT * hits + _WEAK * count(weak)
    for index in range(SILVER - 1, NUM_HAND_TYPES):
        force += _READY * min(as_int(row.hands[attacker, index]), 2)
    return force * force >> 2


@compiled
def evaluate(row: Row) -> int:
    """Value of a position for the side to move: a pawn is 90; a multiple of `GRAIN`."""
    us = row.turn
    them = 1 - us
    ours, theirs = look(row, us), look(row, them)
    our_king, their_king = near(ours.king), near(theirs.king)
    our_reach, our_hits, our_guards = attacks(ours, turned(their_king), our_king)
    their_reach, their_hits, their_guards = attacks(theirs, turned(our_king), their_king)
    value = material(ours, row, us) - material(theirs, row, them)
    value += _MOBILITY * (count(our_reach & ~ours.own) - count(their_reach & ~theirs.own))
    value += _GUARD * (our_guards - their_guards)
    our_weak = our_king & turned(their_reach) & ~our_reach
    their_weak = their_king & turned(our_reach) & ~their_reach
    value -= danger(their_hits, our_weak, row, them)
    value += danger(our_hits, their_weak, row, us)
    return (value + GRAIN // 2) // GRAIN * GRAIN
