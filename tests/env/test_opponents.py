"""Names of opponents, policies as opponents, and minimax in the environments."""

import pickle

import numpy as np
import pytest
from data_files import few

from shogi_env import IllegalMoveError, Positions, ShogiEnv, ShogiVectorEnv, opponents

pytestmark = pytest.mark.nojit


def highest(planes, masks):
    """A policy: the legal action of the highest number."""
    assert planes.shape == (len(masks), 136, 9, 9) and planes.dtype == np.uint8
    assert masks.shape == (len(planes), 2187) and masks.dtype == np.bool_
    return 2186 - masks[:, ::-1].argmax(1)


@pytest.mark.parametrize(
    "name", ["strong", "minimax", "minimax:", "minimax:x", "minimax:-1", "minimax:²", 3, []]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="'random', 'greedy', 'minimax:DEPTH'"):
        opponents.resolve(name)


@pytest.mark.parametrize("name", ["minimax:0", "minimax:7", "minimax:100"])
def test_other_depths_are_refused(name):
    with pytest.raises(ValueError, match=r"depth of a minimax player is 1\.\.6"):
        opponents.resolve(name)


def test_names():
    assert opponents.resolve("random") is opponents.random
    assert opponents.resolve("greedy") is opponents.greedy
    assert opponents.resolve("minimax:2") == opponents.minimax(2) != opponents.minimax(3)
    assert opponents.resolve(None) is None
    assert opponents.resolve(highest) is highest


def test_they_travel_to_other_processes():
    for opponent in (opponents.minimax(2), opponents.from_policy(highest)):
        assert pickle.loads(pickle.dumps(opponent)) == opponent


def test_policy_plays():
    games = Positions(3)
    games.apply(games.random_actions([1]), [1])
    player = opponents.from_policy(highest)
    idx = np.array([2, 1])
    expected = [np.flatnonzero(mask)[-1] for mask in games.masks()[idx]]
    assert player(games, idx).tolist() == expected
    games.apply(player(games, idx), idx)


def test_policy_may_return_lists():
    player = opponents.from_policy(lambda planes, masks: masks.argmax(1).tolist())
    assert player(Positions(2), np.arange(2)).dtype == np.int64


@pytest.mark.parametrize(
    "wrong", [lambda p, m: 5, lambda p, m: m, lambda p, m: m.argmax(1) * 1.0, lambda p, m: None]
)
def test_policies_that_return_something_else_are_refused(wrong):
    with pytest.raises(ValueError, match="a policy returns 2 integers"):
        opponents.from_policy(wrong)(Positions(2), np.arange(2))


def test_policy_that_errs_is_named():
    env = ShogiEnv(
        opponent=opponents.from_policy(lambda planes, masks: np.zeros(len(masks), int)), side="white"
    )
    with pytest.raises(IllegalMoveError, match="opponent Policy"):
        env.reset(seed=0)


def test_minimax_answers_in_the_environments():
    """A batch and one environment for each of its games go the same way."""
    n, steps = few(100) if few(2) < 2 else 4, few(200)
    batch = ShogiVectorEnv(n, opponent="minimax:1", side="white")
    singles = [ShogiEnv(opponent="minimax:1", side="white") for _ in range(n)]
    observations, infos = batch.reset(seed=7)
    for i, env in enumerate(singles):
        assert (env.reset(seed=7 + i)[0] == observations[i]).all()
    alive = np.ones(n, bool)
    for _ in range(min(steps, 40)):
        actions = infos["action_mask"].argmax(1)
        observations, rewards, ended, _, infos = batch.step(actions)
        for i in np.flatnonzero(alive):
            observation, reward, terminated, _, _ = singles[i].step(int(actions[i]))
            assert (observation == observations[i]).all() and reward == rewards[i]
            assert terminated == ended[i]
        alive &= ~ended
    if few(2) > 1:
        assert not alive.all(), "minimax beats a player that knows nothing"
