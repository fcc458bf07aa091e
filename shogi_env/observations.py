"""What `observation=` and `layout=` mean: spaces, and how a batch's observations are written."""

import numpy as np
from gymnasium import spaces

from shogi_env.core.constants import MAX_COUNT
from shogi_env.core.planes import BOARD_SIZE, PLANES_OF
from shogi_env.positions import Positions
from shogi_env.types import Int64Array, UInt8Array

KINDS = (*PLANES_OF, "board")
LAYOUTS = ("NCHW", "NHWC")


class Observer:
    """Writes observations of one kind in one layout.

    Args:
        kind: "full" (136 planes), "pieces" (the 102 that are not attack maps), "dlshogi" (the first 119,
            which are dlshogi's) or "board" (100 small integers, see `core.planes.write_board`).
        layout: "NCHW" or "NHWC"; "board" has no layout.

    Raises:
        ValueError: there is no such kind or layout.

    Attributes:
        space: the observation space of one game.
    """

    def __init__(self, kind: str, layout: str) -> None:
        if kind not in KINDS:
            raise ValueError(f"observation is one of {', '.join(map(repr, KINDS))}, not {kind!r}")
        if layout not in LAYOUTS:
            raise ValueError(f"layout is one of {', '.join(map(repr, LAYOUTS))}, not {layout!r}")
        self._kind, self._layout = kind, layout
        self.space = _board_space() if kind == "board" else self._plane_space()

    def _plane_space(self) -> "spaces.Box[np.uint8]":
        planes = len(PLANES_OF[self._kind])
        shape = (planes, 9, 9) if self._layout == "NCHW" else (9, 9, planes)
        return spaces.Box(0, 1, shape, np.uint8)

    @property
    def is_planes(self) -> bool:
        """Whether an observation is what `Positions.planes` writes."""
        return self._kind == "full" and self._layout == "NCHW"

    def write(self, positions: Positions, out: UInt8Array, where: Int64Array | None = None) -> None:
        """Overwrite `out`, uint8[k, *space.shape], with the observations of the games `where`."""
        if self._kind == "board":
            positions.boards(out, where)
        elif self.is_planes:
            positions.planes(out, where)
        else:
            planes = positions.planes(where=where)
            if self._kind != "full":
                planes = planes[:, PLANES_OF[self._kind]]
            out[:] = planes if self._layout == "NCHW" else planes.transpose(0, 2, 3, 1)


def _board_space() -> "spaces.Box[np.uint8]":
    high = np.concatenate([np.full(81, 28), np.tile(MAX_COUNT[1:8], 2), [1, 3, 5, 5, 8]])
    assert len(high) == BOARD_SIZE
    return spaces.Box(np.zeros(BOARD_SIZE, np.uint8), high.astype(np.uint8), dtype=np.uint8)
