"""Who plays whom: schedules over the one match runner, which a game log lets go on where they ended.

All of them yield every game of the schedule once: those that the log holds already as they are, the
others as they end, and written to the log.  A match of two players is an event of its own, so that
schedules share the games that they have in common, and A against B is the match of B against A.
"""

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, Required, Self, TypedDict, Unpack

from shogi_env.arena.archive import Archive
from shogi_env.arena.digest import digest_of, seed_of
from shogi_env.arena.match import Pairing, play
from shogi_env.arena.openings import Openings
from shogi_env.arena.players import Player
from shogi_env.arena.records import GameRecord
from shogi_env.arena.statistics import Sprt, Tally, tally
from shogi_env.core.constants import DEFAULT_MAX_PLIES


class Conditions(TypedDict, total=False):
    """What all games of a schedule have in common."""

    openings: Required[Openings]
    """Match k of two players' pairs starts from opening k, whoever they are."""
    seed: int
    """Of the games' random streams; 0 if left out."""
    max_plies: int
    """As in `play`; 512 if left out."""
    declaration: str
    """As in `Positions`; "auto" if left out."""
    slots: int
    """Games at once; 256 if left out."""
    archive: Archive | None
    """Where finished games are taken from and new ones go; None if left out."""


@dataclass(frozen=True)
class _Match:
    """A number of games between two players, in pairs with swapped colors."""

    first: Player
    second: Player
    games: int
    openings: Openings
    seed: int
    event: str

    @classmethod
    def make(cls, first: Player, second: Player, games: int, conditions: Conditions) -> Self:
        if games < 2 or games % 2:
            raise ValueError(f"games is an even number, both colors of each opening; not {games!r}")
        if first.name == second.name and first is not second:
            raise ValueError(f"two players are called {first.name!r}")
        if games > 2 and first.deterministic and second.deterministic and conditions["openings"].repeat:
            raise ValueError(f"{first.name} and {second.name} would play the same two games again and again")
        if astuple(second.seat) < astuple(first.seat):
            first, second = second, first
        openings, seed = conditions["openings"], conditions.get("seed", 0)
        rules = conditions.get("max_plies", DEFAULT_MAX_PLIES), conditions.get("declaration", "auto")
        seats = *astuple(first.seat), *astuple(second.seat)
        event = digest_of("match", *seats, openings.digest, openings.seed, seed, *rules)
        return cls(first, second, games, openings, seed, event)

    @property
    def ids(self) -> list[str]:
        return [f"{k // 2}.{k % 2}" for k in range(self.games)]

    def pairing(self, id: str) -> Pairing:
        pair, swapped = map(int, id.split("."))
        players = (self.second, self.first) if swapped else (self.first, self.second)
        return Pairing(id, *players, self.openings[pair], seed_of(self.seed, self.event, id), self.event)


def _play(matches: Iterable[_Match], conditions: Conditions) -> Iterator[GameRecord]:
    """Play what the archive does not hold, all matches as one batch, and write nothing."""
    waiting = (
        match.pairing(id) for match in matches for id in match.ids if _found(match, id, conditions) is None
    )
    return play(
        waiting,
        slots=conditions.get("slots", 256),
        max_plies=conditions.get("max_plies", DEFAULT_MAX_PLIES),
        declaration=conditions.get("declaration", "auto"),
    )


def _found(match: _Match, id: str, conditions: Conditions) -> GameRecord | None:
    archive = conditions.get("archive")
    return None if archive is None else archive.find(match.event, id)


def _add(game: GameRecord, conditions: Conditions) -> None:
    archive = conditions.get("archive")
    if archive is not None:
        archive.add(game)


def _run(matches: Sequence[_Match], conditions: Conditions) -> Iterator[GameRecord]:
    """Games of the archive first, then new ones as they end."""
    for match in matches:
        for id in match.ids:
            game = _found(match, id, conditions)
            if game is not None:
                yield game
    for game in _play(matches, conditions):
        _add(game, conditions)
        yield game


def head_to_head(
    first: Player, second: Player, games: int, **conditions: Unpack[Conditions]
) -> Iterator[GameRecord]:
    """Two players, half of the games with either color.

    Args:
        first: one of them; who is Black in the first game of a pair is decided by their names.
        second: may be the same object.
        games: even.
        **conditions: see `Conditions`.

    Raises:
        ValueError: an argument is wrong.
    """
    return _run([_Match.make(first, second, games, conditions)], conditions)


