"""Shogi for stable-baselines3: `make_vec_env`, the environments it makes, and `BoardExtractor`.

>>> from shogi_env.adapters.sb3 import make_vec_env
>>> env = make_vec_env(2, seed=0, opponent=None)
>>> env.reset().shape, env.action_masks().shape
((2, 136, 9, 9), (2, 2187))
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from shogi_env.adapters._batches import Batch, LocalBatch, WorkerBatch
from shogi_env.adapters._same_step import Ending, State, join_states, slice_state
from shogi_env.adapters._workers import WorkerError
from shogi_env.core.constants import NUM_ACTIONS, NUM_CELLS
from shogi_env.env import ShogiEnv
from shogi_env.opponents import Opponent
from shogi_env.types import BoolArray, Int64Array, UInt8Array

__all__ = [
    "BoardExtractor",
    "NativeVecEnv",
    "ScalarVecEnv",
    "SubprocVecEnv",
    "WorkerError",
    "join_states",
    "make_vec_env",
    "slice_state",
    "stack_frames",
]


def make_vec_env(
    num_envs: int, backend: str = "native", *, seed: int | None = None, **env_kwargs: Any
) -> "GamesVecEnv | ScalarVecEnv":
    """Make N games for stable-baselines3; for the same seed, every backend plays the same games.

    Args:
        num_envs: number of games N.
        backend: "native": all games in this process, in one batch (`NativeVecEnv`); "dummy": one
            `ShogiEnv` after the other, slow, for comparison (`ScalarVecEnv`); "subproc": batches in
            worker processes (`SubprocVecEnv`).
        seed: game i is seeded ``seed + i`` at the first reset.
        **env_kwargs: the arguments of `ShogiEnv`; `seats`, one opponent for each game instead of
            `opponent`; "native" takes `threads`, "subproc" takes `num_workers` and `start_method`.

    Raises:
        ValueError: no backend has that name, or an argument is out of range.
    """
    backends = {"native": NativeVecEnv, "dummy": ScalarVecEnv, "subproc": SubprocVecEnv}
    if backend not in backends:
        raise ValueError(f"backend is one of {', '.join(map(repr, backends))}, not {backend!r}")
    if num_envs < 1:
        raise ValueError(f"num_envs is at least 1, not {num_envs!r}")
    env: GamesVecEnv | ScalarVecEnv = backends[backend](num_envs, **env_kwargs)
    if seed is not None:
        env.seed(seed)
    return env


class GamesVecEnv(VecEnv):
    """A batch of games as SB3's vector environment; `NativeVecEnv` and `SubprocVecEnv` make the batch.

    Observations and masks are written to two sets of arrays in turn: what a call returned is
    overwritten by the second call after it.  ``infos[i]`` is {} while game i runs; in the step that
    ends it, it holds "terminal_observation", "TimeLimit.truncated" (False: the ply limit is a draw by
    rule), "termination" and "winner" (see `shogi_env.types`) and "ply".
    """

    _METHODS = ("action_masks", "set_opponent", "sfen", "render")

    def __init__(self, num_envs: int, batch: Batch) -> None:
        self._batch = batch
        self.render_mode = batch.render_mode
        super().__init__(num_envs, batch.space, spaces.Discrete(NUM_ACTIONS))

    @property
    def both_seats(self) -> BoolArray:
        """bool[N], in which games the learner plays both sides."""
        return self._batch.both_seats

    def reset(self) -> UInt8Array:
        """Start all games, with the seeds and options set before; uint8[N, ...]."""
        self._batch.reset(self._seeds, self._options)
        self._reset_seeds()
        self._reset_options()
        return self._batch.observations

    def step_async(self, actions: Int64Array) -> None:
        """Take the actions, integers [N]; worker processes begin to play."""
        acts = np.asarray(actions)
        if acts.shape != (self.num_envs,) or not np.issubdtype(acts.dtype, np.integer):
            raise ValueError(f"actions are {self.num_envs} integers, not {acts.dtype}{list(acts.shape)}")
        self._batch.begin_step(acts.astype(np.int64, copy=False))

    def step_wait(self) -> VecEnvStepReturn:
        """Finish the step; observations uint8[N, ...], rewards float32[N], dones bool[N], infos."""
        rewards, dones, endings = self._batch.end_step()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for ending in endings:
            infos[ending.game] = ending.as_info()
        return self._batch.observations, rewards, dones, infos

    def action_masks(self) -> BoolArray:
        """Which actions are legal, bool[N, 2187]."""
        return self._batch.masks.view(np.bool_)

    def set_opponent(self, opponent: str | Opponent | None, indices: VecEnvIndices = None) -> None:
        """Seat another opponent in all games or in some; it answers from the next step on.

        Raises:
            TypeError: it cannot be pickled and is to go to worker processes; each gets a copy.
        """
        self._batch.set_opponent(opponent, self._games_of(indices))

    def get_state(self) -> State:
        """All games as plain data, for `set_state` of any backend; the opponents are not part of it."""
        return self._batch.get_state()

    def set_state(self, state: State) -> None:
        """Go back to what `get_state` returned."""
        self._batch.set_state(state)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call "action_masks", "set_opponent", "sfen" or "render" of games."""
        games = self._games_of(indices)
        if method_name == "action_masks":
            masks = self.action_masks()
            return [masks[i] for i in games]
        if method_name == "set_opponent":
            partial(self.set_opponent, indices=games)(*method_args, **method_kwargs)
            return [None] * len(games)
        if method_name in self._METHODS:
            return self._batch.each(method_name, games)
        raise AttributeError(f"games of a batch have {', '.join(self._METHODS)}, not {method_name!r}")

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of each game: what this object has, row by row where it is an array."""
        games = self._games_of(indices)
        if attr_name in self._METHODS:
            return [partial(self.env_method, attr_name, indices=i) for i in games]
        value = getattr(self, attr_name)
        if isinstance(value, np.ndarray) and len(value) == self.num_envs:
            return [value[i] for i in games]
        return [value] * len(games)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of all games; they have none of their own."""
        if sorted(self._games_of(indices)) != list(range(self.num_envs)):
            raise ValueError(f"{attr_name!r} is shared by all games; set it without indices")
        setattr(self, attr_name, value)

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """False: games of a batch have no wrappers of their own."""
        return [False] * len(self._games_of(indices))

    def get_images(self) -> Sequence[UInt8Array | None]:
        """One picture a game, uint8[H, W, 3], with ``render_mode="rgb_array"``."""
        return self.env_method("render")

    def close(self) -> None:
        """End the worker processes, if there are any."""
        self._batch.close()

    def _games_of(self, indices: VecEnvIndices) -> list[int]:
        games = [int(i) for i in self._get_indices(indices)]
        if games and not (0 <= min(games) and max(games) < self.num_envs):
            raise IndexError(f"games are 0..{self.num_envs - 1}, not {games}")
        return games


