"""Words that every module shares: enums with pinned integer values, and array aliases.

Letters used in shapes: N games, P planes, A actions, T steps.
"""

from enum import IntEnum
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

BoolArray: TypeAlias = NDArray[np.bool_]
Int8Array: TypeAlias = NDArray[np.int8]
Int16Array: TypeAlias = NDArray[np.int16]
UInt8Array: TypeAlias = NDArray[np.uint8]
Int32Array: TypeAlias = NDArray[np.int32]
Int64Array: TypeAlias = NDArray[np.int64]
UInt64Array: TypeAlias = NDArray[np.uint64]
Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]
StateArray: TypeAlias = NDArray[np.void]
"""Games: rows of `core.state.STATE`."""
Row: TypeAlias = np.record
"""One game: one row of `core.state.STATE`, with the fields as attributes."""


class Color(IntEnum):
    """A side. Black (sente) moves first in an even game and up the board."""

    BLACK = 0
    WHITE = 1

    @property
    def other(self) -> "Color":
        """The opponent's color."""
        return Color(1 - self)


class PieceType(IntEnum):
    """Kinds of piece; a promoted piece is its unpromoted type + 8."""

    PAWN = 1
    LANCE = 2
    KNIGHT = 3
    SILVER = 4
    BISHOP = 5
    ROOK = 6
    GOLD = 7
    KING = 8
    PROMOTED_PAWN = 9
    PROMOTED_LANCE = 10
    PROMOTED_KNIGHT = 11
    PROMOTED_SILVER = 12
    HORSE = 13
    DRAGON = 14


class Termination(IntEnum):
    """Why a game ended. The values are the int8 codes of `info["termination"]`."""

    RUNNING = 0
    """The game goes on."""
    CHECKMATE = 1
    """The side to move is in check and has no legal move: it loses."""
    NO_LEGAL_MOVES = 2
    """The side to move is not in check and has no legal move: it loses."""
    REPETITION = 3
    """Fourth occurrence of a position (sennichite): a draw."""
    PERPETUAL_CHECK = 4
    """Fourth occurrence, and one side alone gave check with every move since the first: it loses."""
    DECLARATION = 5
    """The side to move fulfils the 27-point rule (nyugyoku): it wins."""
    MAX_PLIES = 6
    """The ply limit was reached: a draw by rule, not a truncation."""
    ILLEGAL_MOVE = 7
    """A player chose an action that is not legal: it loses."""
    RESIGNATION = 8
    """A player gave up: it loses."""


NO_WINNER = -1
"""`info["winner"]` while a game runs and after a draw; otherwise a `Color`."""


class Snapshot(NamedTuple):
    """Copies of games, made by `Positions.snapshot` and `Board.snapshot`; plain arrays, so it pickles."""

    rows: StateArray
    """STATE[k]"""
    history: UInt64Array
    """uint64[k, longest game + 1], position keys by ply."""
    legal: UInt64Array
    """uint64[k, 27, 2]"""
