"""Who sits where, and what that means for the discount of each column."""

import numpy as np

from shogi_env.opponents import Opponent
from shogi_env.types import BoolArray, Float32Array


def seats(n_envs: int, share: float, pool: Opponent | None) -> list[Opponent | None]:
    """Return who sits opposite the learner in each column: None, itself, or in the last ones the pool.

    Args:
        n_envs: N.
        share: of the columns that the pool gets, 0..1.
        pool: answers for all of its columns; None where the share is 0.

    Raises:
        ValueError: the share is above 0 and half a column at most.
    """
    count = round(share * n_envs)
    if share > 0 and not count:
        raise ValueError(f"league.share = {share} of env.n_envs = {n_envs} games is none; raise one of them")
    return [None] * (n_envs - count) + [pool] * count


def discounts(both_seats: BoolArray, gamma: float) -> Float32Array:
    """Return the signed discount of each column: the one place that decides the sign.

    Where the learner plays both seats, the next position belongs to the opponent, and its
    value is the mover's loss: `A = r - gamma V(s') - V(s) - gamma lambda A'` is generalized
    advantage estimation with a discount of -gamma. Where an opponent answers inside the
    environment, the next position is the learner's own, two plies on, and the discount is
    +gamma^2, so that a position is worth the same in either column.  Only a game that the answer
    ends is not: its reward is not discounted by the ply in between.

    Args:
        both_seats: bool[N], whether the learner moves for both sides of column n.
        gamma: discount per ply, 0..1.

    Returns:
        float32[N].
    """
    return np.where(both_seats, -gamma, gamma**2).astype(np.float32)
