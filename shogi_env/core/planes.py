"""What a network sees: 136 planes of 0 and 1, as the side to move sees the board.

Planes 0..118 are dlshogi's input features; the others make the state nearly Markov.
"""

from typing import NamedTuple, TypeAlias

import numpy as np

from shogi_env.core.attacks import (
    View,
    bishop_reach,
    board,
    cell_facing,
    down,
    jumps_down,
    jumps_up,
    left,
    look,
    ray_ascending,
    ray_descending,
    right,
    rook_reach,
    up,
)
from shogi_env.core.bitboard import Bitboard, bit, bits, first, pack, rest
from shogi_env.core.constants import (
    BISHOP,
    DOWN,
    DRAGON,
    GOLD,
    HAND_TYPES,
    HORSE,
    KING,
    KNIGHT,
    LANCE,
    NUM_PLANES,
    PAWN,
    PLANE_WORDS,
    ROOK,
    SILVER,
    UP,
)
from shogi_env.core.jit import as_int, compiled, inlined
from shogi_env.types import Int8Array, Row, UInt8Array, UInt64Array


class PlaneGroup(NamedTuple):
    """A run of planes with one meaning."""

    first: int
    size: int
    name: str
    meaning: str

    @property
    def planes(self) -> range:
        """The planes of the group."""
        return range(self.first, self.first + self.size)


_PIECES = "one plane per type, in the order of `PieceType`"
PLANES = (
    PlaneGroup(0, 14, "own pieces", _PIECES),
    PlaneGroup(14, 14, "own attacks", f"cells that own pieces attack, {_PIECES}"),
    PlaneGroup(28, 3, "own attackers", "cells attacked by at least 1, 2, 3 own pieces"),
    PlaneGroup(31, 14, "opponent's pieces", _PIECES),
    PlaneGroup(45, 14, "opponent's attacks", f"cells that the opponent's pieces attack, {_PIECES}"),
    PlaneGroup(59, 3, "opponent's attackers", "cells attacked by at least 1, 2, 3 of its pieces"),
    PlaneGroup(62, 28, "own hand", "all 1: at least 1, 2, ... in hand; 8 pawn, 4 lance, 4 knight, "
               "4 silver, 4 gold, 2 bishop, 2 rook planes"),
    PlaneGroup(90, 28, "opponent's hand", "the same for the opponent"),
    PlaneGroup(118, 1, "check", "all 1: the side to move is in check"),
    PlaneGroup(119, 1, "white to move", "all 1: the side to move is White"),
    PlaneGroup(120, 2, "repetition", "all 1: this position occurred at least once, twice before"),
    PlaneGroup(122, 8, "plies left", "all 1: at most 256, 128, 64, 32, 16, 8, 4, 2 plies are left "
               "before the game is drawn"),
    PlaneGroup(130, 3, "own checks", "all 1: at least 1, 3, 5 of own last moves in a row gave check"),
    PlaneGroup(133, 3, "opponent's checks", "the same for the opponent"),
)  # fmt: skip
"""Every plane of `observation="full"`, in order."""

_FIRST = {group.name: group.first for group in PLANES}
_SIDE_PLANES = _FIRST["opponent's pieces"]
_ATTACKS, _COUNTS = _FIRST["own attacks"], _FIRST["own attackers"]
_HAND_PLANE = _FIRST["own hand"]
_HAND_ORDER = np.array([PAWN, LANCE, KNIGHT, SILVER, GOLD, BISHOP, ROOK], np.int64) - 1
_HAND_MAX = np.array([8, 4, 4, 4, 4, 2, 2], np.int64)
_HAND_PLANES = int(_HAND_MAX.sum())
_CHECK_PLANE, _WHITE_PLANE, _REPETITION_PLANE, _PLIES_PLANE, _CHECKS_PLANE = (
    _FIRST[name] for name in ("check", "white to move", "repetition", "plies left", "own checks")
)
PIECE_PLANES = np.array([plane for group in PLANES if "attack" not in group.name for plane in group.planes])
"""The planes of `observation="pieces"`: all but the attack maps."""
PLANES_OF = {
    "full": np.arange(NUM_PLANES),
    "pieces": PIECE_PLANES,
    "dlshogi": np.arange(_FIRST["white to move"]),
}
"""The planes int64[P] of each kind of observation that has planes; no two kinds have as many."""
BOARD_SIZE = 81 + 2 * len(HAND_TYPES) + 5
"""Length of `observation="board"`; see `write_board`."""


@inlined
def forward(bb: Bitboard, ours: bool) -> Bitboard:
    """Moved one rank towards the other side."""
    return up(bb) if ours else down(bb)


