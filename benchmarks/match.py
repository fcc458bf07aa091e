"""Games per CPU second of the match runner: random against greedy, and a network against random.

    python benchmarks/match.py [--checkpoint PATH] [--temperature 1] [--runs 5]

A network's speed depends on how long its games are, so plies are shown too. Without a checkpoint (a
file, or a run's folder) that row is missing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from common import ROOT, interval, machine, pin, save, show

sys.path.insert(0, str(ROOT))

from shogi_env.arena.openings import load_openings
from shogi_env.arena.players import Player, make_player
from shogi_env.arena.records import to_line
from shogi_env.arena.schedules import head_to_head
from shogi_env.arena.statistics import tally

GAMES = 512
"""Of one match; all of them start from different pairs of openings."""


def match(first: Player, second: Player, seed: int) -> tuple[float, float, float]:
    """CPU seconds of a match with its openings and its log's lines, mean plies, and the first's score."""
    start = time.process_time()
    games = list(head_to_head(first, second, GAMES, openings=load_openings(seed=seed), seed=seed))
    lines = [to_line(game) for game in games]
    seconds = time.process_time() - start
    assert len(lines) == GAMES and all(game.result != "void" for game in games)
    counted = tally(games, first.name)
    return seconds, float(counted.plies or 0), float(counted.score or 0)


def row(first: Player, second: Player, runs: int, bar: float) -> dict[str, Any]:
    """Median and interval of games per CPU second over some matches, after one that is thrown away."""
    match(first, second, 0)
    found = [match(first, second, seed) for seed in range(1, runs + 1)]
    rates = [GAMES / seconds for seconds, _, _ in found]
    plies, score = (statistics.mean(values) for values in list(zip(*found, strict=True))[1:])
    low, high = interval(rates)
    name = f"{first.name} against {second.name}"
    show(f"{name:44} {statistics.median(rates):7.1f} games/CPU s [{low:.1f}, {high:.1f}], at least {bar:g}")
    show(
        f"{'':44} {statistics.median(rates) * plies:7.0f} plies/CPU s, {plies:.1f} plies a game, {score:.1%}"
    )
    return {
        "name": name,
        "spec": first.spec,
        "digest": first.digest,
        "games_per_cpu_second": statistics.median(rates),
        "low": low,
        "high": high,
        "runs": rates,
        "games": GAMES,
        "plies": plies,
        "score": score,
        "bar": bar,
    }


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint or a run's folder")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "rows": [], "missing": []}
    if args.checkpoint:
        from keisei_agent.players import MAKERS

        spec = f"checkpoint:{args.checkpoint};temperature={args.temperature}"
        network = make_player(spec, name="network", makers=MAKERS)
        result["rows"].append(row(network, make_player("random"), args.runs, 80))  # on all cores
    else:
        result["missing"].append("no --checkpoint: network against random")
    result["core"] = pin()
    result["rows"].append(row(make_player("random"), make_player("greedy"), args.runs, 500))
    for line in result["missing"]:
        show(line)
    save("match", result)


if __name__ == "__main__":
    main()
