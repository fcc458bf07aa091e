"""Makes the set of mates in `keisei_agent/data/mates.txt`, from games that end in checkmate.

    python tools/make_mates.py > keisei_agent/data/mates.txt

The games are played by searches of one ply, greedy moves and random ones, mixed. One position of each game is
taken at most, so that no two look alike; every mate is proved by `keisei_agent.mates.find_mates`, and the
rates of a player that moves at random are printed at the end. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Iterator
from functools import partial

import numpy as np

from keisei_agent.mates import LENGTHS, Mate, MateTest, find_mates
from shogi_env import Positions, Termination
from shogi_env.arena.digest import seed_of

SHARES = (0.6, 0.2, 0.2)
"""How likely a search of one ply, a greedy player and a random one make the next move of a game."""
GAMES = 64
"""At once."""
HEADER = """\
# Positions with a mate in 1 or 3 plies, and every first move that mates; tab-separated.
# Made by: python tools/make_mates.py --count {args.count} --seed {args.seed}"""


def play(seed: int) -> Iterator[deque[str]]:
    """Positions before the last moves of games that end in checkmate, the last one last, without end."""
    rng = np.random.default_rng(seed)
    games = Positions(GAMES)
    games.seed(np.array([seed_of(seed, i) for i in range(GAMES)], np.uint64))
    choosers = (partial(games.minimax_actions, 1), games.greedy_actions, games.random_actions)
    paths: list[deque[str]] = [deque(maxlen=max(LENGTHS)) for _ in range(GAMES)]
    while True:
        for i in range(GAMES):
            paths[i].append(games.sfen(i))
        styles = rng.choice(len(SHARES), GAMES, p=SHARES)
        for style, choose in enumerate(choosers):
            idx = np.flatnonzero(styles == style)
            games.apply(choose(idx), idx)
        reasons = games.outcomes()[0]
        for i in np.flatnonzero(reasons != Termination.RUNNING).tolist():
            if reasons[i] == Termination.CHECKMATE:
                yield paths[i]
            paths[i] = deque(maxlen=max(LENGTHS))
            games.set_up(np.array([i]), games.first_row())


def find(path: deque[str], plies: int) -> Mate | None:
    """The position `plies` before a checkmate, if it is a mate of that length."""
    if len(path) < plies:
        return None
    sfen = path[-plies].rpartition(" ")[0] + " 1"  # the number of the move says nothing about the mate
    if plies > 1 and find_mates(sfen, plies - 2):
        return None
    moves = find_mates(sfen, plies)
    return Mate(plies, sfen, tuple(moves)) if moves else None


def main() -> None:
    """Play, prove, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="positions of each length (default: 300)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found: dict[int, dict[str, Mate]] = {plies: {} for plies in LENGTHS}
    for path in play(args.seed):
        wanted = [plies for plies in reversed(LENGTHS) if len(found[plies]) < args.count]
        if not wanted:
            break
        mate = next(filter(None, (find(path, plies) for plies in wanted)), None)
        if mate is not None:
            found[mate.plies].setdefault(mate.sfen, mate)
    print(HEADER.format(args=args))
    for plies, mates in found.items():
        for mate in mates.values():
            print(mate.plies, mate.sfen, " ".join(mate.moves), sep="\t")
        chance = 100 * MateTest(list(mates.values())).by_chance
        print(f"mates in {plies}: {len(mates)}; a random move finds {chance:.1f} %", file=sys.stderr)


if __name__ == "__main__":
    main()