Counts: TypeAlias = tuple[Bitboard, Bitboard, Bitboard]
"""Cells attacked by at least 1, 2, 3 pieces."""


@inlined
def raise_counts(counts: Counts, cells: Bitboard) -> Counts:
    """Count one more attacker on `cells`."""
    one, two, three = counts
    return one | cells, two | one & cells, three | two & cells


@inlined
def gold_attacks(cells: Bitboard, ours: bool) -> Bitboard:
    """Cells attacked by golds and pieces that move alike."""
    ahead = forward(cells, ours)
    return ahead | left(ahead) | right(ahead) | left(cells) | right(cells) | forward(cells, not ours)


@inlined
def king_attacks(cells: Bitboard) -> Bitboard:
    """All cells one step away."""
    row = cells | left(cells) | right(cells)
    return up(row) | down(row) | left(cells) | right(cells)


@compiled
def pack_side(words: UInt64Array, plane: int, row: Row, view: View, pieces: Bitboard, ours: bool) -> None:
    """Write one side's 31 planes: pieces, attacks by type, numbers of attackers.

    Args:
        words: uint64[173], added to.
        plane: the first of the 31.
        row: the game.
        view: the position as the side to move sees it.
        pieces: the side's pieces in that view.
        ours: whether the side is the side to move, whose pieces move up.
    """
    occupied = view.own | view.their
    crowned = view.kings & (view.bishops | view.rooks)
    pawns, lances = pieces & view.pawns, pieces & view.lances
    knights, silvers = pieces & view.knights, pieces & view.silvers
    bishops, rooks = pieces & view.bishops, pieces & view.rooks
    golds, kings = pieces & view.golds, pieces & view.kings

    pack(words, (plane + PAWN - 1) * 81, pawns)
    pack(words, (plane + LANCE - 1) * 81, lances)
    pack(words, (plane + KNIGHT - 1) * 81, knights)
    pack(words, (plane + SILVER - 1) * 81, silvers)
    pack(words, (plane + BISHOP - 1) * 81, bishops & ~crowned)
    pack(words, (plane + ROOK - 1) * 81, rooks & ~crowned)
    pack(words, (plane + KING - 1) * 81, kings & ~crowned)
    pack(words, (plane + HORSE - 1) * 81, bishops & crowned)
    pack(words, (plane + DRAGON - 1) * 81, rooks & crowned)

    attacks = plane + _ATTACKS - 1
    ahead = forward(silvers, ours)
    behind = forward(silvers, not ours)
    pack(words, (attacks + PAWN) * 81, forward(pawns, ours))
    pack(words, (attacks + KNIGHT) * 81, jumps_up(knights) if ours else jumps_down(knights))
    pack(words, (attacks + SILVER) * 81,
         ahead | left(ahead) | right(ahead) | left(behind) | right(behind))  # fmt: skip
    pack(words, (attacks + KING) * 81, king_attacks(kings & ~crowned))
    pack_golds(words, plane, row, golds, ours)

    # All step pieces at once: those that share a direction never share the cell they attack.
    four = silvers | golds | kings
    ahead, around = forward(four, ours), golds | kings
    behind = forward(silvers | kings, not ours)
    counts = (forward(pawns, ours) | ahead, bits(0, 0), bits(0, 0))
    counts = raise_counts(counts, left(ahead))
    counts = raise_counts(counts, right(ahead))
    counts = raise_counts(counts, left(around))
    counts = raise_counts(counts, right(around))
    counts = raise_counts(counts, forward(around, not ours))
    counts = raise_counts(counts, left(behind))
    counts = raise_counts(counts, right(behind))
    if knights:
        ahead = forward(forward(knights, ours), ours)
        counts = raise_counts(counts, left(ahead))
        counts = raise_counts(counts, right(ahead))

    # Sliders one by one; the steps of horses and dragons are counted above.
    reach = bits(0, 0)
    while lances:
        cell = first(lances)
        one = ray_descending(UP, cell, occupied) if ours else ray_ascending(DOWN, cell, occupied)
        reach |= one
        counts = raise_counts(counts, one)
        lances = rest(lances)
    pack(words, (attacks + LANCE) * 81, reach)
    while bishops:
        cell = first(bishops)
        reach = bishop_reach(cell, occupied)
        if bit(cell) & crowned:
            steps = king_attacks(bit(cell))
            counts = raise_counts(counts, reach & ~steps)
            pack(words, (attacks + HORSE) * 81, reach | steps)
        else:
            counts = raise_counts(counts, reach)
            pack(words, (attacks + BISHOP) * 81, reach)
        bishops = rest(bishops)
    while rooks:
        cell = first(rooks)
        reach = rook_reach(cell, occupied)
        if bit(cell) & crowned:
            steps = king_attacks(bit(cell))
            counts = raise_counts(counts, reach & ~steps)
            pack(words, (attacks + DRAGON) * 81, reach | steps)
        else:
            counts = raise_counts(counts, reach)
            pack(words, (attacks + ROOK) * 81, reach)
        rooks = rest(rooks)
    pack(words, (plane + _COUNTS) * 81, counts[0])
    pack(words, (plane + _COUNTS + 1) * 81, counts[1])
    pack(words, (plane + _COUNTS + 2) * 81, counts[2])


