"""MaskablePPO for self-play."""

import numpy as np
import torch as th
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from shogi_env.types import BoolArray


class TrainingError(RuntimeError):
    """Training cannot go on."""


class SelfPlayPPO(MaskablePPO):
    """MaskablePPO with a discount per column, stops at rollout boundaries, and refuses broken weights.

    Give it `rollout_buffer_class=PackedRolloutBuffer` and the signed discounts by
    `rollout_buffer_kwargs`. `rollout/ep_rew_mean` says nothing when both seats learn:
    the mover who ends a game wins it.
    """

    stop_requested: bool = False
    """Set by a callback or a signal: the rollout and its update are finished, then `learn` returns."""

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
        use_masking: bool = True,
    ) -> bool:
        """Play `n_rollout_steps` plies in every game and fill the buffer.

        Differs from the parent in three ways: the masks are read in one call instead of row by
        row; the value after a truncation is discounted as its column demands, signs included;
        a requested stop takes effect here, before the rollout starts.

        Returns:
            False if training shall end, else True.
        """
        assert isinstance(self._last_obs, np.ndarray), "learn() resets the environment first"
        assert self._last_episode_starts is not None
        assert isinstance(rollout_buffer, MaskableRolloutBuffer)
        if not use_masking:
            raise ValueError("SelfPlayPPO always masks illegal actions; use_masking=False is not supported")
        if self.stop_requested:
            return False
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        for _ in range(n_rollout_steps):
            masks = read_masks(env)
            with th.no_grad():
                obs_tensor = th.as_tensor(self._last_obs, device=self.device)
                actions_tensor, values, log_probs = self.policy(obs_tensor, action_masks=masks)
            actions = actions_tensor.cpu().numpy()
            new_obs, rewards, dones, infos = env.step(actions)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            for idx in np.flatnonzero(dones):
                if infos[idx].get("TimeLimit.truncated", False):
                    discount = np.broadcast_to(rollout_buffer.gamma, dones.shape)[idx]
                    rewards[idx] += discount * self._value_of(infos[idx]["terminal_observation"])
            starts = self._last_episode_starts
            rollout_buffer.add(
                self._last_obs, actions, rewards, starts, values, log_probs, action_masks=masks
            )
            assert isinstance(new_obs, np.ndarray)
            self._last_obs = new_obs
            self._last_episode_starts = dones
        with th.no_grad():
            last_values = self.policy.predict_values(th.as_tensor(self._last_obs, device=self.device))
        rollout_buffer.compute_returns_and_advantage(last_values=last_values, dones=dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update the policy from the buffer.

        Raises:
            TrainingError: if the update left weights that are not finite.
        """
        super().train()
        broken = [name for name, weight in self.policy.named_parameters() if not th.isfinite(weight).all()]
        if broken:
            raise TrainingError(
                f"after {self.num_timesteps} steps the weights of {broken[0]} are not finite; "
                "the last checkpoint is from before; a smaller learning rate may help"
            )

    def _value_of(self, observation: np.ndarray) -> float:
        """Value of one observation for the player to move in it."""
        with th.no_grad():
            return float(self.policy.predict_values(self.policy.obs_to_tensor(observation)[0]))


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
