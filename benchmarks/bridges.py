"""Players between levels that are far apart, for the scale alone: greedy beats random in 999 games of 1000.

Each plays the moves of a stronger level in some of 100 moves and those of a weaker one otherwise, drawn
from the game's stream.
"""

from __future__ import annotations

from shogi_env import Positions, opponents
from shogi_env.opponents import Opponent
from shogi_env.types import Int64Array


def blend(percent: int, strong: Opponent, weak: Opponent) -> Opponent:
    """The strong player's move in so many of 100 moves, else the weak one's."""

    def choose(positions: Positions, idx: Int64Array) -> Int64Array:
        lucky = positions.random_numbers(100, idx) < percent
        actions = weak(positions, idx)
        if lucky.any():
            actions[lucky] = strong(positions, idx[lucky])
        return actions

    return choose


greedy_10 = blend(10, opponents.greedy, opponents.random)
greedy_25 = blend(25, opponents.greedy, opponents.random)
greedy_50 = blend(50, opponents.greedy, opponents.random)
minimax_15 = blend(15, opponents.minimax(1), opponents.greedy)
minimax_40 = blend(40, opponents.minimax(1), opponents.greedy)
minimax_70 = blend(70, opponents.minimax(1), opponents.greedy)
