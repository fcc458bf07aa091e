"""What a match says: counts, intervals, SPRT."""

import math

import numpy as np
import pytest
from matches import letters, match, seat

from shogi_env.arena.statistics import NORMAL, Elo, Score, Sprt, Tally, tally, to_elo, to_score


def test_counts() -> None:
    games = match("a", "b", "wl dw vw ll d")
    found = tally(games, "a")
    assert found.results == Score(3, 2, 3)
    assert (found.by_color("black"), found.by_color("white")) == (Score(1, 2, 1), Score(2, 0, 2))
    assert (found.games, found.voids, found.score) == (8, 1, 0.5)
    assert found.reasons == {
        ("loss", "resignation"): 3,
        ("win", "checkmate"): 3,
        ("draw", "repetition"): 2,
        ("void", "engine died"): 1,
    }
    assert next(iter(found.reasons)) == ("loss", "resignation")
    assert found.pair_scores == (1, 0, 1, 1, 0)  # the void game's pair and the unfinished one are no pairs
    assert found.plies == pytest.approx(np.mean([10, 11, 12, 13, 15, 16, 17, 18]))
    assert tally(games, "b").results == Score(3, 2, 3)
    assert str(found).startswith(
        "3 wins, 2 draws, 3 losses of 8 games: 50.0 %, Elo 0 (-"
    ) and "1 void" in str(found)


def test_adding_leaves_the_tally_as_it_was() -> None:
    games = match("a", "b", "wl dw")
    one_by_one = [Tally("a")]
    for game in games:
        one_by_one.append(one_by_one[-1].add(game))
    assert [t.games for t in one_by_one] == [0, 1, 2, 3, 4]
    assert one_by_one[-1] == tally(games, "a") == tally(reversed(games), "a")


def test_without_games_there_are_no_numbers() -> None:
    empty = tally(match("a", "b", "ww"), "carl")
    assert (empty.games, empty.score, empty.interval, empty.elo, empty.plies) == (0, None, None, None, None)
    assert str(empty) == "0 wins, 0 draws, 0 losses"


def test_a_player_against_itself_is_the_one_with_black_first() -> None:
    assert tally(match("a", "a", "ww ll wd"), "a").results == Score(3, 1, 2)


def test_a_seat_tells_players_of_one_name_apart() -> None:
    old, new = seat("a", "1234"), seat("a", "5678")
    games = match(old, "b", "ww", "1") + match(new, "b", "ll", "2")
    assert tally(games, old).results == Score(2, 0, 0)
    assert tally(games, "a").results == Score(2, 0, 2)


def test_elo_and_score() -> None:
    assert to_elo(0.5) == 0
    assert to_elo(0.75) == pytest.approx(-400 * math.log10(1 / 0.75 - 1)) == pytest.approx(190.85, abs=0.01)
    assert to_score(to_elo(0.3)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("elo", "text"),
    [
        (Elo(35.4, -12.0, 82.0), "+35 (-12 .. +82)"),
        (Elo(-0.4, -30.0, 29.6), "0 (-30 .. +30)"),
        (Elo(None, 500.2, None), "> +500"),
        (Elo(None, None, -500.2), "< -500"),
        (Elo(1041.0, 690.0, None), "+1041 (> +690)"),
    ],
)
def test_elo_as_text(elo: Elo, text: str) -> None:
    assert str(elo) == text


def test_interval_by_hand() -> None:
    """Pairs 2, 1, 1, 0: variance 2 of the points, and 0.5 for one more pair; of 8 games' worth 6.4."""
    found = tally(match("a", "b", "ww wl wl ll"), "a")
    half = 0.5 * NORMAL / math.sqrt(6.4 + NORMAL**2)  # Wilson's at a score of 0.5
    assert found.interval == pytest.approx((0.5 - half, 0.5 + half))
    assert found.elo == pytest.approx((0, to_elo(0.5 - half), to_elo(0.5 + half)))


def test_the_interval_looks_at_pairs() -> None:
    def width(results: str) -> float:
        low, high = tally(match("a", "b", results), "a").interval or (0, 0)
        return high - low

    alike, apart, drawn = width("ww ll" * 50), width("wl lw" * 50), width("dd dd" * 50)
    independent = width("ww wl lw ll" * 25)
    assert alike > 1.3 * independent > 2 * apart
    assert apart == pytest.approx(drawn)
    assert independent == pytest.approx(2 * NORMAL * 0.5 / math.sqrt(200), rel=0.02)


