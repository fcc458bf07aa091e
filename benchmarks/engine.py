"""Perft in nodes per CPU second, bulk and not, against cshogi and rsshogi driven from Python.

    python benchmarks/engine.py [--pairs 15] [--seconds 0.3]

Bulk counts the moves of the last ply; not bulk plays and takes back every one of them. Every count is
compared before anything is timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from common import NotInstalled, Task, compare, machine, pin, save, show, show_comparison, single_threaded

single_threaded()

import peers  # noqa: E402

import shogi_env  # noqa: E402

POSITIONS = {
    "start": ("lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1", 4),
    "middlegame": ("l6nl/5+P1gk/2np1S3/p1p4Pp/3P2Sp1/1PPb2P1P/P5GS1/R8/LN4bKL w RGgsn5p 1", 3),
    "drops": ("ln1g5/1r2S1k2/p2pppn2/2ps2p2/1p7/2P6/PPSPPPPLP/2G2K1pr/LN4G1b w BGSLPnp 62", 3),
}


def cshogi_perft(sfen: str, depth: int, bulk: bool) -> Callable[[], int]:
    """Perft by cshogi."""
    engine = peers.load("cshogi_engine")
    board = engine.cshogi.Board(sfen)
    return partial(engine.perft_bulk if bulk else engine.perft_full, board, depth)


def rsshogi_perft(sfen: str, depth: int, bulk: bool) -> Callable[[], int]:
    """Perft by rsshogi."""
    engine = peers.load("rsshogi_engine")
    return partial(engine.perft_bulk if bulk else engine.perft_full, engine.board(sfen), depth)


PEERS = {"cshogi": cshogi_perft, "rsshogi": rsshogi_perft}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.3, help="CPU seconds per measurement")
    args = parser.parse_args()
    result = {"machine": machine(), "core": pin(), "rows": [], "missing": []}
    for name, make in PEERS.items():
        for bulk in (True, False):
            for label, (sfen, depth) in POSITIONS.items():
                kind = f"perft {depth} {label} {'bulk' if bulk else 'not bulk'}"
                try:
                    theirs = make(sfen, depth, bulk)
                except NotInstalled as error:
                    result["missing"].append(str(error))
                    break
                ours = partial(shogi_env.perft, sfen, depth, bulk=bulk)
                assert ours() == theirs(), f"{name} counts otherwise: {sfen}"
                row = compare(
                    Task(f"ours {kind}", ours),
                    Task(name, theirs),
                    "nodes/s",
                    pairs=args.pairs,
                    seconds=args.seconds,
                ).summary()
                result["rows"].append(row | {"position": label, "bulk": bulk, "peer_library": name})
                show_comparison(row)
    for line in dict.fromkeys(result["missing"]):
        show(line)
    save("engine", result)


if __name__ == "__main__":
    main()
