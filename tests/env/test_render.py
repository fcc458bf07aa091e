"""Pictures: golden files for five positions, and what must hold for any.

After a wanted change of the drawing, write the golden files anew and look at each of them:

    UPDATE_GOLDEN=1 python -m pytest tests/env/test_render.py
"""

import os
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path

import numpy as np
import pytest

from shogi_env.notation.sfen import parse_sfen
from shogi_env.render import Diagram, ansi, rgb, svg
from shogi_env.render.diagram import kanji_of
from shogi_env.render.outlines import edges, outline
from shogi_env.render.raster import paint
from shogi_env.render.scene import STAND_CENTER, STAND_WIDTH, Shape, scene
from shogi_env.types import Color, UInt8Array

GOLDEN = Path(__file__).parent / "golden"
START = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1"
MIDDLE = "l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 1"
PROMOTED = "+P+L+N+S4k/8g/1+R7/2+B6/4P4/6+b2/7+r1/G8/K4+s+n+l+p b GSNL8Pgsnl7p 1"
MATE = "4k4/4G4/4P4/9/9/9/9/9/4K4 w 2r2b3g4s4n4l17p 1"
HANDICAP = "2sgkgs2/9/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"


def diagram(sfen: str, *highlights: tuple[int, int]) -> Diagram:
    """Return the diagram of an SFEN; highlights are (file, rank), both from 1."""
    setup = parse_sfen(sfen)
    cells = tuple(9 * (file - 1) + rank - 1 for file, rank in highlights)
    return Diagram(setup.board, setup.hands, setup.turn, cells)


DIAGRAMS = {
    "start": diagram(START),
    "middle": diagram(MIDDLE, (4, 4), (4, 3)),
    "promoted": diagram(PROMOTED, (2, 4), (2, 7)),
    "mate": diagram(MATE, (5, 2)),
    "handicap": diagram(HANDICAP),
}


def encode_png(image: UInt8Array) -> bytes:
    """Return uint8[H, W, 3] as a PNG file, each row as its difference from the row above."""
    height, width, _ = image.shape
    above = np.vstack([np.zeros_like(image[:1]), image[:-1]])
    rows = (image - above).reshape(height, -1)
    filtered = np.hstack([np.full((height, 1), 2, np.uint8), rows]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def decode_png(data: bytes) -> UInt8Array:
    """Return the picture in a file that `encode_png` wrote."""
    width, height = struct.unpack(">II", data[16:24])
    start = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[start - 4 : start])
    filtered = np.frombuffer(zlib.decompress(data[start + 4 : start + 4 + length]), np.uint8)
    rows = np.cumsum(filtered.reshape(height, -1)[:, 1:], axis=0, dtype=np.uint8)
    return rows.reshape(height, width, 3)


def check_golden_text(path: Path, text: str) -> None:
    """Compare with a golden file, or write it if that was asked for."""
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


def stand_digits(picture: Diagram, color: Color) -> list[str]:
    """Return the counts on a side's stand from top to bottom."""
    middle = STAND_CENTER[color][0]
    counts: dict[float, str] = {}
    for shape in scene(picture):
        if shape.outline in "0123456789" and abs(shape.x - middle) < STAND_WIDTH / 2:
            counts[shape.y] = counts.get(shape.y, "") + shape.outline
    return [counts[y] for y in sorted(counts)]


@pytest.mark.parametrize("name", DIAGRAMS)
def test_ansi_golden(name: str) -> None:
    check_golden_text(GOLDEN / f"{name}.txt", ansi(DIAGRAMS[name]) + "\n")


@pytest.mark.parametrize("name", DIAGRAMS)
def test_svg_golden(name: str) -> None:
    check_golden_text(GOLDEN / f"{name}.svg", svg(DIAGRAMS[name]))


@pytest.mark.parametrize("name", DIAGRAMS)
def test_rgb_golden(name: str) -> None:
    image, path = rgb(DIAGRAMS[name]), GOLDEN / f"{name}.png"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_bytes(encode_png(image))
    expected = decode_png(path.read_bytes())
    assert image.shape == expected.shape
    # Another platform's rounding may move a pixel at an edge by a step or two of 255.
    assert np.abs(image.astype(int) - expected.astype(int)).max() <= 3


