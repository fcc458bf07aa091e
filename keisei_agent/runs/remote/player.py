"""What a worker does: it plays parts of rollouts as the learning process would."""

import os
import socket
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from keisei_agent.config import Config, WorkersConfig
from keisei_agent.learning.parts import Order, Rollout
from keisei_agent.runs.build import build_env, build_model
from shogi_env.adapters.sb3 import make_vec_env


class Player:
    """Games and a policy of its own, on the CPU, in one thread; it remembers nothing between two orders.

    Args:
        config: of the run.
    """

    def __init__(self, config: Config) -> None:
        th.set_num_threads(1)
        own = _part_of(config)
        self._env = build_env(own)
        self._model = build_model(own, self._env, "cpu")
        self._model.set_logger(Logger(None, []))
        self._endings = _Endings()
        _, self._callback = self._model._setup_learn(own.rollout, self._endings)

    def about(self) -> str:
        """Return the process and the machine, for people."""
        return f"process {os.getpid()} on {socket.gethostname()}"

    def play(self, order: Order, weights: Mapping[str, np.ndarray]) -> Rollout:
        """Play a part of a rollout; the same order and weights give the same again.

        Args:
            order: what to play.
            weights: of the policy, by name.

        Raises:
            TrainingError: as `SelfPlayPPO.collect_rollouts`.
        """
        model = self._model
        model.policy.load_state_dict({name: th.tensor(weight) for name, weight in weights.items()})
        self._env.set_state(order.games)  # type: ignore[attr-defined]  # all of this project's have it
        model._last_obs, model._last_episode_starts = order.observations, order.starts
        th.manual_seed(order.seed)
        model.collect_rollouts(self._env, self._callback, model.rollout_buffer, model.n_steps)
        assert isinstance(model._last_obs, np.ndarray) and model._last_episode_starts is not None
        return Rollout(
            order.part,
            order.at,
            order.version,
            columns=model.rollout_buffer.columns(),
            endings=self._endings.found,
            games=self._env.get_state(),  # type: ignore[attr-defined]
            observations=model._last_obs.copy(),
            starts=model._last_episode_starts.copy(),
        )


class _Endings(BaseCallback):
    """Notes the games of a rollout that end."""

    def _on_rollout_start(self) -> None:
        self.found: list[tuple[int, int, dict[str, Any]]] = []
        self._step = 0

    def _on_step(self) -> bool:
        for game in np.flatnonzero(self.locals["dones"]).tolist():
            (sfen,) = self.training_env.env_method("sfen", indices=[game])
            self.found.append((self._step, game, {**self.locals["infos"][game], "next_sfen": sfen}))
        self._step += 1
        return True


def warm_up() -> None:
    """Compile what playing takes, unless this machine's cache holds it."""
    env = make_vec_env(2, opponent=None)
    env.reset()
    env.step(env.action_masks().argmax(axis=1))
    env.set_state(env.get_state())
    env.env_method("sfen")
    env.close()


def _part_of(config: Config) -> Config:
    """What a worker plays of a run: one part, in one thread, without workers of its own."""
    games = config.env.n_envs // config.workers.count
    batch = {"batch_size": max(2, config.ppo.n_steps * games), "normalize_advantage": False}
    return config.model_copy(
        update={
            "env": config.env.model_copy(update={"n_envs": games, "threads": 1}),
            "ppo": config.ppo.model_copy(update=batch),  # never used: stable-baselines3 checks it
            "workers": WorkersConfig(),
        }
    )
