"""Filling outlines with antialiasing, in NumPy."""

from functools import lru_cache
from math import floor
from typing import NamedTuple

import numpy as np

from shogi_env.render.outlines import edges
from shogi_env.render.scene import Shape
from shogi_env.types import Float64Array, UInt8Array

LINES = 8
"""Scan lines per row of pixels; along a line the covered length is exact."""


class Mask(NamedTuple):
    """How much of each pixel an outline covers, 0..255, around the pixel that holds its middle."""

    coverage: UInt8Array
    left: int
    top: int


def paint(image: UInt8Array, shapes: list[Shape] | tuple[Shape, ...], scale: float) -> None:
    """Draw shapes over a picture, in order.

    Args:
        image: uint8[H, W, 3], changed in place.
        shapes: what to draw.
        scale: pixels per unit of the scene.
    """
    for shape in shapes:
        x, y = shape.x * scale, shape.y * scale
        column, row = floor(x), floor(y)
        mask = _mask(
            shape.outline, shape.width * scale, shape.height * scale, round(x - column, 3), round(y - row, 3)
        )
        _blend(image, mask, column + mask.left, row + mask.top, shape.fill, shape.opacity)


def _blend(image: UInt8Array, mask: Mask, left: int, top: int, fill: str, opacity: float) -> None:
    """Mix a color into the pixels under a mask whose corner is at (left, top); what sticks out is cut off."""
    height, width = mask.coverage.shape
    skip_x, skip_y = max(-left, 0), max(-top, 0)
    target = image[top + skip_y : max(top + height, 0), left + skip_x : max(left + width, 0)]
    part = mask.coverage[skip_y : skip_y + target.shape[0], skip_x : skip_x + target.shape[1]]
    alpha = part.astype(np.uint32)[:, :, None] * round(opacity * 255)
    color = np.frombuffer(bytes.fromhex(fill[1:]), np.uint8)
    full = 255 * 255
    target[...] = (target * (full - alpha) + color * alpha + full // 2) // full


@lru_cache(maxsize=2048)
def _mask(name: str, width: float, height: float, x: float, y: float) -> Mask:
    """Return the mask of an outline of this size in pixels whose middle is at (x, y) of a pixel."""
    placed = edges(name) * (width, height, width, height) + (x, y, x, y)
    low = np.floor(np.minimum(placed[:, :2], placed[:, 2:]).min(axis=0)).astype(int)
    high = np.ceil(np.maximum(placed[:, :2], placed[:, 2:]).max(axis=0)).astype(int)
    columns, rows = (np.maximum(high - low, 1)).tolist()
    coverage = _fill(placed - np.tile(low, 2), rows, columns)
    coverage.flags.writeable = False
    return Mask(coverage, int(low[0]), int(low[1]))


def _fill(placed: Float64Array, rows: int, columns: int) -> UInt8Array:
    """Return uint8[rows, columns]: how much of each pixel has a winding number that is not zero.

    Each edge that crosses a scan line adds its direction to all that lies right of the crossing;
    the pixel of the crossing gets its share, the next one the rest, and a running sum does the rest.

    Args:
        placed: float64[E, 4], closed contours inside the array, in pixels.
        rows: height of the result.
        columns: width of the result.
    """
    x0, y0, x1, y1 = placed.T
    heights = (np.arange(rows * LINES) + 0.5) / LINES
    crossing = (np.minimum(y0, y1)[:, None] <= heights) & (heights < np.maximum(y0, y1)[:, None])
    edge, line = np.nonzero(crossing)
    slope = (x1 - x0)[edge] / (y1 - y0)[edge]
    x = np.clip(x0[edge] + (heights[line] - y0[edge]) * slope, 0, columns)
    column = np.floor(x).astype(np.int64)
    share = x - column
    direction = np.sign(y1 - y0)[edge]
    start = line * (columns + 2) + column
    size = rows * LINES * (columns + 2)
    change = np.bincount(start, direction * (1 - share), size)
    change += np.bincount(start + 1, direction * share, size)
    winding = np.abs(change.reshape(-1, columns + 2).cumsum(axis=1)[:, :columns])
    covered: Float64Array = np.minimum(winding, 1).reshape(rows, LINES, columns).mean(axis=1)
    return np.rint(covered * 255).astype(np.uint8)
