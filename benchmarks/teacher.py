"""Games of a USI engine against itself as training data: each position with its move, score and result.

    python benchmarks/teacher.py FILE.hcpe --positions 1000000 [--seed 0] [--go "nodes 2000"]
                                 [--engine fairy-stockfish] [--random-plies 24] [--slips 0 0.02 0.1]

A game starts after up to `--random-plies` random moves; then, with a chance that is drawn for the game from
`--slips`, a random move is played in place of the engine's, so that mistakes are seen, and what becomes of
them; what is learned there is the engine's move.  A game is over when the rules say so, when both sides agree
that it is (`_DECIDED` centipawns), or, as a draw, after `_MAX_PLIES`.

A file that is there is gone on with; games are written whole.  What an engine has kept of the games before it
has lost then: for a few games it may answer otherwise.  For more cores, run it with other seeds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from common import pin, show

from shogi_env import Board, Color, Move
from shogi_env.arena.process import EngineError
from shogi_env.arena.usi import UsiEngine
from shogi_env.core.state import STATE
from shogi_env.kifu.packed import HCPE, pack_hcpe
from shogi_env.notation.moves import to_packed

_DECIDED = 3000
_MAX_PLIES = 320


def begin(plies: int, generator: np.random.Generator) -> Board:
    """A running game after so many random moves."""
    while True:
        board = Board(declaration="off")
        for _ in range(plies):
            if board.outcome() is None:
                board.push(draw(board, generator))
        if board.outcome() is None:
            return board


def draw(board: Board, generator: np.random.Generator) -> Move:
    """A random legal move."""
    return board.move(int(generator.choice(np.flatnonzero(board.action_masks()))))


def play(
    engine: UsiEngine, go: str, board: Board, slips: float, generator: np.random.Generator
) -> np.ndarray:
    """Let the engine play a game to its end; return its positions, HCPE[k]."""
    start = board.sfen()
    rows, moves, scores = [np.zeros(0, STATE)], [], [0]
    played: list[str] = []
    winner: Color | None = None
    engine.new_game()
    while board.outcome() is None and len(played) < _MAX_PLIES:
        said = engine.judge(start, played, go)
        if said.score is None:
            raise EngineError(f"{engine.name} answered {said.move!r} without a score")
        rows.append(board.snapshot().rows)
        moves.append(to_packed(Move.from_usi(said.move)))
        scores.append(said.score)
        if min(abs(scores[-1]), abs(scores[-2])) >= _DECIDED and scores[-1] * scores[-2] < 0:
            winner = board.turn if said.score > 0 else board.turn.other
            break
        move = draw(board, generator) if generator.random() < slips else Move.from_usi(said.move)
        board.push(move)
        played.append(str(move))
    outcome = board.outcome()
    if outcome is not None:
        winner = outcome.winner
    winners = np.full(len(moves), -1 if winner is None else int(winner))
    return pack_hcpe(np.concatenate(rows), np.array(moves, np.int64), np.array(scores[1:], np.int64), winners)


def main() -> None:
    """Play and write, until there are enough positions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--positions", type=int, default=1_000_000, help="in the file at the end, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default="fairy-stockfish", help="program and arguments")
    parser.add_argument("--go", default="nodes 2000", help="how long it thinks, as for usi: players")
    parser.add_argument("--random-plies", type=int, default=24)
    parser.add_argument("--slips", type=float, nargs="+", default=[0.0, 0.02, 0.1])
    parser.add_argument("--core", type=int, help="to run on (default: any)")
    args = parser.parse_args()
    if args.core is not None:
        pin(args.core)
    begun, written, seconds = count(args.file), 0, time.monotonic()
    with args.file.open("ab") as file, UsiEngine(args.engine) as engine:
        while (n := begun + written) < args.positions:
            generator = np.random.default_rng([args.seed, n])  # so that a file goes on with the same games
            board = begin(int(generator.integers(args.random_plies + 1)), generator)
            found = play(engine, args.go, board, float(generator.choice(args.slips)), generator)
            file.write(found.tobytes())
            file.flush()
            written += len(found)
            rate = written / (time.monotonic() - seconds)
            show(f"{n + len(found):,} positions, {rate:.0f} a second; {len(found)} plies, {describe(found)}")


def count(file: Path) -> int:
    """Positions in a file; 0 if there is none.  The rest of one that was not written whole is cut off."""
    if not file.exists():
        return 0
    n = file.stat().st_size // HCPE.itemsize
    with file.open("r+b") as stream:
        stream.truncate(n * HCPE.itemsize)
    return n


def describe(found: np.ndarray) -> str:
    """How a game ended."""
    return ("drawn", "Black won", "White won")[int(found["result"][0])] if len(found) else "over at once"


if __name__ == "__main__":
    main()
