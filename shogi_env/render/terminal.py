"""The board in place in a terminal."""

import sys

from shogi_env.render.ansi import ansi
from shogi_env.render.diagram import Diagram

_HOME_AND_CLEAR = "\x1b[H\x1b[J"


def show(diagram: Diagram) -> None:
    """Print the position; on a terminal over the one before, in colour.

    Characters that the console's encoding lacks become question marks.
    """
    out = sys.stdout
    terminal = out.isatty()
    text = (_HOME_AND_CLEAR if terminal else "") + ansi(diagram, color=terminal) + "\n"
    encoding = out.encoding or "utf-8"
    out.write(text.encode(encoding, "replace").decode(encoding))
    out.flush()
