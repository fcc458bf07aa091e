"""The scale: frozen levels of known strength, and `evaluate`, which says where a policy stands among them.

A protocol ("v1") fixes levels, openings and the ply limit.  Once released, nothing in it changes: a level
is known by its `fingerprint`, a hash of games that it plays, and a test compares it.  What is added later
gets a new protocol.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shogi_env import opponents
from shogi_env.arena.bradley_terry import expected, maximize
from shogi_env.arena.digest import digest_of
from shogi_env.arena.match import Pairing, play
from shogi_env.arena.openings import Opening, load_openings
from shogi_env.arena.players import Player, make_player
from shogi_env.arena.records import GameLog, GameRecord
from shogi_env.arena.schedules import head_to_head
from shogi_env.arena.statistics import ELO, NORMAL, TAIL, Elo, Tally, tally
from shogi_env.types import BoolArray, UInt8Array

Policy: TypeAlias = Callable[[UInt8Array, BoolArray], NDArray[Any]]
"""Observations uint8[k, 136, 9, 9] and masks bool[k, 2187] to actions, integers [k]."""


@dataclass(frozen=True, slots=True)
class Level:
    """A player that never changes."""

    spec: str
    """As `make_player` takes it; its name, too."""
    rating: float
    """In Elo points above random."""
    low: float
    """Lower end of the rating's 95 % interval."""
    high: float
    fingerprint: str
    """`fingerprint` of the player that was rated."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How strength is measured."""

    name: str
    openings: str
    max_plies: int
    levels: tuple[Level, ...]
    """From the weakest to the strongest."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found."""

    protocol: str
    rating: Elo
    """In Elo points above random; the levels' ratings are taken as they are."""
    levels: Mapping[str, Tally]
    """The policy's games against each level."""
    games: tuple[GameRecord, ...]

    def __str__(self) -> str:
        """Return the rating, and a line for each level."""
        width = max(map(len, self.levels))
        lines = [f"rating {self.rating} on scale {self.protocol}"]
        return "\n".join([*lines, *(f"  {name:{width}}  {games}" for name, games in self.levels.items())])


@cache
def load_protocol(name: str = "v1") -> Protocol:
    """Read a protocol that comes with the package.

    Raises:
        ValueError: there is none of that name.
    """
    folder = resources.files(__package__).joinpath("data")
    known = sorted(
        file.name.removeprefix("scale-").removesuffix(".json")
        for file in folder.iterdir()
        if file.name.startswith("scale-") and file.name.endswith(".json")
    )
    if name not in known:
        raise ValueError(f"protocol is one of {', '.join(map(repr, known))}, not {name!r}")
    values = json.loads(folder.joinpath(f"scale-{name}.json").read_text("utf-8"))
    levels = tuple(Level(**level) for level in values["levels"])
    return Protocol(name, values["openings"], values["max_plies"], levels)


