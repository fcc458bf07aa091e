"""Board geometry as uint64 words: where a piece steps, rays, zones, Zobrist keys.

All tables are seen by the mover, whose pieces move up.  Row 81 (`NO_CELL`) of a table that is
indexed by a king's cell is empty, so that a missing king needs no special case.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from shogi_env.core.constants import (
    BISHOP,
    DOWN,
    DOWN_LEFT,
    DOWN_RIGHT,
    GOLD,
    JUMP_LEFT,
    JUMP_RIGHT,
    KING,
    KNIGHT,
    LANCE,
    LEFT,
    NUM_CELLS,
    NUM_DIRECTIONS,
    PAWN,
    RIGHT,
    ROOK,
    SILVER,
    STEPS,
    UP,
    UP_LEFT,
    UP_RIGHT,
)

# A kind is a way of moving: 0..7 those of PAWN..KING.  Promoted minor pieces move as GOLD; a horse
# is in two kinds, BISHOP and KING, and a dragon in ROOK and KING.
KIND_PAWN, KIND_LANCE, KIND_KNIGHT, KIND_SILVER, KIND_BISHOP, KIND_ROOK, KIND_GOLD, KIND_KING = range(8)
KIND = np.array([-1, 0, 1, 2, 3, 4, 5, 6, 7, 6, 6, 6, 6, 4, 5, -1], np.int64)
"""Kind of each piece type, 0..14."""

NO_DIRECTION = 10
OPPOSITE = np.array([DOWN, DOWN_RIGHT, DOWN_LEFT, RIGHT, LEFT, UP, UP_RIGHT, UP_LEFT] + 3 * [NO_DIRECTION])
"""The direction back; jumps have none."""
ASCENDING = np.array([0, 1, 0, 1, 0, 1, 1, 0], np.int8)
"""Whether a direction leads to cells of higher number."""

RISING = np.array([(UP_LEFT, DOWN_LEFT), (LEFT, DOWN)], np.int64)
"""Bishop's and rook's directions to cells of higher number."""
FALLING = np.array([(UP_RIGHT, DOWN_RIGHT), (RIGHT, UP)], np.int64)
"""Bishop's and rook's directions to cells of lower number."""

_STEP_DIRECTIONS = {
    PAWN: (UP,),
    LANCE: (),
    KNIGHT: (JUMP_LEFT, JUMP_RIGHT),
    SILVER: (UP, UP_LEFT, UP_RIGHT, DOWN_LEFT, DOWN_RIGHT),
    BISHOP: (),
    ROOK: (),
    GOLD: (UP, UP_LEFT, UP_RIGHT, LEFT, RIGHT, DOWN),
    KING: tuple(range(8)),
}
DIAGONALS = (UP_LEFT, UP_RIGHT, DOWN_LEFT, DOWN_RIGHT)
STRAIGHTS = (UP, DOWN, LEFT, RIGHT)


def _words(cells: Iterable[int]) -> list[int]:
    value = sum(1 << cell for cell in set(cells))
    return [value & (1 << 64) - 1, value >> 64]


def walk(cell: int, direction: int, sign: int = 1, limit: int = 9) -> Iterator[int]:
    """The cells met from `cell` on along a direction, at most `limit` of them, up to the edge."""
    file, rank = divmod(cell, 9)
    for _ in range(limit):
        file, rank = file + sign * STEPS[direction][0], rank + sign * STEPS[direction][1]
        if cell == NUM_CELLS or not (0 <= file < 9 and 0 <= rank < 9):
            return
        yield file * 9 + rank


_CELLS = range(NUM_CELLS + 1)
STEP = np.array(
    [
        [_words(to for d in directions for to in walk(cell, d, limit=1)) for cell in _CELLS]
        for directions in _STEP_DIRECTIONS.values()
    ],
    np.uint64,
)
"""[kind, cell] -> cells that a piece of the mover steps or jumps to; none for sliders."""

RAY = np.array(
    [[_words(walk(cell, d) if d < 8 else ()) for cell in _CELLS] for d in range(NO_DIRECTION + 1)], np.uint64
)
"""[direction, cell] -> all cells beyond `cell` up to the edge; none for jumps and NO_DIRECTION."""

LINES = np.array(
    [
        [_words(to for d in ds for to in walk(cell, d)) for cell in _CELLS]
        for ds in ((UP,), DIAGONALS, STRAIGHTS)
    ],
    np.uint64,
)
"""[LINE_UP, LINE_DIAGONAL or LINE_STRAIGHT; cell] -> cells on a lance's, bishop's or rook's lines."""
LINE_UP, LINE_DIAGONAL, LINE_STRAIGHT = range(3)

DIRECTION = np.full((NUM_CELLS, NUM_CELLS), NO_DIRECTION, np.int8)
"""[from, to] -> direction of that move, or NO_DIRECTION."""
for _cell in range(NUM_CELLS):
    for _d in range(NUM_DIRECTIONS):
        for _to in walk(_cell, _d, limit=9 if _d < 8 else 1):
            DIRECTION[_cell, _to] = _d

JUMP_SOURCE = np.array(
    [[next(walk(cell, d, -1, 1), -1) for cell in range(NUM_CELLS)] for d in (JUMP_LEFT, JUMP_RIGHT)],
    np.int8,
)
"""[jump to the left, right; cell] -> where a knight that lands on `cell` comes from, or -1."""


def _ranks(*ranks: int) -> tuple[np.uint64, np.uint64]:
    low, high = _words(cell for cell in range(NUM_CELLS) if cell % 9 in ranks)
    return np.uint64(low), np.uint64(high)


BOARD_LOW, BOARD_HIGH = _ranks(*range(9))
TOP_LOW, TOP_HIGH = _ranks(0)
TOP_TWO_LOW, TOP_TWO_HIGH = _ranks(0, 1)
ZONE_LOW, ZONE_HIGH = _ranks(0, 1, 2)
BOTTOM_LOW, BOTTOM_HIGH = _ranks(8)
BOTTOM_TWO_LOW, BOTTOM_TWO_HIGH = _ranks(7, 8)

# Zobrist keys: the key of a position is the xor of those of its pieces, hands and side to move.
_rng = np.random.default_rng(20240229)
KEY_BOARD = _rng.integers(1, 2**63, (32, NUM_CELLS), np.uint64)
"""[piece on the board, cell]"""
KEY_HAND = _rng.integers(1, 2**63, (2, 7, 19), np.uint64)
"""[color, hand piece, how many]"""
KEY_HAND[:, :, 0] = 0
KEY_WHITE = np.uint64(_rng.integers(1, 2**63))

POINTS = np.array([0, 1, 1, 1, 1, 5, 5, 1, 0, 1, 1, 1, 1, 5, 5, 0], np.int8)
"""Points of each piece type in the 27-point declaration rule (CSA)."""
