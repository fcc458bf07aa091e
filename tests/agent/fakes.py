"""Small real environments with the interface of the shogi VecEnv, and a callback; no mocks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv


class Quiet(BaseCallback):
    """A callback that does nothing; a base for those that do something."""

    def _on_step(self) -> bool:
        return True


class FakeVecEnv(VecEnv):
    """Base of two-seat games with same-step autoreset."""

    def __init__(self, num_envs: int, observation_space: spaces.Box, actions: int) -> None:
        self.render_mode = None
        self.both_seats = np.ones(num_envs, bool)
        super().__init__(num_envs, observation_space, spaces.Discrete(actions))
        self._actions = np.zeros(num_envs, np.int64)

    def action_masks(self) -> np.ndarray:
        raise NotImplementedError

    def step_async(self, actions: np.ndarray) -> None:
        assert self.action_masks()[np.arange(self.num_envs), actions].all(), "an illegal action was played"
        self._actions = actions

    def close(self) -> None:
        pass

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        assert method_name == "action_masks"
        return list(self.action_masks())

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        value = getattr(self, attr_name)
        return list(value) if isinstance(value, np.ndarray) else [value] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


STONES = 15


class Nim(FakeVecEnv):
    """Take 1 to 3 of up to 15 stones; who takes the last wins. Right move with s stones: s % 4, if not 0."""

    def __init__(self, num_envs: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.stones = np.zeros(num_envs, np.int64)
        super().__init__(num_envs, spaces.Box(0, 1, (STONES,), np.uint8), 3)

    def observation(self, stones: np.ndarray) -> np.ndarray:
        return (np.arange(1, STONES + 1) == stones[:, None]).astype(np.uint8)

    def action_masks(self) -> np.ndarray:
        return np.arange(1, 4) <= self.stones[:, None]

    def reset(self) -> np.ndarray:
        self.stones[:] = self.rng.integers(1, STONES + 1, self.num_envs)
        return self.observation(self.stones)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        self.stones -= self._actions + 1
        dones = self.stones == 0
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        last = self.observation(self.stones)
        for i in np.flatnonzero(dones):
            infos[i] = {"terminal_observation": last[i], "TimeLimit.truncated": False}
            self.stones[i] = self.rng.integers(1, STONES + 1)
        return self.observation(self.stones), dones.astype(np.float32), dones, infos


class RandomPlanes(FakeVecEnv):
    """Meaningless positions shaped as shogi's: 136 planes of bits, a few legal actions, games of `plies`.

    White wins every third game, Black every other third, and the rest are draws by the ply limit.
    """

    def __init__(self, num_envs: int, seed: int = 0, plies: int = 7, truncated: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.plies, self.truncated = plies, truncated
        self.ply = np.arange(num_envs) % plies
        self.games = 0
        self.masks = np.ones((num_envs, 2187), bool)
        super().__init__(num_envs, spaces.Box(0, 1, (136, 9, 9), np.uint8), 2187)

    def _draw(self) -> np.ndarray:
        self.masks = self.rng.random((self.num_envs, 2187), np.float32) < 0.02
        self.masks[:, 0] = True
        return (self.rng.random((self.num_envs, 136, 9, 9), np.float32) < 0.15).astype(np.uint8)

    def action_masks(self) -> np.ndarray:
        return self.masks

    def reset(self) -> np.ndarray:
        return self._draw()

    def get_state(self) -> dict[str, Any]:
        rng = self.rng.bit_generator.state
        return {"rng": rng, "ply": self.ply, "games": self.games, "masks": self.masks}

    def set_state(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state["rng"]
        self.ply, self.games, self.masks = state["ply"], state["games"], state["masks"]

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        self.ply += 1
        self.last_masks = self.masks
        dones = self.ply == self.plies
        rewards = np.zeros(self.num_envs, np.float32)
        obs = self._draw()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(dones):
            kind = self.games % 3
            infos[i] = {
                "terminal_observation": obs[i],
                "TimeLimit.truncated": self.truncated,
                "termination": (1, 1, 6)[kind],
                "winner": (0, 1, -1)[kind],
                "ply": self.plies,
            }
            rewards[i] = kind != 2
            self.games += 1
            self.ply[i] = 0
        return obs, rewards, dones, infos


def rows(values: Sequence[float]) -> np.ndarray:
    """Return float32[T, 1] from T numbers."""
    return np.asarray(values, np.float32)[:, None]


class Scripted(FakeVecEnv):
    """Positions that say nothing, and games whose rewards and ends are written down.

    Args:
        rewards: [T, N], of the one who acts in each step.
        ends: [T, N], whether the step is a game's last.
        both_seats: [N], whether the learner moves for both sides.
        truncated: [T, N], whether the end is only a truncation.
    """

    def __init__(
        self,
        rewards: Sequence[Sequence[float]],
        ends: Sequence[Sequence[bool]],
        both_seats: Sequence[bool],
        truncated: Sequence[Sequence[bool]] | None = None,
    ) -> None:
        self.rewards, self.ends = np.asarray(rewards, np.float32), np.asarray(ends, bool)
        self.truncated = np.zeros_like(self.ends) if truncated is None else np.asarray(truncated, bool)
        self.t = 0
        super().__init__(len(both_seats), spaces.Box(0, 1, (136, 9, 9), np.uint8), 2187)
        self.both_seats = np.asarray(both_seats, bool)

    def action_masks(self) -> np.ndarray:
        return np.ones((self.num_envs, 2187), bool)

    def reset(self) -> np.ndarray:
        return np.zeros((self.num_envs, 136, 9, 9), np.uint8)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        rewards, ends, truncated = self.rewards[self.t], self.ends[self.t], self.truncated[self.t]
        self.t += 1
        obs = self.reset()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(ends):
            infos[i] = {"terminal_observation": obs[i], "TimeLimit.truncated": bool(truncated[i])}
        return obs, rewards.copy(), ends.copy(), infos
