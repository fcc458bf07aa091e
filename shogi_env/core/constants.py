"""Numbers that name pieces, cells, directions and actions.

A cell is ``9 * file + rank``; file 0 is file "1", rank 0 is rank "a".  The mover sees the board
from its own side, so for White a cell counts from the other corner: ``80 - cell``.
An action is ``plane * 81 + destination`` as the mover sees it; the planes are 10 directions the
piece moves in, the same 10 with promotion, and 7 drops (the labels of dlshogi and of pgx).
"""

BLACK, WHITE = 0, 1

# Piece types.  On the board a white piece is type + 16 and an empty cell 0.
PAWN, LANCE, KNIGHT, SILVER, BISHOP, ROOK, GOLD, KING = range(1, 9)
PROMOTED = 8
HORSE, DRAGON = BISHOP + PROMOTED, ROOK + PROMOTED
WHITE_PIECE = 16
MAX_COUNT = (0, 18, 4, 4, 4, 2, 2, 4, 2)
"""Pieces of each type in a full set, by type (promoted ones count as unpromoted)."""

NUM_CELLS = 81
NO_CELL = 81
"""The cell of a king that is not on the board."""

# Directions as the mover sees them, in the order of the action planes.
UP, UP_LEFT, UP_RIGHT, LEFT, RIGHT, DOWN, DOWN_LEFT, DOWN_RIGHT, JUMP_LEFT, JUMP_RIGHT = range(10)
NUM_DIRECTIONS = 10
STEPS = ((0, -1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (1, 1), (-1, 1), (1, -2), (-1, -2))
"""(file, rank) difference of each direction."""

PROMOTION_PLANE = 10
DROP_PLANE = 20
NUM_ACTION_PLANES = 27
NUM_ACTIONS = NUM_ACTION_PLANES * NUM_CELLS
MAX_LEGAL_MOVES = 593
"""The most legal moves any position has (R8/2K1S1SSk/4B4/9/9/9/9/9/1L1L1L3 b RBGSNLP3g3n17p 1)."""

HAND_TYPES = (PAWN, LANCE, KNIGHT, SILVER, BISHOP, ROOK, GOLD)
NUM_HAND_TYPES = len(HAND_TYPES)

DEFAULT_MAX_PLIES = 512

NUM_PLANES = 136
MASK_WORDS = 35
"""uint64 words that hold the 2187 bits of a packed mask."""
PLANE_WORDS = 173
"""uint64 words that hold the 136 * 81 bits of packed planes."""
