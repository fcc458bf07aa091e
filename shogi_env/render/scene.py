"""The picture as one list of filled outlines, which `svg` and `rgb` both draw.

The canvas is 720 x 540 units, x to the right, y down.  Black sits at the bottom.
"""

from functools import cache
from typing import NamedTuple

from shogi_env.core.constants import KING, PROMOTED, WHITE_PIECE
from shogi_env.render.diagram import RANK_NUMERALS, Diagram, color_of, held_pieces, kanji_of, type_of
from shogi_env.render.outlines import digit_width
from shogi_env.types import Color

WIDTH, HEIGHT = 720, 540
CELL_WIDTH, CELL_HEIGHT = 48, 52
GRID_LEFT, GRID_TOP = 144, 36
GRID_WIDTH, GRID_HEIGHT = 9 * CELL_WIDTH, 9 * CELL_HEIGHT
STAND_WIDTH, STAND_HEIGHT, SLOT = 100, 334, 46
STAND_CENTER = {Color.BLACK: (658, 361), Color.WHITE: (62, 179)}

TABLE, BOARD, BOARD_EDGE, GRAIN, LINE = "#e9e4d8", "#e6b866", "#b5853b", "#b98538", "#3a2a14"
STAND, STAND_EDGE, TO_MOVE = "#c9974f", "#9a6b2c", "#d3541f"
PIECE, PIECE_EDGE, PIECE_BEVEL, SHADOW = "#f8e0ae", "#7d5724", "#dcb878", "#2b1a05"
INK, RED, LABEL = "#17110a", "#c3161c", "#4a3820"
ORIGIN, DESTINATION = "#f6d84a", "#ee7b22"

HAND_SCALE = 0.94
"""Of a piece on a stand against one on the board."""
DIGIT_SIZE = 28
"""Of the counts on a stand."""
PIECE_SIZE = (0.0, 0.84, 0.87, 0.9, 0.94, 0.97, 0.97, 0.94, 1.0)
"""By type, pawn to king, against the king's; a promoted piece keeps its size."""


class Shape(NamedTuple):
    """An outline of `outlines`, put somewhere and filled."""

    outline: str
    x: float
    y: float
    """Where the outline's middle goes."""
    width: float
    height: float
    """Scale of the outline; both negative turn it by 180 degrees."""
    fill: str
    """#rrggbb."""
    opacity: float = 1.0


def scene(diagram: Diagram) -> list[Shape]:
    """Return every shape of the picture, the hindmost first."""
    return [*furniture(), *position_shapes(diagram)]


@cache
def furniture() -> tuple[Shape, ...]:
    """Return what all pictures share: table, board, stands and coordinates."""
    center = GRID_LEFT + GRID_WIDTH / 2, GRID_TOP + GRID_HEIGHT / 2
    shapes = [Shape("box", WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT, TABLE)]
    shapes.append(Shape("box", center[0], center[1] + 3, 478, 518, SHADOW, 0.25))
    shapes += _framed(*center, 476, 516, BOARD, BOARD_EDGE)
    shapes += _grain()
    shapes += _grid()
    shapes += _coordinates()
    shapes += _stands()
    return tuple(shapes)


def position_shapes(diagram: Diagram) -> list[Shape]:
    """Return what differs from one picture to the next: last move, side to move, pieces, hands."""
    shapes = []
    for cell, fill in zip(diagram.highlights[::-1], (DESTINATION, ORIGIN), strict=False):
        x, y = _cell_center(cell)
        shapes.append(Shape("box", x, y, CELL_WIDTH - 1, CELL_HEIGHT - 1, fill, 0.7))
    shapes += _framed(*STAND_CENTER[diagram.turn], STAND_WIDTH, STAND_HEIGHT, STAND, TO_MOVE)
    x, y = mark_center(diagram.turn)
    shapes.append(Shape("disc", x - 34, y, 14, 14, TO_MOVE))
    for cell, piece in enumerate(diagram.board.tolist()):
        if piece:
            shapes += piece_shapes(piece, *_cell_center(cell))
    for color in Color:
        shapes += _hand_shapes(diagram, color)
    return shapes


def piece_shapes(piece: int, x: float, y: float, scale: float = 1.0) -> list[Shape]:
    """Return a piece around (x, y): `piece` as in `Diagram.board`, scale 1 fits a cell."""
    kind = type_of(piece)
    sign = 1 if color_of(piece) == Color.BLACK else -1
    size = scale * PIECE_SIZE[kind if kind <= KING else kind - PROMOTED]
    width, height = 43 * size, 47 * size
    glyph = sign * 29 * size
    return [
        Shape("piece", x + 0.5, y + 2, sign * width, sign * height, SHADOW, 0.4),
        Shape("piece", x, y, sign * width, sign * height, PIECE_EDGE),
        Shape("piece", x, y + sign * 0.3, sign * (width - 2), sign * (height - 2.2), PIECE),
        Shape("bevel", x, y + sign * 0.3, sign * (width - 2), sign * (height - 2.2), PIECE_BEVEL),
        Shape(kanji_of(piece), x, y + sign * 2 * size, glyph, glyph * 1.12, RED if kind > KING else INK),
    ]


