"""The board as text, in the usual Japanese layout, for a terminal."""

from shogi_env.render.diagram import KANJI, RANK_NUMERALS, Diagram, color_of, held_pieces, kanji_of
from shogi_env.types import Color

# All characters are in code page 932, so that a Japanese console can print them.
FILES = "   ９  ８  ７  ６  ５  ４  ３  ２  １"
BORDER = "+" + "-" * 37 + "+"
NAMES = {Color.BLACK: "▲ Black (先手)", Color.WHITE: "△ White (後手)"}
DESTINATION, ORIGIN, WHITE_PIECES, RESET = "\x1b[30;43m", "\x1b[100m", "\x1b[36m", "\x1b[0m"


def ansi(diagram: Diagram, *, color: bool = False) -> str:
    """Draw a position as lines of text without a newline at the end.

    White's pieces have a "v" before them, as in KIF diagrams; the last move's destination stands
    in brackets.  A kanji takes two columns, so the text needs a font of fixed width.

    Args:
        diagram: what to draw.
        color: mark the last move and White's pieces by ANSI escape codes as well.
    """
    lines = [_hand_line(diagram, Color.WHITE), FILES, BORDER]
    lines += [_rank_line(diagram, rank, color) for rank in range(9)]
    lines += [BORDER, _hand_line(diagram, Color.BLACK), f"{NAMES[diagram.turn]} to move"]
    return "\n".join(lines)


def _hand_line(diagram: Diagram, color: Color) -> str:
    """Return a side's name and the pieces in its hand; a count of one is left out."""
    pieces = [KANJI[kind] + (str(count) if count > 1 else "") for kind, count in held_pieces(diagram, color)]
    return f"{NAMES[color]} hand: {' '.join(pieces) or '-'}"


def _rank_line(diagram: Diagram, rank: int, color: bool) -> str:
    destination = diagram.highlights[-1] if diagram.highlights else None
    line, gap = "|", " "
    for file in range(8, -1, -1):
        cell = 9 * file + rank
        text = _cell_text(int(diagram.board[cell]))
        if color:
            text = _colored(text, diagram, cell)
        if cell == destination:
            line, gap = line + "[" + text, "]"
        else:
            line, gap = line + gap + text, " "
    return line + gap + "|" + RANK_NUMERALS[rank]


def _cell_text(piece: int) -> str:
    """Return the three columns of a cell."""
    if not piece:
        return " ・"
    return ("v" if color_of(piece) == Color.WHITE else " ") + kanji_of(piece)


def _colored(text: str, diagram: Diagram, cell: int) -> str:
    if cell in diagram.highlights:
        return (DESTINATION if cell == diagram.highlights[-1] else ORIGIN) + text + RESET
    return WHITE_PIECES + text + RESET if text[0] == "v" else text
