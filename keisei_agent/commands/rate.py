"""`keisei-rate`: ratings from logs of games, as a table, CSV and a plot; only the plot needs the extra."""

import argparse
import csv
import importlib.util
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from keisei_agent.console import INTERRUPTED, Parser, never_fail_on_encoding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from shogi_env.arena.rating import Rated, Ratings

_DASH = "-"
_CHECKPOINT = "checkpoint:"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `keisei-rate`."""
    parser = Parser(
        prog="keisei-rate",
        description="Rate players from the games they played. Ratings are Elo points above the anchor.",
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="logs of games, *.jsonl")
    parser.add_argument("--anchor", default="random", metavar="NAME", help="player rated 0 (default: random)")
    parser.add_argument("--cross", action="store_true", help="show who scored how much against whom")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratings of checkpoints as PNG")
    parser.add_argument(
        "--x",
        choices=("steps", "time"),
        help="axis of the plot: plies learned from, or hours since the run began (default: steps)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-rate`; return 0, 2 for bad arguments or files, 130 after Ctrl-C."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.x and not options.plot:
        parser.error("--x is the axis of --plot")
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error('matplotlib missing, install the extra: pip install "keisei[agent]"')
    try:
        _rate(options)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _rate(options: argparse.Namespace) -> None:
    from shogi_env.arena.rating import rate  # slow: NumPy
    from shogi_env.arena.records import read_games

    ratings = rate((game for path in options.files for game in read_games(path)), options.anchor)
    for line in table(ratings):
        print(line)
    if options.cross:
        print()
        for line in cross_table(ratings):
            print(line)
    for line in remarks(ratings):
        print(line)
    if options.csv:
        write_csv(options.csv, ratings)
        print(f"CSV: {options.csv}")
    if options.plot:
        for line in draw(options.plot, ratings, options.x or "steps"):
            print(line)
        print(f"Plot: {options.plot}")


def table(ratings: "Ratings") -> list[str]:
    """Return the ratings, one line a player."""
    rows = [("#", "player", "Elo", "+-", "games", "score")]
    for rank, player in enumerate(ratings.players, 1):
        rows.append(
            (
                str(rank) if player.rating else _DASH,
                player.name,
                f"{player.rating.value:.0f}" if player.rating else _DASH,
                _DASH if player.name == ratings.anchor else _spread(player),
                str(player.games),
                _DASH if player.score is None else f"{100 * player.score:.1f} %",
            )
        )
    return _align(rows)


def _spread(player: "Rated") -> str:
    """Half of the 95 % interval, or its one end."""
    if player.rating is None:
        return _DASH
    _, low, high = player.rating
    if low is not None and high is not None:
        return f"{(high - low) / 2:.0f}"
    return f"< {high:.0f}" if low is None else f"> {low:.0f}"


def cross_table(ratings: "Ratings") -> list[str]:
    """Return points / games of each player (row) against each other (column)."""
    names = [player.name for player in ratings.players]
    rows = [("#", "player", *(str(rank) for rank in range(1, len(names) + 1)))]
    for rank, name in enumerate(names, 1):
        met = (ratings.cross.get((name, other)) for other in names)
        cells = ("." if cell is None else f"{cell[0]:g}/{cell[1]}" for cell in met)
        rows.append((str(rank), name, *cells))
    return _align(rows)


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width: the second to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def remarks(ratings: "Ratings") -> Iterator[str]:
    """Yield what there is to say besides the numbers."""
    yield ""
    yield f"{ratings.games} games; Elo above {ratings.anchor}, with half of the 95 % interval or its one end"
    if ratings.voids:
        yield f"{ratings.voids} void games are not rated"
    if ratings.repeated:
        yield f"{ratings.repeated} records of games that were already read"
    yield from ratings.notes
    players: defaultdict[str, list[str]] = defaultdict(list)
    for player in ratings.players:
        if player.note:
            players[player.note].append(player.name)
    for note, names in players.items():
        yield f"{', '.join(names)}: {note}"


def write_csv(path: Path, ratings: "Ratings") -> None:
    """Write one row a player; what is missing or open is empty."""
    rows = [_row(rank, player) for rank, player in enumerate(ratings.players, 1)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _row(rank: int, player: "Rated") -> dict[str, object]:
    value, low, high = map(_tenths, player.rating or (None, None, None))
    point = point_of(player.seat.spec)
    return {
        "rank": rank if player.rating else None,
        "player": player.name,
        "elo": value,
        "low": low,
        "high": high,
        "games": player.games,
        **player.results._asdict(),
        "score": None if player.score is None else f"{player.score:.4f}",
        "void": player.voids,
        "steps": point.steps if point else None,
        "spec": player.seat.spec,
        "version": player.seat.version,
        "digest": player.seat.digest,
        "note": player.note,
    }


def _tenths(elo: float | None) -> str | None:
    return None if elo is None else f"{elo:.1f}"


class Point(NamedTuple):
    """Where in a training run a checkpoint stands."""

    run: str
    """The run's folder, and how its checkpoint was played if that was said."""
    steps: int
    """Plies learned from."""
    path: Path

    @property
    def hours(self) -> float | None:
        """From the start of the run until it was saved, by the files' times; None where they are gone."""
        start = self.path.parent.parent / "about.json"  # written once, when the run began
        if not (self.path.exists() and start.exists()):
            return None
        return (self.path.stat().st_mtime - start.stat().st_mtime) / 3600


