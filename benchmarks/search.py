"""Search: its strength against the network alone, its speed against the network's, and the mates it finds.

    python benchmarks/search.py --checkpoint RUN [--games 200] [--simulations 64] [--tsume FILE]

The speed is that of one pinned core, simulations per CPU second against the positions per CPU second that
the network judges in batches of the same size, in alternating pairs: for one game whose leaves are judged
eight at a time, and for 64 games. Mates are those of the fixed set of training's curves `mates/in_1` and
`in_3`, or of a TSV file with the columns sfen and checked_shortest_mate_plies; the mate solver has a second
for each.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from common import ROOT, Task, compare, machine, pin, save, show, show_comparison, single_threaded

single_threaded()
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch as th  # noqa: E402

from keisei_agent.mates import load_mates  # noqa: E402
from keisei_agent.players import MAKERS, evaluate_with, load_player  # noqa: E402
from shogi_env import Positions, SfenError  # noqa: E402
from shogi_env.arena.openings import load_openings  # noqa: E402
from shogi_env.arena.players import make_player  # noqa: E402
from shogi_env.arena.schedules import head_to_head  # noqa: E402
from shogi_env.arena.statistics import tally  # noqa: E402
from shogi_env.core.tree import WON  # noqa: E402
from shogi_env.search.mate import MateSolver  # noqa: E402
from shogi_env.search.puct import Evaluate, Search  # noqa: E402
from shogi_env.types import UInt8Array  # noqa: E402


def strength(path: Path, simulations: int, games: int, temperature: float) -> dict[str, Any]:
    """A match of the search against the network alone, both colors of each opening."""
    with (
        make_player(f"search={_spec('search', path)};sims={simulations}", makers=MAKERS) as ours,
        make_player(f"raw={_spec('checkpoint', path)};temperature={temperature:g}", makers=MAKERS) as raw,
    ):
        found = tally(list(head_to_head(ours, raw, games, openings=load_openings(seed=0), seed=0)), ours.name)
    show(f"{simulations} simulations against the network alone: {found}")
    low, high = found.interval or (None, None)
    return {
        "simulations": simulations,
        "temperature": temperature,
        "score": found.score,
        "low": low,
        "high": high,
    }


def _spec(kind: str, path: Path) -> str:
    return f"{kind}:{path}"


def speed(evaluate: Evaluate, games: int, leaves: int, pairs: int) -> dict[str, Any]:
    """Simulations per CPU second against the network's positions per CPU second in batches of that size."""
    positions = Positions(games)
    positions.seed(np.arange(1, games + 1, dtype=np.uint64))
    for _ in range(30):
        positions.apply(positions.random_actions(), illegal="lose")
    running = np.flatnonzero(positions.outcomes()[0] == 0)
    snapshot, size = positions.snapshot(running), len(running) * leaves
    planes = np.concatenate([positions.planes(where=running)] * leaves)

    def search() -> int:
        trees = Search(evaluate, slots=games, leaves=leaves)
        trees.run(snapshot, running, 400 if games == 1 else 64)
        return sum(trees.visits(i) for i in running.tolist())

    def judge() -> int:
        for _ in range(8):
            evaluate(planes)
        return 8 * size

    name = f"{games} game{'s' * (games > 1)}, {leaves} leaves at once"
    found = compare(Task(name, search), Task("the network alone", judge), "positions/CPU s", pairs=pairs)
    show_comparison(found.summary())
    return found.summary()


def uniform(planes: UInt8Array) -> tuple[Any, Any]:
    """A network that knows nothing."""
    return np.zeros((len(planes), 2187), np.float32), np.zeros(len(planes), np.float32)


def problems(file: Path | None) -> Iterator[tuple[int, str]]:
    """Plies of the shortest mate, and the position."""
    if file is None:
        yield from ((mate.plies, mate.sfen) for plies in (1, 3) for mate in load_mates(plies))
        return
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            board = row["sfen"].split()[0]
            if row["status"] == "verified" and board.count("k") == board.count("K") == 1:
                yield int(row["checked_shortest_mate_plies"]), row["sfen"]


def mates(evaluate: Evaluate, file: Path | None, simulations: int) -> list[dict[str, Any]]:
    """How many mates the solver finds within a second, and the search with and without the network."""
    solver, rows = MateSolver(), {}
    solver.solve(Positions(1).snapshot())  # compiles
    for plies, sfen in problems(file):
        try:
            game = Positions(1, sfens=sfen).snapshot()
        except SfenError:
            continue  # impossible: see RESULTS.md
        if plies not in (1, 3, 5, 7, 9) or game.rows["termination"][0]:
            continue
        row = rows.setdefault(plies, dict(plies=plies, n=0, solver=0, slowest=0.0, search=0, without=0))
        start = time.process_time()
        found = solver.solve(game, seconds=1.0)
        row["slowest"] = max(row["slowest"], time.process_time() - start)
        row["n"] += 1
        row["solver"] += found.found is True
        if plies <= 3:
            for name, guide in (("search", evaluate), ("without", uniform)):
                tree = Search(guide)
                tree.run(game, np.zeros(1, np.int64), 1 if plies == 1 else simulations)
                row[name] += tree.choices()[0].certain == WON
    for plies in sorted(rows):
        row = rows[plies]
        text = f"mate in {plies}: solver {row['solver']} of {row['n']}, slowest {row['slowest']:.3f} s"
        if plies <= 3:
            text += f"; search {row['search']}, without the network's priors {row['without']}"
        show(text)
    return [rows[plies] for plies in sorted(rows)]


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="a checkpoint or a run's folder")
    parser.add_argument("--games", type=int, default=200)
    parser.add_argument("--simulations", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=0.25, help="of the network alone")
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--tsume", type=Path, help="problems, TSV")
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine()}
    result["strength"] = strength(args.checkpoint, args.simulations, args.games, args.temperature)
    result["core"] = pin()
    th.set_num_threads(1)
    evaluate = evaluate_with(load_player(args.checkpoint).network)
    result["speed"] = [
        speed(evaluate, games, leaves, args.pairs) for games, leaves in ((1, 8), (1, 16), (64, 1))
    ]
    result["mates"] = mates(evaluate, args.tsume, 800)
    save("search", result)


if __name__ == "__main__":
    main()