def evaluate(
    policy: Policy | Player | str,
    games: int = 200,
    *,
    protocol: str = "v1",
    seed: int = 0,
    name: str = "policy",
    log: Path | str | None = None,
) -> Evaluation:
    """Measure how strong a policy is: it plays the levels of a protocol, both colors of each opening.

    >>> import shogi_env
    >>> found = shogi_env.evaluate("greedy", games=20)
    >>> sum(tally.games for tally in found.levels.values())
    20

    Args:
        policy: ``policy(observations, masks) -> actions`` over a batch; or a `Player`, or what
            `make_player` takes.
        games: how many in all, even and at least two for each level; more make the interval smaller.
        protocol: which levels, openings and ply limit.
        seed: decides openings and the levels' draws.
        name: what to call a function.
        log: a file that the games are appended to.

    Raises:
        ValueError: an argument is wrong.
    """
    rules = load_protocol(protocol)
    if games % 2 or games < 2 * len(rules.levels):
        raise ValueError(f"games is even and at least {2 * len(rules.levels)}, not {games!r}")
    player = _as_player(policy, name)
    if player.name in {level.spec for level in rules.levels}:
        player = make_player(player.spec, name=f"{player.name} (evaluated)")
    pairs, more = divmod(games // 2, len(rules.levels))
    played: dict[str, list[GameRecord]] = {}
    for k, level in enumerate(rules.levels):
        count = 2 * (pairs + (k >= len(rules.levels) - more))
        openings = load_openings(rules.openings, seed)
        with make_player(level.spec) as other:
            played[level.spec] = list(
                head_to_head(player, other, count, openings=openings, seed=seed, max_plies=rules.max_plies)
            )
    every = tuple(game for some in played.values() for game in some)
    if log is not None:
        with GameLog(log) as file:
            file.write(every)
    tallies = {spec: tally(some, player.name) for spec, some in played.items()}
    ratings = {level.spec: level.rating for level in rules.levels}
    return Evaluation(protocol, rate_against(ratings, tallies), tallies, every)


def _as_player(policy: Policy | Player | str, name: str) -> Player:
    if isinstance(policy, Player):
        return policy
    if isinstance(policy, str):
        return make_player(policy)
    if not callable(policy):
        raise ValueError(f"a policy is a function, a player or the text of one, not {policy!r}")
    return Player(name, name, "", "", opponents.from_policy(policy))


def rate_against(ratings: Mapping[str, float], tallies: Mapping[str, Tally]) -> Elo:
    """The rating of a player from its games against players whose ratings are known.

    Maximum likelihood in the model of `bradley_terry`, with the larger of its error and the robust one
    over pairs of games.  A player that won, or lost, all games has no such rating; its interval is then
    open to that side, and ends where so many wins have a probability of 2.5 %.

    Args:
        ratings: in Elo points.
        tallies: the player's games against each of them; those without games are left out.

    Raises:
        ValueError: there is no game with a result.
    """
    used = [(ratings[name] / ELO, games) for name, games in tallies.items() if games.games]
    if not used:
        raise ValueError("no game has a result")
    known = np.array([rating for rating, _ in used])
    count = np.array([float(games.games) for _, games in used])
    points = np.array([games.results.wins + games.results.draws / 2 for _, games in used])
    if points.sum() in (0, count.sum()):
        bound = ELO * _sweep(known, count, won=bool(points.sum()))
        return Elo(None, bound, None) if points.sum() else Elo(None, None, bound)
    found = float(maximize(np.ones((len(known), 1)), points, count, -known)[0])
    chance = expected(found - known)
    pairs = [
        (score - chance[k] * n) ** 2 for k, (_, games) in enumerate(used) for score, n in games.pairs.values()
    ]
    information = float((count * chance * (1 - chance)).sum())
    # between two levels few games are in doubt, and those that were seen may not vary at all
    error = NORMAL * math.sqrt(max(sum(pairs), information)) / information
    return Elo(ELO * found, ELO * (found - error), ELO * (found + error))


def _sweep(known: NDArray[np.float64], count: NDArray[np.float64], *, won: bool) -> float:
    """The rating in logits at which winning (or losing) all games has a probability of 2.5 %."""
    sign = 1 if won else -1
    low, high = -100.0, 100.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        likely = -(count * np.logaddexp(0, -sign * (sign * middle - known))).sum() > math.log(TAIL)
        low, high = (low, middle) if likely else (middle, high)
    return sign * (low + high) / 2


_FINGERPRINT_GAMES = 8


def fingerprint(player: Player) -> str:
    """A hash of games that a player plays against random: it changes where the player does."""
    with make_player("random") as other:
        pairings = []
        for k in range(_FINGERPRINT_GAMES):
            black, white = (other, player) if k % 2 else (player, other)
            pairings.append(Pairing(f"{k // 2}.{k % 2}", black, white, Opening(), k + 1))
        games = sorted(play(pairings, max_plies=128), key=lambda game: game.id)
    return digest_of(*(move for game in games for move in ("", *game.moves)))
