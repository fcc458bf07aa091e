"""Matches against uniformly random moves: the first thing that a network learns to win."""

from dataclasses import asdict, dataclass

import numpy as np

from shogi_env import opponents
from shogi_env.arena.digest import seed_of
from shogi_env.arena.match import Pairing, play
from shogi_env.arena.openings import Opening
from shogi_env.arena.players import Player
from shogi_env.opponents import Opponent


@dataclass(frozen=True)
class Score:
    """Results of a match from one player's side."""

    wins: int
    draws: int
    losses: int
    plies: float
    """Mean length of a game."""

    @property
    def games(self) -> int:
        """Games played."""
        return self.wins + self.draws + self.losses

    def __str__(self) -> str:
        """Return counts and the share of wins."""
        share = 100 * self.wins / self.games
        return (
            f"{self.wins} wins, {self.draws} draws, {self.losses} losses"
            f" of {self.games} games ({share:.1f} % wins, {self.plies:.0f} plies on average)"
        )

    def as_dict(self) -> dict[str, float]:
        """Return the fields for JSON."""
        return asdict(self)


def play_random(choose: Opponent, games: int, *, seed: int, max_plies: int = 512) -> Score:
    """Play against uniformly random legal moves, every other game as Black.

    Args:
        choose: whose score is returned.
        games: how many, at least 1.
        seed: of the games' random streams; no other random stream is touched.
        max_plies: after which a game is a draw.

    Raises:
        RuntimeError: the player failed in a game, or its move was illegal.
    """
    player = Player("player", "", "", "", choose)
    other = Player("random", "random", "", "", opponents.random)
    pairings = [
        Pairing(str(k), *((other, player) if k % 2 else (player, other)), Opening(), seed_of(seed, k))
        for k in range(games)
    ]
    records = list(play(pairings, max_plies=max_plies))
    for record in records:
        if record.result == "void" or record.reason == "illegal_move":
            raise RuntimeError(record.reason)
    scores = [record.score("player") for record in records]
    wins, draws, losses = (scores.count(value) for value in (1.0, 0.5, 0.0))
    return Score(wins, draws, losses, float(np.mean([len(record.moves) for record in records])))
