"""What a match says about two players: score, Elo difference with its interval, and SPRT.

The two games of a pair share their opening, so that pairs, and not games, are independent of each
other; all uncertainty here is computed from the scores of pairs, as Van den Bergh proposed and
fishtest does ("pentanomial": a pair scores 0, 0.5, 1, 1.5 or 2).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple, Self

from shogi_env.arena.records import GameRecord, Seat

ELO = 400 / math.log(10)
"""Elo points of one logit."""
TAIL = 0.025
"""How often the truth lies beyond one end of an interval."""
NORMAL = NormalDist().inv_cdf(1 - TAIL)
"""Standard errors from the middle to an end of an interval."""


class Elo(NamedTuple):
    """A difference or a rating in Elo points, with its 95 % interval."""

    value: float | None
    """None for the difference of players of whom one won everything."""
    low: float | None
    """None for an end that is open: no finite value is the greatest or least that fits the games."""
    high: float | None

    def __str__(self) -> str:
        """Return "+35 (-12 .. +82)", or "> +500" where the upper end is open."""
        value = "" if self.value is None else f"{_signed(self.value)} "
        if self.low is not None and self.high is not None:
            ends = f"{_signed(self.low)} .. {_signed(self.high)}"
        elif self.low is not None:
            ends = f"> {_signed(self.low)}"
        else:
            ends = "?" if self.high is None else f"< {_signed(self.high)}"
        return f"{value}({ends})" if value else ends


def _signed(points: float) -> str:
    """Whole points with a sign, which 0 has none of."""
    return f"{round(points):+d}" if round(points) else "0"


def to_elo(score: float) -> float:
    """The difference -400 log10(1 / score - 1) at which a score between 0 and 1 is expected."""
    return ELO * math.log(score / (1 - score))


def to_score(elo: float) -> float:
    """The score, 0..1, that a difference in Elo points lets expect."""
    return 1 / (1 + math.exp(-elo / ELO))


class Score(NamedTuple):
    """Numbers of games."""

    wins: int
    draws: int
    losses: int


@dataclass(frozen=True, slots=True)
class Tally:
    """The games of a player, counted from its side. Each game is to be added once.

    `Tally(player).add(*games)` counts games; those of others are left out. Where both seats are the
    player, it is counted as the one who is Black in the pair's first game and White in the second.
    """

    player: Seat | str
    """A seat, or a name for whoever has it."""
    endings: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """How many games ended so: ("black", "win", "checkmate"); the color is the player's."""
    lengths: Mapping[int, int] = field(default_factory=dict)
    """How many games have so many plies; void games are left out."""
    pairs: Mapping[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    """Points and games by event and pair; void games are left out."""

    def add(self, *games: GameRecord) -> Self:
        """Return a tally with these games added; this one stays as it is."""
        endings, lengths, pairs = Counter(self.endings), Counter(self.lengths), dict(self.pairs)
        for game in games:
            color = self._color(game)
            if color is None:
                continue
            outcome = (
                game.result if game.result in ("draw", "void") else "win" if game.result == color else "loss"
            )
            endings[color, outcome, game.reason] += 1
            if outcome != "void":
                lengths[len(game.moves)] += 1
                points, count = pairs.get((game.event, game.pair), (0.0, 0))
                pairs[game.event, game.pair] = (points + _POINTS[outcome], count + 1)
        return type(self)(self.player, dict(endings), dict(lengths), pairs)

    def _color(self, game: GameRecord) -> str | None:
        """The player's color, None where it does not play."""
        black, white = (seat == self.player or seat.name == self.player for seat in (game.black, game.white))
        if black and white:
            return "white" if game.id.endswith(".1") else "black"
        return "black" if black else "white" if white else None

    def by_color(self, color: str) -> Score:
        """Results of the games with "black" or "white"."""
        return Score(*(self._count(color, outcome) for outcome in ("win", "draw", "loss")))

    def _count(self, color: str, outcome: str) -> int:
        return sum(number for (c, o, _), number in self.endings.items() if (c, o) == (color, outcome))

    @property
    def results(self) -> Score:
        """Results of all games."""
        return Score(*map(sum, zip(self.by_color("black"), self.by_color("white"), strict=True)))

    @property
    def voids(self) -> int:
        """Games without a result."""
        return self._count("black", "void") + self._count("white", "void")

    @property
    def games(self) -> int:
        """Games with a result."""
        return sum(self.results)

    @property
    def reasons(self) -> Mapping[tuple[str, str], int]:
        """How many games ended so: ("win", "checkmate"); the most frequent first, then by name."""
        counts: Counter[tuple[str, str]] = Counter()
        for (_, outcome, reason), number in self.endings.items():
            counts[outcome, reason] += number
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def plies(self) -> float | None:
        """Mean length of a game, its opening included."""
        return (
            sum(length * number for length, number in self.lengths.items()) / self.games
            if self.games
            else None
        )

    @property
    def pair_scores(self) -> tuple[int, int, int, int, int]:
        """How many complete pairs scored 0, 0.5, 1, 1.5 and 2."""
        counts = Counter(round(2 * points) for points, games in self.pairs.values() if games == 2)
        return counts[0], counts[1], counts[2], counts[3], counts[4]

    @property
    def score(self) -> float | None:
        """Points of a game on average, 0..1."""
        return (self.results.wins + self.results.draws / 2) / self.games if self.games else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the score.

        Wilson's (1927), with the number of independent games without draws that would have the
        variance of these pairs (Kish's effective sample size; Franco et al. 2019 compare such
        intervals).  To the pairs' variance is added that of one pair of such games, so that a few
        equal pairs do not look like certainty.  A player who won everything gets the exact bound of
        Clopper and Pearson (1934), and no other result of as many games proves more than that.
        """
        score, number = self.score, self.games
        if score is None:
            return None
        sweep = TAIL ** (1 / number)
        if score in (0, 1):
            return (sweep, 1.0) if score else (0.0, 1 - sweep)
        single = score * (1 - score)
        spread = sum((points - score * games) ** 2 for points, games in self.pairs.values())
        size = single * number**2 / (spread + single * number / len(self.pairs))
        middle = (score + NORMAL**2 / (2 * size)) / (1 + NORMAL**2 / size)
        half = NORMAL * math.sqrt(single / size + (NORMAL / (2 * size)) ** 2) / (1 + NORMAL**2 / size)
        return min(middle - half, sweep), max(middle + half, 1 - sweep)

    @property
    def elo(self) -> Elo | None:
        """By how much the player is stronger than who it played against; None without games."""
        interval = self.interval
        if self.score is None or interval is None:
            return None
        value, low, high = (None if s in (0, 1) else to_elo(s) for s in (self.score, *interval))
        return Elo(value, low, high)

    def __str__(self) -> str:
        """Return results, score and Elo difference in one line."""
        wins, draws, losses = self.results
        text = f"{wins} wins, {draws} draws, {losses} losses"
        if self.score is not None:
            text += f" of {self.games} games: {100 * self.score:.1f} %, Elo {self.elo}"
        return text + (f"; {self.voids} void" if self.voids else "")


_POINTS = {"win": 1.0, "draw": 0.5, "loss": 0.0}


def tally(games: Iterable[GameRecord], player: Seat | str) -> Tally:
    """Count the games of a player."""
    return Tally(player).add(*games)


class Verdict(NamedTuple):
    """Where a sequential test stands."""

    llr: float
    """Logarithm of the likelihood ratio of H1 to H0."""
    lower: float
    """At or below it, H0 is accepted."""
    upper: float
    """At or above it, H1 is accepted."""
    accepted: str | None
    """"H0", "H1", or None while the match has to go on."""

    def __str__(self) -> str:
        """Return "LLR 1.20 (-2.94 .. 2.94), undecided"."""
        decision = f"{self.accepted} accepted" if self.accepted else "undecided"
        return f"LLR {self.llr:.2f} ({self.lower:.2f} .. {self.upper:.2f}), {decision}"


@dataclass(frozen=True, slots=True)
class Sprt:
    """Sequential test of H0 "the difference is elo0" against H1 "it is elo1".

    The generalized SPRT with the normal approximation LLR = N/2 log(sum (x - s0)^2 / sum (x - s1)^2)
    over N pair scores x (Van den Bergh, https://www.cantate.be/Fishtest/support_MLE_multinomial.pdf;
    `LLR_alt` in fishtest's LLRcalc.py).  Its linear form, N (s1 - s0)(2 x - s0 - s1) / 2 variance, is
    wrong in up to 13 % of simulated matches where the hypotheses are 100 Elo points apart, this one
    never in more than 6 %.  To both sums is added the variance of one pair of independent games without
    draws, so that a few equal pairs decide nothing.  Incomplete pairs are left out.

    Args:
        elo0: in Elo points, logistic.
        elo1: more than elo0.
        alpha: how often H1 may be accepted where the difference is elo0.
        beta: how often H0 may be accepted where the difference is elo1.
    """

    elo0: float
    elo1: float
    alpha: float = 0.05
    beta: float = 0.05

    def __post_init__(self) -> None:
        if not -_FAR <= self.elo0 < self.elo1 <= _FAR:
            raise ValueError(f"-{_FAR} <= elo0 < elo1 <= {_FAR}; got {self.elo0} and {self.elo1}")
        if not (0 < self.alpha < 0.5 and 0 < self.beta < 0.5):
            raise ValueError(f"alpha and beta are between 0 and 0.5; got {self.alpha} and {self.beta}")

    def verdict(self, tally: Tally) -> Verdict:
        """What the pairs played until now decide."""
        numbers = tally.pair_scores
        s0, s1 = to_score(self.elo0), to_score(self.elo1)
        middle = (s0 + s1) / 2
        sums = [
            sum(number * (half / 4 - s) ** 2 for half, number in enumerate(numbers))
            + middle * (1 - middle) / 2
            for s in (s0, s1)
        ]
        llr = sum(numbers) / 2 * math.log(sums[0] / sums[1])
        lower, upper = math.log(self.beta / (1 - self.alpha)), math.log((1 - self.beta) / self.alpha)
        accepted = "H1" if llr >= upper else "H0" if llr <= lower else None
        return Verdict(llr, lower, upper, accepted)


_FAR = 2000
