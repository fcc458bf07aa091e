"""The examples that need the environment alone; others are tested where they belong."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from shogi_env import Board, Positions

FOLDER = Path(__file__).parents[2] / "examples"
MATE_IN_ONE = "7k1/9/7P1/9/9/9/9/9/K8 b G 1"  # G*2b


def mates(actions):
    board = Board(MATE_IN_ONE)
    return {str(board.move(int(action))) for action in actions}


def test_flat_monte_carlo_finds_a_mate_and_plays_on(load):
    player = load("flat_monte_carlo", 2, 20)
    games = Positions(3, sfens=[MATE_IN_ONE, "even", MATE_IN_ONE], max_plies=60)
    games.seed(np.array([1, 2, 3], np.uint64))
    before = games.snapshot()
    actions = player.choose(games, np.array([0, 2]))
    assert mates(actions) == {"G*2b"}
    after = games.snapshot()
    assert np.array_equal(before.rows["board"], after.rows["board"]), "playouts change no game"
    games.apply(player.choose(games, games.everyone))
    assert games.plies.tolist() == [1, 1, 1]


def test_flat_monte_carlo_is_40_lines():
    source = (FOLDER / "flat_monte_carlo.py").read_text("utf-8")
    documented = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            documented |= set(range(node.lineno, node.end_lineno + 1))
    lines = source.splitlines()
    assert len([k for k, line in enumerate(lines, 1) if line.strip() and k not in documented]) <= 40


def test_flat_monte_carlo_runs():
    command = [sys.executable, str(FOLDER / "flat_monte_carlo.py"), "1", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"\d+% of 1 games against random moves, 1 playouts for each legal move\n", done.stdout
    )


def test_every_example_has_its_paragraph():
    page = (FOLDER.parent / "docs" / "examples.md").read_text("utf-8")
    assert sorted(re.findall(r"^## `(\w+\.py)`$", page, re.MULTILINE)) == sorted(
        path.name for path in FOLDER.glob("*.py")
    )
