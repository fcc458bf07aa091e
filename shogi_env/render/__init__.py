"""Pictures of a position, as pure functions: text for a terminal, SVG, and an array of pixels.

The imports are eager because each function shares its module's name; the glyph outlines are read
when the first picture is drawn.
"""

from shogi_env.render.ansi import ansi
from shogi_env.render.diagram import Diagram
from shogi_env.render.rgb import rgb
from shogi_env.render.svg import svg
from shogi_env.render.terminal import show

__all__ = ["Diagram", "ansi", "rgb", "show", "svg"]
