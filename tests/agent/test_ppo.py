import shutil
from typing import Any

import numpy as np
import pytest
import torch as th
from fakes import STONES, Nim, Quiet, RandomPlanes, Scripted
from gymnasium import spaces
from learners import ROLLOUT, nim_model, planes_model, weights_of
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.learning.ppo import Parts, SelfPlayPPO, TrainingError, read_masks

# ------------------------------------------------------------------------------- the same in both phases


class FirstMinibatch(Quiet):
    """Notes the probability ratios of one minibatch between a rollout and its update."""

    def _on_training_start(self) -> None:
        self.ratios: list[th.Tensor] = []

    def _on_rollout_end(self) -> None:
        self.model.policy.set_training_mode(True)
        state = th.get_rng_state()
        batch = next(self.model.rollout_buffer.get(self.model.batch_size))
        th.set_rng_state(state)
        _, log_prob, _ = self.model.policy.evaluate_actions(
            batch.observations, batch.actions.flatten(), action_masks=batch.action_masks
        )
        self.ratios.append((log_prob - batch.old_log_prob).exp().detach())


def first_ratios(precision: str, *, compiled: bool) -> list[th.Tensor]:
    model = planes_model(RandomPlanes(16), precision=precision, learning_rate=1e-2, batch_size=64)
    if compiled:
        assert model.policy.compile_network()
    seen = FirstMinibatch()
    model.learn(16 * 8 * 3, callback=seen)
    assert len(seen.ratios) == 3
    return seen.ratios


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_first_ratio_is_exactly_one(precision: str) -> None:
    for ratio in first_ratios(precision, compiled=False):
        assert th.equal(ratio, th.ones(64))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 1e-4)])
def test_first_ratio_is_one_when_compiled(precision: str, tolerance: float) -> None:
    for ratio in first_ratios(precision, compiled=True):
        assert float((ratio - 1).abs().max()) <= tolerance


def test_samples_are_what_the_policy_saw() -> None:
    class Witness(Quiet):
        def _on_training_start(self) -> None:
            self.seen: list[tuple[th.Tensor, th.Tensor]] = []

        def _on_step(self) -> bool:
            self.seen.append((self.locals["obs_tensor"], self.locals["legal"]))
            return True

        def _on_rollout_end(self) -> None:
            self.order = th.get_rng_state()
            (self.batch,) = self.model.rollout_buffer.get()

    env = RandomPlanes(4)
    witness = Witness()
    planes_model(env).learn(ROLLOUT, callback=witness)
    th.set_rng_state(witness.order)
    order = th.randperm(ROLLOUT)
    assert th.equal(witness.batch.observations, th.cat([obs for obs, _ in witness.seen])[order])
    assert th.equal(witness.batch.action_masks, th.cat([legal for _, legal in witness.seen])[order])
    assert th.equal(witness.seen[-1][1], th.from_numpy(env.last_masks))


# ------------------------------------------------------------------------------------------- a solved game


def nim_results(gamma: float, seed: int) -> tuple[int, int]:
    """Of 12 won positions those played right, and of 15 values those with the right sign, after 20k steps."""
    model = nim_model(Nim(16, seed), gamma, seed=seed)
    model.learn(20_000)
    stones = np.arange(1, STONES + 1)
    env = Nim(STONES)
    env.stones[:] = stones
    actions, _ = model.predict(env.observation(stones), deterministic=True, action_masks=env.action_masks())
    won = stones % 4 != 0
    values = model.policy.predict_values(th.as_tensor(env.observation(stones))).detach().numpy()[:, 0]
    return int((actions + 1 == stones % 4)[won].sum()), int(((values > 0) == won).sum())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_nim_is_solved(seed: int) -> None:
    right_moves, right_values = nim_results(1.0, seed)
    assert right_moves >= 11
    assert right_values >= 14


def test_nim_is_not_solved_with_the_sign_flipped() -> None:
    right_moves, right_values = nim_results(-1.0, seed=0)
    assert right_moves < 11
    assert right_values < 14


# -------------------------------------------------------------------------------------- exact advantages


