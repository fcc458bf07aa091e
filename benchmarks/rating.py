"""Ratings, intervals and SPRT on simulated games, where the truth is known.

    python benchmarks/rating.py [--tournaments 1000]

Printed for each design and each kind of game: how often the 95 % interval of a player's rating covers the
truth (over all players, and for the players where that is least and most often the case), how often the
truth is below and above it, half the interval's mean width, how often an end is open, and for every
fourth tournament the largest deviation from SciPy's maximum of the same likelihood.  Then the coverage for
the Elo difference of a match, and how often SPRT errs.  Exit status 1 if a coverage is outside 93 to 97 %
or a deviation above 10 points; "won nearly all" is not held against that, since scores so near to 100 %
have few possible values.
"""

from __future__ import annotations

import argparse
import itertools
import time
from typing import Any, NamedTuple

from common import machine, pin, save, show, single_threaded

single_threaded()

import numpy as np  # noqa: E402
import scipy  # noqa: E402
from scipy.optimize import minimize  # noqa: E402
from scipy.stats import norm  # noqa: E402

from shogi_env.arena.bradley_terry import Links, fit  # noqa: E402
from shogi_env.arena.statistics import ELO, Sprt, Tally, to_score  # noqa: E402
from shogi_env.types import Float64Array  # noqa: E402

LOWEST, HIGHEST, FARTHEST = 0.93, 0.97, 10.0


class Design(NamedTuple):
    """Who plays whom how often."""

    name: str
    truth: list[float]
    """Elo points; the first player is the anchor."""
    edges: list[tuple[int, int]]
    pairs: int
    """Pairs of games for each edge."""
    bar: bool = True
    """Whether the coverage has to be 93 to 97 %."""


class Kind(NamedTuple):
    """How games go; the expected score is always that of the ratings."""

    name: str
    draws: float
    """Share of the draws that the expected score leaves room for."""
    alike: float
    """Correlation of the two games of a pair, before they are rounded to results."""


def ladder(players: int, reach: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(players) for j in range(i + 1, min(players, i + reach + 1))]


RUNGS = [0, 150, 300, 480, 600, 800, 1000, 1100, 1250, 1500]
DESIGNS = [
    Design("ladder of 10, 200 games with neighbors", RUNGS, ladder(10, 1), 100),
    Design("ladder of 10, 100 games, next but one too", RUNGS, ladder(10, 2), 50),
    Design("round robin of 8, 40 games", [0, 60, 150, 250, 320, 400, 500, 520], ladder(8, 8), 20),
    Design("gauntlet of 5, 60 games", [0, 100, -200, 300, 200], [(0, j) for j in range(1, 5)], 30),
    Design("round robin of 4, 20 games", [0, 60, 150, -100], ladder(4, 4), 10),
    Design("match of 400 games", [0, 250], [(0, 1)], 200),
    Design("won nearly all: match of 200 games", [0, 800], [(0, 1)], 100, bar=False),
    Design("won nearly all: ladder of 3, 200 games", [0, 900, 1700], ladder(3, 1), 100, bar=False),
]
KINDS = [
    Kind("no draws, independent", 0, 0),
    Kind("draws, pairs alike", 0.3, 0.5),
    Kind("many draws, pairs opposed", 0.5, -0.4),
]


def simulate(
    rng: np.random.Generator, scores: Float64Array, kind: Kind, shape: tuple[int, ...]
) -> Float64Array:
    """Points of pairs, float64[*shape], from expected scores that broadcast to that shape."""
    drawn = kind.draws * 2 * np.minimum(scores, 1 - scores)
    win, not_lost = norm.ppf(scores - drawn / 2), norm.ppf(scores + drawn / 2)
    first, other = rng.standard_normal((2, *shape))
    second = kind.alike * first + np.sqrt(1 - kind.alike**2) * other
    return sum(((game < win) * 0.5 + (game < not_lost) * 0.5 for game in (first, second)), np.zeros(shape))


def foreign(links: Links, players: int) -> Float64Array:
    """The likelihood's maximum in logits by SciPy, player 0 at 0."""

    def negative(free: Float64Array) -> tuple[float, Float64Array]:
        ratings = np.append(0, free)
        logits = ratings[links.first] - ratings[links.second]
        residual = links.points - links.games * scipy.special.expit(logits)
        slope = np.zeros(players)
        np.add.at(slope, links.first, -residual)
        np.add.at(slope, links.second, residual)
        return float((links.games * np.logaddexp(0, logits) - links.points * logits).sum()), slope[1:]

    found = minimize(negative, np.zeros(players - 1), jac=True, method="BFGS", options={"gtol": 1e-6})
    return np.append(0, found.x)


def tournaments(design: Design, kind: Kind, times: int, seed: int) -> dict[str, Any]:
    """Simulate and rate; the row of the table."""
    rng = np.random.default_rng(seed)
    truth = np.array(design.truth) / ELO
    first, second = np.array(design.edges).T
    scores = 1 / (1 + np.exp(truth[second] - truth[first]))[:, None]
    points = simulate(rng, scores, kind, (times, len(first), design.pairs))
    pairs = np.full(len(first), float(design.pairs))
    below, above, open_ends = (np.zeros(len(truth)) for _ in range(3))
    widths, deviation, compared = [], 0.0, 0
    for number, one in enumerate(points):
        squares = np.stack([(one**2).sum(1), 2 * one.sum(1), 4 * pairs], 1)
        links = Links(first, second, one.sum(1), 2 * pairs, pairs, squares)
        found = fit(links, len(truth), 0)
        below += truth < found.low
        above += truth > found.high
        is_open = np.isinf(found.high - found.low)
        open_ends += is_open
        widths.extend((found.high - found.low)[1:][~is_open[1:]] / 2 * ELO)
        if number % 4 == 0 and not is_open.any():
            deviation = max(deviation, float(np.abs(foreign(links, len(truth)) - found.ratings).max()) * ELO)
            compared += 1
    coverage = 1 - (below + above)[1:] / times
    return {
        "design": design.name,
        "games": kind.name,
        "bar": design.bar,
        "tournaments": times,
        "coverage": float(coverage.mean()),
        "coverage_least": float(coverage.min()),
        "coverage_most": float(coverage.max()),
        "below": float(below[1:].mean()) / times,
        "above": float(above[1:].mean()) / times,
        "open": float(open_ends[1:].mean()) / times,
        "half_width": float(np.mean(widths)) if widths else None,
        "compared": compared,
        "deviation": deviation if compared else None,
    }


