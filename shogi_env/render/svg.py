"""The board as an SVG drawing that needs no font."""

from shogi_env.render.diagram import Diagram
from shogi_env.render.outlines import outline
from shogi_env.render.scene import HEIGHT, WIDTH, Shape, scene

DEFAULT_HEIGHT = HEIGHT


def svg(diagram: Diagram, *, size: int = DEFAULT_HEIGHT) -> str:
    """Draw a position as an SVG document.

    Args:
        diagram: what to draw.
        size: height in CSS pixels, at least 1; the width is 4/3 of it, as in `rgb`.
    """
    shapes = scene(diagram)
    names = dict.fromkeys(shape.outline for shape in shapes)
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1"'
        f' width="{picture_width(size)}" height="{size}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<defs>",
        *(f'<path id="{_identifier(name)}" d="{outline(name)}"/>' for name in names),
        "</defs>",
        *map(_element, shapes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def picture_width(size: int) -> int:
    """Return the width that goes with a height, both in pixels.

    Raises:
        ValueError: the height is not a positive integer.
    """
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"size must be a height in pixels, an integer of at least 1, not {size!r}")
    return max(1, round(size * WIDTH / HEIGHT))


def _identifier(name: str) -> str:
    """Return an id in ASCII; equal ids on one page hold equal outlines."""
    return "shogi-" + (name if len(name) > 1 else f"{ord(name):x}")


def _element(shape: Shape) -> str:
    opacity = "" if shape.opacity == 1 else f' fill-opacity="{shape.opacity:g}"'
    return (
        f'<use xlink:href="#{_identifier(shape.outline)}" fill="{shape.fill}"{opacity} transform="matrix('
        f'{shape.width / 1000:g} 0 0 {shape.height / 1000:g} {shape.x:g} {shape.y:g})"/>'
    )
