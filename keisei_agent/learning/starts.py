"""Where games start while learning: the even game, positions after random moves, a file's positions."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import get_ident

import numpy as np

from keisei_agent.config import StartConfig
from shogi_env import Positions, ShogiError
from shogi_env.types import StateArray

EVEN = "even"
_TRIES = 100
"""Random games that may end too early, one after the other, before that is an error."""


@dataclass(frozen=True)
class Starts:
    """Draws where a game starts; what an environment takes as `initial`.  Made by `build_starts`."""

    random_share: float
    """Share of the games not from the file that start after random moves from the even game."""
    random_plies: int
    """Each number of moves from 1 to this one is as likely."""
    file_share: float
    """Share of the games that start from one of the positions, each as likely."""
    positions: tuple[str, ...]
    """SFENs or names of handicaps."""

    def __call__(self, generator: np.random.Generator) -> str:
        """A start, as SFEN or name; all that is random comes from the generator."""
        kind = generator.random()
        if kind < self.file_share:
            return self.positions[generator.integers(len(self.positions))]
        if kind < self.file_share + (1 - self.file_share) * self.random_share:
            return play_random_plies(int(generator.integers(1, self.random_plies + 1)), generator)
        return EVEN


def build_starts(config: StartConfig) -> Starts | None:
    """What the settings ask for; None where every game is the even one.

    Raises:
        ValueError: the file cannot be read, or a game cannot start from one of its lines.
    """
    if not config.random_share and not config.file_share:
        return None
    positions = () if config.file is None else read_positions(Path(config.file))
    return Starts(config.random_share, config.random_plies, config.file_share, positions)


def read_positions(path: Path) -> tuple[str, ...]:
    """Read a file of positions: an SFEN or a handicap's name a line; what follows a "#" is not read.

    Raises:
        ValueError: naming file and line: it is no position, or the game is over there; or the file
            cannot be read or holds no position.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None
    game = Positions(1)
    found = []
    for number, line in enumerate(lines, 1):
        start = line.partition("#")[0].strip()
        if not start:
            continue
        try:
            game.set_up(game.everyone, game.first_row(start))
        except ShogiError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
        if game.rows["termination"][0]:
            raise ValueError(f"{path}:{number}: the game is over there: {start}")
        found.append(start)
    if not found:
        raise ValueError(f"{path}: holds no position")
    return tuple(found)


def play_random_plies(plies: int, generator: np.random.Generator) -> str:
    """The position, as SFEN, after random legal moves from the even game that do not end it.

    Args:
        plies: how many, at least 1.
        generator: seeds them.

    Raises:
        ValueError: games went on ending before that.
    """
    game, even = _even_game(plies + 1, get_ident())
    game.seed(generator.integers(1, 2**64, 1, np.uint64))
    for _ in range(_TRIES):
        game.set_up(game.everyone, even)
        for _ in range(plies):
            game.apply_unchecked(game.random_actions(), game.everyone)
            if game.rows["termination"][0]:
                break
        else:
            return game.sfen(0)
    raise ValueError(f"{_TRIES} times in a row a random game ended within {plies} plies")


@cache
def _even_game(max_plies: int, thread: int) -> tuple[Positions, StateArray]:
    """A game for a thread to play in, and the row of its start: making them takes longer than the plies."""
    game = Positions(1, max_plies=max_plies)
    return game, game.first_row(EVEN)
