"""Shogi for RLlib's new API stack: `ShogiMultiAgentEnv`, one agent a side, and `ShogiSingleAgentEnv`.

>>> from shogi_env.adapters.rllib import ShogiMultiAgentEnv  # doctest: +SKIP
>>> config = PPOConfig().environment(ShogiMultiAgentEnv, env_config={"layout": "NHWC"})  # doctest: +SKIP
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces

from shogi_env.adapters._extras import missing
from shogi_env.core.constants import NUM_ACTIONS
from shogi_env.env import ShogiEnv
from shogi_env.types import Float32Array, UInt8Array

try:
    from ray.rllib.env.multi_agent_env import MultiAgentEnv
except ImportError as error:
    raise missing("RLlib", "rllib", error) from error

Observation: TypeAlias = dict[str, Float32Array]

AGENTS = ("player_0", "player_1")
"""Black, who begins an even game, and White."""


class ShogiSingleAgentEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """`ShogiEnv` with the mask in the observation: you play one side, an opponent answers inside `step`.

    An observation is ``{"observations": ..., "action_mask": float32[2187]}``, the first that of `ShogiEnv`
    as float32, which RLlib's networks expect. The mask is all 1 after the end. ``unwrapped`` is the
    `ShogiEnv`, with its `set_opponent`.

    Args:
        config: the arguments of `ShogiEnv`, as RLlib's ``env_config``.

    Raises:
        SfenError: a start is not a position.
        ValueError: an argument is out of range.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        env = ShogiEnv(**dict(config or {}))
        super().__init__(env)
        self._shogi = env
        self.observation_space = masked_space(env)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start a game; see `ShogiEnv.reset`. The info lacks "action_mask"."""
        return split(*self._shogi.reset(seed=seed, options=options))

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play an action and the opponent's answer; see `ShogiEnv.step`. The info lacks "action_mask"."""
        observation, reward, terminated, truncated, info = self._shogi.step(action)
        seen, info = split(observation, info)
        return seen, reward, terminated, truncated, info


class ShogiMultiAgentEnv(MultiAgentEnv):
    """Two agents in turn, ``"player_0"`` (Black) and ``"player_1"`` (White).

    Each step takes the action of the agent that was shown an observation, a Dict as in
    `ShogiSingleAgentEnv`. At the end both agents that have played are shown the last position, as the side
    to move sees it, and rewarded: 1 and -1, or 0 and 0. RLlib keeps a trajectory for each agent, so that a
    positive discount is right, for one policy that plays both agents as well as for two.

    Args:
        config: the arguments of `ShogiEnv` but for opponent and side, as RLlib's ``env_config``.

    Raises:
        SfenError: a start is not a position.
        ValueError: an argument is out of range.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._env = ShogiEnv(opponent=None, **dict(config or {}))
        self.possible_agents = list(AGENTS)
        self.agents = list(AGENTS)
        self.observation_spaces = {agent: masked_space(self._env) for agent in AGENTS}
        self.action_spaces = {agent: spaces.Discrete(NUM_ACTIONS) for agent in AGENTS}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Start a game; see `ShogiEnv.reset`."""
        observation, info = split(*self._env.reset(seed=seed, options=options))
        self._turn = AGENTS[info["to_play"]]
        self._played = {self._turn}
        return {self._turn: observation}, {self._turn: info}

    def step(
        self, action_dict: dict[str, Any]
    ) -> tuple[
        dict[str, Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Play the action of the agent whose turn it is.

        Args:
            action_dict: that agent and its action 0..2186; others are ignored.

        Returns:
            observations, rewards, terminated, truncated (never) and infos by agent.

        Raises:
            KeyError: the action of the agent whose turn it is is missing.
        """
        mover = self._turn
        other = AGENTS[mover == AGENTS[0]]
        observation, reward, terminated, _, info = self._env.step(action_dict[mover])
        seen, info = split(observation, info)
        if terminated:
            shown = [agent for agent in (mover, other) if agent in self._played]
            rewards = {agent: reward if agent == mover else -reward for agent in shown}
        else:
            rewards, shown = {mover: 0.0}, [other]
        self._turn = other
        self._played.add(other)
        return (
            {agent: {key: value.copy() for key, value in seen.items()} for agent in shown},
            rewards,
            {"__all__": terminated},
            {"__all__": False},
            dict.fromkeys(shown, info),
        )


def masked_space(env: ShogiEnv) -> spaces.Dict:
    """The space of "observations" and "action_mask", both float32, of an environment."""
    space = env.observation_space
    assert isinstance(space, spaces.Box)
    low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    return spaces.Dict(
        {
            "observations": spaces.Box(low, high, dtype=np.float32),
            "action_mask": spaces.Box(0, 1, (NUM_ACTIONS,), np.float32),
        }
    )


def split(observation: UInt8Array, info: dict[str, Any]) -> tuple[Observation, dict[str, Any]]:
    """Put the mask of an info beside the observation; both become float32."""
    rest = dict(info)
    mask = rest.pop("action_mask").astype(np.float32)
    return {"observations": observation.astype(np.float32), "action_mask": mask}, rest
