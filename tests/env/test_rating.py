"""Ratings from games: against an independent method, and what is refused, noted and left open."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from matches import letters, match, seat

from shogi_env.arena.rating import Rated, Ratings, distinct, rate
from shogi_env.arena.records import GameRecord
from shogi_env.arena.statistics import ELO, Score, to_elo, to_score
from shogi_env.errors import RecordError


def elo(rated: Rated) -> float:
    assert rated.rating is not None and rated.rating.value is not None
    return rated.rating.value


def simulate(
    edges: Sequence[tuple[int, int]],
    truth: Sequence[float],
    pairs: int,
    rng: np.random.Generator,
    alike: float = 0,
) -> list[GameRecord]:
    """Pairs of games between p0, p1, ..., some drawn; the share `alike` of second games goes as the first."""
    games = []
    for a, b in edges:
        win = to_score(truth[a] - truth[b])
        drawn = 0.4 * min(win, 1 - win)
        points = rng.choice([1, 0.5, 0], size=(2, pairs), p=[win - drawn / 2, drawn, 1 - win - drawn / 2])
        second = np.where(rng.random(pairs) < alike, points[0], points[1])
        games += match(f"p{a}", f"p{b}", letters(points[0] + second))
    return games


def hunter(games: Sequence[GameRecord], anchor: str) -> dict[str, float]:
    """Elo points by the MM algorithm of Hunter (2004), equation 3: one strength after the other."""
    points: dict[str, float] = {}
    met: dict[tuple[str, str], int] = {}
    for game in games:
        names = game.black.name, game.white.name
        for mine, other in (names, names[::-1]):
            points[mine] = points.get(mine, 0.0) + (game.score(mine) or 0.0)
            met[mine, other] = met.get((mine, other), 0) + 1
    strength = dict.fromkeys(points, 1.0)
    for _ in range(5000):
        for name in strength:
            strength[name] = points[name] / sum(
                number / (strength[name] + strength[other])
                for (mine, other), number in met.items()
                if mine == name
            )
    return {name: ELO * float(np.log(value / strength[anchor])) for name, value in strength.items()}


LADDER = [(i, i + 1) for i in range(6)]
EVERYBODY = [(i, j) for i in range(6) for j in range(i)]
CROSSED = [*LADDER, (0, 2), (1, 4)]


@pytest.mark.parametrize("edges", [LADDER, EVERYBODY, CROSSED], ids=["ladder", "everybody", "crossed"])
@pytest.mark.parametrize("seed", range(3))
def test_an_independent_method_finds_the_same(edges: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    games = simulate(edges, [0, 100, 250, 400, 350, 500, 700], 40, rng)
    found = rate(games, "p2")
    for name, value in hunter(games, "p2").items():
        assert elo(found[name]) == pytest.approx(value, abs=0.01)
    assert found["p2"].rating == (0, 0, 0)


def test_two_players_by_hand() -> None:
    found = rate(match("a", "random", "ww wd wl ww"))
    assert elo(found["a"]) == pytest.approx(to_elo(6.5 / 8))
    assert found["a"].results == Score(6, 1, 1) and found["random"].results == Score(1, 1, 6)
    assert found["a"].score == 6.5 / 8
    assert (found["a"].note, found.notes) == ("", ())
    assert found.cross == {("a", "random"): (6.5, 8), ("random", "a"): (1.5, 8)}


def test_ratings_add_up_along_a_chain() -> None:
    found = rate(match("a", "random", "wwwl" * 10) + match("b", "a", "wwld" * 10))
    assert elo(found["a"]) == pytest.approx(to_elo(0.75))
    assert elo(found["b"]) == pytest.approx(to_elo(0.75) + to_elo(0.625))
    (_, low, high), (_, lower, higher) = found["a"].rating, found["b"].rating
    assert higher - lower > high - low > 100
    assert [player.name for player in found.players] == ["b", "a", "random"]


def test_neither_order_nor_repetition_matters() -> None:
    games = simulate(EVERYBODY, [0, 50, 100, 200, 300, 400], 20, np.random.default_rng(0))
    once = rate(games, "p0")
    shuffled = [*games, *games[:100]]
    random.Random(1).shuffle(shuffled)
    again = rate(shuffled, "p0")
    assert again == replace(once, repeated=100)  # to the last bit
    assert once.games == len(games)


def test_two_different_games_of_one_id_are_refused() -> None:
    games = match("a", "random", "wl")
    with pytest.raises(RecordError, match=r"event 'a against random' has two different games '0\.1'"):
        rate([*games, replace(games[1], result="draw")])


def test_a_game_that_was_played_again_after_a_failure_counts() -> None:
    failed, played = match("a", "random", "wv") + match("a", "random", "vl"), match("a", "random", "wl")
    for games in (failed, failed[::-1]):
        assert distinct(games) == played
        assert (rate(games).games, rate(games).voids, rate(games).repeated) == (2, 0, 2)


def test_void_games_are_counted_and_not_rated() -> None:
    games = match("a", "random", "wl wd") + match("b", "random", "vvv")
    found = rate(games)
    assert (found.games, found.voids) == (4, 3)
    assert (found["b"].rating, found["b"].voids, found["b"].games) == (None, 3, 0)
    assert (found["b"].score, found["b"].note) == (None, "no finished games")
    assert found["a"] == rate(games[:4])["a"]


def test_players_without_a_connection_have_no_rating() -> None:
    found = rate(match("a", "random", "wl") + match("b", "c", "wl"))
    assert (found["b"].rating, found["c"].rating) == (None, None)
    assert found["b"].note == "no games connect it to random"
    assert [player.name for player in found.players][2:] == ["b", "c"]


def test_a_winner_of_all_games_has_no_upper_end() -> None:
    found = rate(match("a", "random", "w" * 200) + match("b", "a", "wwl" * 60))
    a, b = found["a"], found["b"]
    assert a.rating == pytest.approx((to_elo(200.5 / 201), to_elo(0.025 ** (1 / 200)), None), abs=0.01)
    assert b.rating is not None and b.rating.high is None and b.rating.low is not None
    assert elo(b) - elo(a) == pytest.approx(to_elo(2 / 3))
    assert a.rating[1] < b.rating.low < a.rating[1] + to_elo(2 / 3)
    assert "no upper end" in a.note and "no upper end" in b.note


def test_a_loser_of_all_games_mirrors_a_winner() -> None:
    up, down = rate(match("a", "random", "w" * 50)), rate(match("a", "random", "l" * 50))
    assert up["a"].rating is not None
    value, low, _ = up["a"].rating
    assert down["a"].rating == pytest.approx((-value, None, -low))
    assert "no lower end" in down["a"].note


def test_bounds_hold_wherever_those_between_stand() -> None:
    """All won twice in a chain: with the middle in the best place, each link takes half of the 2.5 %."""
    found = rate(match("a", "random", "w" * 100) + match("b", "a", "w" * 100))
    assert found["b"].rating is not None
    assert found["b"].rating.low == pytest.approx(2 * to_elo(0.025 ** (1 / 200)), abs=0.1)


def test_players_that_no_bound_holds_have_no_rating() -> None:
    found = rate(match("top", "random", "ww") + match("top", "a", "ww"))
    assert found["a"].rating is None and found["top"].rating is not None
    assert found["a"].note == "neither above nor below random: one side won all games of every connection"


def test_others_are_as_they_would_be_without_a_player_of_one_kind_of_result() -> None:
    games = simulate(LADDER, [0, 100, 200, 300, 400, 500, 600], 30, np.random.default_rng(5))
    alone, together = rate(games, "p0"), rate(games + match("star", "p3", "w" * 40), "p0")
    for player in alone.players:
        assert elo(together[player.name]) == elo(player)
        assert together[player.name].rating == pytest.approx(player.rating, abs=0.5)


def test_a_long_chain_of_nearly_one_sided_links() -> None:
    results = "w" * 99 + "d"
    games = [game for i in range(60) for game in match(f"p{i + 1:02}", f"p{i:02}", results)]
    found = rate(games, "p00")
    assert elo(found["p60"]) == pytest.approx(60 * to_elo(0.995))
    assert found["p60"].rating is not None and found["p60"].rating.high is not None


def test_many_links_that_one_side_won() -> None:
    games = [game for i in range(25) for game in match(f"p{i + 1:02}", f"p{i:02}", "w" * 20)]
    found = rate(games, "p00")
    assert [player.name for player in found.players] == [f"p{i:02}" for i in range(25, -1, -1)]
    assert all(elo(found[f"p{i:02}"]) == pytest.approx(i * to_elo(20.5 / 21), rel=1e-6) for i in range(26))


def test_one_name_with_two_digests_is_two_players() -> None:
    old, new = seat("net", "1234567890"), seat("net", "abcdefabcd")
    games = match(old, "random", "wl wd", "1") + match(new, "random", "ww wd", "2")
    found = rate(games)
    assert [player.name for player in found.players] == ["net@abcdef", "net@123456", "random"]
    assert found["net@abcdef"].seat == new
    assert found.notes == ("2 different players are called net; what follows the @ tells them apart",)
    with pytest.raises(ValueError, match="'net' is 2 players: net@123456, net@abcdef"):
        rate(games, "net")
    assert rate(games, "net@123456").anchor == "net@123456"
    alike = match(old, replace(old, digest="1234569999"), "wl wd")
    assert {player.name for player in rate(alike, "net@1234567890").players} == {
        "net@1234567890",
        "net@1234569999",
    }


def test_without_a_digest_the_spec_tells_players_apart() -> None:
    games = match(seat("mine", spec="python:a.f"), seat("mine", spec="python:a.g"), "wl wd")
    assert {player.name for player in rate(games, "mine@python:a.f").players} == {
        "mine@python:a.f",
        "mine@python:a.g",
    }


def test_versions_that_count_as_one_are_named() -> None:
    games = match("a", "random", "wl", "1") + match(seat("a", version="2"), "random", "wl", "2")
    assert rate(games).notes == ("a counts as one player in versions 1, 2",)


def test_games_against_itself_are_no_news() -> None:
    games = match("a", "random", "wl wd")
    found = rate(games + match("a", "a", "ww"))
    assert found["a"].rating == rate(games)["a"].rating
    assert found.notes == ("2 games of a against itself say nothing about its rating",)


@pytest.mark.parametrize(
    ("games", "anchor", "said"),
    [
        ([], "random", "no player is called 'random'; there are: no games"),
        (match("a", "b", "wl"), "random", "no player is called 'random'; there are: a, b"),
    ],
)
def test_an_unknown_anchor_is_refused(games: list[GameRecord], anchor: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rate(games, anchor)


def test_an_anchor_with_void_games_only_stands_alone() -> None:
    found = rate(match("a", "random", "vv") + match("a", "b", "wl"))
    assert found["random"].rating == (0, 0, 0)
    assert (found["a"].rating, found["a"].note) == (None, "no games connect it to random")


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="zoe"):
        rate(match("a", "random", "wl"))["zoe"]


@pytest.mark.parametrize("edges", [LADDER, EVERYBODY], ids=["ladder", "everybody"])
@pytest.mark.parametrize("alike", [0, 0.6])
def test_intervals_cover_the_truth(edges: list[tuple[int, int]], alike: float) -> None:
    """Few tournaments; benchmarks/rating.py has many."""
    truth = [0, 100, 250, 400, 350, 500, 700][: 1 + max(map(max, edges))]
    covered, rng = [], np.random.default_rng(3)
    for _ in range(40):
        found: Ratings = rate(simulate(edges, truth, 20, rng, alike), "p0")
        for i, value in enumerate(truth[1:], 1):
            _, low, high = found[f"p{i}"].rating or (0, 1, -1)
            covered.append((low is None or low <= value) and (high is None or value <= high))
    assert 0.9 <= np.mean(covered) <= 0.99
