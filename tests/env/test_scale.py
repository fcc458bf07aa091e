"""The scale: levels that never change, and the rating of whoever plays them."""

import math

import numpy as np
import pytest
from matches import match

import shogi_env
from shogi_env.arena.players import make_player
from shogi_env.arena.records import read_games
from shogi_env.arena.scale import fingerprint, load_protocol, rate_against
from shogi_env.arena.statistics import Tally, tally, to_elo


def first_legal(observations, masks):
    assert observations.shape == (len(masks), 136, 9, 9)
    return masks.argmax(axis=1)


def games_of(wins: int = 0, draws: int = 0, losses: int = 0) -> Tally:
    return tally(match("player", "level", "w" * wins + "d" * draws + "l" * losses), "player")


def tally_of(points: np.ndarray) -> Tally:
    """Of float64[pairs, 2], what each game brought."""
    worth = {"win": 1.0, "draw": 0.5, "loss": 0.0}
    endings = {("black", outcome, ""): int((points == value).sum()) for outcome, value in worth.items()}
    return Tally(
        "player", endings, {}, {("", str(k)): (sum(pair), 2) for k, pair in enumerate(points.tolist())}
    )


@pytest.mark.parametrize(
    "level",
    [
        pytest.param(level, id=level.spec, marks=[pytest.mark.slow] if level.spec[-1] in "23" else [])
        for level in load_protocol("v1").levels
    ],
)
def test_a_level_plays_as_it_did_when_it_was_rated(level):
    assert fingerprint(make_player(level.spec)) == level.fingerprint


def test_levels_rise_from_random():
    levels = load_protocol("v1").levels
    assert (levels[0].spec, levels[0].rating) == ("random", 0)
    ratings = [level.rating for level in levels]
    assert ratings == sorted(ratings)
    assert all(level.low <= level.rating <= level.high for level in levels)


def test_a_policy_is_evaluated_against_every_level(tmp_path):
    found = shogi_env.evaluate(first_legal, games=12, name="first", log=tmp_path / "games.jsonl")
    assert {name: games.games for name, games in found.levels.items()} == {
        "random": 2,
        "greedy": 2,
        "minimax:1": 2,
        "minimax:2": 2,
        "minimax:3": 4,
    }
    assert read_games(tmp_path / "games.jsonl") == list(found.games)
    assert sum(game.black.name == "first" for game in found.games) == 6
    assert str(found).startswith("rating ")
    again = shogi_env.evaluate(first_legal, games=12, name="first")
    assert again.games == found.games


def test_a_level_may_be_evaluated_itself():
    found = shogi_env.evaluate("greedy", games=20)
    assert found.rating.value is not None
    assert 500 < found.rating.value < 3000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"policy": "random", "games": 8}, "at least 10"),
        ({"policy": "random", "games": 11}, "even"),
        ({"policy": "random", "protocol": "v0"}, "'v1'"),
        ({"policy": "rndom"}, "no player is called 'rndom'"),
        ({"policy": 3}, "not 3"),
    ],
)
def test_wrong_arguments(arguments, said):
    with pytest.raises(ValueError, match=said):
        shogi_env.evaluate(**arguments)


def test_against_one_player_the_rating_is_the_elo_difference_above_it():
    rating = rate_against({"b": 500.0}, {"b": games_of(wins=30, draws=10, losses=20)})
    assert rating.value == pytest.approx(500 + to_elo(35 / 60), abs=1e-6)
    assert rating.low < rating.value < rating.high


def test_the_rating_makes_the_scores_add_up():
    tallies = {"a": games_of(wins=50, losses=10), "b": games_of(wins=10, draws=4, losses=46)}
    rating = rate_against({"a": 0.0, "b": 700.0}, tallies)
    expected = sum(60 / (1 + 10 ** ((level - rating.value) / 400)) for level in (0.0, 700.0))
    assert expected == pytest.approx(50 + 12)


@pytest.mark.parametrize("draws", [0.0, 0.5])
@pytest.mark.parametrize("rating", [700, 1700, 2381, 2600, 3100])
def test_intervals_cover_the_truth_between_levels_too(rating, draws):
    """A robust error alone gives 80 wins below and 120 losses above +-61, and covers half at 700."""
    rng, covered = np.random.default_rng(rating), []
    levels = {level.spec: level.rating for level in load_protocol("v1").levels}
    chance = 1 / (1 + 10 ** ((np.array([*levels.values()]) - rating) / 400))
    drawn = draws * np.minimum(chance, 1 - chance)
    for _ in range(200):
        draw = (
            rng.random((5, 20, 2))[..., None] < np.stack([chance - drawn, chance + drawn], -1)[:, None, None]
        )
        tallies = {spec: tally_of(points) for spec, points in zip(levels, draw.sum(3) / 2, strict=True)}
        found = rate_against(levels, tallies)
        covered.append((found.low or -math.inf) <= rating <= (found.high or math.inf))
    assert np.mean(covered) >= 0.9


def test_a_sweep_has_an_open_end():
    tallies = {"a": games_of(wins=40), "b": games_of(wins=40)}
    rating = rate_against({"a": 0.0, "b": 300.0}, tallies)
    assert (rating.value, rating.high) == (None, None)
    chance = np.prod([(1 / (1 + 10 ** ((level - rating.low) / 400))) ** 40 for level in (0.0, 300.0)])
    assert chance == pytest.approx(0.025)
    lost = rate_against({"a": 0.0, "b": 300.0}, {"a": games_of(losses=40), "b": games_of(losses=40)})
    assert (lost.value, lost.low) == (None, None)
    assert math.isclose(lost.high, 300 - rating.low, abs_tol=1e-6)


def test_no_games_are_no_rating():
    with pytest.raises(ValueError, match="no game"):
        rate_against({"a": 0.0}, {"a": games_of()})
