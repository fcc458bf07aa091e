"""`Move` to and from the integers that kernels use (see `core.play`)."""

from shogi_env.notation.usi import Move
from shogi_env.types import PieceType

_DROP_SOURCE = 80


def from_packed(packed: int) -> Move:
    """The move that an integer of `core.play` stands for."""
    to, source = int(packed) & 127, int(packed) >> 7 & 127
    if source > _DROP_SOURCE:
        return Move(to, drop=PieceType(source - _DROP_SOURCE))
    return Move(to, source=source, promotion=bool(packed >> 14))


def to_packed(move: Move) -> int:
    """The integer of `core.play` for a move."""
    source = move.source if move.drop is None else _DROP_SOURCE + move.drop
    assert source is not None  # Move checks it
    return move.to | source << 7 | move.promotion << 14
