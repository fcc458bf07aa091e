"""Players that ship with the environment, as functions over a batch.

An opponent is any ``Callable[[Positions, idx], actions]``: given games and the indices int64[k] of
those where it is to move, it returns k legal actions.  Randomness comes from each game's own
stream, so that a game does not depend on the batch it is played in.
"""

from collections.abc import Callable
from typing import TypeAlias

from shogi_env.positions import Positions
from shogi_env.types import Int64Array

Opponent: TypeAlias = Callable[[Positions, Int64Array], Int64Array]


def random(positions: Positions, idx: Int64Array) -> Int64Array:
    """Any legal move, each as likely."""
    return positions.random_actions(idx)


def greedy(positions: Positions, idx: Int64Array) -> Int64Array:
    """Mate in one if there is one, else the biggest capture; ties and quiet moves at random."""
    return positions.greedy_actions(idx)


BUILT_IN: dict[str, Opponent] = {"random": random, "greedy": greedy}


def resolve(opponent: str | Opponent | None) -> Opponent | None:
    """The opponent of a name; callables and None pass through.

    Raises:
        ValueError: no built-in opponent has that name.
    """
    if opponent is None or callable(opponent):
        return opponent
    if opponent not in BUILT_IN:
        names = ", ".join(map(repr, BUILT_IN))
        raise ValueError(f"opponent is one of {names}, a callable, or None for both seats; not {opponent!r}")
    return BUILT_IN[opponent]