def advantages(
    env: Scripted, *, value: float = 0.0, gamma: float = 1.0, gae_lambda: float = 1.0
) -> np.ndarray:
    """Play the script once with a network that always says `value`; float32[T, N]."""
    steps, columns = env.rewards.shape
    model = planes_model(env, n_steps=steps, batch_size=steps * columns, gamma=gamma, gae_lambda=gae_lambda)
    th.nn.init.constant_(model.policy.network.value_head.bias, float(np.arctanh(value)))

    class Look(Quiet):
        def _on_rollout_end(self) -> None:
            self.advantages = self.model.rollout_buffer.advantages.copy()

    seen = Look()
    model.learn(steps * columns, callback=seen)
    return seen.advantages


def test_win_loss_draw_and_pool_columns_side_by_side() -> None:
    # self-play: the last mover wins, loses, draws; then against the pool: the learner wins, loses, draws
    last = [1.0, -1.0, 0.0, 1.0, -1.0, 0.0]
    script = Scripted(
        rewards=[[0.0] * 6] * 4 + [last],
        ends=[[False] * 6] * 4 + [[True] * 6],
        both_seats=[True] * 3 + [False] * 3,
    )
    np.testing.assert_array_equal(
        advantages(script),
        [
            [1, -1, 0, 1, -1, 0],
            [-1, 1, 0, 1, -1, 0],
            [1, -1, 0, 1, -1, 0],
            [-1, 1, 0, 1, -1, 0],
            [1, -1, 0, 1, -1, 0],
        ],
    )