def test_ansi_color_adds_only_escape_codes() -> None:
    for picture in DIAGRAMS.values():
        colored = ansi(picture, color=True)
        assert "\x1b[" in colored
        assert re.sub(r"\x1b\[\d+(;\d+)?m", "", colored) == ansi(picture)


def test_ansi_fits_a_japanese_console() -> None:
    for picture in DIAGRAMS.values():
        ansi(picture, color=True).encode("cp932")


def test_ansi_columns_line_up() -> None:
    rows = ansi(DIAGRAMS["middle"]).splitlines()[1:13]
    widths = {sum(1 if char.isascii() else 2 for char in row) for row in rows[2:-1]}
    assert widths == {41}
    assert sum(1 if char.isascii() else 2 for char in rows[1]) == 39


def test_ansi_shows_hands_and_last_move() -> None:
    lines = ansi(DIAGRAMS["middle"]).splitlines()
    assert lines[0] == "△ White (後手) hand: 金 銀 桂 歩5"
    assert lines[-2:] == ["▲ Black (先手) hand: 飛 金", "△ White (後手) to move"]
    assert [line for line in lines if "[" in line] == ["|  ・  ・ v桂 v歩  ・[ 銀] ・  ・  ・ |三"]


def test_every_piece_has_its_own_glyph() -> None:
    black = [kanji_of(piece) for piece in range(1, 15)]
    white = [kanji_of(piece) for piece in range(17, 31)]
    assert "".join(black) == "歩香桂銀角飛金玉と杏圭全馬龍"
    assert "".join(white) == "歩香桂銀角飛金王と杏圭全馬龍"
    assert len({outline(character) for character in {*black, *white}}) == 15


def test_promoted_pieces_are_red_and_white_ones_turned() -> None:
    glyphs = {shape.outline: shape for shape in scene(DIAGRAMS["promoted"])[::-1]}
    assert {glyphs[character].fill for character in "と杏圭全馬龍"} == {"#c3161c"}
    assert len({glyphs[character].fill for character in "歩香桂銀金玉王"} - {"#c3161c"}) == 1
    assert glyphs["玉"].width > 0 and glyphs["玉"].height > 0
    assert glyphs["王"].width < 0 and glyphs["王"].height < 0


def test_stands_show_counts() -> None:
    assert stand_digits(DIAGRAMS["start"], Color.BLACK) == []
    assert stand_digits(DIAGRAMS["middle"], Color.BLACK) == ["1", "1"]
    assert stand_digits(DIAGRAMS["middle"], Color.WHITE) == ["1", "1", "1", "5"]
    assert stand_digits(DIAGRAMS["mate"], Color.WHITE) == ["2", "2", "3", "4", "4", "4", "17"]


def test_a_hand_changes_its_stand_alone() -> None:
    picture = DIAGRAMS["promoted"]
    hands = picture.hands.copy()
    hands[Color.WHITE, 0] += 1
    columns = np.nonzero((rgb(picture) != rgb(picture._replace(hands=hands))).any(axis=(0, 2)))[0]
    assert columns.size and columns.max() < STAND_CENTER[Color.WHITE][0] + STAND_WIDTH / 2


def test_last_move_and_turn_change_the_picture() -> None:
    picture = DIAGRAMS["middle"]
    for other in (picture._replace(highlights=()), picture._replace(turn=Color.BLACK)):
        assert (rgb(picture) != rgb(other)).any()
        assert svg(picture) != svg(other)
    rows, columns = np.nonzero((rgb(picture) != rgb(picture._replace(highlights=()))).any(axis=2))
    # Files 4 and ranks 3 to 4 of a grid of 48 x 52 pixels whose corner is at (144, 36).
    assert (columns.min(), columns.max()) == (144 + 5 * 48 + 1, 144 + 6 * 48 - 1)
    assert (rows.min(), rows.max()) == (36 + 2 * 52 + 1, 36 + 4 * 52 - 1)


def test_svg_is_plain_and_complete() -> None:
    root = ElementTree.fromstring(svg(DIAGRAMS["promoted"], size=270))
    space, link = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("360", "270", "0 0 720 540")
    assert {element.tag for element in root.iter()} == {space + tag for tag in ("svg", "defs", "path", "use")}
    defined = {f"#{path.get('id')}" for path in root.iter(space + "path")}
    assert defined == {use.get(link) for use in root.iter(space + "use")}
    assert svg(DIAGRAMS["promoted"]).isascii()


