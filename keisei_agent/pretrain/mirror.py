"""Left and right changed: the rules are the same in a mirror."""

import numpy as np

from shogi_env.core.constants import NUM_ACTION_PLANES, NUM_CELLS
from shogi_env.types import BoolArray, Int64Array, UInt8Array

_DIRECTIONS = (0, 2, 1, 4, 3, 5, 7, 6, 9, 8)
"""Up, up-left, up-right, ... (docs/encodings.md), as a mirror shows them."""


def _mirror_actions() -> Int64Array:
    planes = [*_DIRECTIONS, *(10 + k for k in _DIRECTIONS), *range(20, NUM_ACTION_PLANES)]
    cells = np.arange(NUM_CELLS).reshape(9, 9)[::-1].ravel()
    return (np.array(planes)[:, None] * NUM_CELLS + cells).ravel()


MIRRORED = _mirror_actions()
"""int64[2187]: each action as a mirror shows it; its own inverse."""


def mirror(planes: UInt8Array, masks: UInt8Array, actions: Int64Array, where: BoolArray) -> None:
    """Change left and right of some positions, in place.

    Args:
        planes: uint8[k, P, 9, 9], of any observation whose cells are ``[file, rank]``.
        masks: uint8[k, 2187], the legal actions.
        actions: int64[k].
        where: bool[k], which.
    """
    planes[where] = planes[where][:, :, ::-1]
    masks[where] = masks[where][:, MIRRORED]
    actions[where] = MIRRORED[actions[where]]