def to_tally(points: Float64Array) -> Tally:
    """A match with these points of pairs."""
    total, games = float(points.sum()), 2 * len(points)
    wins, draws = int(total), round(2 * (total % 1))
    endings = {("black", "win", ""): wins, ("black", "draw", ""): draws}
    endings["black", "loss", ""] = games - wins - draws  # only the score and the pairs are looked at
    return Tally("a", endings, {}, {("", str(i)): (float(p), 2) for i, p in enumerate(points)})


def matches(elo: float, pairs: int, kind: Kind, times: int, seed: int) -> dict[str, Any]:
    """Coverage of `Tally.elo`."""
    rng = np.random.default_rng(seed)
    points = simulate(rng, np.array(to_score(elo)), kind, (times, pairs))
    below = above = 0
    for one in points:
        found = to_tally(one).elo
        assert found is not None
        below += found.low is not None and elo < found.low
        above += found.high is not None and elo > found.high
    coverage = 1 - (below + above) / times
    return {
        "elo": elo,
        "pairs": pairs,
        "games": kind.name,
        "coverage": coverage,
        "below": below,
        "above": above,
    }


def sequential(test: Sprt, elo: float, kind: Kind, times: int, seed: int) -> dict[str, Any]:
    """How often SPRT accepts the wrong hypothesis, and after how many pairs it decides."""
    rng = np.random.default_rng(seed)
    wrong, lengths = 0, []
    for _ in range(times):
        points = simulate(rng, np.array(to_score(elo)), kind, (2000,))
        tally = Tally("a")
        for end in range(4, 2001, 4):  # looks after every fourth pair
            new = {("", str(i)): (float(points[i]), 2) for i in range(end - 4, end)}
            tally = Tally("a", {}, {}, {**tally.pairs, **new})
            accepted = test.verdict(tally).accepted
            if accepted:
                break
        wrong += accepted is not None and (accepted == "H1") != (elo == test.elo1)
        lengths.append(end)
    return {
        "elo0": test.elo0,
        "elo1": test.elo1,
        "elo": elo,
        "games": kind.name,
        "wrong": wrong / times,
        "pairs": float(np.mean(lengths)),
    }


def show_tournaments(row: dict[str, Any]) -> None:
    """One line."""
    deviation = "-" if row["deviation"] is None else f"{row['deviation']:.1e}"
    show(
        f"{row['design']:42} {row['games']:26} {100 * row['coverage']:5.1f} % "
        f"({100 * row['coverage_least']:.1f} .. {100 * row['coverage_most']:.1f}), "
        f"below {100 * row['below']:.1f} %, above {100 * row['above']:.1f} %, "
        f"+-{row['half_width'] or 0:.0f}, open {100 * row['open']:.1f} %; "
        f"SciPy differs by {deviation} in {row['compared']}"
    )


def main() -> None:
    """Simulate, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tournaments", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "scipy": scipy.__version__, "core": pin()}
    start = time.process_time()
    rows, times = [], args.tournaments
    seeds = itertools.count(1000 * args.seed)
    for design in DESIGNS:
        for kind in KINDS:
            rows.append(tournaments(design, kind, times, next(seeds)))
            show_tournaments(rows[-1])
    show("")
    tallies = [
        matches(elo, pairs, kind, times, next(seeds))
        for elo, pairs in ((0, 200), (250, 200), (100, 20))
        for kind in KINDS
    ]
    for row in tallies:
        covered = f"{100 * row['coverage']:.1f} %"
        show(f"match of {2 * row['pairs']} games, {row['elo']:+4} Elo, {row['games']:26} {covered}")
    show("")
    tests = [
        sequential(Sprt(elo0, elo1), elo, kind, max(1, times // 2), next(seeds))
        for elo0, elo1 in ((0, 50), (-50, 50))
        for elo in (elo0, elo1)
        for kind in KINDS
    ]
    for row in tests:
        error = f"wrong in {100 * row['wrong']:.1f} %, {row['pairs']:.0f} pairs"
        show(f"SPRT {row['elo0']} against {row['elo1']}, truth {row['elo']:3}, {row['games']:26} {error}")
    result |= {"tournaments": rows, "matches": tallies, "sprt": tests, "cpu": time.process_time() - start}
    covered = [row["coverage"] for row in [*(row for row in rows if row["bar"]), *tallies]]
    deviation = max(row["deviation"] for row in rows if row["deviation"] is not None)
    reached = LOWEST <= min(covered) and max(covered) <= HIGHEST and deviation <= FARTHEST
    span = f"{100 * min(covered):.1f} to {100 * max(covered):.1f} %"
    show(f"\ncoverage {span}, SciPy within {deviation:.1e} Elo points")
    save("rating", result)
    raise SystemExit(0 if reached else 1)


if __name__ == "__main__":
    main()
