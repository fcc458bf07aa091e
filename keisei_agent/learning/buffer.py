"""Compact rollout storage with one discount per column."""

from collections.abc import Generator, Mapping, Sequence

import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer, MaskableRolloutBufferSamples

from shogi_env.types import BoolArray, Float32Array, Int64Array, UInt8Array

COLUMNS = (
    *("observations", "action_masks", "actions", "rewards", "returns"),
    *("episode_starts", "values", "log_probs", "advantages"),
)
"""Arrays of a rollout, [T, N, ...]."""


class Bits:
    """Arrays of 0 and 1, packed eight to a byte.

    Planes are packed cell by cell: unpacked, they lie in memory channels-last, as the networks want them.

    Args:
        shape: of one array.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._count = int(np.prod(shape))
        self.nbytes = (self._count + 7) // 8
        """Bytes of one array, packed."""
        bytes_ = np.arange(256, dtype=np.uint8)[:, None]
        self._eight = th.from_numpy(np.unpackbits(bytes_, axis=1).view(np.int64)[:, 0].copy())

    def pack(self, values: UInt8Array | BoolArray) -> UInt8Array:
        """Return uint8[k, nbytes] of [k, *shape]."""
        if len(self._shape) == 3:
            values = values.transpose(0, 2, 3, 1)
        return np.packbits(values.reshape(len(values), -1), axis=1)

    def unpack(self, packed: th.Tensor) -> th.Tensor:
        """Return uint8[k, *shape] of uint8[k, nbytes], on its device."""
        eights = self._eight.to(packed.device).index_select(0, packed.flatten().int())
        values = eights.view(th.uint8).view(len(packed), 8 * self.nbytes)[:, : self._count]
        if len(self._shape) != 3:
            return values.view(len(packed), *self._shape)
        planes, *board = self._shape
        return values.view(len(packed), *board, planes).permute(0, 3, 1, 2)


class PackedRolloutBuffer(MaskableRolloutBuffer):
    """A rollout whose masks and 0/1 planes are stored as bits, allocated once.

    T steps x N games of 136 planes and 2187 actions take 1.7 kB per position, where the
    stock buffer takes 20 kB and allocates everything anew for each rollout.  A step is written in two
    halves: `observe` before the policy acts, `add` after the environment answered.

    `gamma` holds one discount per column, so that the inherited
    `compute_returns_and_advantage` is right for columns in which the next position belongs to
    the opponent (negative, see `seats.discounts`) and for others side by side.
    """

    gamma: Float32Array  # type: ignore[assignment]  # float32[N]; the parent broadcasts it

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space[UInt8Array],
        action_space: spaces.Space[np.int64],
        device: th.device | str = "auto",
        gae_lambda: float = 1,
        gamma: float = 0.99,
        n_envs: int = 1,
        discounts: Float32Array | None = None,
    ) -> None:
        """Allocate it.

        Args:
            buffer_size: T.
            observation_space: a `Box(0, 1, ..., uint8)`.
            action_space: a `Discrete`.
            device: where the samples go.
            gae_lambda: lambda of generalized advantage estimation.
            gamma: the discount of every column if `discounts` is None.
            n_envs: N.
            discounts: float32[N], the signed discount of each column.
        """
        if not _is_bits(observation_space) or not isinstance(action_space, spaces.Discrete):
            raise ValueError(
                "PackedRolloutBuffer needs a Box(0, 1, ..., uint8) and a Discrete, "
                f"not {observation_space} and {action_space}"
            )
        self._allocated = False
        super().__init__(buffer_size, observation_space, action_space, device, gae_lambda, gamma, n_envs)
        self.gamma = np.full(n_envs, gamma, np.float32) if discounts is None else discounts
        if self.gamma.shape != (n_envs,) or self.gamma.dtype != np.float32:
            raise ValueError(f"discounts must be float32[{n_envs}], not {self.gamma.dtype}{self.gamma.shape}")

    def reset(self) -> None:
        """Forget the rollout; the arrays are kept and overwritten."""
        if not self._allocated:
            self._allocate()
        self.pos = 0
        self.full = False
        self._samples: MaskableRolloutBufferSamples | None = None

    def _allocate(self) -> None:
        rows = (self.buffer_size, self.n_envs)
        assert isinstance(self.action_space, spaces.Discrete) and isinstance(self.obs_shape, tuple)
        self._planes, self._masks = Bits(self.obs_shape), Bits((int(self.action_space.n),))
        self.observations = np.zeros((*rows, self._planes.nbytes), np.uint8)
        self.action_masks = np.zeros((*rows, self._masks.nbytes), np.uint8)
        self.actions = np.zeros((*rows, 1), np.int64)
        for name in ("rewards", "returns", "episode_starts", "values", "log_probs", "advantages"):
            setattr(self, name, np.zeros(rows, np.float32))
        self._allocated = True

    def observe(self, obs: UInt8Array, masks: BoolArray) -> tuple[th.Tensor, th.Tensor]:
        """Store what the next step of every column is decided from.

        Args:
            obs: uint8[N, ...] of 0 and 1.
            masks: bool[N, A], the legal actions.

        Returns:
            Both on the buffer's device, exactly as `get` will return them.
        """
        planes, legal = self.observations[self.pos], self.action_masks[self.pos]
        _write(planes, self._planes.pack(obs))
        _write(legal, self._masks.pack(masks))
        return self._unpack(self._to_device(planes), self._to_device(legal))

    def add(  # type: ignore[override]  # the other half of a step was given to `observe`
        self,
        action: Int64Array,
        reward: Float32Array,
        episode_start: BoolArray,
        value: Float32Array,
        log_prob: Float32Array,
    ) -> None:
        """Store the rest of the step.

        Args:
            action: int64[N].
            reward: float32[N].
            episode_start: bool[N], whether the observation is the first of a game.
            value: float32[N].
            log_prob: float32[N].
        """
        pos = self.pos
        _write(self.actions[pos, :, 0], action)
        _write(self.rewards[pos], reward)
        _write(self.episode_starts[pos], episode_start)
        _write(self.values[pos], value)
        _write(self.log_probs[pos], log_prob)
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def compute_returns_and_advantage(self, last_values: th.Tensor, dones: BoolArray) -> None:
        """As in the parent, but into the arrays that there are.

        Args:
            last_values: float32[N, 1], of the observations after the last step.
            dones: bool[N], whether the last step ended a game.
        """
        returns = self.returns
        super().compute_returns_and_advantage(last_values, dones)
        returns[:] = self.returns
        self.returns = returns

    def get(  # type: ignore[override]  # as in the parent
        self, batch_size: int | None = None
    ) -> Generator[MaskableRolloutBufferSamples, None, None]:
        """Yield the rollout once in random order, `batch_size` positions at a time (None: all).

        It is copied to the device once, packed, and unpacked there.
        """
        assert self.full, "the rollout is not complete"
        size = self.buffer_size * self.n_envs
        if self._samples is None:
            self._samples = self._flatten(size)
        order = th.randperm(size).to(self.device)
        for start in range(0, size, batch_size or size):
            rows = order[start : start + (batch_size or size)]
            packed = MaskableRolloutBufferSamples(*(column[rows] for column in self._samples))
            planes, masks = self._unpack(packed.observations, packed.action_masks)
            yield packed._replace(observations=planes, action_masks=masks)

    def columns(self) -> dict[str, np.ndarray]:
        """Return copies of the arrays of a complete rollout, [T, N, ...], by the names of `COLUMNS`."""
        assert self.full, "the rollout is not complete"
        return {name: getattr(self, name).copy() for name in COLUMNS}

    def fill(self, parts: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Overwrite the rollout with parts of as many games each, side by side; it is complete then.

        Args:
            parts: what `columns` returned, of as many steps, and of N games together.

        Raises:
            ValueError: they have other shapes.
        """
        width = self.n_envs // len(parts)
        for number, part in enumerate(parts):
            for name in COLUMNS:
                own = getattr(self, name)[:, number * width : (number + 1) * width]
                if own.shape != part[name].shape:
                    raise ValueError(
                        f"part {number}: {name} is {list(part[name].shape)}, not {list(own.shape)}"
                    )
                own[...] = part[name]
        self.pos = self.buffer_size
        self.full = True

    def observation(self, step: int, column: int) -> UInt8Array:
        """Return uint8[...], what a decision of the rollout was made from."""
        packed = th.from_numpy(self.observations[step, column][None])
        return self._planes.unpack(packed)[0].contiguous().numpy()

    def mean_log_legal(self) -> float:
        """Mean of the logarithm of the number of legal actions: the entropy of playing at random, in nats."""
        assert self.full, "the rollout is not complete"
        return float(np.log(np.bitwise_count(self.action_masks).sum(axis=2)).mean())

    def _flatten(self, size: int) -> MaskableRolloutBufferSamples:
        """All positions on the device, planes and masks packed, as [T * N, ...]; on the CPU no copy."""
        return MaskableRolloutBufferSamples(
            observations=self._to_device(self.observations.reshape(size, -1)),
            actions=self._to_device(self.actions.reshape(size, 1)),
            old_values=self._to_device(self.values.reshape(size)),
            old_log_prob=self._to_device(self.log_probs.reshape(size)),
            advantages=self._to_device(self.advantages.reshape(size)),
            returns=self._to_device(self.returns.reshape(size)),
            action_masks=self._to_device(self.action_masks.reshape(size, -1)),
        )

    def _unpack(self, planes: th.Tensor, masks: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        return self._planes.unpack(planes), self._masks.unpack(masks).view(th.bool)

    def _to_device(self, array: np.ndarray) -> th.Tensor:
        return th.from_numpy(array).to(self.device)


def _write(row: np.ndarray, values: np.ndarray) -> None:
    """Overwrite one step of all columns; numpy would spread what belongs to one column over the others.

    Raises:
        ValueError: the shapes differ.
    """
    if row.shape != values.shape:
        raise ValueError(f"a step of {row.shape[0]} columns was expected, not an array {list(values.shape)}")
    row[...] = values


def _is_bits(space: spaces.Space[UInt8Array]) -> bool:
    """Whether the space holds uint8 arrays of 0 and 1."""
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and bool(np.all(space.low == 0) and np.all(space.high == 1))
    )
