"""Bradley-Terry ratings of everybody in a log of games, with 95 % intervals.

Ratings are computed from the games alone, all at once: a game that is read twice counts once, and the
order of games makes no difference, not even in the last bit.  `bradley_terry` has the maths.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from shogi_env.arena.bradley_terry import Fit, Links, fit
from shogi_env.arena.records import GameRecord, Seat, to_line
from shogi_env.arena.statistics import ELO, Elo, Score
from shogi_env.errors import RecordError

_Key: TypeAlias = tuple[str, str]
"""Who a seat is: its name, and its digest, or a space and its spec where nothing was hashed."""
_Pairs: TypeAlias = Mapping[tuple[str, str], tuple[float, int]]
"""The games of two players: points of the first and games, by event and pair."""


@dataclass(frozen=True, slots=True)
class Rated:
    """A player and what its games say."""

    name: str
    """Its own, or with "@" and what tells it apart where others have the same."""
    seat: Seat
    rating: Elo | None
    """None where the games do not connect it to the anchor."""
    note: str
    """Why there is no rating or an end of its interval is open, else empty."""
    results: Score
    voids: int
    """Games without a result; they are not rated."""

    @property
    def games(self) -> int:
        """Games with a result."""
        return sum(self.results)

    @property
    def score(self) -> float | None:
        """Points of a game on average, 0..1."""
        return (self.results.wins + self.results.draws / 2) / self.games if self.games else None


@dataclass(frozen=True, slots=True)
class Ratings:
    """Everybody's rating in Elo points above the anchor."""

    anchor: str
    players: tuple[Rated, ...]
    """The best first, those without a rating last."""
    cross: Mapping[tuple[str, str], tuple[float, int]]
    """Points of the first against the second, and games, by their names; both orders."""
    games: int
    """Different games with a result."""
    voids: int
    """Different games without one."""
    repeated: int
    """Records left out because they were read before."""
    notes: tuple[str, ...]
    """What a reader of the ratings has to know."""

    def __getitem__(self, name: str) -> Rated:
        """The player of that name, KeyError where there is none."""
        found = next((player for player in self.players if player.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


def rate(games: Iterable[GameRecord], anchor: str = "random") -> Ratings:
    """Rate all players of some games.

    The maximum of the likelihood, with a draw as half a win and without a term for the color, and
    intervals of the difference to the anchor that allow for draws and for what the two games of a pair
    have in common.  Players are the same if name and digest are, or name and spec where there is no digest.

    Args:
        games: in any order; void ones are counted and not rated.
        anchor: name of the player whose rating is 0.

    Raises:
        RecordError: two different games have the same event and id.
        ValueError: nobody, or more than one, is called `anchor`.
    """
    records = list(games)
    different = distinct(records)
    seats: dict[_Key, set[Seat]] = defaultdict(set)
    for game in different:
        for seat in (game.black, game.white):
            seats[_key(seat)].add(seat)
    keys = sorted(seats)
    names = _names(keys)
    zero = _find(anchor, keys, names)
    meetings = _meetings(different)
    found = fit(_links(meetings, keys), len(keys), zero)
    results, voids = _count(different)
    players = [
        Rated(
            names[key],
            min(seats[key], key=lambda seat: (seat.spec, seat.version)),
            _elo(found, i),
            _why(found, i, names[keys[zero]], sum(results[key])),
            results[key],
            voids[key],
        )
        for i, key in enumerate(keys)
    ]
    players.sort(key=_rank)
    finished = sum(game.result != "void" for game in different)
    return Ratings(
        names[keys[zero]],
        tuple(players),
        _cross(meetings, names),
        finished,
        len(different) - finished,
        len(records) - len(different),
        tuple(_notes(different, seats, names)),
    )


def _rank(player: Rated) -> tuple[bool, float, str]:
    value = player.rating.value if player.rating else None
    return value is None, -(value or 0.0), player.name


def distinct(games: Iterable[GameRecord]) -> list[GameRecord]:
    """Return the different games, sorted by event and id.

    A game that was void and then played again counts with its result.

    Raises:
        RecordError: two games with different results or moves have the same event and id.
    """
    chosen: dict[tuple[str, str], GameRecord] = {}
    for game in games:
        other = chosen.setdefault((game.event, game.id), game)
        if other is not game:
            chosen[game.event, game.id] = _one_of(game, other)
    return [chosen[name] for name in sorted(chosen)]


def _one_of(game: GameRecord, other: GameRecord) -> GameRecord:
    """Choose between two records of one game, whichever comes first."""
    if (game.result == "void") != (other.result == "void"):
        return other if game.result == "void" else game
    if game.result != "void" and _content(game) != _content(other):
        raise RecordError(f"event {game.event!r} has two different games {game.id!r}")
    return min(game, other, key=to_line)


def _content(game: GameRecord) -> tuple[object, ...]:
    return _key(game.black), _key(game.white), game.start, game.moves, game.result


def _key(seat: Seat) -> _Key:
    return seat.name, seat.digest or f" {seat.spec}"


def _names(keys: list[_Key]) -> dict[_Key, str]:
    """What to call each player: its name, or where several have it, with what tells them apart."""
    same: dict[str, list[str]] = defaultdict(list)
    for name, identity in keys:
        same[name].append(identity)
    result = {}
    for name, identity in keys:
        short = identity.strip() if identity.startswith(" ") else identity[:_SHORT]
        unclear = sum(other.startswith(short) for other in same[name]) > 1
        result[name, identity] = f"{name}@{identity if unclear else short}" if len(same[name]) > 1 else name
    return result


_SHORT = 6  # digits of a digest that are shown


def _find(anchor: str, keys: list[_Key], names: Mapping[_Key, str]) -> int:
    """Number of the player who is rated 0."""
    found = [i for i, key in enumerate(keys) if anchor in (names[key], key[0])]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{anchor!r} is {len(found)} players: {', '.join(names[keys[i]] for i in found)}")
    raise ValueError(f"no player is called {anchor!r}; there are: {', '.join(names.values()) or 'no games'}")


def _meetings(games: Iterable[GameRecord]) -> dict[tuple[_Key, _Key], _Pairs]:
    """The games of every two players; the first of the two is the one that sorts first."""
    meetings: dict[tuple[_Key, _Key], dict[tuple[str, str], tuple[float, int]]] = defaultdict(dict)
    for game in games:
        black, white = _key(game.black), _key(game.white)
        if game.result == "void" or black == white:
            continue
        black_points = {"black": 1.0, "draw": 0.5, "white": 0.0}[game.result]
        pairs = meetings[min(black, white), max(black, white)]
        points, count = pairs.get((game.event, game.pair), (0.0, 0))
        points += black_points if black < white else 1 - black_points
        pairs[game.event, game.pair] = points, count + 1
    return {players: meetings[players] for players in sorted(meetings)}


def _links(meetings: Mapping[tuple[_Key, _Key], _Pairs], keys: list[_Key]) -> Links:
    number = {key: i for i, key in enumerate(keys)}
    rows = np.zeros((len(meetings), 6))
    for row, pairs in zip(rows, meetings.values(), strict=True):
        points, games = np.array(list(pairs.values()), np.float64).T
        row[:] = points.sum(), games.sum(), len(pairs), points @ points, points @ games, games @ games
    first, second = np.array([[number[a], number[b]] for a, b in meetings], np.int64).reshape(-1, 2).T
    return Links(first, second, rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3:])


def _count(games: Iterable[GameRecord]) -> tuple[dict[_Key, Score], Counter[_Key]]:
    """Results and void games of each player; of a game against itself, both sides."""
    counts: dict[_Key, Counter[str]] = defaultdict(Counter)
    for game in games:
        for side, seat in (("black", game.black), ("white", game.white)):
            draw_or_void = game.result in ("draw", "void")
            counts[_key(seat)][game.result if draw_or_void else "win" if game.result == side else "loss"] += 1
    results = {key: Score(count["win"], count["draw"], count["loss"]) for key, count in counts.items()}
    return results, Counter({key: count["void"] for key, count in counts.items()})


def _elo(found: Fit, i: int) -> Elo | None:
    if np.isnan(found.ratings[i]):
        return None
    low, high = (float(end[i] * ELO) if np.isfinite(end[i]) else None for end in (found.low, found.high))
    return Elo(float(found.ratings[i] * ELO), low, high)


def _why(found: Fit, i: int, anchor: str, games: int) -> str:
    """Say what keeps a rating from being a number between two others."""
    if not games:
        return "no finished games"
    if not found.connected[i]:
        return f"no games connect it to {anchor}"
    if np.isnan(found.ratings[i]):
        return f"neither above nor below {anchor}: one side won all games of every connection"
    for end, name in ((found.high, "upper"), (found.low, "lower")):
        if np.isinf(end[i]):
            return (
                f"no {name} end: somewhere between {anchor} and it one side won all games;"
                " half a point for the other is assumed"
            )
    return ""


def _cross(
    meetings: Mapping[tuple[_Key, _Key], _Pairs], names: Mapping[_Key, str]
) -> dict[tuple[str, str], tuple[float, int]]:
    cross = {}
    for (a, b), pairs in meetings.items():
        points, games = (sum(column) for column in zip(*pairs.values(), strict=True))
        cross[names[a], names[b]] = points, int(games)
        cross[names[b], names[a]] = games - points, int(games)
    return cross


def _notes(
    games: Iterable[GameRecord], seats: Mapping[_Key, set[Seat]], names: Mapping[_Key, str]
) -> Iterable[str]:
    """What could mislead whoever reads only the numbers."""
    for name, number in sorted(Counter(name for name, _ in names).items()):
        if number > 1:
            yield f"{number} different players are called {name}; what follows the @ tells them apart"
    for key in sorted(seats):
        versions = sorted({seat.version for seat in seats[key]})
        if len(versions) > 1:
            yield f"{names[key]} counts as one player in versions {', '.join(versions)}"
    alone = Counter(_key(game.black) for game in games if _key(game.black) == _key(game.white))
    for key, number in sorted(alone.items()):
        yield f"{number} games of {names[key]} against itself say nothing about its rating"
