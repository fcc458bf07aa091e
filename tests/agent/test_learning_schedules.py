import numpy as np
import pytest
from fakes import RandomPlanes
from learners import ROLLOUT, planes_model
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.config import PPOConfig
from keisei_agent.learning.ppo import ppo_arguments
from keisei_agent.learning.schedules import Scheduled, value


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [2.0, 2.0, 2.0, 2.0, 2.0]),
        ("linear", [2.0, 1.55, 1.1, 0.65, 0.2]),
        ("cosine", [2.0, 1.7363961, 1.1, 0.4636039, 0.2]),
    ],
)
def test_shapes(schedule: str, expected: list[float]) -> None:
    found = [value(schedule, 2.0, 0.1, done) for done in (0, 0.25, 0.5, 0.75, 1)]
    assert found == pytest.approx(expected)
    scheduled = Scheduled(schedule, 2.0, 0.1)
    assert [scheduled(1 - done) for done in (0, 0.25, 0.5, 0.75, 1)] == found


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_may_end_at_nothing_or_stay(schedule: str) -> None:
    assert value(schedule, 3.0, 0.0, 1.0) == pytest.approx(0.0, abs=1e-15)
    assert value(schedule, 3.0, 1.0, 0.7) == pytest.approx(3.0)


class Numbers(BaseCallback):
    """Notes what the updates before each rollout were made with."""

    def _on_training_start(self) -> None:
        self.rates: list[float] = []
        self.updates: list[tuple[float, float]] = []

    def _on_rollout_start(self) -> None:
        self._look()

    def _on_training_end(self) -> None:
        self._look()

    def _on_step(self) -> bool:
        return True

    def _look(self) -> None:
        if self.model.update is not None:
            self.rates.append(self.model.policy.optimizer.param_groups[0]["lr"])
            self.updates.append((self.model.update.clip_range, self.model.update.ent_coef))


def test_a_run_is_scheduled_from_its_first_update_to_its_last() -> None:
    config = PPOConfig(
        n_steps=8,
        batch_size=16,
        learning_rate=1e-3,
        learning_rate_schedule="linear",
        learning_rate_final=0.1,
        clip_range=0.2,
        clip_range_schedule="linear",
        clip_range_final=0.5,
        ent_coef=0.04,
        ent_coef_schedule="linear",
        ent_coef_final=0.25,
    )
    model = planes_model(RandomPlanes(4), **ppo_arguments(config))
    seen = Numbers()
    model.learn(4 * ROLLOUT, callback=seen)
    done = np.arange(4) / 4  # an update belongs to the start of its rollout: the last one still learns
    assert seen.rates == pytest.approx(1e-3 * (1 - 0.9 * done))
    assert [clip for clip, _ in seen.updates] == pytest.approx(0.2 * (1 - 0.5 * done))
    assert [entropy for _, entropy in seen.updates] == pytest.approx(0.04 * (1 - 0.75 * done))


def test_time_counts_where_it_is_further() -> None:
    model = planes_model(RandomPlanes(4))
    assert model.done == 0.0
    model.learn(4 * ROLLOUT)
    assert model.done == 1.0
    model.num_timesteps = ROLLOUT
    assert model.done == 0.25
    model.seconds, model.max_time = 30.0, 60.0
    assert model.done == 0.5
    model.seconds = 90.0
    assert model.done == 1.0


def test_a_run_is_scheduled_over_its_time_where_that_is_further() -> None:
    config = PPOConfig(n_steps=8, batch_size=16, learning_rate=1e-3, learning_rate_schedule="linear")
    model = planes_model(RandomPlanes(4), **ppo_arguments(config))
    model.max_time = 100.0

    class Clock(Numbers):
        """With every rollout a quarter of the time passes, and a sixteenth of the decisions."""

        def _on_rollout_end(self) -> None:
            rollouts = self.model.num_timesteps // ROLLOUT
            self.model.seconds = 25.0 * rollouts
            self.model.stop_requested = rollouts == 4

    seen = Clock()
    model.learn(16 * ROLLOUT, callback=seen)
    assert seen.rates == pytest.approx(1e-3 * (1 - np.arange(4) / 4), rel=0.05)


def test_all_settings_of_the_learner_reach_it() -> None:
    config = PPOConfig(
        n_steps=4,
        batch_size=8,
        n_epochs=3,
        gae_lambda=0.5,
        normalize_advantage=False,
        clip_range_vf=0.3,
        vf_coef=0.7,
        max_grad_norm=0.9,
        target_kl=0.05,
    )
    model = planes_model(RandomPlanes(4), **ppo_arguments(config))
    assert (model.n_steps, model.batch_size, model.n_epochs) == (4, 8, 3)
    assert (model.rollout_buffer.gae_lambda, model.normalize_advantage) == (0.5, False)
    assert model.clip_range_vf(1.0) == 0.3
    assert (model.vf_coef, model.max_grad_norm, model.target_kl) == (0.7, 0.9, 0.05)
