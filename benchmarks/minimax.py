"""Mates that minimax finds at the depth that reaches them, of the tests' positions or of a file.

    python benchmarks/minimax.py [--tsume FILE] [--jobs 2]

FILE is a TSV with the columns sfen, checked_shortest_mate_plies and status; its "verified" positions with two
kings and a mate in 1, 3 or 5 plies are taken. A shorter win, by a move that gives no check, counts as well.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import sys
from collections import Counter
from pathlib import Path

from common import ROOT, machine, save, show, usable_cores

sys.path.insert(0, str(ROOT))

import numpy as np

from shogi_env import Positions, SfenError
from shogi_env.core.minimax import MATE, QUIET_PLIES, choose_minimax

OWN = ROOT / "tests" / "env" / "data" / "mates.jsonl"
DEPTHS = (1, 3, 5)


def read(file: Path | None) -> list[tuple[int, str]]:
    """Plies of the shortest mate by checks, and the position."""
    if file is None:
        rows = [json.loads(line) for line in OWN.read_text("utf-8").splitlines()]
        return [(row["plies"], row["sfen"]) for row in rows]
    with file.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    kings = [row for row in rows if {"k", "K"} <= set(row["sfen"].split()[0])]
    verified = [row for row in kings if row["status"] == "verified"]
    found = [(int(row["checked_shortest_mate_plies"]), row["sfen"]) for row in verified]
    return [(plies, sfen) for plies, sfen in found if plies in DEPTHS]


def solve(problem: tuple[int, str]) -> tuple[int, str]:
    """Plies, and whether the mate was "found", "missed", or its position "refused" as impossible."""
    plies, sfen = problem
    try:
        game = Positions(1, sfens=sfen)
    except SfenError:
        return plies, "refused"
    actions, values = np.empty((2, 1), np.int64)
    arrays = game.rows, game._history, game._legal, game.everyone
    choose_minimax(*arrays, plies, QUIET_PLIES, actions, values, 0, 1)
    return plies, "found" if values[0] >= MATE - plies else "missed"


def main() -> None:
    """Search, count, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tsume", type=Path, help="problems, TSV")
    parser.add_argument("--jobs", type=int, default=len(usable_cores()))
    args = parser.parse_args()
    with multiprocessing.Pool(args.jobs) as pool:
        counts = Counter(pool.imap_unordered(solve, read(args.tsume), chunksize=8))
    rows = {
        plies: {verdict: counts[plies, verdict] for verdict in ("found", "missed", "refused")}
        for plies in DEPTHS
    }
    for plies, row in rows.items():
        show(f"mate in {plies}: {row['found']} found, {row['missed']} missed, {row['refused']} refused")
    save("minimax", {"machine": machine(), "own": args.tsume is None, "mates": rows})


if __name__ == "__main__":
    main()
