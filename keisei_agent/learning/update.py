"""One update of a policy from a rollout: losses, gradients, steps, and the numbers that tell of them."""

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch as th
from sb3_contrib.common.maskable.buffers import MaskableRolloutBufferSamples
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_, get_total_norm

from keisei_agent.learning import distributed

logger = logging.getLogger(__name__)


class TrainingError(RuntimeError):
    """Training cannot go on."""


class NotFiniteError(TrainingError):
    """A loss, a weight or what a network says is no finite number."""


@dataclass(frozen=True)
class Coefficients:
    """What an update is made with, at its point of the run."""

    clip_range: float
    clip_range_vf: float | None
    ent_coef: float
    vf_coef: float
    max_grad_norm: float
    target_kl: float | None
    normalize_advantage: bool


@dataclass(frozen=True)
class Update:
    """What an update was like; means over the positions it went through unless it says otherwise."""

    loss: float
    """What was minimised."""
    policy_gradient_loss: float
    """The clipped surrogate."""
    value_loss: float
    """Mean square of value less return."""
    entropy: float
    """Of the policy over the legal actions, in nats."""
    relative_entropy: float | None
    """Entropy over that of playing at random, 0..1; None where no position left a choice."""
    approx_kl: float
    """Estimate of how far the policy is from the one that played, in nats."""
    clip_fraction: float
    """Share of the probability ratios that left the clip range."""
    explained_variance: float | None
    """1 less the share of this process's variance of returns that the values left open; None without any."""
    grad_norm: float | None
    """Of the gradient before it is scaled down to the largest allowed; None where no step was made."""
    steps: int
    """Gradient steps, those skipped not among them."""
    epochs: int
    """Passes over the rollout, the last one perhaps not finished."""
    early_stop: int
    """1 if the divergence ended the update, else 0."""
    batch_size: int
    """Positions per gradient step, of all processes together."""
    piece_size: int
    """Positions per forward pass of this process."""
    ent_coef: float
    """Weight of the entropy bonus."""
    clip_range: float
    """How far a probability ratio may leave 1."""
    clip_range_vf: float | None
    """How far a value may leave its old one; None without a limit."""
    loss_scale: float | None
    """What losses are multiplied by in float16 from now on; None in other precisions."""
    skipped_steps: int | None
    """Steps left out because a gradient was too large for float16; None in other precisions."""

    def metrics(self) -> Iterator[tuple[str, float]]:
        """Yield names and values, those that are None left out."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                yield field.name, value


class Terms(NamedTuple):
    """What is noted of a minibatch: tensors on the device, since nothing waits for them during an update."""

    loss: th.Tensor
    policy_gradient_loss: th.Tensor
    value_loss: th.Tensor
    entropy: th.Tensor
    approx_kl: th.Tensor
    clip_fraction: th.Tensor


_DIVERGENCE = Terms._fields.index("approx_kl")
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""What torch says in errors without a type: on the CPU, there on Windows, on mps and cuda, and cuBLAS."""


def compute_terms(
    policy: MaskableActorCriticPolicy, samples: MaskableRolloutBufferSamples, c: Coefficients
) -> Terms:
    """Return PPO's loss, with gradients, and what it is made of, from one forward pass.

    The divergence is estimated as http://joschu.net/blog/kl-approx.html says, k3.

    Args:
        policy: evaluates the actions.
        samples: of B positions, their advantages normalised if they shall be.
        c: the coefficients.
    """
    values, log_prob, entropy = policy.evaluate_actions(
        samples.observations, samples.actions.flatten(), action_masks=samples.action_masks
    )
    assert entropy is not None
    values, mean_entropy = values.flatten(), entropy.mean()
    log_ratio = log_prob - samples.old_log_prob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - c.clip_range, 1 + c.clip_range)
    surrogate = -th.min(samples.advantages * ratio, samples.advantages * clipped).mean()
    if c.clip_range_vf is not None:
        change = (values - samples.old_values).clamp(-c.clip_range_vf, c.clip_range_vf)
        values = samples.old_values + change
    value_loss = F.mse_loss(values, samples.returns)
    loss = surrogate + c.vf_coef * value_loss - c.ent_coef * mean_entropy
    with th.no_grad():
        divergence = (ratio - 1 - log_ratio).mean()
        left = ((ratio - 1).abs() > c.clip_range).float().mean()
    return Terms(loss, surrogate, value_loss, mean_entropy, divergence, left)


