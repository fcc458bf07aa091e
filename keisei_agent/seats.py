"""Who sits where, and what that means for the discount of each column."""

import numpy as np

from shogi_env.types import BoolArray, Float32Array


def discounts(both_seats: BoolArray, gamma: float) -> Float32Array:
    """Return the signed discount of each column: the one place that decides the sign.

    Where the learner plays both seats, the next position belongs to the opponent, and its
    value is the mover's loss: `A = r - gamma V(s') - V(s) - gamma lambda A'` is generalized
    advantage estimation with a discount of -gamma. Where an opponent answers inside the
    environment, the next position is the learner's own and the discount is +gamma.

    Args:
        both_seats: bool[N], whether the learner moves for both sides of column n.
        gamma: discount per decision, 0..1.

    Returns:
        float32[N].
    """
    return np.where(both_seats, -gamma, gamma).astype(np.float32)
