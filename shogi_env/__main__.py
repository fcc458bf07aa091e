"""``python -m shogi_env warmup``: compile everything now; without a command, a first look."""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

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
    _warm_up_players()


def _warm_up_players() -> None:
    """The kernels of search, of networks and of training data."""
    from shogi_env.arena.players import make_player
    from shogi_env.core import batch
    from shogi_env.kifu.packed import PackedFile, pack_hcpe
    from shogi_env.notation.moves import to_packed

    with make_player("level:1;sims=4;mate=4") as player:
        games = shogi_env.Positions(2)
        for _ in range(3):
            games.apply(player.choose(games, games.everyone))
    rows = games.snapshot().rows
    moves = np.array([to_packed(games.moves(i)[0]) for i in range(2)])
    with TemporaryDirectory() as folder:
        path = Path(folder, "two.hcpe")
        path.write_bytes(pack_hcpe(rows, moves, np.zeros(2, np.int64), np.zeros(2, np.int64)).tobytes())
        samples = PackedFile(path).read(np.arange(2))
    batch.generate_all(samples.rows, samples.legal, 0, 2)


if __name__ == "__main__":
    main()
