import numpy as np
import pytest
import torch as th
from fakes import rows
from gymnasium import spaces

from keisei_agent.buffer import PackedRolloutBuffer
from keisei_agent.seats import discounts

PLANES = spaces.Box(0, 1, (136, 9, 9), np.uint8)


def filled(
    steps: int, columns: int, planes: spaces.Box, actions: int
) -> tuple[PackedRolloutBuffer, list[dict]]:
    rng = np.random.default_rng(0)
    buffer = PackedRolloutBuffer(steps, planes, spaces.Discrete(actions), "cpu", n_envs=columns)
    written = []
    for _ in range(steps):
        row = {
            "obs": rng.integers(0, 2, (columns, *planes.shape), np.uint8),
            "action": rng.integers(0, actions, columns),
            "reward": rng.random(columns, np.float32),
            "episode_start": rng.random(columns) < 0.2,
            "value": th.from_numpy(rng.random((columns, 1), np.float32)),
            "log_prob": th.from_numpy(-rng.random(columns, np.float32)),
            "action_masks": rng.random((columns, actions)) < 0.3,
        }
        buffer.add(**row)
        written.append(row)
    return buffer, written


@pytest.mark.parametrize(("planes", "actions"), [(PLANES, 2187), (spaces.Box(0, 1, (15,), np.uint8), 3)])
def test_samples_are_what_was_added(planes: spaces.Box, actions: int) -> None:
    steps, columns = 6, 5
    buffer, written = filled(steps, columns, planes, actions)
    buffer.compute_returns_and_advantage(th.zeros(columns, 1), np.zeros(columns, bool))
    expected = {
        float(row["log_prob"][n]): (
            row["obs"][n],
            row["action"][n],
            row["value"][n, 0],
            row["action_masks"][n],
        )
        for row in written
        for n in range(columns)
    }
    seen = []
    for batch in buffer.get(7):
        assert batch.observations.dtype == th.uint8
        assert batch.action_masks.dtype == th.bool
        for k in range(len(batch.actions)):
            key = float(batch.old_log_prob[k])
            obs, action, value, mask = expected[key]
            np.testing.assert_array_equal(batch.observations[k], obs)
            np.testing.assert_array_equal(batch.action_masks[k], mask)
            assert batch.actions[k, 0] == action
            assert batch.old_values[k] == value
            assert th.isclose(batch.returns[k], batch.advantages[k] + batch.old_values[k])
            seen.append(key)
    assert sorted(seen) == sorted(expected)


def test_arrays_are_allocated_once() -> None:
    buffer, _ = filled(4, 3, PLANES, 2187)
    before = (buffer.observations, buffer.action_masks, buffer.rewards)
    buffer.reset()
    assert all(
        a is b
        for a, b in zip(before, (buffer.observations, buffer.action_masks, buffer.rewards), strict=True)
    )
    assert buffer.observations.nbytes == 4 * 3 * 1377
    assert not buffer.full


def test_an_incomplete_rollout_is_not_sampled() -> None:
    buffer, _ = filled(4, 3, PLANES, 2187)
    buffer.reset()
    with pytest.raises(AssertionError, match="not complete"):
        next(buffer.get(2))


@pytest.mark.parametrize(
    "space", [spaces.Box(0, 255, (136, 9, 9), np.uint8), spaces.Box(0, 1, (15,), np.float32)]
)
def test_other_observations_are_refused(space: spaces.Box) -> None:
    with pytest.raises(ValueError, match="needs a Box"):
        PackedRolloutBuffer(4, space, spaces.Discrete(3))


def game(
    rewards: list[float], values: list[float], discount: float, gae_lambda: float = 1.0
) -> PackedRolloutBuffer:
    """One column with one finished game."""
    buffer = PackedRolloutBuffer(
        len(rewards),
        spaces.Box(0, 1, (15,), np.uint8),
        spaces.Discrete(3),
        "cpu",
        gae_lambda=gae_lambda,
        discounts=np.array([discount], np.float32),
    )
    masks = np.ones((1, 3), bool)
    for t, (reward, value) in enumerate(zip(rewards, values, strict=True)):
        buffer.add(
            np.zeros((1, 15), np.uint8),
            np.zeros(1, np.int64),
            np.float32([reward]),
            np.array([t == 0]),
            th.tensor([[value]]),
            th.zeros(1),
            action_masks=masks,
        )
    # what follows the end of a game must not leak into it
    buffer.compute_returns_and_advantage(th.full((1, 1), 0.7), np.ones(1, bool))
    return buffer


def test_a_win_in_five_plies() -> None:
    np.testing.assert_array_equal(game([0, 0, 0, 0, 1], [0] * 5, -1).advantages, rows([1, -1, 1, -1, 1]))


def test_a_win_against_an_opponent_inside_the_environment() -> None:
    np.testing.assert_array_equal(game([0, 0, 0, 0, 1], [0] * 5, 1).advantages, rows([1, 1, 1, 1, 1]))


def test_a_draw_is_worth_nothing() -> None:
    np.testing.assert_array_equal(game([0, 0, 0, 0], [0] * 4, -1).advantages, rows([0, 0, 0, 0]))


def test_negamax_gae_with_values_and_lambda() -> None:
    values = np.array([0.5, -0.25, 0.75, 0.125])
    rewards = np.array([0.0, 0.0, 0.0, 1.0])
    gamma, lam = 0.9, 0.8
    expected = np.zeros(4)
    following, after = 0.0, 0.0
    for t in (3, 2, 1, 0):
        following = rewards[t] - gamma * after - values[t] - gamma * lam * following
        expected[t], after = following, values[t]
    result = game(list(rewards), list(values), -gamma, lam)
    np.testing.assert_allclose(result.advantages[:, 0], expected, rtol=1e-6)


def test_columns_may_differ() -> None:
    signs = discounts(np.array([True, False, True]), 0.5)
    assert signs.dtype == np.float32
    np.testing.assert_array_equal(signs, np.float32([-0.5, 0.5, -0.5]))
    buffer = PackedRolloutBuffer(
        2, spaces.Box(0, 1, (15,), np.uint8), spaces.Discrete(3), n_envs=3, discounts=signs
    )
    for reward in (0, 1):
        buffer.add(
            np.zeros((3, 15), np.uint8),
            np.zeros(3, np.int64),
            np.full(3, reward, np.float32),
            np.zeros(3, bool),
            th.zeros(3, 1),
            th.zeros(3),
            action_masks=np.ones((3, 3), bool),
        )
    buffer.gae_lambda = 1.0
    buffer.compute_returns_and_advantage(th.zeros(3, 1), np.ones(3, bool))
    np.testing.assert_array_equal(buffer.advantages, np.float32([[-0.5, 0.5, -0.5], [1, 1, 1]]))


def test_discounts_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"float32\[2\]"):
        PackedRolloutBuffer(
            2,
            spaces.Box(0, 1, (15,), np.uint8),
            spaces.Discrete(3),
            n_envs=2,
            discounts=np.ones(3, np.float32),
        )