class NativeVecEnv(GamesVecEnv):
    """N games in this process, stepped together.

    Args:
        num_envs: number of games N.
        **env_kwargs: the arguments of `ShogiEnv`, `seats` (one opponent for each game) and `threads`.
    """

    def __init__(self, num_envs: int, **env_kwargs: Any) -> None:
        super().__init__(num_envs, LocalBatch(num_envs, **env_kwargs))


class SubprocVecEnv(GamesVecEnv):
    """N games in worker processes, many in each, exchanged through shared memory.

    Everything sent to workers (opponents, seats, initial) has to be picklable, whatever the start
    method; lambdas and local functions are.  An exception in a worker is raised here, with the
    worker's traceback in its notes; games may then stand in the middle of a step, so call `reset()`
    next.  A worker that died is named by a `WorkerError`, and the others are ended.  As always in
    Python, "forkserver" and "spawn" need the script that starts them to guard its main part by
    ``if __name__ == "__main__":``.

    Args:
        num_envs: number of games N.
        num_workers: number of processes, 1..N; by default one for each CPU this process may use.
        start_method: "fork", "forkserver" or "spawn"; by default the second where there is one,
            else the third.
        **env_kwargs: the arguments of `ShogiEnv`, and `seats` (one opponent for each game).

    Attributes:
        pids: process ids of the workers.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        num_workers: int | None = None,
        start_method: str | None = None,
        **env_kwargs: Any,
    ) -> None:
        batch = WorkerBatch(num_envs, num_workers=num_workers, start_method=start_method, **env_kwargs)
        self.pids = batch.pids
        super().__init__(num_envs, batch)


class ScalarVecEnv(DummyVecEnv):
    """SB3's `DummyVecEnv` over N `ShogiEnv`, with the infos and methods of the other backends.

    Args:
        num_envs: number of games N.
        seats: one opponent (or None for both seats) for each game, instead of `opponent`.
        **env_kwargs: the arguments of `ShogiEnv`.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        seats: Sequence[str | Opponent | None] | None = None,
        **env_kwargs: Any,
    ) -> None:
        if seats is not None and len(seats) != num_envs:
            raise ValueError(f"seats has {len(seats)} entries for {num_envs} games")
        each = [env_kwargs] * num_envs if seats is None else [env_kwargs | {"opponent": s} for s in seats]
        self._scalars = [ShogiEnv(**kwargs) for kwargs in each]
        super().__init__([partial(_same, env) for env in self._scalars])

    @property
    def both_seats(self) -> BoolArray:
        """bool[N], in which games the learner plays both sides."""
        return np.array([env.both_seats for env in self._scalars])

    def step_wait(self) -> VecEnvStepReturn:
        """Play; observations uint8[N, ...], rewards float32[N], dones bool[N], infos."""
        observations, rewards, dones, infos = super().step_wait()
        for i, info in enumerate(infos):
            infos[i] = {}
            if dones[i]:
                observation = info["terminal_observation"]
                ending = Ending(
                    i, observation, int(info["termination"]), int(info["winner"]), int(info["ply"])
                )
                infos[i] = ending.as_info()
        return observations, rewards, dones, infos

    def action_masks(self) -> BoolArray:
        """Which actions are legal, bool[N, 2187]."""
        return np.stack([env.action_masks() for env in self._scalars])

    def set_opponent(self, opponent: str | Opponent | None, indices: VecEnvIndices = None) -> None:
        """Seat another opponent in all games or in some; it answers from the next step on."""
        self.env_method("set_opponent", opponent, indices=indices)

    def get_state(self) -> State:
        """All games as plain data, for `set_state` of any backend; the opponents are not part of it."""
        return join_states([env.get_state() for env in self._scalars])

    def set_state(self, state: State) -> None:
        """Go back to what `get_state` returned."""
        for i, env in enumerate(self._scalars):
            generator = env.np_random.bit_generator.state
            env.set_state(slice_state(state, slice(i, i + 1)) | {"np_random": generator})


