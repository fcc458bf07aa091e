"""MaskablePPO for self-play."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch as th
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from keisei_agent.config import PPOConfig
from keisei_agent.learning import distributed
from keisei_agent.learning.buffer import PackedRolloutBuffer
from keisei_agent.learning.parts import Stand, Step, move_on, steps_of
from keisei_agent.learning.policy import NetworkPolicy
from keisei_agent.learning.schedules import Scheduled
from keisei_agent.learning.update import (
    Coefficients,
    GradientSteps,
    NotFiniteError,
    TrainingError,
    Update,
    layer_steps,
)
from keisei_agent.learning.workers import Workers
from shogi_env.types import BoolArray, Float32Array, Int64Array

__all__ = ["Parts", "SelfPlayPPO", "TrainingError", "Update", "ppo_arguments", "read_masks"]


@dataclass(frozen=True)
class Parts:
    """Seconds that the parts of the last rollout and of the last update took."""

    acting: float = 0.0
    """Choosing actions, and storing what happened."""
    environment: float = 0.0
    """Reading the masks and playing, the opponents' answers included."""
    callbacks: float = 0.0
    """What callbacks did at every step."""
    waiting: float = 0.0
    """Until the workers had played, where there are any."""
    learning: float = 0.0
    """The update; 0 before the first."""