def point_of(spec: str) -> Point | None:
    """What the spec of a checkpoint player says of its training; None for other players."""
    path_text, _, settings = spec.removeprefix(_CHECKPOINT).partition(";")
    path = Path(path_text)
    if path.name == "weights.safetensors":  # of a checkpoint, which is a folder
        path = path.parent
    if not spec.startswith(_CHECKPOINT) or not path.stem.isdecimal():
        return None
    folder = path.parent.parent if path.parent.name in ("checkpoints", "pool") else path.parent
    return Point(f"{folder.as_posix()}{' ' + settings if settings else ''}", int(path.stem), path)


def draw(path: Path, ratings: "Ratings", x: str) -> list[str]:
    """Draw the rating of each run's checkpoints as a line, and of every other player as a level.

    Returns:
        Lines that name the players left out.

    Raises:
        ValueError: no rated player is a checkpoint whose steps or time are known.
    """
    curves: defaultdict[str, list[tuple[float, Rated]]] = defaultdict(list)
    levels, lost = [], []
    for player in ratings.players:
        point = point_of(player.seat.spec)
        place = point and (float(point.steps) if x == "steps" else point.hours)
        if player.rating is None or (point and place is None):
            lost.append(player.name)
        elif point and place is not None:
            curves[point.run].append((place, player))
        else:
            levels.append(player)
    if not curves:
        raise ValueError(f"nothing to plot: no rated player is a checkpoint whose {x} is known")
    _draw(path, curves, levels, "plies learned from" if x == "steps" else "hours")
    return [f"not on the plot: {', '.join(lost)}"] if lost else []


def _draw(
    path: Path,
    curves: "Mapping[str, list[tuple[float, Rated]]]",
    levels: "Sequence[Rated]",
    label: str,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)  # needs no display
    axes = figure.subplots()
    for run, points in sorted(curves.items()):
        _draw_curve(axes, run, sorted(points, key=lambda point: point[0]))
    for player in levels:
        value = _known(player)[0]
        axes.axhline(value, color="0.7", linewidth=0.8, linestyle="--", zorder=0)
        axes.annotate(player.name, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    axes.set_xlabel(label)
    axes.set_ylabel("Elo")
    axes.legend()
    figure.savefig(path, dpi=120, format="png")


def _draw_curve(axes: "Axes", run: str, points: "Sequence[tuple[float, Rated]]") -> None:
    """One run, with its 95 % intervals; a triangle points to an end that is open."""
    places = [place for place, _ in points]
    ends = [_known(player) for _, player in points]
    values = [value for value, _, _ in ends]
    below = [0 if low is None else value - low for value, low, _ in ends]
    above = [0 if high is None else high - value for value, _, high in ends]
    bars = axes.errorbar(places, values, yerr=(below, above), marker="o", capsize=3, label=run)
    for place, (value, low, high) in zip(places, ends, strict=True):
        if low is None or high is None:
            marker = "^" if high is None else "v"
            axes.plot(place, value, marker=marker, markersize=12, color=bars.lines[0].get_color())


def _known(player: "Rated") -> tuple[float, float | None, float | None]:
    """The rating of a player who has one, and its ends."""
    assert player.rating is not None and player.rating.value is not None
    return player.rating.value, player.rating.low, player.rating.high


if __name__ == "__main__":
    sys.exit(main())