def test_nothing_leaks_from_one_game_into_another() -> None:
    script = Scripted(
        rewards=[[0.0, 0.0], [1.0, -1.0], [0.0, 0.0], [0.0, 1.0]],
        ends=[[False, False], [True, True], [False, False], [False, True]],
        both_seats=[True, False],
    )
    found = advantages(script, value=0.25)
    # game one ends in step 1; the second game of column 0 goes on behind the rollout, where 0.25 is expected
    expected = [
        [-1 - 0.25, -1 - 0.25],
        [1 - 0.25, -1 - 0.25],
        [0.25 - 0.25, 1 - 0.25],
        [-0.25 - 0.25, 1 - 0.25],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_truncated_game_is_worth_what_its_last_position_is_with_its_columns_sign() -> None:
    script = Scripted(
        rewards=[[0.0, 0.0, 0.0, 0.0]] * 2,
        ends=[[False] * 4, [True] * 4],
        both_seats=[True, False, True, False],
        truncated=[[False] * 4, [True, True, False, False]],
    )
    v, gamma, lam = 0.25, 0.5, 0.8
    expected = np.zeros((2, 4))
    for column, (discount, bootstrap) in enumerate(
        [(-gamma, v), (gamma**2, v), (-gamma, 0.0), (gamma**2, 0.0)]
    ):
        expected[1, column] = discount * bootstrap - v
        expected[0, column] = discount * v - v + discount * lam * expected[1, column]
    found = advantages(script, value=v, gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# ---------------------------------------------------------------------------------------- what stops it


def test_a_game_without_legal_actions_is_an_error() -> None:
    env = RandomPlanes(4)
    env.reset()
    env.masks[2] = False
    with pytest.raises(TrainingError, match="game 2 offers no legal action"):
        read_masks(env)


def test_masks_are_read_from_environments_that_only_have_rows() -> None:
    class Rows(RandomPlanes):
        action_masks = property()  # type: ignore[assignment]

        def env_method(self, *args: Any, **kwargs: Any) -> list[Any]:
            return list(self.masks)

    env = Rows(3)
    env.reset()
    np.testing.assert_array_equal(read_masks(env), env.masks)


@pytest.mark.parametrize("layer", ["value_head", "policy_head"])
def test_a_network_that_says_nothing_finite_is_an_error(layer: str) -> None:
    model = planes_model(RandomPlanes(4))
    with th.no_grad():
        getattr(model.policy.network, layer).weight[0] = th.nan
    with pytest.raises(TrainingError, match="values or probabilities of the network are not finite"):
        model.learn(ROLLOUT)


def test_a_loss_that_is_not_finite_is_an_error_and_named() -> None:
    class Poison(Quiet):
        def _on_rollout_end(self) -> None:
            self.model.rollout_buffer.returns[3, 1] = np.nan

    model = planes_model(RandomPlanes(4))
    with pytest.raises(TrainingError, match=r"minibatch [12] of 2: losses are not finite: .*value_loss nan"):
        model.learn(ROLLOUT, callback=Poison())


def test_weights_that_are_not_finite_are_an_error() -> None:
    class Poison(Quiet):
        def _on_rollout_end(self) -> None:
            with th.no_grad():  # nothing that learning looks at
                self.model.policy.network.unused[1] = th.inf

    model = planes_model(RandomPlanes(4))
    unused = th.nn.Parameter(th.zeros(3))
    model.policy.network.unused = unused
    model.policy.optimizer.param_groups[1]["params"].append(unused)
    with pytest.raises(TrainingError, match=r"weights of mlp_extractor.unused are not finite; a smaller"):
        model.learn(ROLLOUT, callback=Poison())


def test_another_buffer_is_refused() -> None:
    model = MaskablePPO("MlpPolicy", Nim(2), n_steps=4, batch_size=8, device="cpu")
    with pytest.raises(ValueError, match="fills a PackedRolloutBuffer"):
        SelfPlayPPO("MlpPolicy", Nim(2), n_steps=4, batch_size=8, device="cpu").learn(8)
    with pytest.raises(ValueError, match="always masks illegal actions"):
        planes_model(RandomPlanes(2)).learn(16, use_masking=False)
    assert not isinstance(model, SelfPlayPPO)


@pytest.mark.parametrize("by_return_value", [False, True])
def test_a_requested_stop_waits_for_the_update(by_return_value: bool) -> None:
    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            self.model.stop_requested = not by_return_value
            return not by_return_value

    model = planes_model(RandomPlanes(4))
    model.learn(10_000, callback=Stop())
    assert model.num_timesteps == ROLLOUT
    assert model._n_updates == 1
    assert model.rollout_buffer.full


def test_same_seed_same_weights() -> None:
    sums = []
    for _ in range(2):
        model = planes_model(RandomPlanes(4, seed=3), seed=5)
        model.learn(2 * ROLLOUT)
        sums.append(weights_of(model))
    assert th.equal(*sums)


# --------------------------------------------------------------------------------------------- the rest


def test_where_the_time_goes() -> None:
    class Clock(Quiet):
        def _on_training_start(self) -> None:
            self.seconds: list[float] = []
            self.parts: list[Parts] = []

        def _on_step(self) -> bool:
            self.seconds.append(self.model.seconds)
            return True

        def _on_rollout_end(self) -> None:
            self.parts.append(self.model.parts)

    clock = Clock()
    model = planes_model(RandomPlanes(4))
    model.learn(2 * ROLLOUT, callback=clock)
    assert clock.seconds == sorted(set(clock.seconds))  # it goes on within a rollout
    first, second = clock.parts
    assert first.learning == 0 < second.learning
    for parts in (first, second, model.parts):
        assert min(parts.acting, parts.environment, parts.callbacks) > 0
    both = sum(p.acting + p.environment + p.callbacks for p in clock.parts)
    assert model.seconds == pytest.approx(both + second.learning + model.parts.learning)


def test_each_part_of_the_time_is_counted_where_it_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only moves while the rollout is stored, plays, or tells its callbacks."""

    class Tick(Quiet):
        def _on_step(self) -> bool:
            return self.takes(100)

    now = 0.0

    def takes(seconds: float) -> bool:
        nonlocal now
        now += seconds
        return True

    env, tick = RandomPlanes(4), Tick()
    model = planes_model(env)
    step, add = env.step_wait, model.rollout_buffer.add
    monkeypatch.setattr("time.perf_counter", lambda: now)
    monkeypatch.setattr(env, "step_wait", lambda: takes(10) and step())
    monkeypatch.setattr(model.rollout_buffer, "add", lambda *args: takes(1) and add(*args))
    tick.takes = takes
    model.learn(ROLLOUT, callback=tick)
    assert model.parts == Parts(acting=8, environment=80, callbacks=800, learning=0)
    assert model.seconds == 888


def test_observation_space_of_the_fake_is_not_taken_for_an_image() -> None:
    model = planes_model(RandomPlanes(2))
    assert isinstance(model.observation_space, spaces.Box)
    assert model.observation_space.shape == (136, 9, 9)
