from typing import Any

import numpy as np
import pytest
import torch as th
from fakes import rows
from gymnasium import spaces
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer

from keisei_agent.learning.buffer import Bits, PackedRolloutBuffer
from keisei_agent.learning.seats import discounts

PLANES = spaces.Box(0, 1, (136, 9, 9), np.uint8)
PIECES = spaces.Box(0, 1, (102, 9, 9), np.uint8)
STONES = spaces.Box(0, 1, (15,), np.uint8)


def steps_of(steps: int, columns: int, planes: spaces.Box, actions: int) -> list[dict[str, Any]]:
    """What may happen, as the arguments of the stock buffer's `add`; the log-probabilities all differ."""
    rng = np.random.default_rng(0)
    return [
        {
            "obs": rng.integers(0, 2, (columns, *planes.shape), np.uint8),
            "action": rng.integers(0, actions, columns),
            "reward": rng.random(columns, np.float32),
            "episode_start": rng.random(columns) < 0.2,
            "value": rng.random(columns, np.float32),
            "log_prob": -rng.random(columns, np.float32),
            "action_masks": (rng.random((columns, actions)) < 0.3) | (np.arange(actions) == 1),
        }
        for _ in range(steps)
    ]


def fill(buffer: PackedRolloutBuffer, written: list[dict[str, Any]]) -> None:
    for row in written:
        buffer.observe(row["obs"], row["action_masks"])
        rest = {name: value for name, value in row.items() if name not in ("obs", "action_masks")}
        buffer.add(**rest)


def filled(steps: int, columns: int) -> PackedRolloutBuffer:
    buffer = PackedRolloutBuffer(steps, PLANES, spaces.Discrete(2187), "cpu", n_envs=columns)
    fill(buffer, steps_of(steps, columns, PLANES, 2187))
    return buffer


@pytest.mark.parametrize("shape", [(136, 9, 9), (102, 9, 9), (3, 2, 5), (2187,), (15,), (8,)], ids=str)
def test_bits_come_back(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 2, (5, *shape), np.uint8)
    bits = Bits(shape)
    packed = bits.pack(values)
    assert packed.shape == (5, bits.nbytes)
    assert bits.nbytes == (np.prod(shape) + 7) // 8
    unpacked = bits.unpack(th.from_numpy(packed))
    assert unpacked.dtype == th.uint8
    np.testing.assert_array_equal(unpacked, values)
    assert bits.unpack(th.from_numpy(packed[:0])).shape == (0, *shape)


def test_planes_come_back_in_the_layout_that_networks_want() -> None:
    bits = Bits((136, 9, 9))
    values = np.random.default_rng(0).integers(0, 2, (4, 136, 9, 9), np.uint8)
    unpacked = bits.unpack(th.from_numpy(bits.pack(values)))
    assert unpacked.is_contiguous(memory_format=th.channels_last)


@pytest.mark.parametrize(
    ("planes", "actions"), [(PLANES, 2187), (PIECES, 2187), (STONES, 3)], ids=["full", "pieces", "row"]
)
def test_samples_equal_those_of_a_plain_buffer(planes: spaces.Box, actions: int) -> None:
    steps, columns = 6, 5
    written = steps_of(steps, columns, planes, actions)
    arguments = {"gae_lambda": 0.5, "gamma": -0.75, "n_envs": columns}  # exact in float32
    packed = PackedRolloutBuffer(steps, planes, spaces.Discrete(actions), "cpu", **arguments)
    plain = MaskableRolloutBuffer(steps, planes, spaces.Discrete(actions), "cpu", **arguments)
    fill(packed, written)
    for row in written:
        value, log_prob = th.from_numpy(row["value"][:, None]), th.from_numpy(row["log_prob"])
        plain.add(**row | {"value": value, "log_prob": log_prob})
    last, dones = th.full((columns, 1), 0.5), np.arange(columns) % 2 == 0
    for buffer in (packed, plain):
        buffer.compute_returns_and_advantage(last, dones)
    (theirs,) = plain.get()
    ours = list(packed.get(7))
    assert [len(batch.actions) for batch in ours] == [7, 7, 7, 7, 2]
    assert all(batch.observations.dtype == th.uint8 for batch in ours)
    assert all(batch.action_masks.dtype == th.bool for batch in ours)
    together = [th.cat(columns_) for columns_ in zip(*ours, strict=True)]
    mine, their = (log_probs.argsort() for log_probs in (together[3], theirs.old_log_prob))
    for name, value, expected in zip(theirs._fields, together, theirs, strict=True):
        assert th.equal(value[mine].to(expected.dtype), expected[their]), name


