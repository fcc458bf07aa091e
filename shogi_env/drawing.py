"""The parts of the board's picture, for programs that move pieces on it themselves."""

from functools import cache
from typing import Any

from shogi_env.core.constants import WHITE_PIECE
from shogi_env.render import scene
from shogi_env.render.diagram import HAND_ORDER
from shogi_env.render.outlines import digit_width, outline
from shogi_env.types import Color

_DIGITS = "0123456789"


@cache
def drawing() -> dict[str, Any]:
    """All that `Board.svg` draws with, as JSON: outlines, the empty board, each piece, and where they go.

    Returns:
        `outlines`: SVG paths by name; `furniture`: shapes behind the pieces; `pieces`: shapes around (0, 0)
        by the piece's number, 1..14 for Black and 17..30 for White; `layout`: sizes and places.  A shape is
        [outline, x, y, width, height, fill, opacity], sizes as scales of the outline's thousandths.
    """
    kinds = range(1, 15)
    pieces = {
        owner + kind: scene.piece_shapes(owner + kind, 0, 0) for owner in (0, WHITE_PIECE) for kind in kinds
    }
    furniture = scene.furniture()
    used = {shape.outline for shapes in (furniture, *pieces.values()) for shape in shapes}
    return {
        "outlines": {name: outline(name) for name in sorted({*used, *_DIGITS, "disc", "box"})},
        "furniture": [list(shape) for shape in furniture],
        "pieces": {str(number): [list(shape) for shape in shapes] for number, shapes in pieces.items()},
        "layout": _layout(),
    }


def _layout() -> dict[str, Any]:
    stands = {color.name.lower(): scene.STAND_CENTER[color] for color in Color}
    marks = {color.name.lower(): scene.mark_center(color) for color in Color}
    return {
        "width": scene.WIDTH,
        "height": scene.HEIGHT,
        "cell": [scene.CELL_WIDTH, scene.CELL_HEIGHT],
        "grid": [scene.GRID_LEFT, scene.GRID_TOP],
        "stand": [scene.STAND_WIDTH, scene.STAND_HEIGHT],
        "slot": scene.SLOT,
        "stands": stands,
        "marks": marks,
        "hand_order": [int(kind) for kind in HAND_ORDER],
        "hand_scale": scene.HAND_SCALE,
        "digit": [scene.DIGIT_SIZE, scene.DIGIT_SIZE * digit_width()],
        "colors": {
            "stand": scene.STAND,
            "to_move": scene.TO_MOVE,
            "ink": scene.INK,
            "origin": scene.ORIGIN,
            "destination": scene.DESTINATION,
        },
    }
