"""Write what the page in the browser says of each metric, from docs/METRICS.md; a test compares the two.

`python tools/make_metrics_list.py`.  The Japanese page has explanations of its own, metrics-ja.json.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "METRICS.md"
LIST = ROOT / "keisei_agent" / "web" / "static" / "metrics-en.json"


def metrics() -> dict[str, str]:
    """Return the explanation of each key."""
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {key: text.replace("`", "") for key, text in rows}


def text() -> str:
    """Return the file."""
    return json.dumps(metrics(), indent=0, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    LIST.write_text(text(), "utf-8", newline="\n")
    print(LIST)