def test_a_clean_sweep_is_open_at_the_end_and_nothing_proves_more() -> None:
    sweep = tally(match("a", "b", "w" * 400), "a")
    assert sweep.interval == pytest.approx((0.025 ** (1 / 400), 1))
    assert sweep.elo is not None and (sweep.elo.value, sweep.elo.high) == (None, None)
    assert str(sweep.elo) == "> +813"
    assert str(tally(match("a", "b", "w" * 400), "b").elo) == "< -813"
    lows = [tally(match("a", "b", "w" * (400 - n) + "d" * n), "a").interval or (0, 0) for n in range(20)]
    assert all(low <= sweep.interval[0] for low, _ in lows)  # type: ignore[index]


def test_intervals_cover_the_truth() -> None:
    rng, score, covered = np.random.default_rng(1), 0.7, 0
    for _ in range(300):
        same = rng.random(30) < 0.3  # the second game goes like the first
        games = rng.random((2, 30)) < score
        points = np.where(same, 2 * games[0], games.sum(0))
        low, high = tally(match("a", "b", letters(points)), "a").interval or (0, 0)
        covered += low <= score <= high
    assert 0.925 <= covered / 300 <= 0.98


def play_until_decided(test: Sprt, chances: list[float], rng: np.random.Generator) -> tuple[str | None, int]:
    """Pairs that score 0, 0.5, 1, 1.5 and 2 with these chances; returns what is accepted after how many."""
    pairs: dict[tuple[str, str], tuple[float, int]] = {}
    for number in range(400):
        pairs["event", str(number)] = rng.choice(5, p=chances) / 2, 2
        accepted = test.verdict(Tally("a", pairs=pairs)).accepted
        if accepted:
            return accepted, number + 1
    return None, 400


def exact_llr(pairs: tuple[int, ...], s0: float, s1: float) -> float:
    """The generalized ratio with the distributions that are likeliest under each score, by bisection."""
    counts, values = np.array(pairs, float), np.arange(5) / 4
    logs = []
    for s in (s0, s1):
        low, high = -1 / (values.max() - s) + 1e-9, 1 / s - 1e-9
        for _ in range(100):
            middle = (low + high) / 2
            slope = (counts * (values - s) / (1 + middle * (values - s))).sum()
            low, high = (middle, high) if slope > 0 else (low, middle)
        logs.append(np.log(counts / counts.sum() / (1 + middle * (values - s))))
    return float((counts * (logs[1] - logs[0])).sum())


def test_sprt_agrees_with_the_exact_ratio() -> None:
    pairs = (60, 300, 600, 340, 70)
    found = tally(match("a", "b", "".join(letters([k / 2]) * n for k, n in enumerate(pairs))), "a")
    verdict = Sprt(0, 10).verdict(found)
    assert verdict.llr == pytest.approx(exact_llr(pairs, 0.5, to_score(10)), rel=0.01)
    assert (verdict.lower, verdict.upper) == pytest.approx((-math.log(19), math.log(19)))
    assert str(verdict).endswith(
        f"(-2.94 .. 2.94), {verdict.accepted or 'undecided'}" + " accepted" * bool(verdict.accepted)
    )


def test_sprt_errs_as_rarely_as_it_promises() -> None:
    rng = np.random.default_rng(2)
    test = Sprt(0, 120)
    for elo, right in ((0, "H0"), (120, "H1")):
        p = to_score(elo)
        pair = [(1 - p) ** 2, 0, 2 * p * (1 - p), 0, p**2]
        decisions = [play_until_decided(test, pair, rng) for _ in range(200)]
        wrong = sum(accepted != right for accepted, _ in decisions)
        assert wrong / 200 < 0.08
        assert np.mean([pairs for _, pairs in decisions]) < 60


def test_a_few_equal_pairs_decide_nothing() -> None:
    for results in ("ww", "wl", "ll", "dd" * 2, "ww" * 3):
        assert Sprt(0, 50).verdict(tally(match("a", "b", results), "a")).accepted is None
    assert Sprt(0, 50).verdict(Tally("a")).llr == 0
    assert Sprt(0, 50).verdict(tally(match("a", "b", "w" * 80), "a")).accepted == "H1"
    assert Sprt(0, 50).verdict(tally(match("a", "b", "wl" * 400), "a")).accepted == "H0"


@pytest.mark.parametrize(
    "values", [(50, 0), (0, 0), (0, 5000), (float("nan"), 5), (0, 5, 0), (0, 5, 0.05, 0.6)]
)
def test_senseless_tests_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="got"):
        Sprt(*values)
