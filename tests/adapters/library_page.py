"""The examples of docs/libraries.md, section by section."""

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "libraries.md"


def run_example(section: str) -> None:
    """Run the Python blocks under a heading of the page."""
    lines = re.MULTILINE | re.DOTALL
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), lines)
    blocks = re.findall(r"^```python\n(.*?)^```$", text, lines)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, section, str(PAGE), 0)
    assert len(example.examples) >= 3
    report: list[str] = []
    assert doctest.DocTestRunner().run(example, out=report.append).failed == 0, "".join(report)
