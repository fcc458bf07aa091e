"""Makes the bundled balanced openings: random moves that an engine judges to be even for both sides.

    python tools/make_openings.py > shogi_env/arena/data/openings-balanced.txt

Needs fairy-stockfish (Debian's package of that name); takes about two minutes.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from itertools import count

from shogi_env import Board
from shogi_env.arena.digest import seed_of
from shogi_env.arena.process import find_engine

_PIECES = re.compile(r"\+?[A-Za-z]|[1-9]")
PLIES = (4, 6, 8, 10)
"""Lengths, in turn; even, so that Black moves first after each."""
DEPTH, MOST = 8, 60
"""Plies of the search that judges, and the centipawns that a side may be ahead."""
GLANCE = 3
"""Plies of the search after each two moves; it lets twice as much pass."""
HEADER = f"""\
# Openings that are even for both sides: random legal moves from the even game,
# {PLIES[0]} to {PLIES[-1]} of them, after which fairy-stockfish 11.1 at depth {DEPTH} sees neither
# side ahead by more than {MOST} centipawns, what it gives the side to move left aside.
# Made by: python tools/make_openings.py --count {{args.count}} --seed {{args.seed}}"""


class Judge:
    """fairy-stockfish, asked for the score of positions."""

    def __init__(self) -> None:
        path = find_engine("fairy-stockfish")
        if path is None:
            sys.exit("fairy-stockfish is not installed")
        pipe = subprocess.PIPE
        self._engine = subprocess.Popen([path], stdin=pipe, stdout=pipe, text=True, bufsize=1)
        self._ask("usi", "usiok")
        self._send("setoption name Threads value 1")
        self._send("setoption name Hash value 1")

    def _send(self, line: str) -> None:
        print(line, file=self._engine.stdin)

    def _ask(self, line: str, last: str) -> list[str]:
        """Lines up to the one that begins with `last`."""
        self._send(line)
        lines = []
        for answer in self._engine.stdout:
            lines.append(answer)
            if answer.startswith(last):
                return lines
        raise RuntimeError(f"fairy-stockfish ended after {line!r}")

    def is_even(self, board: Board, depth: int, most: int) -> bool:
        """Whether no side is ahead by more than some centipawns.

        This engine gives Black and the side to move a pawn each, whatever the position. So it
        judges the position with Black to move and, seen from White's side, with White to move;
        Black is ahead by half the difference.
        """
        cells, _, hands, number = board.sfen().split()
        turned = "/".join("".join(_PIECES.findall(rank)[::-1]) for rank in cells.split("/")[::-1])
        black = self._score(f"{cells} b {hands} {number}", depth)
        white = self._score(f"{turned.swapcase()} b {hands.swapcase()} {number}", depth)
        return black is not None and white is not None and abs(black - white) <= 2 * most

    def _score(self, sfen: str, depth: int) -> int | None:
        """Centipawns for the side to move; None where a mate is seen."""
        self._send(f"position sfen {sfen}")
        lines = [line.split() for line in self._ask(f"go depth {depth}", "bestmove")]
        scores = [words[words.index("score") + 1 :] for words in lines if "score" in words]
        kind, value = scores[-1][:2]
        return int(value) if kind == "cp" else None

    def close(self) -> None:
        """End the engine."""
        self._send("quit")
        self._engine.wait()


def draw(judge: Judge, plies: int, seed: int) -> Board:
    """A board after random legal moves; two that lose much at a glance are taken back."""
    board = Board()
    for attempt in count():
        for side in range(2):
            choices = list(board.legal_moves)
            board.push(choices[seed_of(seed, attempt, side) % len(choices)])
        if board.outcome() is not None or board.is_check() or not judge.is_even(board, GLANCE, 2 * MOST):
            board.pop()
            board.pop()
        elif board.ply == plies:
            return board
    raise AssertionError("count() ends")


def main() -> None:
    """Draw, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    judge = Judge()
    print(HEADER.format(args=args))
    seen: set[str] = set()
    drawn = 0
    while len(seen) < args.count:
        board = draw(judge, PLIES[len(seen) % len(PLIES)], seed_of(args.seed, drawn))
        drawn += 1
        position = board.sfen().rpartition(" ")[0]
        if position not in seen and judge.is_even(board, DEPTH, MOST):
            seen.add(position)
            print("startpos moves", *board.moves, flush=True)
    judge.close()
    print(f"{drawn} drawn, {len(seen)} kept", file=sys.stderr)


if __name__ == "__main__":
    main()
