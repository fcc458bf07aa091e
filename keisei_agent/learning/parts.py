"""A rollout in parts: orders for them, what was played, and how the parts are put together again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from keisei_agent.learning.buffer import PackedRolloutBuffer
from shogi_env.adapters.sb3 import join_states, slice_state
from shogi_env.types import BoolArray, Float32Array, Int64Array, UInt8Array


class Order(NamedTuple):
    """A part of a rollout to be played: n games, from where they stand."""

    part: int
    """Its number, from 0."""
    at: int
    """Decisions of the run before the rollout; `part` and `at` together name the order."""
    version: int
    """Of the weights it is played with."""
    seed: int
    """Of the sampling, 0..2^64 - 1."""
    games: dict[str, Any]
    """As `get_state` returns it."""
    observations: UInt8Array
    """uint8[n, ...], of the games as they stand."""
    starts: BoolArray
    """bool[n], whether that is the first position of a game."""


class Rollout(NamedTuple):
    """A part of a rollout that was played: T steps of n games."""

    part: int
    at: int
    version: int
    columns: dict[str, np.ndarray]
    """Arrays [T, n, ...] by the names of `buffer.COLUMNS`; returns and advantages among them."""
    endings: list[tuple[int, int, dict[str, Any]]]
    """Step, game in 0..n-1, and info of each game that ended; "next_sfen" is where the next one starts."""
    games: dict[str, Any]
    """Where the games stand afterwards, as `get_state` returns it."""
    observations: UInt8Array
    """uint8[n, ...], likewise."""
    starts: BoolArray
    """bool[n], whether the last step ended a game."""


class Stand:
    """Where all games stand.

    Args:
        env: the games, as `shogi_env.adapters.sb3` makes them.
        observations: uint8[N, ...], the last ones.
        starts: bool[N], whether they are first positions.
    """

    def __init__(self, env: VecEnv, observations: Any, starts: Any) -> None:
        self._games = env.get_state()  # type: ignore[attr-defined]  # all of this project's have it
        self._observations, self._starts = observations, np.asarray(starts, bool)

    def orders(self, count: int, seed: int, at: int) -> Iterator[Order]:
        """Yield orders for parts of equal size, of version 0.

        Args:
            count: of parts; divides N.
            seed: of the run.
            at: decisions of the run before the rollout.
        """
        width = len(self._starts) // count
        for part in range(count):
            mine = slice(part * width, (part + 1) * width)
            games = slice_state(self._games, mine)
            yield Order(
                part, at, 0, part_seed(seed, part, at), games, self._observations[mine], self._starts[mine]
            )


def part_seed(seed: int, part: int, at: int) -> int:
    """Return what the sampling of a part is seeded with, 0..2^64 - 1.

    Args:
        seed: of the run.
        part: its number.
        at: decisions of the run before the rollout.
    """
    return int(np.random.SeedSequence((seed, part, at)).generate_state(1, np.uint64)[0])


def move_on(env: VecEnv, rollouts: Sequence[Rollout]) -> tuple[UInt8Array, BoolArray]:
    """Set games to where their parts stand; return observations uint8[N, ...] and starts bool[N] there."""
    env.set_state(join_states([rollout.games for rollout in rollouts]))  # type: ignore[attr-defined]
    observations = np.concatenate([rollout.observations for rollout in rollouts])
    return observations, np.concatenate([rollout.starts for rollout in rollouts])


class Unpacked(Sequence[UInt8Array]):
    """Observations of a step, uint8[N, ...], each unpacked when it is looked at."""

    def __init__(self, buffer: PackedRolloutBuffer, step: int) -> None:
        self._buffer, self._step = buffer, step

    def __len__(self) -> int:
        return self._buffer.n_envs

    def __getitem__(self, column: Any) -> Any:
        if isinstance(column, slice):
            return [self[number] for number in range(*column.indices(len(self)))]
        return self._buffer.observation(self._step, range(len(self))[column])


class Step(NamedTuple):
    """What callbacks find in their `locals` at a step, as if it were played just then."""

    actions: Int64Array
    values: Float32Array
    log_probs: Float32Array
    rewards: Float32Array
    dones: BoolArray
    infos: list[dict[str, Any]]
    new_obs: Sequence[UInt8Array] | UInt8Array


def steps_of(
    rollouts: Sequence[Rollout], buffer: PackedRolloutBuffer, last_obs: UInt8Array, last_dones: BoolArray
) -> Iterator[Step]:
    """Yield the steps of a rollout that was played in parts.

    Args:
        rollouts: the parts.
        buffer: filled with them.
        last_obs: uint8[N, ...], behind the last step.
        last_dones: bool[N], whether it ended games.
    """
    infos = _infos(rollouts, buffer)
    last = buffer.buffer_size - 1
    for step in range(buffer.buffer_size):
        yield Step(
            actions=buffer.actions[step, :, 0],
            values=buffer.values[step],
            log_probs=buffer.log_probs[step],
            rewards=buffer.rewards[step],
            dones=last_dones if step == last else buffer.episode_starts[step + 1].astype(bool),
            infos=[infos.get((step, column), {}) for column in range(buffer.n_envs)],
            new_obs=last_obs if step == last else Unpacked(buffer, step + 1),
        )


def _infos(
    rollouts: Sequence[Rollout], buffer: PackedRolloutBuffer
) -> Mapping[tuple[int, int], dict[str, Any]]:
    """The infos of games that ended, by step and column."""
    width = buffer.n_envs // len(rollouts)
    return {
        (step, rollout.part * width + game): info
        for rollout in rollouts
        for step, game, info in rollout.endings
    }