def _same(env: ShogiEnv) -> ShogiEnv:
    return env


def stack_frames(env: VecEnv, n_stack: int) -> VecFrameStack:
    """The last observations instead of one, as planes, where the learner plays one side.

    SB3's `VecFrameStack` itself cannot see who plays, and of planes in "NCHW" it would stack the ranks.

    Args:
        env: of `make_vec_env`.
        n_stack: how many observations, the newest last.

    Raises:
        ValueError: the learner plays both sides of a game. Each observation faces whoever is to move, so
            that the stacked ones would show the board from the two sides in turn.
    """
    if any(env.get_attr("both_seats")):
        raise ValueError(
            "frames are stacked for one player; with opponent=None observations face the two sides in turn"
        )
    shape = env.observation_space.shape
    planes_first = shape is not None and shape[1:] == (9, 9)
    return VecFrameStack(env, n_stack, channels_order="first" if planes_first else "last")


class BoardExtractor(BaseFeaturesExtractor):
    """Convolutions over the board, so that any SB3 algorithm learns from these observations.

    >>> from stable_baselines3 import DQN
    >>> DQN("MlpPolicy", env, policy_kwargs={"features_extractor_class": BoardExtractor})  # doctest: +SKIP

    Takes planes in either layout; of ``observation="board"`` the 81 cells are embedded, and the
    other numbers, scaled to 0..1, are spread over the board as planes of their own.

    Args:
        observation_space: of a shogi environment.
        features_dim: length of the features.
        channels: width of the convolutions.
    """

    def __init__(self, observation_space: spaces.Box, features_dim: int = 256, channels: int = 64) -> None:
        super().__init__(observation_space, features_dim)
        shape = observation_space.shape
        self._channels_last = shape[:2] == (9, 9)
        self._pieces: torch.nn.Embedding | None = None
        if len(shape) == 1 and shape[0] > NUM_CELLS:
            high = torch.as_tensor(observation_space.high, dtype=torch.float32)
            self._pieces = torch.nn.Embedding(int(high[0]) + 1, channels)
            self.register_buffer("_scale", 1 / high[NUM_CELLS:])
            planes = channels + shape[0] - NUM_CELLS
        elif len(shape) == 3 and (self._channels_last or shape[1:] == (9, 9)):
            planes = shape[2] if self._channels_last else shape[0]
        else:
            raise ValueError(f"BoardExtractor reads the observations of Shogi-v0, not of shape {shape}")
        self._trunk = torch.nn.Sequential(
            torch.nn.Conv2d(planes, channels, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(channels, channels, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(channels, channels // 2, 1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(channels // 2 * NUM_CELLS, features_dim),
            torch.nn.ReLU(),
        )

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Features float32[B, features_dim] of observations float32[B, ...]."""
        if self._pieces is not None:
            observations = self._spread(observations)
        elif self._channels_last:
            observations = observations.permute(0, 3, 1, 2)
        features: torch.Tensor = self._trunk(observations)
        return features

    def _spread(self, numbers: torch.Tensor) -> torch.Tensor:
        """Planes [B, channels + 19, 9, 9] of ``observation="board"``."""
        assert self._pieces is not None and isinstance(self._scale, torch.Tensor)
        cells = self._pieces(numbers[:, :NUM_CELLS].long()).movedim(2, 1).unflatten(2, (9, 9))
        others = (numbers[:, NUM_CELLS:] * self._scale)[:, :, None, None].expand(-1, -1, 9, 9)
        return torch.cat((cells, others), 1)
