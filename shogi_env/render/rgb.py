"""The board as pixels."""

from functools import lru_cache

import numpy as np

from shogi_env.render.diagram import Diagram
from shogi_env.render.raster import paint
from shogi_env.render.scene import HEIGHT, furniture, position_shapes
from shogi_env.render.svg import DEFAULT_HEIGHT, picture_width
from shogi_env.types import UInt8Array


def rgb(diagram: Diagram, *, size: int = DEFAULT_HEIGHT) -> UInt8Array:
    """Draw a position, the same drawing as `svg`.

    Args:
        diagram: what to draw.
        size: height in pixels, at least 1; the width is 4/3 of it.

    Returns:
        uint8[size, width, 3], a fresh array.
    """
    image = _empty_table(size).copy()
    paint(image, position_shapes(diagram), size / HEIGHT)
    return image


@lru_cache(maxsize=4)
def _empty_table(size: int) -> UInt8Array:
    """Return the picture without pieces; read-only."""
    image = np.zeros((size, picture_width(size), 3), np.uint8)
    paint(image, furniture(), size / HEIGHT)
    image.flags.writeable = False
    return image
