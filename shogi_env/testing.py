"""Tools to check the rules with, here and in other projects."""

from shogi_env.core.perft import count_leaves
from shogi_env.initial import first_row


def perft(sfen: str | None, depth: int, *, bulk: bool = True) -> int:
    """Count the positions that `depth` plies of legal moves lead to.

    Args:
        sfen: the position; None for the even game.
        depth: plies, >= 0.
        bulk: count the moves of the last ply instead of playing each.

    Raises:
        SfenError: `sfen` is not a position.
        ValueError: `depth` is negative.

    >>> perft(None, 3)
    25470
    """
    if depth < 0:
        raise ValueError(f"depth is at least 0, not {depth}")
    rows = first_row(sfen)
    return int(count_leaves(rows, depth, bulk)) if depth else 1