class SelfPlayPPO(MaskablePPO):
    """MaskablePPO with a discount per column, stops at rollout boundaries, and an update of its own.

    Give it `rollout_buffer_class=PackedRolloutBuffer`, the signed discounts by `rollout_buffer_kwargs`, and
    `ppo_arguments`. `rollout/ep_rew_mean` says nothing when both seats learn: the mover who ends a game
    wins it.
    """

    rollout_buffer: PackedRolloutBuffer
    batch_size: int

    stop_requested: bool = False
    """Set by a callback or a signal: the rollout and its update are finished, then `learn` returns.
    It stays set; take it back to learn on."""
    save_requested: bool = False
    """Set by whoever wants a checkpoint at the next boundary; the callback that saves takes it back."""
    max_time: float | None = None
    """Seconds of learning that the run shall take, for its schedules; None if only decisions count."""
    measure_layers: bool = False
    """Whether updates record the size of their last step layer by layer, as `layers/...`."""
    seconds: float = 0.0
    """Spent playing and learning, in all sessions of the run."""
    minibatch_splits: int = 0
    """How often minibatches are halved before they go through the network, because memory ran out."""
    update: Update | None = None
    """What the last update was like; None before the first."""
    workers: Workers | None = None
    """Play the games if not None; who sets them closes them."""
    parts: Parts = Parts()
    """Where the time of the last rollout and update went."""
    _begun: float = 0.0  # `done` when the rollout began, so that the last update has some of a schedule left
    _mark: float = 0.0  # when the watch was last looked at

    @property
    def done(self) -> float:
        """Share of the run that is behind, 0..1: of its decisions or of its time, whichever is more."""
        by_steps = self.num_timesteps / self._total_timesteps if self._total_timesteps else 0.0
        by_time = self.seconds / self.max_time if self.max_time else 0.0
        return min(1.0, max(by_steps, by_time))

    @cached_property
    def scaler(self) -> th.amp.GradScaler | None:
        """Scales losses up where the trunk computes in float16; None in other precisions."""
        in_float16 = isinstance(self.policy, NetworkPolicy) and self.policy.precision == "float16"
        return th.amp.GradScaler(self.device.type) if in_float16 else None

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
        use_masking: bool = True,
    ) -> bool:
        """Make `n_rollout_steps` decisions in every game and fill the buffer.

        Differs from the parent: the masks are read in one call instead of row by row; the value after a
        truncation is discounted as its column demands, signs included; a stop that is requested, or wished
        for by a callback, waits for the end of the rollout and its update.

        Returns:
            False if training shall end, else True.

        Raises:
            TrainingError: a game has no legal action, or what the network says is not finite.
        """
        if not use_masking or not isinstance(rollout_buffer, PackedRolloutBuffer):
            raise ValueError("SelfPlayPPO always masks illegal actions, and fills a PackedRolloutBuffer")
        assert isinstance(self._last_obs, np.ndarray), "learn() resets the environment first"
        assert self._last_episode_starts is not None
        self.stop_requested, self.seconds = distributed.agree(self.stop_requested, self.seconds)
        if self.stop_requested:
            return False
        self._begun = self.done
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        spent = self._start_watch()
        if not self._gather(env, callback, rollout_buffer, spent):
            self._play(env, callback, rollout_buffer, n_rollout_steps, spent)
        self.parts = replace(self.parts, **spent)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _play(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: PackedRolloutBuffer,
        n_rollout_steps: int,
        spent: dict[str, float],
    ) -> None:
        """Fill the buffer from the games of this process."""
        assert isinstance(self._last_obs, np.ndarray) and self._last_episode_starts is not None
        for _ in range(n_rollout_steps):
            masks = read_masks(env)
            spent["environment"] += self._lap()
            obs_tensor, legal = rollout_buffer.observe(self._last_obs, masks)
            actions, values, log_probs = self._act(obs_tensor, legal)
            spent["acting"] += self._lap()
            new_obs, rewards, dones, infos = env.step(actions)
            spent["environment"] += self._lap()
            self.num_timesteps += env.num_envs * distributed.size()
            callback.update_locals(locals())
            if not callback.on_step():
                self.stop_requested = True
            self._update_info_buffer(infos, dones)
            spent["callbacks"] += self._lap()
            rewards = self._bootstrap(rewards, dones, infos, rollout_buffer.gamma)
            rollout_buffer.add(actions, rewards, self._last_episode_starts, values, log_probs)
            assert isinstance(new_obs, np.ndarray)
            self._last_obs, self._last_episode_starts = new_obs, dones
            spent["acting"] += self._lap()
        rollout_buffer.compute_returns_and_advantage(self._values_of(self._last_obs), dones)
        spent["acting"] += self._lap()

    def _gather(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: PackedRolloutBuffer,
        spent: dict[str, float],
    ) -> bool:
        """Fill the buffer from the workers' games, then tell the callbacks of it step by step.

        The games of this process are set to where those of the workers stand, so that a checkpoint holds
        them, and anybody can play on.

        Returns:
            False if no worker is left; nothing has happened then.
        """
        if self.workers is None:
            return False
        stand = Stand(env, self._last_obs, self._last_episode_starts)
        rollouts = self.workers.collect(self.policy.state_dict(), stand, self.num_timesteps)
        if rollouts is None:
            self.workers = None
            return False
        self._last_obs, self._last_episode_starts = move_on(env, rollouts)
        rollout_buffer.fill([rollout.columns for rollout in rollouts])
        if self.workers.max_staleness:
            stand = Stand(env, self._last_obs, self._last_episode_starts)
            self.workers.play_ahead(stand, self.num_timesteps + rollout_buffer.buffer_size * env.num_envs)
        spent["waiting"] += self._lap()
        steps = steps_of(rollouts, rollout_buffer, self._last_obs, self._last_episode_starts)
        self._tell(env, callback, rollout_buffer, steps)
        spent["callbacks"] += self._lap()
        return True

    def _tell(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: PackedRolloutBuffer, steps: Iterator[Step]
    ) -> None:
        """Count the steps that were played elsewhere, and tell the callbacks of each."""
        for step in steps:
            self.num_timesteps += env.num_envs
            callback.update_locals(locals() | step._asdict())
            if not callback.on_step():
                self.stop_requested = True
            self._update_info_buffer(step.infos, step.dones)

    def train(self) -> None:
        """Update the policy from the buffer, and record as `train/...` what that was like.

        Raises:
            TrainingError: a loss or a weight is not finite.
        """
        self._start_watch()
        self.policy.set_training_mode(True)
        self._current_progress_remaining = 1.0 - self._begun
        self._update_learning_rate(self.policy.optimizer)
        coefficients = self._coefficients(self._current_progress_remaining)
        steps = GradientSteps(self.policy, coefficients, self.scaler, self.minibatch_splits)
        going_on, epochs = True, 0
        while going_on and epochs < self.n_epochs:
            going_on = all(steps.step(samples) for samples in self.rollout_buffer.get(self.batch_size))
            epochs += 1
        self.minibatch_splits = steps.splits
        self._n_updates += epochs
        self.update = self._describe(steps, coefficients, epochs, stopped=not going_on)
        for name, value in self.update.metrics():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        if self.measure_layers:
            for name, value in layer_steps(self.policy.named_parameters(), self.policy.optimizer).items():
                self.logger.record(f"layers/{name.removeprefix('mlp_extractor.')}", value)
        self.parts = replace(self.parts, learning=self._lap())

    def _act(self, obs: th.Tensor, masks: th.Tensor) -> tuple[Int64Array, Float32Array, Float32Array]:
        """Return actions int64[N], values float32[N] and log-probabilities float32[N]."""
        with th.no_grad():
            actions, values, log_probs = self.policy(obs, action_masks=masks)
            # in one transfer: float32 holds the number of any action
            rows = th.stack((actions.float(), values.flatten(), log_probs)).cpu().numpy()
        if not np.isfinite(rows).all():
            raise NotFiniteError("values or probabilities of the network are not finite; see the last losses")
        return rows[0].astype(np.int64), rows[1], rows[2]

    def _values_of(self, observations: np.ndarray) -> th.Tensor:
        """Return float32[k, 1], the values of k observations for the players to move in them."""
        with th.no_grad():
            values: th.Tensor = self.policy.predict_values(th.as_tensor(observations, device=self.device))
        return values

    def _bootstrap(
        self, rewards: Float32Array, dones: BoolArray, infos: list[dict[str, Any]], discounts: Float32Array
    ) -> Float32Array:
        """Return rewards float32[N] with the discounted value of where each truncated game stood."""
        cut = [i for i in np.flatnonzero(dones) if infos[i].get("TimeLimit.truncated", False)]
        if not cut:
            return rewards
        values = self._values_of(np.stack([infos[i]["terminal_observation"] for i in cut]))
        more = rewards.copy()
        more[cut] += discounts[cut] * values.flatten().cpu().numpy()
        return more

    def _coefficients(self, remaining: float) -> Coefficients:
        """What this update is made with, where `remaining` of the run, 0..1, is left."""
        return Coefficients(
            clip_range=self.clip_range(remaining),  # type: ignore[operator]  # a schedule by now
            clip_range_vf=self.clip_range_vf and self.clip_range_vf(remaining),  # type: ignore[operator]
            ent_coef=self.ent_coef(remaining) if callable(self.ent_coef) else self.ent_coef,
            vf_coef=self.vf_coef,
            max_grad_norm=self.max_grad_norm,
            target_kl=self.target_kl,
            normalize_advantage=self.normalize_advantage,
        )

    def _describe(self, steps: GradientSteps, c: Coefficients, epochs: int, *, stopped: bool) -> Update:
        means, norms = steps.finish()
        finite = [norm for norm in norms if math.isfinite(norm)]
        scale = self.scaler.get_scale() if self.scaler else None
        if scale is not None and scale < 1 and norms and not finite:
            raise TrainingError("no gradient fits into float16 any more; precision = float32 may help")
        buffer = self.rollout_buffer
        batch_size = min(self.batch_size, buffer.buffer_size * buffer.n_envs)
        at_random = float(distributed.mean(th.tensor(buffer.mean_log_legal(), device=self.device)))
        return Update(
            **means,
            relative_entropy=means["entropy"] / at_random if at_random else None,
            explained_variance=explained_variance(buffer.values, buffer.returns),
            grad_norm=sum(finite) / len(finite) if finite else None,
            steps=len(finite),
            epochs=epochs,
            early_stop=int(stopped),
            batch_size=batch_size * distributed.size(),
            piece_size=math.ceil(batch_size / 2**steps.splits),
            ent_coef=c.ent_coef,
            clip_range=c.clip_range,
            clip_range_vf=c.clip_range_vf,
            loss_scale=scale,
            skipped_steps=len(norms) - len(finite) if self.scaler else None,
        )

    def _start_watch(self) -> dict[str, float]:
        """Begin to measure; return a rollout's parts, all 0."""
        self._mark = time.perf_counter()
        return {"acting": 0.0, "environment": 0.0, "callbacks": 0.0, "waiting": 0.0}

    def _lap(self) -> float:
        """Return the seconds since the last look, and count them."""
        before, self._mark = self._mark, time.perf_counter()
        self.seconds += self._mark - before
        return self._mark - before


