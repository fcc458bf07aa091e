"""A player in 40 lines, without knowledge: `python examples/flat_monte_carlo.py [GAMES [PLAYOUTS]]` (4, 20).

It tries every legal move and plays the game out at random so many times, all of them at once: one batch of
`Positions` holds the playouts of all moves of all games. The move that won most is played. Each game's random
numbers are its own, so the games are the same whatever else is in the batch.
"""

import sys

import numpy as np

from shogi_env import Positions, opponents

GAMES, PLAYOUTS = [*map(int, sys.argv[1:]), *(4, 20)[len(sys.argv) - 1 :]]
MAX_PLIES = 200  # of a playout as of a game: a draw


def choose(positions: Positions, idx: np.ndarray) -> np.ndarray:
    """The actions int64[k] of the games `idx`: an opponent, as any other."""
    games, moves = positions.masks(where=idx).nonzero()  # one entry for each legal move of each game
    first, actions = idx[games].repeat(PLAYOUTS), moves.repeat(PLAYOUTS)
    batch = Positions(len(first), max_plies=positions.max_plies)
    batch.restore(None, positions.snapshot(first))  # rows are copied, history and all
    batch.seed(positions.random_numbers(2**62, first).astype(np.uint64))  # or all would play alike
    us = batch.turns
    batch.apply(actions)
    while len(running := (batch.outcomes()[0] == 0).nonzero()[0]):
        batch.apply(batch.random_actions(running), running)
    winners = batch.outcomes()[1]
    points = np.where(winners < 0, 0.5, winners == us).reshape(len(moves), PLAYOUTS).mean(1)
    return np.array([moves[games == k][points[games == k].argmax()] for k in range(len(idx))])


def score() -> float:
    """Share of points against random moves, the player being Black in every other game."""
    positions, black = Positions(GAMES, max_plies=MAX_PLIES), np.arange(GAMES) % 2 == 0
    positions.seed(np.arange(1, GAMES + 1, dtype=np.uint64))
    while len(running := (positions.outcomes()[0] == 0).nonzero()[0]):
        ours = (positions.turns[running] == 0) == black[running]
        for player, idx in ((choose, running[ours]), (opponents.random, running[~ours])):
            if len(idx):
                positions.apply(player(positions, idx), idx)
    winners = positions.outcomes()[1]
    return float(np.where(winners < 0, 0.5, (winners == 0) == black).mean())


if __name__ == "__main__":
    print(f"{score():.0%} of {GAMES} games against random moves, {PLAYOUTS} playouts for each legal move")