@pytest.mark.parametrize(("size", "shape"), [(540, (540, 720, 3)), (333, (333, 444, 3)), (1, (1, 1, 3))])
def test_rgb_shape_and_dtype(size: int, shape: tuple[int, ...]) -> None:
    image = rgb(DIAGRAMS["middle"], size=size)
    assert image.shape == shape
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous and image.flags.owndata and image.flags.writeable


def test_rgb_returns_a_fresh_array_each_time() -> None:
    first = rgb(DIAGRAMS["start"])
    kept = first.copy()
    first[...] = 0
    np.testing.assert_array_equal(rgb(DIAGRAMS["start"]), kept)


def test_rgb_sizes_agree() -> None:
    small = rgb(DIAGRAMS["middle"]).astype(float)
    large = rgb(DIAGRAMS["middle"], size=1080).astype(float)
    halved = large.reshape(540, 2, 720, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - small).mean() < 1


@pytest.mark.parametrize("size", [0, -5, 540.0, "large", None])
def test_bad_size_is_refused(size: object) -> None:
    for draw in (svg, rgb):
        with pytest.raises(ValueError, match=f"size must be .* not {size!r}"):
            draw(DIAGRAMS["start"], size=size)  # type: ignore[arg-type]


def test_drawing_leaves_the_diagram_alone() -> None:
    picture = DIAGRAMS["promoted"]
    board, hands = picture.board.copy(), picture.hands.copy()
    ansi(picture), svg(picture), rgb(picture)
    np.testing.assert_array_equal(picture.board, board)
    np.testing.assert_array_equal(picture.hands, hands)


def test_same_pictures_in_another_process() -> None:
    program = (
        "import sys, zlib; import numpy as np\n"
        "from shogi_env.render import Diagram, rgb, svg\n"
        "picture = Diagram(np.zeros(81, np.int8), np.ones((2, 7), np.int8), 0, (40,))\n"
        "print(zlib.crc32(rgb(picture).tobytes()), zlib.crc32(svg(picture).encode()), 'numba' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    picture = Diagram(np.zeros(81, np.int8), np.ones((2, 7), np.int8), Color.BLACK, (40,))
    expected = zlib.crc32(rgb(picture).tobytes()), zlib.crc32(svg(picture).encode())
    assert answer.split() == [*map(str, expected), "False"]


def test_filled_areas_are_exact() -> None:
    """A box that covers parts of pixels, a disc, a turned glyph, and a shape that sticks out."""
    for name, width, height, area in (("box", 10.5, 7.25, 76.125), ("disc", 30.0, 20.0, np.pi * 150)):
        image = np.zeros((40, 50, 3), np.uint8)
        paint(image, [Shape(name, 20.3, 18.0, width, height, "#ffffff")], 1.0)
        assert image[:, :, 0].sum() / 255 == pytest.approx(area, rel=0.01)
    upright, turned = np.zeros((2, 60, 60, 3), np.uint8)
    paint(upright, [Shape("龍", 30, 30, 48, 48, "#ffffff")], 1.0)
    paint(turned, [Shape("龍", 30, 30, -48, -48, "#ffffff")], 1.0)
    assert np.abs(upright[::-1, ::-1].astype(int) - turned).max() <= 1
    image = np.zeros((10, 10, 3), np.uint8)
    paint(image, [Shape("box", 0, 10, 8, 8, "#010203"), Shape("box", 99, -99, 8, 8, "#ffffff")], 1.0)
    assert image[6:, :4].reshape(-1, 3).tolist() == [[1, 2, 3]] * 16
    assert image.sum() == 16 * 6


def test_outlines_are_closed_and_inside_their_box() -> None:
    for character in "歩香桂銀角飛金玉王と杏圭全馬龍一二三四五六七八九0123456789":
        lines = edges(character)
        assert np.abs(lines).max() < 0.55
        np.testing.assert_allclose((lines[:, 2:] - lines[:, :2]).sum(axis=0), 0, atol=1e-9)
