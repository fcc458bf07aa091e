"""Strengths of players from their results, on arrays: the maths under `rating`.

The model is that of Bradley and Terry (1952): against j, player i expects the score
1 / (1 + exp(r_j - r_i)), a draw being half a point.  There is no term for the color: matches give each
opening to both sides, so that an advantage of Black's cancels.  All here is in natural logits; times
`statistics.ELO` they are Elo points.
"""

import math
from typing import NamedTuple

import numpy as np

from shogi_env.arena.statistics import NORMAL, TAIL
from shogi_env.types import BoolArray, Float64Array, Int64Array

_CLOSE = 1e-10  # logits
_FARTHEST = 2.0  # logits that the players of a link may move apart in one step
_STEPS = 200


class Links(NamedTuple):
    """The results of every two players who met, one row for each two."""

    first: Int64Array
    """int64[L], a player's number."""
    second: Int64Array
    """int64[L], the number of another."""
    points: Float64Array
    """float64[L], what the first scored."""
    games: Float64Array
    """float64[L], at least 1."""
    pairs: Float64Array
    """float64[L]: how many pairs of games with one opening these are."""
    squares: Float64Array
    """float64[L, 3]: sums over those pairs of points * points, points * games and games * games."""

    def select(self, rows: BoolArray) -> "Links":
        """Those where rows bool[L] is True."""
        return Links(
            self.first[rows],
            self.second[rows],
            self.points[rows],
            self.games[rows],
            self.pairs[rows],
            self.squares[rows],
        )


class Fit(NamedTuple):
    """Strengths in logits above the anchor, float64[N] each; NaN where there is none."""

    ratings: Float64Array
    low: Float64Array
    """Lower ends of 95 % intervals; -inf is an open end."""
    high: Float64Array
    """Upper ends; inf is an open end."""
    connected: BoolArray
    """bool[N]: some chain of games leads to the anchor."""


def fit(links: Links, players: int, anchor: int) -> Fit:
    """Rate players against the anchor, whose rating is 0.

    Maximum likelihood where it is finite: in groups of players that have scored against one another,
    if need be over others (Ford 1957; Hunter 2004, assumption 1).  Between two groups one side won all
    games, so that the likelihood is greatest at an infinite distance.  A group that is only above the
    anchor's, or only below, gets the distance of Firth's (1993) penalized likelihood, as Heinze and
    Schemper (2002) propose for logistic regression; for two players it is that of half a point more for
    each.  The intervals of its players are open to that side; see `_bound` for the other end.  A group
    that is neither above nor below has no rating.

    Args:
        links: each two players once, no player with itself.
        players: how many there are, N.
        anchor: number of the player rated 0.
    """
    scored = np.eye(players, dtype=np.bool_)
    scored[links.first, links.second] |= links.points > 0
    scored[links.second, links.first] |= links.points < links.games
    above = _closure(scored)
    comparable = above[:, anchor] | above[anchor]
    connected = _closure(scored | scored.T)[anchor]
    group = np.argmax(above & above.T, axis=1)  # named after its first player
    used = links.select(comparable[links.first] & comparable[links.second])
    apart = group[used.first] != group[used.second]

    ratings = _ratings_in_groups(used.select(~apart), group, anchor)
    across = used.select(apart)
    distances = _distances(across, ratings, group, comparable, anchor)
    error = NORMAL * _standard_errors(used, ratings + distances, apart, comparable, anchor)
    low, high = ratings + distances - error, ratings + distances + error
    for name in np.unique(group[comparable]):
        if name == group[anchor]:
            continue
        upward = bool(above[name, anchor])
        between = above[name] & above[:, anchor] if upward else above[anchor] & above[:, name]
        bound = _bound(across, ratings, group, between, (name, group[anchor]), upward)
        members = group == name
        # the limits of a sum from those of its parts: Zou and Donner 2008
        reach = np.hypot(error[members], distances[members] - bound)
        low[members] = (ratings + distances)[members] - reach if upward else -np.inf
        high[members] = np.inf if upward else (ratings + distances)[members] + reach
    result = np.where(comparable, [ratings + distances, low, high], np.nan)
    result[:, anchor] = 0
    return Fit(result[0], result[1], result[2], connected)


def expected(difference: Float64Array) -> Float64Array:
    """The score, 0..1, that a difference of so many logits lets expect."""
    return 1 / (1 + np.exp(-difference))


def _closure(edges: BoolArray) -> BoolArray:
    """Where one gets over edges bool[N, N] in any number of steps; the diagonal is True."""
    while True:
        further = edges @ edges
        if (further == edges).all():
            return edges
        edges = further


def _ratings_in_groups(links: Links, group: Int64Array, anchor: int) -> Float64Array:
    """Return float64[N]: ratings above the first player of the group; above the anchor in its own."""
    reference = group == np.arange(len(group))
    reference[group == group[anchor]] = False
    reference[anchor] = True
    design, columns = _design(links.first, links.second, ~reference & np.isin(group, group[links.first]))
    ratings = np.zeros(len(group))
    ratings[columns] = maximize(design, links.points, links.games, np.zeros(len(design)))
    return ratings


def _distances(
    links: Links, ratings: Float64Array, group: Int64Array, comparable: BoolArray, anchor: int
) -> Float64Array:
    """Return float64[N]: how far each player's group is from the anchor's, by Firth's likelihood."""
    free = comparable & (group == np.arange(len(group))) & (group != group[anchor])
    design, columns = _design(group[links.first], group[links.second], free)
    offset = ratings[links.first] - ratings[links.second]
    distances = np.zeros(len(group))
    distances[columns] = maximize(design, links.points, links.games, offset, firth=True)
    return distances[group]