def _hand_shapes(diagram: Diagram, color: Color) -> list[Shape]:
    """Return a side's hand, strongest piece on top, each with its count."""
    x, y = STAND_CENTER[color]
    owner = WHITE_PIECE if color == Color.WHITE else 0
    shapes = []
    for slot, (kind, count) in enumerate(held_pieces(diagram, color)):
        middle = y - STAND_HEIGHT / 2 + 6 + SLOT * (slot + 0.5)
        shapes += piece_shapes(kind + owner, x - 22, middle, HAND_SCALE)
        shapes += _text(str(count), x + 24, middle, DIGIT_SIZE, INK)
    return shapes


def _cell_center(cell: int) -> tuple[float, float]:
    """Return the middle of what the lines, one unit wide, leave of a cell."""
    file, rank = divmod(cell, 9)
    return GRID_LEFT + CELL_WIDTH * (8.5 - file) + 0.5, GRID_TOP + CELL_HEIGHT * (rank + 0.5) + 0.5


def _framed(x: float, y: float, width: float, height: float, fill: str, edge: str) -> list[Shape]:
    return [Shape("box", x, y, width, height, edge), Shape("box", x, y, width - 4, height - 4, fill)]


def _stands() -> list[Shape]:
    """Return both stands; above Black's a black piece and below White's a white one say whose they are."""
    shapes = []
    for color in Color:
        x, y = STAND_CENTER[color]
        shapes.append(Shape("box", x, y + 3, STAND_WIDTH + 2, STAND_HEIGHT + 2, SHADOW, 0.25))
        shapes += _framed(x, y, STAND_WIDTH, STAND_HEIGHT, STAND, STAND_EDGE)
    shapes.append(Shape("piece", *mark_center(Color.BLACK), 30, 32, INK))
    shapes.append(Shape("piece", *mark_center(Color.WHITE), -30, -32, INK))
    shapes.append(Shape("piece", *mark_center(Color.WHITE), -26, -28, "#ffffff"))
    return shapes


def mark_center(color: Color) -> tuple[float, float]:
    """Return the middle of the piece that says whose a stand is."""
    x, y = STAND_CENTER[color]
    distance = STAND_HEIGHT / 2 + 26
    return x, y - distance if color == Color.BLACK else y + distance


def _grain() -> list[Shape]:
    """Return straight wood grain: bands whose places and widths only look random."""
    shapes = []
    for band in range(34):
        x = GRID_LEFT - 16 + (band * 0.618034 % 1) * (GRID_WIDTH + 32)
        width = 2 + 5 * (band * 0.381 % 1)
        turn = 1 if band % 2 else -1
        shapes.append(Shape("grain", round(x, 1), 270, turn * round(width, 1), turn * 512, GRAIN, 0.22))
    return shapes


def _grid() -> list[Shape]:
    """Return the lines, one unit wide so that they are sharp at the default size, and the four dots."""
    shapes = []
    middle_x, middle_y = GRID_LEFT + GRID_WIDTH / 2 + 0.5, GRID_TOP + GRID_HEIGHT / 2 + 0.5
    for line in range(10):
        thick = 2 if line in (0, 9) else 1
        shift = {0: 0.0, 9: 1.0}.get(line, 0.5)
        x, y = GRID_LEFT + CELL_WIDTH * line + shift, GRID_TOP + CELL_HEIGHT * line + shift
        shapes.append(Shape("box", x, middle_y, thick, GRID_HEIGHT + 3, LINE))
        shapes.append(Shape("box", middle_x, y, GRID_WIDTH + 3, thick, LINE))
    for column in (3, 6):
        for row in (3, 6):
            x, y = GRID_LEFT + CELL_WIDTH * column + 0.5, GRID_TOP + CELL_HEIGHT * row + 0.5
            shapes.append(Shape("disc", x, y, 7, 7, LINE))
    return shapes


def _coordinates() -> list[Shape]:
    shapes = []
    for index in range(9):
        x, y = _cell_center(9 * index + index)
        shapes += _text(str(index + 1), x, GRID_TOP - 11, 15, LABEL)
        shapes.append(Shape(RANK_NUMERALS[index], GRID_LEFT + GRID_WIDTH + 12, y, 14, 14, LABEL))
    return shapes


def _text(digits: str, x: float, y: float, size: float, fill: str) -> list[Shape]:
    """Return a number, its middle at (x, y)."""
    step = digit_width() * size
    left = x - step * (len(digits) - 1) / 2
    return [Shape(digit, left + step * place, y, size, size, fill) for place, digit in enumerate(digits)]
