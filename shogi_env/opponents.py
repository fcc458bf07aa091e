"""Players that ship with the environment, as functions over a batch.

An opponent is any ``Callable[[Positions, idx], actions]``: given games and the indices int64[k] of
those where it is to move, it returns k legal actions, or `RESIGN`.  Randomness comes from each game's own
stream, so that a game does not depend on the batch it is played in.

The environments tell an opponent that has a method ``begin(idx)`` the indices int64[k] of those of its games
that start, when they stand at their first position, before random plies or a move of its own.  A game that
ends before the learner's first decision starts once more and is told once more; of a game that was running
when the opponent was seated it hears nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from shogi_env.positions import Positions
from shogi_env.types import BoolArray, Int64Array, UInt8Array

Opponent: TypeAlias = Callable[[Positions, Int64Array], Int64Array]
RESIGN = -1
"""What an opponent returns instead of an action to give a game up."""


def random(positions: Positions, idx: Int64Array) -> Int64Array:
    """Any legal move, each as likely."""
    return positions.random_actions(idx)


def greedy(positions: Positions, idx: Int64Array) -> Int64Array:
    """Mate in one if there is one, else the biggest capture; ties and quiet moves at random."""
    return positions.greedy_actions(idx)


@dataclass(frozen=True)
class Minimax:
    """Alpha-beta search with quiescence; made by `minimax`.  Equal depths are equal opponents."""

    depth: int

    def __call__(self, positions: Positions, idx: Int64Array) -> Int64Array:
        """The best actions int64[k] of the games `idx`."""
        return positions.minimax_actions(self.depth, idx)


def minimax(depth: int) -> Opponent:
    """An opponent that looks at all lines of `depth` plies and goes on with captures and answers to check.

    Args:
        depth: 1..6. Of moves that it finds equal, each game's stream chooses.

    Raises:
        ValueError: `depth` is none of these.
    """
    from shogi_env.core.minimax import check_depth  # compiled only for those who use it

    return Minimax(check_depth(depth))


def level(number: int) -> Opponent:
    """A trained network that comes with the package, playing without search; see `shogi_env.levels`.

    Args:
        number: 1, the weakest, and up.

    Raises:
        ValueError: there is no such level.
    """
    from shogi_env.levels import Level, check_level  # compiled only for those who use it

    return Level(check_level(number))


@dataclass(frozen=True)
class Policy:
    """A function of observations and masks in an opponent's place; made by `from_policy`."""

    function: Callable[[UInt8Array, BoolArray], Any]

    def __call__(self, positions: Positions, idx: Int64Array) -> Int64Array:
        """The function's actions int64[k] in the games `idx`.

        Raises:
            ValueError: it did not return k integers.
        """
        actions = np.asarray(self.function(positions.planes(where=idx), positions.masks(where=idx)))
        if actions.shape != idx.shape or actions.dtype.kind not in "iu":
            shape = list(actions.shape)
            raise ValueError(f"a policy returns {len(idx)} integers here, not {actions.dtype}{shape}")
        return actions.astype(np.int64, copy=False)


def from_policy(function: Callable[[UInt8Array, BoolArray], Any]) -> Opponent:
    """The opponent that a policy of any library makes.

    Args:
        function: ``function(planes, masks) -> actions``: planes uint8[k, 136, 9, 9] and masks
            bool[k, 2187] of k games as `Positions` writes them, actions k integers (`RESIGN` gives a
            game up), as an array or anything that `numpy.asarray` reads.
    """
    return Policy(function)


BUILT_IN: dict[str, Opponent] = {"random": random, "greedy": greedy}
NUMBERED: dict[str, Callable[[int], Opponent]] = {"minimax": minimax, "level": level}


def resolve(opponent: str | Opponent | None) -> Opponent | None:
    """The opponent of a name; callables and None pass through.

    Raises:
        ValueError: no built-in opponent has that name.
    """
    if opponent is None or callable(opponent):
        return opponent
    if isinstance(opponent, str):
        if opponent in BUILT_IN:
            return BUILT_IN[opponent]
        kind, _, number = opponent.partition(":")
        if kind in NUMBERED and number.isascii() and number.isdigit():
            return NUMBERED[kind](int(number))
    names = ", ".join(map(repr, [*BUILT_IN, "minimax:DEPTH", "level:NUMBER"]))
    raise ValueError(f"opponent is one of {names}, a callable, or None for both seats; not {opponent!r}")