@compiled
def pack_golds(words: UInt64Array, plane: int, row: Row, cells: Bitboard, ours: bool) -> None:
    """Write the piece and attack planes of golds and of all promoted pieces that move as gold."""
    while cells:
        cell = first(cells)
        type_ = as_int(row.board[cell_facing(cell, row.turn)]) & 15
        here = bit(cell)
        pack(words, (plane + type_ - 1) * 81, here)
        pack(words, (plane + _ATTACKS + type_ - 1) * 81, gold_attacks(here, ours))
        cells = rest(cells)


@compiled
def pack_hand(words: UInt64Array, plane: int, hand: Int8Array) -> None:
    """Write a side's 28 hand planes."""
    for k in range(7):
        most = as_int(_HAND_MAX[k])
        held = min(as_int(hand[_HAND_ORDER[k]]), most)
        for n in range(held):
            pack(words, (plane + n) * 81, board())
        plane += most


@compiled
def plies_left_planes(row: Row) -> int:
    """How many of the thresholds 256, 128, ..., 2 the plies left have reached, 0..8."""
    if row.max_plies == 0:
        return 0
    n, threshold = 0, 256
    while threshold >= 2 and row.max_plies - row.ply <= threshold:
        n, threshold = n + 1, threshold // 2
    return n


@compiled
def pack_planes(row: Row, words: UInt64Array) -> None:
    """Write the planes of one game as packed bits.

    Args:
        row: one game; `row.in_check` is up to date.
        words: uint64[173], overwritten; bit ``plane * 81 + cell``.
    """
    words[:] = 0
    us = row.turn
    view = look(row, us)
    pack_side(words, 0, row, view, view.own, True)
    pack_side(words, _SIDE_PLANES, row, view, view.their, False)
    pack_hand(words, _HAND_PLANE, row.hands[us])
    pack_hand(words, _HAND_PLANE + _HAND_PLANES, row.hands[1 - us])
    if row.in_check:
        pack(words, _CHECK_PLANE * 81, board())
    if us:
        pack(words, _WHITE_PLANE * 81, board())
    for n in range(min(row.repetitions, 2)):
        pack(words, (_REPETITION_PLANE + n) * 81, board())
    for n in range(plies_left_planes(row)):
        pack(words, (_PLIES_PLANE + n) * 81, board())
    for n in range(min((row.checks[us] + 1) // 2, 3)):
        pack(words, (_CHECKS_PLANE + n) * 81, board())
    for n in range(min((row.checks[1 - us] + 1) // 2, 3)):
        pack(words, (_CHECKS_PLANE + 3 + n) * 81, board())


@compiled
def write_board(row: Row, out: UInt8Array) -> None:
    """Write `observation="board"`: small integers, as the side to move sees the board.

    Args:
        row: one game.
        out: uint8[100], overwritten. 0..80 cells (0 empty, own types 1..14, the opponent's
            15..28); 81..87 own hand, PAWN..GOLD; 88..94 the opponent's; 95 side to move (1 White);
            96 earlier occurrences of the position; 97 own and 98 the opponent's checks in a row,
            up to 5; 99 how many of the thresholds 256, 128, ..., 2 the plies left have reached.
    """
    us = row.turn
    for cell in range(81):
        piece = row.board[cell_facing(cell, us)]
        theirs = piece != 0 and piece >> 4 != us
        out[cell] = (piece & 15) + 14 * theirs
    for k in range(7):
        out[81 + k] = row.hands[us, k]
        out[88 + k] = row.hands[1 - us, k]
    out[95] = us
    out[96] = row.repetitions
    out[97] = min(row.checks[us], 5)
    out[98] = min(row.checks[1 - us], 5)
    out[99] = plies_left_planes(row)


assert PLANES[-1].planes.stop == NUM_PLANES <= PLANE_WORDS * 64 // 81
