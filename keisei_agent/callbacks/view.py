"""What the terminal shows of a run: a drawing of values, as a pure function."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

WIDE, MEDIUM = 92, 58
"""Columns from which on trends are shown, and two tables side by side."""
TALL = 32
"""Lines from which on there is room for the board."""
MISSING = "-"
_WIDEST = 140
_MOST_LINES = 8
_TREND = 16
"""Latest values in a trend."""
_LEVELS, _PLAIN_LEVELS = "▁▂▃▄▅▆▇█", "_.-=^"
_EVALUATION = re.compile(r"evaluation/(.+)/(score|low|high|value)")

Row = tuple[str, str, str]
"""A number's name, its key and its format."""
LEARNING: tuple[Row, ...] = (
    ("value loss", "train/value_loss", "{:.4f}"),
    ("policy loss", "train/policy_gradient_loss", "{:+.4f}"),
    ("entropy", "train/relative_entropy", "{:.1%}"),
    ("divergence", "train/approx_kl", "{:.4f}"),
    ("clipped", "train/clip_fraction", "{:.1%}"),
    ("explained", "train/explained_variance", "{:.1%}"),
    ("gradient", "train/grad_norm", "{:.3f}"),
)
PLAYING: tuple[Row, ...] = (
    ("games", "games/finished", "{:,.0f}"),
    ("Black wins", "games/black_wins", "{:.1%}"),
    ("White wins", "games/white_wins", "{:.1%}"),
    ("draws", "games/draws", "{:.1%}"),
    ("plies a game", "games/plies", "{:.0f}"),
    ("mates in 1", "mates/in_1", "{:.1%}"),
    ("mates in 3", "mates/in_3", "{:.1%}"),
)
SHARES: tuple[Row, ...] = (
    ("acting", "speed/acting", "{:.0%}"),
    ("environment", "speed/environment", "{:.0%}"),
    ("learning", "speed/learning", "{:.0%}"),
)
"""Parts of the time."""


@dataclass(frozen=True)
class Scene:
    """What is to be drawn; a value that is not there is shown as a dash."""

    name: str
    """Of the run."""
    doing: str
    done: float
    """Share of the run, 0..1."""
    progress: str
    """In words."""
    latest: Mapping[str, float]
    """The newest value of each key."""
    trends: Mapping[str, Sequence[float]]
    """The values up to it, the newest last."""
    lines: Sequence[str]
    """The newest log lines, the newest last."""


def draw(scene: Scene, width: int, height: int, encoding: str, picture: str | None = None) -> RenderableType:
    """Draw a scene for a console of a size and an encoding, leaving out what has no room.

    Args:
        scene: what to draw.
        width: columns.
        height: lines.
        encoding: of the console; what it cannot show is drawn with plainer characters.
        picture: a board as text; None draws none.
    """
    levels = _LEVELS if can_show(_LEVELS, encoding) else _PLAIN_LEVELS
    learning, playing = (_table(scene, rows, levels if width >= WIDE else "") for rows in (LEARNING, PLAYING))
    grid = Table.grid(padding=(0, 3))
    if picture is not None and width >= WIDE and height >= TALL:
        grid.add_row(Group(learning, playing), Text(picture, no_wrap=True, overflow="crop"))
        used = max(len(LEARNING) + len(PLAYING), picture.count("\n") + 1)
    elif width >= MEDIUM:
        grid.add_row(learning, playing)
        used = max(len(LEARNING), len(PLAYING))
    else:
        grid.add_row(Group(learning, playing))
        used = len(LEARNING) + len(PLAYING)
    evaluations = _evaluations(scene)
    room = height - used - evaluations.row_count - 9  # the head, the frame, gaps, and the cursor's line
    lines = list(scene.lines)[-min(room, _MOST_LINES) :] if room > 0 else []
    log = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
    body = Group(_head(scene), Text(), grid, Text(), evaluations, Text(), *log)
    return Panel(body, title=Text(f"{scene.name}: {scene.doing}"), width=min(width, _WIDEST))


def can_show(text: str, encoding: str) -> bool:
    """Whether all characters of a text are in an encoding."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def trend(values: Sequence[float], levels: str) -> str:
    """The latest values as a line of levels, the lowest to the highest; empty for fewer than two."""
    shown = [value for value in values if math.isfinite(value)][-_TREND:]
    if len(shown) < 2 or not levels:
        return ""
    low, high = min(shown), max(shown)
    scale = (len(levels) - 1) / (high - low) if high > low else 0.0
    return "".join(levels[round((value - low) * scale)] for value in shown)


def plain_board(sfen: str) -> str:
    """A board of the letters of SFEN, for consoles without kanji."""
    ranks, turn, hands = sfen.split()[:3]
    rows = [re.sub(r"\d", lambda found: "." * int(found[0]), rank) for rank in ranks.split("/")]
    lines = ["".join(f"{cell:>3}" for cell in re.findall(r"\+?[A-Za-z.]", row)) for row in rows]
    return "\n".join([*lines, f"hands {hands}, {'Black' if turn == 'b' else 'White'} to move"])


def _head(scene: Scene) -> RenderableType:
    parts = [f"{name} {_value(scene, key, form)}" for name, key, form in SHARES]
    bar = Table.grid(expand=True)  # a bar alone does not end its line
    bar.add_row(ProgressBar(total=1.0, completed=min(max(scene.done, 0.0), 1.0)))
    return Group(bar, _line(scene.progress), _line("time: " + ", ".join(parts)))


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _table(scene: Scene, rows: Sequence[Row], levels: str) -> Table:
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    for name, key, form in rows:
        table.add_row(name, _value(scene, key, form), trend(scene.trends.get(key, ()), levels))
    return table


def _evaluations(scene: Scene) -> Table:
    """The last results against others: points, or a rating, with their intervals."""
    found: dict[str, dict[str, float]] = {}
    for key, value in scene.latest.items():
        match = _EVALUATION.fullmatch(key)
        if match:
            found.setdefault(match[1], {})[match[2]] = value
    table = Table.grid(padding=(0, 2))
    for opponent, numbers in found.items():
        rated = opponent == "rating"
        form = "{:.0f}" if rated else "{:.1%}"
        texts = {name: form.format(value) for name, value in numbers.items()}
        middle, low, high = (
            texts.get(name, MISSING) for name in ("value" if rated else "score", "low", "high")
        )
        who = Text("rating" if rated else f"against {opponent}")  # a name is no markup
        table.add_row(who, middle, f"{low} .. {high}")
    if not found:
        table.add_row("evaluation", MISSING)
    return table


def _value(scene: Scene, key: str, form: str) -> str:
    value = scene.latest.get(key)
    return MISSING if value is None else form.format(value)
