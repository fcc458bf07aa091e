"""Who is how strong, from the games of a run."""

from typing import Any

from keisei_agent.web.runs import Reader
from shogi_env.arena.known import LEVELS, RATINGS
from shogi_env.arena.rating import Ratings, rate
from shogi_env.arena.records import GameRecord
from shogi_env.errors import RecordError

_MOST = 20_000
"""Games that are rated: the newest."""


def strength(reader: Reader) -> dict[str, Any]:
    """Ratings, the cross table and the curve over the decisions, as JSON.

    Returns:
        `players`, the best first: name, rating (value, low, high or None), games, wins, draws, losses, score,
        note; `cross`: rows of [points, games] or None in their order; `anchor`; `curve`: of each evaluation
        its steps and rating; `known`: measured ratings of players and engines; `notes`, `problem`.
    """
    found: dict[str, Any] = {"players": [], "cross": [], "anchor": None, "games": 0, "notes": []}
    found["problem"] = ""
    records = _records(reader)
    if records:
        names = [seat.name for game in records for seat in (game.black, game.white)]
        anchor = "random" if "random" in names else max(sorted(set(names)), key=names.count)
        try:
            found |= _table(rate(records, anchor))
        except (RecordError, ValueError) as error:
            found["problem"] = str(error)
    found["curve"] = [{"steps": line["steps"], "rating": line.get("rating")} for line in reader.evaluations()]
    measured = {**RATINGS, **{f"level:{number}": rating for number, rating in LEVELS.items()}}
    found["known"] = [
        {"name": name, "value": value, "low": low, "high": high}
        for name, (value, low, high) in measured.items()
    ]
    return found


def _records(reader: Reader) -> list[GameRecord]:
    with reader.lock:
        reader.games.read()
        count = len(reader.games.entries)
        return [reader.games.record(number) for number in range(max(0, count - _MOST), count)]


def _table(ratings: Ratings) -> dict[str, Any]:
    names = [player.name for player in ratings.players]
    return {
        "anchor": ratings.anchor,
        "games": ratings.games,
        "notes": list(ratings.notes),
        "players": [
            {
                "name": player.name,
                "rating": player.rating and list(player.rating),
                "games": player.games,
                **player.results._asdict(),
                "score": player.score,
                "note": player.note,
            }
            for player in ratings.players
        ],
        "cross": [
            [list(cell) if (cell := ratings.cross.get((name, other))) else None for other in names]
            for name in names
        ],
    }
