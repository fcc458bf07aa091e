"""What the page is made of: its lists, its drawing, its curves."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from shogi_env import Board, levels
from shogi_env.arena.known import LEVELS, RATINGS
from shogi_env.arena.players import parse_spec, read_specs
from shogi_env.drawing import drawing

pytest.importorskip("tensorboard")

from keisei_agent.web.curves import KEPT, Curve, thin

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "keisei_agent" / "web" / "static"


def test_known_ratings_are_those_of_the_page() -> None:
    page = (ROOT / "docs/strength.md").read_text("utf-8")
    rows = re.findall(r"^\| `([^`]+)` \|(?: [^|]+ \|)?? (\d+) \| (-?\d+) \.\. (-?\d+) \|", page, re.MULTILINE)
    told = {name: tuple(map(int, numbers)) for name, *numbers in rows}
    assert told == {**RATINGS, **{f"level:{number}": rating for number, rating in LEVELS.items()}}
    assert set(LEVELS) == set(range(1, levels.count_levels() + 1))
    rungs = {parse_spec(spec)[0] or parse_spec(spec)[1].text for spec in read_specs("engines")}
    assert rungs <= set(RATINGS)


def test_explanations_are_those_of_the_page() -> None:
    made = runpy.run_path(str(ROOT / "tools/make_metrics_list.py"))
    assert (STATIC / "metrics-en.json").read_text("utf-8") == made["text"](), "run tools/make_metrics_list.py"
    assert list(json.loads((STATIC / "metrics-ja.json").read_text("utf-8"))) == list(made["metrics"]())


def test_every_word_is_there_in_both_languages() -> None:
    text = (STATIC / "i18n.js").read_text("utf-8")
    words = dict(re.findall(r'(?:^ *|, )"?(\w[\w ]*)"?: \["([^"]+", "[^"]+)"\]', text, re.MULTILINE))
    used: set[str] = set()
    for path in STATIC.rglob("*.js"):
        if "vendor" not in path.parts:
            used |= set(re.findall(r'\bt\("([^"]+)"\)', path.read_text("utf-8")))
    assert used and used <= set(words), used - set(words)


def test_the_drawing_is_that_of_the_board() -> None:
    parts = json.loads(json.dumps(drawing()))
    svg = Board().svg()
    for name, path in parts["outlines"].items():
        identifier = f"shogi-{name if len(name) > 1 else format(ord(name), 'x')}"
        if f'id="{identifier}"' in svg:
            assert f'<path id="{identifier}" d="{path}"/>' in svg
    shapes = svg.split("</defs>")[1].strip().splitlines()
    for shape, line in zip(parts["furniture"], shapes, strict=False):
        assert f'fill="{shape[5]}"' in line and f"{shape[1]:g} {shape[2]:g})" in line
    assert set(parts["pieces"]) == {str(owner + kind) for owner in (0, 16) for kind in range(1, 15)}


def test_thinned_curves_keep_their_ends_and_peaks() -> None:
    steps = np.arange(10_000)
    values = np.sin(steps / 50)
    values[[1234, 7777]] = 9.0, -9.0
    few, kept = thin(steps, values, 200)
    assert len(few) <= 200 and few[0] == 0 and few[-1] == 9999
    assert {9.0, -9.0} <= set(kept.tolist())
    assert all(values[step] == value for step, value in zip(few.tolist(), kept.tolist(), strict=True))
    same = thin(steps[:50], values[:50], 200)
    assert same[0].tolist() == steps[:50].tolist()


def test_a_curve_is_bounded_and_its_last_point_is_the_last() -> None:
    curve = Curve()
    for step in range(5 * KEPT):
        curve.add(step, float(np.float32(step % 7 / 10)))
        assert len(curve._steps) <= 2 * KEPT
    assert curve.last == (5 * KEPT - 1, float(np.float32((5 * KEPT - 1) % 7 / 10)))
    steps, values = curve.points()
    assert len(steps) <= KEPT and (np.diff(steps) > 0).all()
    assert (values == (steps % 7 / 10).astype(np.float32)).all()


def test_a_curve_of_a_resumed_run_is_in_order() -> None:
    curve = Curve()
    for step in (30, 40, 10, 20):
        curve.add(step, float(step))
    assert curve.points()[0].tolist() == [10, 20, 30, 40]
    assert curve.last == (40, 40.0)