def test_what_the_policy_is_shown_is_what_it_learns_from() -> None:
    buffer = PackedRolloutBuffer(3, PLANES, spaces.Discrete(2187), "cpu", n_envs=2)
    shown = []
    for row in steps_of(3, 2, PLANES, 2187):
        obs, masks = buffer.observe(row["obs"], row["action_masks"])
        np.testing.assert_array_equal(obs, row["obs"])
        np.testing.assert_array_equal(masks, row["action_masks"])
        shown.append((obs, masks))
        buffer.add(row["action"], row["reward"], row["episode_start"], row["value"], row["log_prob"])
    th.manual_seed(0)
    order = th.randperm(6)
    th.manual_seed(0)
    (batch,) = buffer.get()
    assert th.equal(batch.observations, th.cat([obs for obs, _ in shown])[order])
    assert th.equal(batch.action_masks, th.cat([masks for _, masks in shown])[order])


def test_a_transition_takes_at_most_two_kilobytes() -> None:
    buffer = filled(4, 3)
    arrays = [value for value in vars(buffer).values() if isinstance(value, np.ndarray)]
    stored = sum(array.nbytes for array in arrays if array.shape[:2] == (4, 3))
    assert stored == 12 * (1377 + 274 + 8 + 6 * 4)
    assert stored / 12 <= 2048
    assert sum(array.nbytes for array in arrays) - stored < 100


def test_arrays_are_allocated_once() -> None:
    buffer = filled(4, 3)
    names = [name for name, value in vars(buffer).items() if isinstance(value, np.ndarray)]
    before = {name: getattr(buffer, name) for name in names}
    for _ in range(2):
        buffer.compute_returns_and_advantage(th.zeros(3, 1), np.zeros(3, bool))
        list(buffer.get(5))
        buffer.reset()
        assert not buffer.full
        fill(buffer, steps_of(4, 3, PLANES, 2187))
    assert all(getattr(buffer, name) is before[name] for name in names)


def test_a_new_rollout_replaces_the_samples_of_the_last_one() -> None:
    buffer = filled(2, 2)
    (first,) = buffer.get()
    buffer.reset()
    written = steps_of(4, 2, PLANES, 2187)[2:]
    fill(buffer, written)
    (second,) = buffer.get()
    assert set(second.old_log_prob.tolist()) == {float(v) for row in written for v in row["log_prob"]}
    assert set(first.old_log_prob.tolist()).isdisjoint(second.old_log_prob.tolist())


def test_an_incomplete_rollout_is_not_sampled() -> None:
    buffer = filled(4, 3)
    buffer.reset()
    with pytest.raises(AssertionError, match="not complete"):
        next(buffer.get(2))
    with pytest.raises(AssertionError, match="not complete"):
        buffer.mean_log_legal()


def test_the_entropy_of_playing_at_random() -> None:
    buffer = PackedRolloutBuffer(1, STONES, spaces.Discrete(3), "cpu", n_envs=3)
    masks = np.array([[True, False, False], [True, False, True], [True, True, True]])
    buffer.observe(np.zeros((3, 15), np.uint8), masks)
    buffer.add(np.zeros(3, np.int64), *np.zeros((4, 3), np.float32))
    assert buffer.mean_log_legal() == pytest.approx((np.log(2) + np.log(3)) / 3)


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
        STONES,
        spaces.Discrete(3),
        "cpu",
        gae_lambda=gae_lambda,
        discounts=np.array([discount], np.float32),
    )
    for t, (reward, value) in enumerate(zip(rewards, values, strict=True)):
        buffer.observe(np.zeros((1, 15), np.uint8), np.ones((1, 3), bool))
        buffer.add(
            np.zeros(1, np.int64),
            np.float32([reward]),
            np.array([t == 0]),
            np.float32([value]),
            np.zeros(1, np.float32),
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
    np.testing.assert_array_equal(signs, np.float32([-0.5, 0.25, -0.5]))
    buffer = PackedRolloutBuffer(2, STONES, spaces.Discrete(3), n_envs=3, gae_lambda=1.0, discounts=signs)
    for reward in (0, 1):
        buffer.observe(np.zeros((3, 15), np.uint8), np.ones((3, 3), bool))
        nothing = np.zeros(3, np.float32)
        buffer.add(np.zeros(3, np.int64), np.full(3, reward, np.float32), np.zeros(3, bool), nothing, nothing)
    buffer.compute_returns_and_advantage(th.zeros(3, 1), np.ones(3, bool))
    np.testing.assert_array_equal(buffer.advantages, np.float32([[-0.5, 0.25, -0.5], [1, 1, 1]]))


def test_discounts_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"float32\[2\]"):
        PackedRolloutBuffer(2, STONES, spaces.Discrete(3), n_envs=2, discounts=np.ones(3, np.float32))


@pytest.mark.parametrize("half", ["observe", "add"])
def test_what_belongs_to_one_column_is_not_spread_over_the_others(half: str) -> None:
    buffer = PackedRolloutBuffer(2, STONES, spaces.Discrete(3), n_envs=2)
    nothing = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="a step of 2 columns was expected, not an array"):
        if half == "observe":
            buffer.observe(np.zeros((1, 15), np.uint8), np.ones((1, 3), bool))
        else:
            buffer.add(np.zeros(2, np.int64), nothing[:1], np.zeros(2, bool), nothing, nothing)
