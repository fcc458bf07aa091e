"""Write `shogi_env/render/data/glyphs.json` from a font file (development only, needs fonttools).

    python tools/extract_glyphs.py NotoSerifCJK-Bold.ttc

Kanji are centred on the em box, digits on their advance width and on half their height, so that a
drawing only has to say where the middle goes.  Coordinates are in thousandths of an em, y down.
"""

import argparse
import json
from pathlib import Path

from fontTools.misc.transform import Transform
from fontTools.pens.boundsPen import BoundsPen
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.pens.transformPen import TransformPen
from fontTools.ttLib import TTCollection, TTFont

PIECES = "歩香桂銀角飛金玉王と杏圭全馬龍"
NUMERALS = "一二三四五六七八九"
DIGITS = "0123456789"
OUTPUT = Path(__file__).parents[1] / "shogi_env" / "render" / "data" / "glyphs.json"


def extract(font: TTFont) -> dict[str, object]:
    """Return the outlines of every glyph a diagram needs, and where they come from."""
    glyph_set, characters = font.getGlyphSet(), font.getBestCmap()
    scale = 1000 / font["head"].unitsPerEm
    bounds = BoundsPen(glyph_set)
    glyph_set[characters[ord("0")]].draw(bounds)
    digit_middle = (bounds.bounds[1] + bounds.bounds[3]) / 2
    em_middle = (font["OS/2"].sTypoAscender + font["OS/2"].sTypoDescender) / 2
    outlines = {}
    for character in PIECES + NUMERALS + DIGITS:
        glyph = glyph_set[characters[ord(character)]]
        middle = digit_middle if character in DIGITS else em_middle
        pen = SVGPathPen(glyph_set, ntos=lambda value: str(round(value)))
        to_middle = Transform(scale, 0, 0, -scale, -glyph.width / 2 * scale, middle * scale)
        glyph.draw(TransformPen(pen, to_middle))
        outlines[character] = pen.getCommands()
    names = font["name"]
    return {
        "source": f"{names.getDebugName(4)}, {names.getDebugName(5).split(';')[0]}",
        "copyright": names.getDebugName(0),
        "license": "SIL Open Font License 1.1, see OFL.txt",
        "digit_width": round(glyph_set[characters[ord("0")]].width * scale),
        "outlines": outlines,
    }


def main() -> None:
    """Read the font named on the command line and write the data file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("font", type=Path, help="a .ttc (its first face is used), .otf or .ttf file")
    path = parser.parse_args().font
    font = TTCollection(path).fonts[0] if path.suffix == ".ttc" else TTFont(path)
    text = json.dumps(extract(font), ensure_ascii=False, indent=0)
    OUTPUT.write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
