"""Only commands print: what the packages have to say goes through the log."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOORS = ("keisei_agent/commands/", "shogi_env/__main__.py", "shogi_env/render/terminal.py")
"""What may write to stdout: commands, and the board that `render_mode="human"` asks for."""
ON_STDERR = {"shogi_env/core/jit.py", "keisei_agent/usi/engine.py"}
"""What prints to stderr: there is no log that anybody would see, and stdout belongs to others."""


def find_streams(code: str) -> Iterator[str]:
    """Where some code prints: "stdout", or what `print` is given as its file; mentions of stdout too."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "pprint", "pprint.pprint"):
            files = [ast.unparse(word.value) for word in node.keywords if word.arg in ("file", "stream")]
            yield (files or ["stdout"])[0].removeprefix("sys.")
        elif isinstance(node, ast.Attribute) and node.attr in ("stdout", "__stdout__"):
            if ast.unparse(node.value) == "sys":
                yield "stdout"
        elif isinstance(node, ast.ImportFrom) and node.module == "sys":
            yield from ("stdout" for name in node.names if "stdout" in name.name)


@pytest.mark.parametrize(
    ("code", "streams"),
    [
        ("print('x')", ["stdout"]),
        ("def f():\n    print('x', file=sys.stderr)", ["stderr"]),
        ("print('x', file=page)", ["page"]),
        ("pprint.pprint(x)", ["stdout"]),
        ("sys.stdout.write('x')", ["stdout"]),
        ("out = sys.stdout", ["stdout"]),
        ("from sys import stdout as out", ["stdout"]),
        ("page.print(x); log.info('print(x)'); done.stdout.strip(); fingerprint(x)", []),
    ],
)
def test_prints_are_found(code, streams):
    assert list(find_streams(code)) == streams


def test_only_commands_print():
    found = {
        path.relative_to(ROOT).as_posix(): set(find_streams(path.read_text(encoding="utf-8")))
        for package in ("shogi_env", "keisei_agent")
        for path in (ROOT / package).rglob("*.py")
    }
    others = {name: streams for name, streams in found.items() if streams and not name.startswith(DOORS)}
    assert others == {name: {"stderr"} for name in ON_STDERR}
    assert {name for name in found if name.startswith(DOORS) and "stdout" in found[name]}


def test_the_linter_says_so_too():
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "T20" in lint["select"] and not {"T20", "T201"} & set(lint["ignore"])
    free = {name for name, rules in lint["per-file-ignores"].items() if "T20" in rules}
    packages = {name for name in free if name.startswith(("shogi_env", "keisei_agent"))}
    assert packages == {"keisei_agent/commands/**", "shogi_env/__main__.py", *ON_STDERR}
