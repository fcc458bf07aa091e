"""``python -m shogi_env warmup``: compile everything now; without a command, a first look."""

import argparse
import time

import numpy as np

import shogi_env
from shogi_env import render
from shogi_env.core.constants import MASK_WORDS, PLANE_WORDS


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m shogi_env", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["warmup", "show"], default="show")
    parser.add_argument("sfen", nargs="?", help="position to show: SFEN or the name of a handicap")
    arguments = parser.parse_args()
    if arguments.command == "warmup":
        start = time.perf_counter()
        warm_up()
        print(f"compiled and cached in {time.perf_counter() - start:.1f} s")
        return
    try:
        board = shogi_env.Board(arguments.sfen)
    except shogi_env.SfenError as error:
        parser.error(str(error))
    render.show(board.diagram())


def warm_up() -> None:
    """Call every kernel once, so that all of them are compiled and on disk."""
    board = shogi_env.Board()
    board.push(next(iter(board.legal_moves)))
    board.action_masks()
    board.planes()
    board.can_declare()
    for opponent, observation in (("random", "full"), ("greedy", "board"), ("minimax:1", "board")):
        for side in ("random", "white"):
            shogi_env.ShogiVectorEnv(2, opponent=opponent, side=side, observation=observation).reset(seed=0)
    positions = shogi_env.Positions(2)
    positions.masks(np.empty((2, MASK_WORDS), np.uint64))
    positions.planes(np.empty((2, PLANE_WORDS), np.uint64))
    positions.apply(positions.random_actions())
    shogi_env.perft(None, 2)


if __name__ == "__main__":
    main()
