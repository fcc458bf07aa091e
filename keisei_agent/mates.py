"""Positions with a mate in 1 or 3 plies: how many of them does a player solve at a glance?

The set in ``data/mates.txt`` is fixed, so that its rates can be compared between runs.
``tools/make_mates.py`` made it.
"""

from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np

from shogi_env import Move, Positions, Termination
from shogi_env.opponents import Opponent
from shogi_env.types import BoolArray, Int64Array

LENGTHS = (1, 3)
"""Plies of the mates: the attacker's only move, or its two moves with any answer between them."""
_SHORT = 16
"""Ply limit of the games in which mates are looked for."""


class Mate(NamedTuple):
    """A position in which the side to move mates in `plies`, and not sooner."""

    plies: int
    sfen: str
    moves: tuple[str, ...]
    """Every first move that does, in USI."""


def load_mates(plies: int) -> list[Mate]:
    """The positions of the fixed set with mates of one length, 1 or 3."""
    text = resources.files("keisei_agent").joinpath("data/mates.txt").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    found = [Mate(int(length), sfen, tuple(moves.split())) for length, sfen, moves in rows]
    return [mate for mate in found if mate.plies == plies]


class MateTest:
    """Puts positions to a player and counts the mates that it finds.

    Args:
        mates: the positions.
    """

    def __init__(self, mates: Sequence[Mate]) -> None:
        self._positions = Positions(len(mates), sfens=[mate.sfen for mate in mates])
        legal = self._positions.masks()
        self._mating: BoolArray = np.zeros_like(legal)
        for i, mate in enumerate(mates):
            for text in mate.moves:
                self._mating[i, self._positions.action(i, Move.from_usi(text))] = True
        self.by_chance = float((self._mating.sum(1) / legal.sum(1)).mean())
        """Share that random legal moves find."""

    def __len__(self) -> int:
        return len(self._mating)

    def share_found(self, choose: Opponent) -> float:
        """Share of the positions, 0..1, in which the player's move mates."""
        actions = choose(self._positions, self._positions.everyone)
        return float(self._mating[self._positions.everyone, actions].mean())


def find_mates(sfen: str, plies: int) -> list[str]:
    """Moves that checkmate in `plies` or fewer, whatever is answered, in USI and in rising order of actions.

    Every line is played out, which proves the mate.

    Args:
        sfen: the position.
        plies: 1 or 3.

    Raises:
        SfenError: `sfen` is not a position.
        ValueError: `plies` is neither.
    """
    if plies not in LENGTHS:
        raise ValueError(f"mates are looked for in 1 or 3 plies, not {plies!r}")
    start = Positions(1, sfens=sfen, max_plies=_SHORT)
    moves = start.moves(0)
    if start.outcomes()[0][0] or not moves:
        return []
    games = _spread(start, np.zeros(len(moves), np.int64))
    games.apply([start.action(0, move) for move in moves])
    attacker = int(start.turns[0])
    mating = _mated(games, attacker)
    if plies == 3:
        mating |= _mated_after_any_answer(games, attacker)
    return [str(move) for move, mates in zip(moves, mating, strict=True) if mates]


def _mated_after_any_answer(games: Positions, attacker: int) -> BoolArray:
    """Whether, bool[N], every answer in a game lets the attacker checkmate at once."""
    mated = np.zeros(len(games), np.bool_)
    running = np.flatnonzero(games.outcomes()[0] == Termination.RUNNING)
    if not len(running):
        return mated
    rows, answers = np.nonzero(games.masks(where=running))
    lines = _spread(games, running[rows])
    lines.apply(answers)
    going_on = np.flatnonzero(lines.outcomes()[0] == Termination.RUNNING)
    lines.apply(lines.greedy_actions(going_on), going_on)  # it mates in one wherever it can
    escapes = np.bincount(rows, weights=~_mated(lines, attacker), minlength=len(running))
    mated[running] = escapes == 0
    return mated


def _spread(games: Positions, where: Int64Array) -> Positions:
    """A batch with copies of games, those that `where` names, in that order."""
    copies = Positions(len(where), max_plies=games.max_plies)
    copies.restore(None, games.snapshot(where))
    return copies


def _mated(games: Positions, attacker: int) -> BoolArray:
    """In which games, bool[N], a color has checkmated."""
    terminations, winners = games.outcomes()
    mated: BoolArray = (terminations == Termination.CHECKMATE) & (winners == attacker)
    return mated
