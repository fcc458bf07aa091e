from typing import Any

import numpy as np
import pytest
import torch as th
from fakes import STONES, Nim, RandomPlanes
from gymnasium import spaces
from learners import planes_model
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from keisei_agent.buffer import PackedRolloutBuffer
from keisei_agent.ppo import SelfPlayPPO, TrainingError, read_masks
from keisei_agent.seats import discounts


class FirstMinibatch(BaseCallback):
    """Notes the probability ratios of one minibatch between the second rollout and its update."""

    def _on_training_start(self) -> None:
        self.ratios: list[th.Tensor] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.model.policy.set_training_mode(True)
        batch = next(self.model.rollout_buffer.get(self.model.batch_size))
        _, log_prob, _ = self.model.policy.evaluate_actions(
            batch.observations, batch.actions.flatten(), action_masks=batch.action_masks
        )
        self.ratios.append((log_prob - batch.old_log_prob).exp())


@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_first_ratio_is_exactly_one(in_bfloat16: bool) -> None:
    model = planes_model(RandomPlanes(16), in_bfloat16=in_bfloat16, learning_rate=1e-2, batch_size=64)
    seen = FirstMinibatch()
    model.learn(16 * 8 * 3, callback=seen)
    assert len(seen.ratios) == 3
    for ratio in seen.ratios:
        assert th.equal(ratio, th.ones(64))


def nim_model(gamma: float, seed: int) -> SelfPlayPPO:
    env = Nim(16, seed)
    return SelfPlayPPO(
        MaskableActorCriticPolicy,
        env,
        learning_rate=3e-3,
        n_steps=64,
        batch_size=256,
        n_epochs=4,
        ent_coef=0.01,
        rollout_buffer_class=PackedRolloutBuffer,
        rollout_buffer_kwargs={"discounts": discounts(np.ones(16, bool), gamma)},
        seed=seed,
        device="cpu",
    )


def test_nim_is_solved() -> None:
    model = nim_model(1.0, seed=0)
    model.learn(20_000)
    stones = np.arange(1, STONES + 1)
    env = Nim(STONES)
    env.stones[:] = stones
    actions, _ = model.predict(env.observation(stones), deterministic=True, action_masks=env.action_masks())
    won = stones % 4 != 0
    assert (actions + 1 == stones % 4)[won].sum() >= 11  # of 12
    values = model.policy.predict_values(th.as_tensor(env.observation(stones))).detach().numpy()[:, 0]
    assert ((values > 0) == won).sum() >= 14  # of 15


def test_a_truncated_game_is_bootstrapped_with_its_columns_sign() -> None:
    env = RandomPlanes(4, plies=3, truncated=True)
    model = planes_model(env, gamma=0.5)
    network = model.policy.network
    th.nn.init.zeros_(network.value_head.weight)
    th.nn.init.constant_(network.value_head.bias, 0.25)
    value = float(np.tanh(np.float32(0.25)))

    class Rewards(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            self.rewards = self.model.rollout_buffer.rewards.copy()

    seen = Rewards()
    model.learn(4 * 8, callback=seen)
    assert np.unique(seen.rewards) == pytest.approx([-0.5 * value, 0.0, 1 - 0.5 * value])


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


def test_broken_weights_are_an_error() -> None:
    model = planes_model(RandomPlanes(4), learning_rate=1e-3)
    with th.no_grad():
        model.policy.network.value_head.weight[0, 0] = th.nan
    with pytest.raises(TrainingError, match="are not finite"):
        model.learn(4 * 8)


def test_a_requested_stop_waits_for_the_update() -> None:
    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            self.model.stop_requested = True
            return True

    model = planes_model(RandomPlanes(4))
    model.learn(10_000, callback=Stop())
    assert model.num_timesteps == 4 * 8
    assert model._n_updates == 1


def test_same_seed_same_weights() -> None:
    sums = []
    for _ in range(2):
        model = planes_model(RandomPlanes(4, seed=3), seed=5)
        model.set_logger(Logger(None, []))
        model.learn(4 * 8 * 2)
        sums.append(th.cat([weight.detach().flatten() for weight in model.policy.parameters()]))
    assert th.equal(*sums)


def test_observation_space_of_the_fake_is_not_taken_for_an_image() -> None:
    model = planes_model(RandomPlanes(2))
    assert isinstance(model.observation_space, spaces.Box)
    assert model.observation_space.shape == (136, 9, 9)
