"""Compact rollout storage with one discount per column."""

from collections.abc import Generator

import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer, MaskableRolloutBufferSamples

from shogi_env.types import BoolArray, Float32Array, Int64Array, UInt8Array


class PackedRolloutBuffer(MaskableRolloutBuffer):
    """A rollout whose masks and 0/1 planes are stored as bits, allocated once.

    T steps x N games of 136 planes and 2187 actions take 1.7 kB per position, where the
    stock buffer takes 20 kB and allocates everything anew for each rollout.

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
        self.generator_ready = True  # what the parent would prepare is indexed in place here

    def _allocate(self) -> None:
        rows = (self.buffer_size, self.n_envs)
        assert isinstance(self.action_space, spaces.Discrete)
        self.mask_dims = int(self.action_space.n)
        self.obs_bits = int(np.prod(self.obs_shape))
        self.observations = np.zeros((*rows, (self.obs_bits + 7) // 8), np.uint8)
        self.action_masks = np.zeros((*rows, (self.mask_dims + 7) // 8), np.uint8)
        self.actions = np.zeros((*rows, 1), np.int64)
        for name in ("rewards", "returns", "episode_starts", "values", "log_probs", "advantages"):
            setattr(self, name, np.zeros(rows, np.float32))
        self._allocated = True

    def add(  # type: ignore[override]  # the parent takes *args, and masks may not be missing here
        self,
        obs: UInt8Array,
        action: Int64Array,
        reward: Float32Array,
        episode_start: BoolArray,
        value: th.Tensor,
        log_prob: th.Tensor,
        *,
        action_masks: BoolArray,
    ) -> None:
        """Store one step of every column.

        Args:
            obs: uint8[N, ...] of 0 and 1.
            action: int64[N] or [N, 1].
            reward: float32[N].
            episode_start: bool[N], whether `obs` is the first of a game.
            value: float32[N, 1].
            log_prob: float32[N].
            action_masks: bool[N, A].
        """
        pos = self.pos
        self.observations[pos] = np.packbits(obs.reshape(self.n_envs, -1), axis=-1)
        self.action_masks[pos] = np.packbits(action_masks.reshape(self.n_envs, -1), axis=-1)
        self.actions[pos] = action.reshape(self.n_envs, 1)
        self.rewards[pos] = reward
        self.episode_starts[pos] = episode_start
        self.values[pos] = value.detach().cpu().numpy().reshape(self.n_envs)
        self.log_probs[pos] = log_prob.detach().cpu().numpy().reshape(self.n_envs)
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def get(  # type: ignore[override]  # as in the parent
        self, batch_size: int | None = None
    ) -> Generator[MaskableRolloutBufferSamples, None, None]:
        """Yield the rollout once in random order, `batch_size` positions at a time (None: all)."""
        assert self.full, "the rollout is not complete"
        size = self.buffer_size * self.n_envs
        order = th.randperm(size).numpy()
        for start in range(0, size, batch_size or size):
            yield self._get_samples(order[start : start + (batch_size or size)])

    def _get_samples(  # type: ignore[override]  # as in the parent
        self, batch_inds: Int64Array, env: object = None
    ) -> MaskableRolloutBufferSamples:
        observations = _unpack(self.observations, batch_inds, self.obs_bits).reshape(-1, *self.obs_shape)
        masks = _unpack(self.action_masks, batch_inds, self.mask_dims).view(np.bool_)
        return MaskableRolloutBufferSamples(
            observations=self._tensor(observations),
            actions=self._tensor(self.actions.reshape(-1, 1)[batch_inds]),
            old_values=self._tensor(self.values.ravel()[batch_inds]),
            old_log_prob=self._tensor(self.log_probs.ravel()[batch_inds]),
            advantages=self._tensor(self.advantages.ravel()[batch_inds]),
            returns=self._tensor(self.returns.ravel()[batch_inds]),
            action_masks=self._tensor(masks),
        )

    def _tensor(self, array: np.ndarray) -> th.Tensor:
        """Move a fresh array to the device; no copy on the CPU."""
        return th.from_numpy(array).to(self.device)


def _unpack(words: UInt8Array, rows: Int64Array, count: int) -> UInt8Array:
    """Return uint8[len(rows), count] of 0 and 1 from packed [T, N, bytes], rows counted as t * N + n."""
    flat = words.reshape(-1, words.shape[-1])
    return np.unpackbits(flat[rows], axis=-1, count=count)


def _is_bits(space: spaces.Space[UInt8Array]) -> bool:
    """Whether the space holds uint8 arrays of 0 and 1."""
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and bool(np.all(space.low == 0) and np.all(space.high == 1))
    )