def ppo_arguments(config: PPOConfig) -> dict[str, Any]:
    """Return the settings as arguments of `SelfPlayPPO`.

    Two are not among them: the discount, whose sign `seats.discounts` decides, and the weight decay, which
    the policy's optimizer has.
    """
    return {
        "learning_rate": Scheduled(
            config.learning_rate_schedule, config.learning_rate, config.learning_rate_final
        ),
        "clip_range": Scheduled(config.clip_range_schedule, config.clip_range, config.clip_range_final),
        "ent_coef": Scheduled(config.ent_coef_schedule, config.ent_coef, config.ent_coef_final),
        "n_steps": config.n_steps,
        "batch_size": config.batch_size,
        "n_epochs": config.n_epochs,
        "gae_lambda": config.gae_lambda,
        "normalize_advantage": config.normalize_advantage,
        "clip_range_vf": config.clip_range_vf,
        "vf_coef": config.vf_coef,
        "max_grad_norm": config.max_grad_norm,
        "target_kl": config.target_kl,
    }


def explained_variance(values: Float32Array, returns: Float32Array) -> float | None:
    """1 less the share of the variance of returns that values leave open; None where returns do not vary."""
    variance = float(np.var(returns))
    return 1 - float(np.var(returns - values)) / variance if variance > 0 else None


def read_masks(env: VecEnv) -> BoolArray:
    """Return bool[N, A], the legal actions of every game, in one call where the environment has it.

    Raises:
        TrainingError: if a game has no legal action; a sampler would silently choose an illegal one.
    """
    read = getattr(env, "action_masks", None)
    masks: BoolArray = get_action_masks(env) if read is None else read()
    stuck = np.flatnonzero(~masks.any(axis=1))
    if stuck.size:
        raise TrainingError(f"game {stuck[0]} offers no legal action, and has not ended")
    return masks
