"""Learns what was played, and who won, from positions of games."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch as th
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from keisei_agent.learning.policy import ADAM_EPSILON
from keisei_agent.networks.distribution import LegalActions
from keisei_agent.networks.network import Network
from keisei_agent.players import select_planes
from keisei_agent.pretrain.mirror import mirror
from shogi_env.core import batch
from shogi_env.core.constants import NUM_ACTIONS, NUM_CELLS, NUM_PLANES
from shogi_env.kifu.packed import Samples
from shogi_env.types import Float32Array, Float64Array, Int64Array, UInt8Array, UInt64Array

logger = logging.getLogger(__name__)

SCORE_SCALE = 600.0
"""Centipawns per unit of log odds, as in `usi.thinking`: how a score becomes an expected result."""
_CHUNK = 65_536
"""Positions decoded at once when all are looked at."""
_BLOCK = 4096
"""Neighbours that are set apart together."""
_TOLD = 200
"""Updates between two lines of the log and points of the curves."""


class Source(Protocol):
    """Positions to learn from: `RecordSource`, or `shogi_env.kifu.packed.PackedFile`."""

    def __len__(self) -> int: ...

    def read(self, where: Int64Array) -> Samples:
        """Some of the positions."""


@dataclass(frozen=True)
class Recipe:
    """How to learn."""

    epochs: int = 1
    """Times that every position is learned from."""
    batch_size: int = 1024
    learning_rate: float = 1e-3
    """At the start; it falls to 0 by half a cosine."""
    weight_decay: float = 1e-4
    value_weight: float = 1.0
    """Of the value's squared error, beside the policy's cross entropy."""
    score_weight: float = 0.0
    """Share of an engine's score in what the value learns, the result has the rest."""
    validation: float = 0.02
    """Share of the positions that is not learned from but measured on."""
    mirror: bool = False
    """Whether a random half of the positions is learned with left and right changed."""
    seed: int = 0
    save_every: int | None = None
    """Positions between two snapshots of the network; None for none."""
    max_time: float | None = None
    """Seconds after which learning ends, the rate on its way to 0 by then; None for the epochs alone."""


class Measured(NamedTuple):
    """How well a network knows positions."""

    policy_loss: float
    """Cross entropy in nats."""
    accuracy: float
    """Share of the positions whose move is the network's first, 0..1."""
    value_error: float
    """Mean square, the results being -1, 0, 1."""
    positions: int


class Data:
    """Positions of several sources under one numbering, without duplicates, in two parts.

    Args:
        sources: where they are.
        validation: share that is set apart.
        seed: of the split.
        duplicates: whether positions that come again with the same move are kept.

    Attributes:
        validation: int64[V], numbers of the positions set apart.
        training: int64[T], numbers of the others.
        bad: positions left out: impossible, or with a move that is not legal.
    """

    def __init__(
        self, sources: Sequence[Source], *, validation: float, seed: int, duplicates: bool = False
    ) -> None:
        self._sources = sources
        self._firsts = np.cumsum([0, *map(len, sources)])
        found, keys = self._look_at_all()
        self.bad = int(self._firsts[-1]) - len(found)
        if not duplicates:
            found = found[np.sort(np.unique(keys, return_index=True)[1])]
        self.validation, self.training = _split(found, validation, np.random.default_rng(seed))

    def _look_at_all(self) -> tuple[Int64Array, UInt64Array]:
        """Numbers of all good positions, and what tells them apart."""
        numbers, keys = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
        for source, first in zip(self._sources, self._firsts.tolist(), strict=False):
            for at in range(0, len(source), _CHUNK):
                samples = source.read(np.arange(at, min(at + _CHUNK, len(source))))
                numbers.append(first + at + samples.kept)
                keys.append(_identities(samples))
        return np.concatenate(numbers), np.concatenate(keys)

    def read(self, where: Int64Array) -> list[Samples]:
        """Some of the positions, by source."""
        owners = np.searchsorted(self._firsts, where, side="right") - 1
        return [
            self._sources[owner].read(where[owners == owner] - self._firsts[owner])
            for owner in np.unique(owners).tolist()
        ]


def _split(
    numbers: Int64Array, share: float, generator: np.random.Generator
) -> tuple[Int64Array, Int64Array]:
    """Set a share apart, in runs of neighbours: positions of one game know its result."""
    if not len(numbers):
        return numbers, numbers
    block = np.arange(len(numbers)) // max(1, min(_BLOCK, len(numbers) // 200))
    order = generator.permutation(int(block[-1]) + 1)
    apart = np.isin(block, order[: min(int(len(order) * share), len(order) - 1)])
    return numbers[apart], numbers[~apart]


def _identities(samples: Samples) -> UInt64Array:
    """A number for each position and its move, alike for those that are alike."""
    return samples.rows["key"] * np.uint64(4096) + samples.actions.astype(np.uint64)


def _save_nothing(positions: int) -> None:
    pass


