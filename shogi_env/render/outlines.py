"""The outlines that pictures are made of: glyphs from the data file, and a few plain shapes.

An outline is SVG path text of absolute M, L, H, V, C and Z commands in thousandths of its width
or height, y down, around its own middle; inside is where the winding number is not zero.
"""

import re
from functools import cache
from typing import Any, cast

import numpy as np

from shogi_env.types import Float64Array

SHAPES = {
    "box": "M-500 -500H500V500H-500Z",
    "piece": "M0 -500L345 -375L470 500H-470L-345 -375Z",
    "bevel": "M-456 405H456L470 500H-470Z",
    "disc": "M0 -500C276 -500 500 -276 500 0C500 276 276 500 0 500C-276 500 -500 276 -500 0"
    "C-500 -276 -276 -500 0 -500Z",
    "grain": "M-500 -500C-100 -250 100 -100 -300 100C-500 250 -300 400 -400 500"
    "H100C200 400 0 250 200 100C600 -100 400 -250 0 -500Z",
}
CURVE_STEPS = np.linspace(0.125, 1.0, 8)
"""Where a cubic curve is cut into straight edges."""


@cache
def _glyph_data() -> dict[str, Any]:
    import json
    from importlib.resources import files

    text = files("shogi_env.render").joinpath("data", "glyphs.json").read_text(encoding="utf-8")
    return cast(dict[str, Any], json.loads(text))


def outline(name: str) -> str:
    """Return the path text of a shape of `SHAPES` or of one character."""
    return SHAPES.get(name) or cast(str, _glyph_data()["outlines"][name])


def digit_width() -> float:
    """Return the advance of every digit as a fraction of the em."""
    return float(_glyph_data()["digit_width"]) / 1000


@cache
def edges(name: str) -> Float64Array:
    """Return an outline's edges, float64[E, 4]: x0, y0, x1, y1 with width and height 1; read-only."""
    tokens = re.findall(r"[MLHVCZ]|-?\d+", outline(name))
    points: list[tuple[float, float]] = []
    contours = [points]
    command, position = "", 0
    while position < len(tokens):
        if tokens[position].isalpha():
            command, position = tokens[position], position + 1
            if command == "Z":
                points = []
                contours.append(points)
                continue
        count = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6}[command]
        numbers = [float(token) for token in tokens[position : position + count]]
        position += count
        if command == "C":
            points += _curve(points[-1], numbers)
        else:
            x = numbers[0] if command != "V" else points[-1][0]
            y = numbers[-1] if command != "H" else points[-1][1]
            points.append((x, y))
    closed = [np.array(contour) for contour in contours if contour]
    result = np.concatenate([np.hstack([ends, np.roll(ends, -1, axis=0)]) for ends in closed]) / 1000
    result.flags.writeable = False
    return result


def _curve(start: tuple[float, float], controls: list[float]) -> list[tuple[float, float]]:
    """Return the points after `start` along a cubic Bezier curve."""
    p0, p1, p2, p3 = np.array([*start, *controls]).reshape(4, 1, 2)
    t = CURVE_STEPS[:, None]
    s = 1 - t
    points = s**3 * p0 + 3 * s**2 * t * p1 + 3 * s * t**2 * p2 + t**3 * p3
    return [(float(x), float(y)) for x, y in points]
