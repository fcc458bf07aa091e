"""What `keisei-match` says of games: lines of text, and a count while they are played."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from shogi_env.arena.records import GameRecord
    from shogi_env.arena.statistics import Score, Tally

_EVERY = 0.2
"""Seconds between two counts."""
_WIDTH = 79
"""Characters of the count."""
_LONGEST = 200
"""Characters of a failure's text."""
_OUTCOMES = {"win": "won", "draw": "drawn", "loss": "lost"}


def show_progress(games: Iterable["GameRecord"], total: int | None, stream: TextIO) -> Iterator["GameRecord"]:
    """Pass games on, counting them on a stream if that is a terminal.

    Args:
        games: as they end.
        total: how many there will be, None if that is not known.
        stream: where to.
    """
    of = f" of {total}" if total else ""
    if not stream.isatty():
        yield from games
        return
    shown = 0.0
    try:
        for number, game in enumerate(games, 1):
            if time.monotonic() - shown > _EVERY:
                shown = time.monotonic()
                text = f"{number}{of} games, the last: {_one_game(game)}"
                print(f"\r{text:{_WIDTH}.{_WIDTH}}", end="", file=stream, flush=True)
            yield game
    finally:
        print(f"\r{'':{_WIDTH}}\r", end="", file=stream, flush=True)


def _one_game(game: "GameRecord") -> str:
    names = {"black": game.black.name, "white": game.white.name}
    return f"{names.get(game.result, game.result)} ({game.reason}, {len(game.moves)} plies)"


def variety(games: Sequence["GameRecord"]) -> str:
    """How many of the games, and of their openings, differ."""
    different = len({(game.start, game.moves) for game in games})
    return f"variety:  {different} different games from {len({game.opening for game in games})} openings"


def details(tally: "Tally") -> Iterator[str]:
    """Results by color, endings and lengths."""
    for color in ("black", "white"):
        yield f"as {color.title() + ':':<7}{_counts(tally.by_color(color))}"
    endings = [
        f"{number} {_OUTCOMES[outcome]} by {reason}"
        for (outcome, reason), number in tally.reasons.items()
        if outcome != "void"
    ]
    yield f"endings:  {', '.join(endings) or '-'}"
    if tally.plies is not None:
        yield f"plies:    {tally.plies:.1f} on average, {min(tally.lengths)} to {max(tally.lengths)}"


def _counts(score: "Score") -> str:
    wins, draws, losses = score
    return f"{wins} wins, {draws} draws, {losses} losses"


def by_opponent(games: Sequence["GameRecord"], name: str, expected: Mapping[str, float]) -> Iterator[str]:
    """One line for each opponent of a player, in the order in which they were met.

    Args:
        games: all games.
        name: the player.
        expected: scores 0..1 by the opponents' names; may lack some.
    """
    from shogi_env.arena.statistics import tally

    met: dict[str, list[GameRecord]] = {}
    for game in games:
        other = game.white.name if game.black.name == name else game.black.name
        met.setdefault(other, []).append(game)
    width = max(map(len, met), default=0)
    for other, played in met.items():
        found = tally(played, name)
        yield f"  {other:{width}}  {found}{_compare(found, expected.get(other))}"


def _compare(tally: "Tally", expected: float | None) -> str:
    """Whether a score is what was expected, as far as the games tell."""
    if expected is None or tally.interval is None:
        return ""
    low, high = tally.interval
    verdict = "less" if high < expected else "more" if low > expected else "as expected"
    return f"; expected {100 * expected:.1f} %: {verdict}"


def standings(games: Sequence["GameRecord"]) -> Iterator[str]:
    """One line for each player, the highest score first."""
    from shogi_env.arena.statistics import tally

    names = list(dict.fromkeys(name for game in games for name in (game.black.name, game.white.name)))
    tallies = {name: tally(games, name) for name in names}
    width = max(map(len, names), default=0)
    for name in sorted(names, key=lambda name: -(tallies[name].score or 0.0)):
        score = tallies[name].score
        share = "-" if score is None else f"{100 * score:.1f} %"
        yield f"  {name:{width}}  {share:>7}  {_counts(tallies[name].results)}"


def voids(games: Iterable["GameRecord"]) -> Iterator[str]:
    """How many games are void, by what went wrong."""
    reasons = Counter(" ".join(game.reason.split())[:_LONGEST] for game in games if game.result == "void")
    for reason, number in reasons.most_common():
        yield f"void:     {number} x {reason}"