class Pretrainer:
    """Teaches a network, in place.

    Args:
        network: on its device.
        data: what it learns.
        recipe: how.
        writer: takes the curves; None for none.
        save: keeps the network as it is, when the recipe says so; told the positions learned from.
    """

    def __init__(
        self,
        network: Network,
        data: Data,
        recipe: Recipe,
        writer: SummaryWriter | None = None,
        save: Callable[[int], None] = _save_nothing,
    ) -> None:
        self.network, self.data, self.recipe = network, data, recipe
        self._writer, self._save = writer, save
        decayed = [weight for weight in network.parameters() if weight.ndim > 1]
        others = [weight for weight in network.parameters() if weight.ndim <= 1]
        self._optimizer = th.optim.AdamW(
            [
                {"params": decayed, "weight_decay": recipe.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
            eps=ADAM_EPSILON,
        )
        self._generator = np.random.default_rng(recipe.seed)
        self.positions = 0
        """Learned from so far."""

    def run(self) -> Measured:
        """Learn, and say how well the network knows what was set apart.

        Raises:
            FloatingPointError: the loss is not a number; the network is spoilt.
        """
        begin, updates = time.monotonic(), 0
        sums = np.zeros(3)
        for where, done in self._batches(begin):
            self._set_rate(done)
            losses = self._update(where)
            updates += 1
            sums += losses
            if updates % _TOLD == 0:
                self._tell(sums / _TOLD, time.monotonic() - begin)
                sums[:] = 0
            every = self.recipe.save_every
            if every and self.positions // every > (self.positions - len(where)) // every:
                self._save(self.positions)
        found = self.measure()
        logger.info(
            "Set apart: policy loss %.3f, its move %.1f %%, value error %.3f (%d positions)",
            *(found.policy_loss, 100 * found.accuracy, found.value_error, found.positions),
        )
        if self._writer:
            self._writer.add_scalar("pretrain/validation_accuracy", found.accuracy, self.positions)
            self._writer.add_scalar("pretrain/validation_policy_loss", found.policy_loss, self.positions)
            self._writer.add_scalar("pretrain/validation_value_error", found.value_error, self.positions)
        return found

    def _batches(self, begin: float) -> Iterator[tuple[Int64Array, float]]:
        """Numbers of positions, and the share of the whole way, 0..1, that lies behind."""
        size, n = self.recipe.batch_size, len(self.data.training)
        each = -(-n // size)
        for epoch in range(self.recipe.epochs):
            order = self._generator.permutation(self.data.training)
            for k in range(each):
                done = (epoch * each + k) / (self.recipe.epochs * each)
                if self.recipe.max_time is not None:
                    done = max(done, (time.monotonic() - begin) / self.recipe.max_time)
                if done >= 1:
                    return
                yield order[k * size : (k + 1) * size], done

    def _set_rate(self, done: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * (1 + np.cos(np.pi * done)) / 2

    def _update(self, where: Int64Array) -> tuple[float, float, float]:
        """One step; return policy loss, value error and accuracy."""
        self._optimizer.zero_grad()
        policy, value, right = self._losses(self.data.read(where), mirrored=self.recipe.mirror)
        loss = policy + self.recipe.value_weight * value
        if not th.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} after {self.positions} positions")
        loss.backward()  # type: ignore[no-untyped-call]
        th.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        self.positions += len(where)
        return policy.item(), value.item(), right.item()

    def _losses(
        self, parts: Sequence[Samples], *, mirrored: bool = False
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Mean cross entropy, mean squared error of the value, share of moves that the network puts first."""
        arrays = zip(*map(self._arrays, parts), strict=True)
        planes, masks, targets = (np.concatenate(each) for each in arrays)
        played = np.concatenate([part.actions for part in parts])
        if mirrored:
            mirror(planes, masks, played, self._generator.random(len(played)) < 0.5)
        device = self.network.device
        actions = th.as_tensor(played, device=device)
        logits, values = self.network(th.as_tensor(select_planes(self.network, planes), device=device))
        distribution = LegalActions(NUM_ACTIONS).proba_distribution(logits)
        distribution.apply_masking(th.as_tensor(masks.view(np.bool_), device=device))
        policy = -distribution.log_prob(actions).mean()
        value = F.mse_loss(values[:, 0], th.as_tensor(targets, device=device))
        return policy, value, (distribution.mode() == actions).float().mean()

    def _arrays(self, part: Samples) -> tuple[UInt8Array, UInt8Array, Float32Array]:
        """Planes uint8[k, 136, 9, 9], masks uint8[k, 2187] and what the value should be, float32[k]."""
        k = len(part.rows)
        planes = np.empty((k, NUM_PLANES * NUM_CELLS), np.uint8)
        masks = np.empty((k, NUM_ACTIONS), np.uint8)
        batch.write_planes(part.rows, planes, 0, k)
        batch.write_masks(part.legal, masks, 0, k)
        expected = np.tanh(part.scores / (2 * SCORE_SCALE))  # twice the chance of winning, less one
        share = self.recipe.score_weight
        targets = ((1 - share) * part.results + share * expected).astype(np.float32)
        return planes.reshape(k, NUM_PLANES, 9, 9), masks, targets

    def measure(self) -> Measured:
        """How well the network knows the positions that were set apart."""
        sums, n = np.zeros(3), 0
        with th.inference_mode():
            for at in range(0, len(self.data.validation), self.recipe.batch_size):
                parts = self.data.read(self.data.validation[at : at + self.recipe.batch_size])
                k = sum(len(part.rows) for part in parts)
                sums += k * np.array([loss.item() for loss in self._losses(parts)])
                n += k
        policy, value, right = sums / max(n, 1)
        return Measured(float(policy), float(right), float(value), n)

    def _tell(self, means: Float64Array, seconds: float) -> None:
        policy, value, right = means.tolist()
        rate = self.positions / seconds
        logger.info(
            "%s positions, %.0f a second: policy loss %.3f, its move %.1f %%, value error %.3f",
            *(f"{self.positions:,}", rate, policy, 100 * right, value),
        )
        if self._writer:
            for name, found in (("policy_loss", policy), ("value_error", value), ("accuracy", right)):
                self._writer.add_scalar(f"pretrain/{name}", found, self.positions)
            self._writer.add_scalar("pretrain/positions_per_second", rate, self.positions)
