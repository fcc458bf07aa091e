"""Players in the box: what they are called, and that they play alike everywhere."""

import pickle

import gymnasium
import numpy as np
import pytest

import shogi_env
from shogi_env import Positions, opponents
from shogi_env.arena.openings import load_openings
from shogi_env.arena.players import make_player
from shogi_env.arena.schedules import head_to_head
from shogi_env.arena.statistics import tally
from shogi_env.levels import Level, count_levels, load_level, path_of_level
from shogi_env.levels.network import draw_actions

TOP = count_levels()


def test_they_are_small():
    assert TOP >= 3
    assert sum(path_of_level(number).stat().st_size for number in range(1, TOP + 1)) <= 2 * 2**20


def test_names():
    assert opponents.resolve("level:1") == opponents.level(1) == Level(1)
    assert pickle.loads(pickle.dumps(opponents.level(2))) == Level(2)
    for wrong in ("level:0", f"level:{TOP + 1}"):
        with pytest.raises(ValueError, match=rf"^level is 1\.\.{TOP}, not "):
            opponents.resolve(wrong)
    for wrong in ("level", "level:x", "level:-1"):
        with pytest.raises(ValueError, match="level:NUMBER"):
            opponents.resolve(wrong)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("level:", "write level:NUMBER"),
        (f"level:{TOP + 1}", rf"level is 1\.\.{TOP}"),
        ("level:1;temperature=1000", "temperature is 0, or 0.01..100"),
        ("level:1;mate=5", "give sims, too"),
        ("level:1;sims=0", "sims is 1..1,000,000"),
        ("level:1;depth=3", "level has no setting 'depth'"),
    ],
)
def test_what_a_spec_may_not_say(spec, message):
    with pytest.raises(ValueError, match=message):
        make_player(spec)


def test_what_a_player_is_known_by():
    specs = ["level:1", "level:2", "level:1;temperature=0", "level:1;sims=8", "level:1;sims=9"]
    players = [make_player(spec) for spec in specs]
    assert len({player.digest for player in players}) == len(specs)
    assert [player.deterministic for player in players] == [False, False, True, True, True]


@pytest.mark.parametrize(("spec", "games"), [("level:2", 6), ("level:3;sims=4", 2)])
def test_they_beat_random_moves(spec, games):
    with make_player(spec) as player, make_player("random") as other:
        found = tally(head_to_head(player, other, games, openings=load_openings(), slots=6), player.name)
    assert found.score > 0.8


def test_a_game_does_not_depend_on_the_batch():
    games = Positions(300, max_plies=20)
    games.seed(np.arange(1, 301, dtype=np.uint64) % 7 + 1)
    for _ in range(6):
        games.apply(opponents.level(1)(games, games.everyone))
    assert len({tuple(games.sfen(i) for i in range(k, 300, 7)) for k in range(7)}) > 1
    for k in range(7):
        assert len({games.sfen(i) for i in range(k, 300, 7)}) == 1


def test_in_the_environment():
    env = gymnasium.make("Shogi-v0", opponent="level:1", side="white")
    _, info = env.reset(seed=1)
    env.step(int(info["action_mask"].argmax()))
    envs = shogi_env.ShogiVectorEnv(3, opponent="level:2", side="black")
    _, infos = envs.reset(seed=1)
    envs.step(infos["action_mask"].argmax(1))


def test_draws_follow_the_softmax():
    logits = np.log(np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)).repeat(4000, 0)
    masks = np.array([[True, True, False, True]]).repeat(4000, 0)
    numbers = (np.arange(4000) + 0.5) / 4000
    found = np.bincount(draw_actions(logits, masks, 1.0, numbers), minlength=4) / 4000
    assert np.allclose(found, [1 / 7, 2 / 7, 0, 4 / 7], atol=1e-3)
    sharp = np.bincount(draw_actions(logits, masks, 0.5, numbers), minlength=4) / 4000
    assert np.allclose(sharp, [1 / 21, 4 / 21, 0, 16 / 21], atol=1e-3)
    assert (draw_actions(logits, masks, 0.0, numbers) == 3).all()


def test_a_large_batch_is_judged_as_small_ones():
    planes = np.random.default_rng(0).integers(0, 2, (130, 136, 9, 9)).astype(np.uint8)
    logits, values = load_level(1)(planes)
    assert logits.shape == (130, 2187) and values.shape == (130,)
    assert np.allclose(load_level(1)(planes[127:])[0], logits[127:], atol=1e-3)
    shared, same = load_level(1, threads=2)(planes)
    assert np.allclose(shared, logits, atol=1e-3) and np.allclose(same, values, atol=1e-4)