class GradientSteps:
    """The gradient steps of one update.

    Args:
        policy: with its optimizer.
        coefficients: of this update.
        scaler: of the loss in float16, else None.
        splits: how often minibatches are halved before they go through the network.

    Attributes:
        splits: as given; one more each time that memory ran out.
    """

    def __init__(
        self,
        policy: MaskableActorCriticPolicy,
        coefficients: Coefficients,
        scaler: th.amp.GradScaler | None,
        splits: int,
    ) -> None:
        self.splits = splits
        self._policy, self._optimizer = policy, policy.optimizer
        self._coefficients, self._scaler = coefficients, scaler
        self._weights = [weight for group in self._optimizer.param_groups for weight in group["params"]]
        self._sizes: list[int] = []
        self._terms: list[th.Tensor] = []
        self._norms: list[th.Tensor] = []

    def step(self, samples: MaskableRolloutBufferSamples) -> bool:
        """Make one step, unless the policy is too far from the one that played; return whether."""
        terms = self._find_gradients(samples._replace(advantages=self._normalised(samples.advantages)))
        self._terms.append(terms)
        self._sizes.append(len(samples.actions))
        target = self._coefficients.target_kl
        if target is not None and float(distributed.mean(terms[_DIVERGENCE].clone())) > 1.5 * target:
            return False
        distributed.average_gradients(self._weights)
        if self._scaler is None:
            self._norms.append(clip_grad_norm_(self._weights, self._coefficients.max_grad_norm))
            self._optimizer.step()
        else:
            self._scaler.unscale_(self._optimizer)
            self._norms.append(clip_grad_norm_(self._weights, self._coefficients.max_grad_norm))
            self._scaler.step(self._optimizer)
            self._scaler.update()
        return True

    def _normalised(self, advantages: th.Tensor) -> th.Tensor:
        """Advantages of a minibatch with mean 0 and deviation 1, if they shall have them.

        All processes take part, so nothing that one of them tries twice may come back to here.
        """
        if not self._coefficients.normalize_advantage:
            return advantages
        mean, deviation = distributed.mean_and_deviation(advantages)
        return (advantages - mean) / (deviation + 1e-8)

    def finish(self) -> tuple[dict[str, float], list[float]]:
        """Return the means of the terms over all positions, and the gradient norms of the steps, as numbers.

        Raises:
            NotFiniteError: a loss or a weight is not finite.
        """
        table = distributed.mean(th.stack(self._terms))
        size = get_total_norm([weight.detach() for weight in self._weights])
        row = th.cat((table.flatten(), th.stack([*self._norms, size]))).tolist()  # the one transfer
        rows = [row[at : at + len(Terms._fields)] for at in range(0, table.numel(), len(Terms._fields))]
        for number, terms in enumerate(rows, 1):
            if not all(map(math.isfinite, terms)):
                parts = ", ".join(f"{n} {value:.4g}" for n, value in zip(Terms._fields, terms, strict=True))
                raise NotFiniteError(
                    f"minibatch {number} of {len(rows)}: losses are not finite: {parts}; "
                    "a smaller ppo.learning_rate may help"
                )
        if not math.isfinite(row[-1]):
            raise NotFiniteError(
                f"the weights of {self._broken()} are not finite; a smaller ppo.learning_rate may help"
            )
        means = np.average(rows, axis=0, weights=self._sizes).tolist()
        return dict(zip(Terms._fields, means, strict=True)), row[table.numel() : -1]

    def _broken(self) -> str:
        named = self._policy.named_parameters()
        return next((name for name, weight in named if not th.isfinite(weight).all()), "the network")

    def _find_gradients(self, samples: MaskableRolloutBufferSamples) -> th.Tensor:
        """Leave the gradients of the mean loss in the weights; return the terms, float32[6].

        Where memory runs out, the minibatch is halved once more and worked through again: the sum of its
        pieces' gradients is its own.
        """
        positions = len(samples.actions)
        while True:
            try:
                return self._work_through(samples)
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error) or 2**self.splits >= positions:
                    raise
                reason = str(error).partition("\n")[0] or type(error).__name__
            self.splits += 1  # outside of the handler, whose error holds on to the memory
            self._optimizer.zero_grad()
            if th.cuda.is_available():
                th.cuda.empty_cache()
            logger.warning(
                "Out of memory (%s): from now on minibatches of %d go through the network in pieces of %d.",
                reason,
                positions,
                math.ceil(positions / 2**self.splits),
            )

    def _work_through(self, samples: MaskableRolloutBufferSamples) -> th.Tensor:
        self._optimizer.zero_grad()
        found = []
        for piece in _pieces(samples, 2**self.splits):
            terms = compute_terms(self._policy, piece, self._coefficients)
            share = len(piece.actions) / len(samples.actions)
            loss = terms.loss * share
            th.autograd.backward(loss if self._scaler is None else self._scaler.scale(loss))
            found.append(th.stack(terms).detach() * share)
        return th.stack(found).sum(0)


def layer_steps(named: Iterable[tuple[str, th.Tensor]], optimizer: th.optim.Optimizer) -> dict[str, float]:
    """Return the size of the last step of each layer's weights over the size of the weights, by name.

    It is computed from the moments that Adam keeps, so that no copy of the weights is needed.

    Args:
        named: weights with their names.
        optimizer: `AdamW`, which has made a step.
    """
    names = {id(weight): name for name, weight in named}
    sizes: dict[str, th.Tensor] = {}
    for group in optimizer.param_groups:
        beta1, beta2 = group["betas"]
        for weight in group["params"]:
            state = optimizer.state[weight]
            if not state:
                continue
            first = state["exp_avg"] / (1 - beta1 ** state["step"])
            second = (state["exp_avg_sq"] / (1 - beta2 ** state["step"])).sqrt() + group["eps"]
            step = group["lr"] * (first / second + group["weight_decay"] * weight.detach())
            sizes[names[id(weight)]] = step.norm() / weight.detach().norm().clamp_min(1e-12)
    return dict(zip(sizes, th.stack(list(sizes.values())).tolist(), strict=True)) if sizes else {}


def _pieces(samples: MaskableRolloutBufferSamples, count: int) -> Iterator[MaskableRolloutBufferSamples]:
    for columns in zip(*(column.chunk(count) for column in samples), strict=True):
        yield MaskableRolloutBufferSamples(*columns)


def _out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is no memory left, on the device or beside it."""
    if isinstance(error, (MemoryError, th.OutOfMemoryError)):
        return True
    return any(words in str(error) for words in _NO_MEMORY)
