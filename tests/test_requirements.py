"""docs/REQUIREMENTS.md names a test that exists for each requirement, or says why there is none."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SIZES = {
    **{"ENV": 10, "LOOP": 30, "PPO": 15, "PAR": 16, "CKP": 13, "EVL": 7, "DSP": 10, "WEB": 8, "LOG": 14},
    **{"CFG": 12, "ERR": 9, "SES": 5, "PERF": 6, "TST": 6, "FUT": 4},
    **{"P-4.1": 17, "P-4.2": 11, "P-4.3": 10, "P-4.4": 9, "P-4.5": 14, "P-4.6": 7},
}
"""Rows of each group."""
HEADER = ["id", "what users can rely on", "shown by"]


def find_problems(page: str, root: Path) -> Iterator[str]:
    """What is wrong with a page of requirements: a sentence for each mistake.

    Args:
        page: its text; every line that begins with "|" is part of a table.
        root: folder that the paths of its tests are relative to.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|") or cells == HEADER or not "".join(cells).strip("-"):
            continue
        found = re.fullmatch(r"([A-Z]+|P-\d\.\d)-(\d+)", cells[0])
        if found is None or len(cells) != len(HEADER):
            yield f"no row: {line}"
            continue
        groups[found[1]].append(int(found[2]))
        yield from (f"{cells[0]}: {problem}" for problem in find_problems_of_row(*cells[1:], root=root))
    for name, numbers in groups.items():
        yield from (f"{name}-{k} stands there twice" for k in sorted(set(numbers)) if numbers.count(k) > 1)
        yield from (f"{name}-{k} is missing" for k in range(1, max(numbers)) if k not in numbers)


def find_problems_of_row(text: str, shown: str, root: Path) -> Iterator[str]:
    if not text:
        yield "it says nothing"
    tests, rest = re.findall(r"`(tests/[^`]*)`", shown), re.sub(r"`tests/[^`]*`", "", shown).strip(" ;")
    if not tests and not rest:
        yield "neither a test nor a reason"
    if rest and not re.match(r"(refused|not yet): \S", rest):
        yield f"{rest!r} is neither 'refused: REASON' nor 'not yet: WHAT IS MISSING'"
    for test in tests:
        path, _, name = test.partition("::")
        if name.partition("[")[0] not in find_tests(root / path):
            yield f"there is no test {test}"


@cache
def find_tests(path: Path) -> frozenset[str]:
    """Names of a file's test functions; none if there is no such file."""
    if not path.is_file():
        return frozenset()
    functions = [
        node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)
    ]
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_every_requirement_is_shown_or_says_why_not():
    page = (ROOT / "docs" / "REQUIREMENTS.md").read_text(encoding="utf-8")
    assert list(find_problems(page, ROOT)) == []
    assert {name: len(re.findall(rf"^\| {name}-\d+ \|", page, re.MULTILINE)) for name in SIZES} == SIZES
    assert page.count("\n| ") == sum(SIZES.values()) + len(SIZES), "and a header for each group"


GOOD = """
| id | what users can rely on | shown by |
|---|---|---|
| RUN-1 | It runs | `tests/test_run.py::test_it` `tests/test_run.py::test_it[fast]` |
| RUN-2 | It flies | refused: it has no wings |
| RUN-3 | It swims | `tests/test_run.py::test_it`; not yet: under water |
"""


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        ("", "", []),
        ("test_run.py::test_it`;", "test_ran.py::test_it`;", ["there is no test tests/test_ran.py::test_it"]),
        ("::test_it[", "::test_all[", ["there is no test tests/test_run.py::test_all[fast]"]),
        ("::test_it`;", "::helper`;", ["there is no test tests/test_run.py::helper"]),
        ("::test_it`;", "`;", ["there is no test tests/test_run.py"]),
        ("refused: it has no wings", "", ["neither a test nor a reason"]),
        ("refused: it has no wings", "refused:", ["is neither 'refused: REASON'"]),
        ("refused: it", "perhaps: it", ["is neither 'refused: REASON'"]),
        ("It flies", "", ["it says nothing"]),
        ("RUN-2", "RUN-4", ["RUN-2 is missing"]),
        ("RUN-2", "RUN-3", ["RUN-3 stands there twice", "RUN-2 is missing"]),
        ("RUN-2", "run 2", ["no row: | run 2", "RUN-2 is missing"]),
        ("wings |", "wings | nor legs |", ["no row: | RUN-2", "RUN-2 is missing"]),
    ],
)
def test_a_broken_page_is_found(tmp_path, old, new, problems):
    (tmp_path / "tests").mkdir()
    code = "def test_it():\n    def test_all(): pass\n\ndef helper(): pass\n"
    (tmp_path / "tests" / "test_run.py").write_text(code, encoding="utf-8")
    assert old in GOOD
    found = list(find_problems(GOOD.replace(old, new, 1) if old else GOOD, tmp_path))
    assert len(found) == len(problems), found
    assert all(part in problem for part, problem in zip(problems, found, strict=True)), found
