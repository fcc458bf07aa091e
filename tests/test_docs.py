"""The README's examples run, and its two commands are the ones that CI runs."""

import configparser
import doctest
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
VENV = "python3 -m venv .venv && . .venv/bin/activate && "


def read_commands() -> list[str]:
    """The README's shell blocks, without the virtual environment they all begin with."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert all(block.startswith(VENV) and block.count("\n") == 1 for block in blocks)
    return [block.strip().removeprefix(VENV) for block in blocks]


def test_python_examples():
    blocks = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "README.md", "README.md", 0)
    assert len(example.examples) >= 10
    report: list[str] = []
    result = doctest.DocTestRunner().run(example, out=report.append)
    assert result.failed == 0, "".join(report)


def test_console_examples(tmp_path):
    blocks = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).splitlines()
    assert len(lines) >= 5
    for line in lines:
        name, *arguments = line.split()
        module, function = SCRIPTS[name].split(":")
        code = f"import sys; from {module} import {function}; sys.exit({function}())"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "first.zip",
        "games.csa",
        "games.jsonl",
        "ratings.csv",
        "runs",
    ]


def test_strength_page_has_the_levels_ratings():
    page = (ROOT / "docs" / "strength.md").read_text(encoding="utf-8")
    scale = json.loads((ROOT / "shogi_env/arena/data/scale-v1.json").read_text(encoding="utf-8"))
    for level in scale["levels"]:
        row = f"| `{level['spec']}` | {level['rating']} | {level['low']} .. {level['high']} |"
        assert row in page, row


def test_commands_are_those_of_ci():
    train, test = read_commands()
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert 'bash -euo pipefail -c "$test_command"' in script and "- run: .ci/run" in workflow
    assert f"- run: {test}\n" in workflow
    install, run = train.split(" && ")
    assert f"- run: {install.replace(chr(39), chr(34))} && {run} " in workflow
    assert f"grep -o '{run}$' README.md" in script and "\n$train_command --total-timesteps" in script


def test_ci_runs_types_lint_and_imports():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    _, test = read_commands()
    assert test.endswith(" tox -p auto"), "all environments of the list"
    listed = [name.strip() for name in tox["tox"]["env_list"].split(",")]
    assert {"agent", "tests", "docs", "types", "imports", "lint"} <= set(listed)
    for name, command in {
        "types": "mypy",
        "imports": "lint-imports",
        "lint": "ruff check .\nruff format --check .",
    }.items():
        assert tox[f"testenv:{name}"]["commands"].strip() == command
        assert tox[f"testenv:{name}"].get("ignore_outcome") is None


def test_paths_exist():
    cells = re.findall(r"^\| (`.*?) \|", README, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert len(names) > 8
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_encodings_page_tells_what_the_code_does():
    from shogi_env import Board
    from shogi_env.core.planes import PLANES

    page = (ROOT / "docs" / "encodings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)(?:-(\d+))? \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    documented = [(int(a), int(b or a) - int(a) + 1, name, meaning) for a, b, name, meaning in rows]
    assert documented == [tuple(group) for group in PLANES]
    board = Board()
    for usi in ("7g7f", "3c3d"):
        assert {str(move): board.action(move) for move in board.legal_moves}[usi] == 59
        board.push_usi(usi)