def _bound(
    links: Links,
    ratings: Float64Array,
    group: Int64Array,
    between: BoolArray,
    ends: tuple[int, int],
    upward: bool,
) -> float:
    """Return the smallest distance at which one side wins all games with a probability of 2.5 %.

    Where groups lie between the two, these stand where that probability is greatest, so that the
    bound holds wherever they are.  For two groups and one link it is the exact bound of Clopper and
    Pearson (1934).

    Args:
        links: those between groups.
        ratings: float64[N], in the groups.
        group: int64[N].
        between: bool[N]: the players of both end groups, and of those that have to be between.
        ends: names of the group and of the anchor's group.
        upward: the group is above the anchor's; else the largest distance is returned.
    """
    used = links.select(between[links.first] & between[links.second])
    won = used.points > 0
    winner, loser = np.where(won, used.first, used.second), np.where(won, used.second, used.first)
    free = between & (group == np.arange(len(group)))
    free[list(ends)] = False
    design, _ = _design(group[winner], group[loser], free)
    start = ratings[winner] - ratings[loser]
    moved = (group[winner] == ends[0]).astype(np.float64) - (group[loser] == ends[0])
    low, high = -_FAR, _FAR
    while high - low > 1e-6:
        middle = (low + high) / 2
        offset = start + middle * moved
        places = maximize(design, used.games, used.games, offset)
        likely = _log_likelihood(design @ places + offset, used.games, used.games) > math.log(TAIL)
        low, high = (low, middle) if likely == upward else (middle, high)
    return (low + high) / 2


_FAR = 50.0  # logits, 8,700 Elo points


def _standard_errors(
    links: Links, ratings: Float64Array, apart: BoolArray, comparable: BoolArray, anchor: int
) -> Float64Array:
    """Return float64[N], robust to draws and to what the games of a pair have in common.

    The sandwich estimator with pairs as clusters, each link's residuals being made larger by what the
    fit took from them (Bell and McCaffrey 2002).  To each link is added the variance of one pair of
    independent games without draws, so that a few equal pairs do not look like certainty.  Links
    between groups add nothing here: `_bound` is for them.
    """
    free = comparable.copy()
    free[anchor] = False
    design, columns = _design(links.first, links.second, free)
    chance = expected(ratings[links.first] - ratings[links.second])
    weight = links.games * chance * (1 - chance)
    bread = _inverse(design.T @ (weight[:, None] * design))
    leverage = _leverages(design, weight, bread)
    residual = links.squares @ [1, 0, 0] - 2 * chance * links.squares[:, 1] + chance**2 * links.squares[:, 2]
    spread = (links.pairs * residual + weight) / (links.pairs + 1 - leverage)
    influence = bread @ design.T
    errors = np.zeros(len(ratings))
    errors[columns] = np.sqrt((influence**2) @ np.where(apart, 0, spread))
    return errors


def _design(first: Int64Array, second: Int64Array, free: BoolArray) -> tuple[Float64Array, Int64Array]:
    """Return float64[L, K], +1 for `first` and -1 for `second` in the columns of those free bool[N]."""
    columns = np.flatnonzero(free)
    numbers = np.arange(len(free))[columns]
    plus, minus = first[:, None] == numbers, second[:, None] == numbers
    return plus.astype(np.float64) - minus, columns


def maximize(
    design: Float64Array,
    points: Float64Array,
    games: Float64Array,
    offset: Float64Array,
    *,
    firth: bool = False,
) -> Float64Array:
    """Logistic regression by Newton's method: float64[K] that maximizes the likelihood.

    Args:
        design: float64[L, K] of rank K.
        points: float64[L], 0..games.
        games: float64[L].
        offset: float64[L], added to design @ result.
        firth: maximize the likelihood times the root of the information's determinant, which has a
            finite maximum for any points.

    Raises:
        ArithmeticError: there is no finite maximum.
    """
    found: Float64Array = np.zeros(design.shape[1])
    if not found.size:
        return found
    value = -math.inf
    step: Float64Array = np.zeros_like(found)
    for _ in range(_STEPS):
        logits = design @ (found + step) + offset
        chance = expected(logits)
        weight = games * chance * (1 - chance)
        information = design.T @ (weight[:, None] * design)
        reached = _log_likelihood(logits, points, games)
        if firth:
            reached += np.linalg.slogdet(information)[1] / 2
        if reached < value - 1e-9 * (1 + abs(value)):  # too far
            step /= 2
            continue
        found, value = found + step, reached
        residual = points - games * chance
        inverse = _inverse(information)
        if firth:
            residual += (0.5 - chance) * _leverages(design, weight, inverse)
        step = inverse @ (design.T @ residual)
        if np.abs(step).max() < _CLOSE:
            return found + step
        # where all is decided, the curvature says nothing
        step *= min(1, _FARTHEST / np.abs(design @ step).max())
    raise ArithmeticError("the likelihood has no maximum that Newton's method finds")


def _inverse(matrix: Float64Array) -> Float64Array:
    return np.linalg.inv(matrix).astype(np.float64, copy=False)


def _leverages(design: Float64Array, weight: Float64Array, inverse: Float64Array) -> Float64Array:
    """Return float64[L], 0..1: how much of itself each row determines; their sum is K."""
    length: Float64Array = np.einsum("lk,lk->l", design @ inverse, design)
    return weight * length


def _log_likelihood(logits: Float64Array, points: Float64Array, games: Float64Array) -> float:
    """Of scores `points` in `games`, the constant left out."""
    won, lost = np.logaddexp(0, -logits), np.logaddexp(0, logits)
    return -float(points @ won + (games - points) @ lost)