def sequential(
    first: Player, second: Player, games: int, test: Sprt, **conditions: Unpack[Conditions]
) -> Iterator[GameRecord]:
    """Like `head_to_head`, until a test on the pairs decides.

    Games are yielded, counted and logged in the order of the schedule: in the order in which they
    end, short games would come first, and they do not end like long ones.  Games that are not
    counted when the test decides are left out, finished or not.

    Args:
        first: whose score is tested.
        second: its opponent.
        games: at most; even.
        test: what decides.
        **conditions: see `Conditions`.

    Raises:
        ValueError: an argument is wrong.
    """
    match = _Match.make(first, second, games, conditions)
    return _until(test, first, match, conditions)


def _until(test: Sprt, player: Player, match: _Match, conditions: Conditions) -> Iterator[GameRecord]:
    counted, new = Tally(player.seat), _play([match], conditions)
    held: dict[str, GameRecord] = {}
    for id in match.ids:
        game = _found(match, id, conditions)
        if game is None:
            try:
                while id not in held:
                    later = next(new)
                    held[later.id] = later
            except KeyboardInterrupt:
                for later in held.values():
                    _add(later, conditions)
                raise
            game = held.pop(id)
            _add(game, conditions)
        yield game
        counted = counted.add(game)
        if test.verdict(counted).accepted:
            return


def gauntlet(
    player: Player, others: Sequence[Player], games: int, **conditions: Unpack[Conditions]
) -> Iterator[GameRecord]:
    """One player against each of others.

    Args:
        player: the one.
        others: at least one.
        games: against each; even.
        **conditions: see `Conditions`.

    Raises:
        ValueError: an argument is wrong, or two players have the same name.
    """
    _check_names([player, *others])
    return _run([_Match.make(player, other, games, conditions) for other in others], conditions)


def round_robin(
    players: Sequence[Player], games: int, **conditions: Unpack[Conditions]
) -> Iterator[GameRecord]:
    """Everybody against everybody else.

    Args:
        players: at least two.
        games: of each two; even.
        **conditions: see `Conditions`.

    Raises:
        ValueError: an argument is wrong, or two players have the same name.
    """
    _check_names(players)
    matches = [_Match.make(first, second, games, conditions) for first, second in combinations(players, 2)]
    return _run(matches, conditions)


def ladder(
    player: Player, rungs: Iterable[Player], games: int, **conditions: Unpack[Conditions]
) -> Iterator[GameRecord]:
    """One player against each of others, from the weakest on, until it scores less than half.

    The player itself is passed over, and so is a rung without a result, all its games void.

    Args:
        player: who climbs.
        rungs: taken one by one, so that a generator may start and end an engine around its match.
        games: on each rung; even.
        **conditions: see `Conditions`.

    Raises:
        ValueError: an argument is wrong, or two players have the same name.
    """
    for rung in rungs:
        if rung is player:
            continue
        played = []
        for game in head_to_head(player, rung, games, **conditions):
            played.append(game)
            yield game
        score = tally(played, player.seat).score
        if score is not None and score < 0.5:
            return


def _check_names(players: Sequence[Player]) -> None:
    names = [player.name for player in players]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two players are called {name!r}")


class Expectation(NamedTuple):
    """An opponent of a benchmark."""

    player: str
    """What `make_player` makes it from."""
    score: float
    """Points of a game that are expected against it, 0..1."""


def read_benchmark(path: Path | str) -> list[Expectation]:
    """Read a benchmark, to be played as a `gauntlet`: TOML with a table ``[[opponent]]`` for each.

    A table holds ``player``, as for `make_player`, and ``score``, a number 0..1.

    Raises:
        ValueError: the file is not like that.
        OSError: it cannot be read.
    """
    try:
        values = tomllib.loads(Path(path).read_text("utf-8"))
    except ValueError as error:  # what is no UTF-8, too
        raise ValueError(f"{path}: {error}") from None
    tables = values.pop("opponent", None)
    if values or not isinstance(tables, list) or not tables:
        raise ValueError(f"{path}: a benchmark holds tables [[opponent]] and nothing else")
    found = []
    for number, table in enumerate(tables, 1):
        player, score = table.get("player"), table.get("score")
        right = isinstance(player, str) and type(score) in (int, float) and 0 <= score <= 1
        if not right or table.keys() != {"player", "score"}:
            raise ValueError(f"{path}: opponent {number} has a player, a text, and a score 0..1, not {table}")
        found.append(Expectation(player, float(score)))
    return found
