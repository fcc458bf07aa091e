"""What every network has in common: planes in, logits and a value out, a trunk in some number format."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch as th
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu_, "silu": F.silu, "mish": F.mish}
"""Nonlinearities by their names; the first one overwrites what it is given."""


class Network(nn.Module, ABC):
    """Planes [N, P, 9, 9] of any dtype to (logits float32[N, 2187], value float32[N, 1] in -1..1).

    A subclass makes its layers and says what `features` and `heads` do with them.  `features` runs under
    autocast in `dtype`; weights and heads are float32, since bfloat16 logits would lose 0.08 in
    log-probability.  No layer may act differently in training and evaluation mode: then the first
    minibatch after a rollout sees probability ratios of exactly 1.

    Args:
        planes: input planes P.
        dtype: number format of `features`: float32, bfloat16 or float16.
    """

    def __init__(self, planes: int, dtype: th.dtype) -> None:
        super().__init__()
        self.planes = planes
        self.dtype = dtype
        self.compiled: Callable[[Tensor], Tensor] | None = None
        """Computes `features` for the learner if not None, see `compiled`."""

    @property
    def device(self) -> th.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @abstractmethod
    def features(self, planes: Tensor) -> Tensor:
        """Map planes [N, P, 9, 9] in `dtype`, channels-last in memory, to what the heads read."""

    @abstractmethod
    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float32[N, 2187] and value float32[N, 1] of features in float32."""

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float32[N, 2187] and value float32[N, 1]."""
        return self.heads(self.trunk(planes))

    def forward_actor(self, planes: Tensor) -> Tensor:
        """Return logits float32[N, 2187] only; never compiled: players come with batches of any size."""
        return self.heads(self._in_dtype(self.features, planes))[0]

    def forward_critic(self, planes: Tensor) -> Tensor:
        """Return value float32[N, 1] only."""
        return self.heads(self.trunk(planes))[1]

    def trunk(self, planes: Tensor) -> Tensor:
        """Return the features in float32."""
        return self._in_dtype(self.compiled or self.features, planes)

    def _in_dtype(self, features: Callable[[Tensor], Tensor], planes: Tensor) -> Tensor:
        # transposing bytes costs a tenth of transposing floats
        x = planes.contiguous(memory_format=th.channels_last).to(self.dtype)
        if self.dtype == th.float32:
            return features(x)
        with th.autocast(planes.device.type, dtype=self.dtype):
            y = features(x)
        return y.float()


def start_at_zero(head: nn.Conv2d | nn.Linear) -> None:
    """Zero a last layer: every legal move is then equally likely, and every position worth 0."""
    nn.init.zeros_(head.weight)
    if head.bias is not None:
        nn.init.zeros_(head.bias)


def expected_value(scores: Tensor) -> Tensor:
    """Return float32[N, 1] in -1..1 of a value head's output.

    Args:
        scores: float32[N, 1], squashed; or float32[N, 3], the logits of win, draw and loss, of which the
            probability of a win less that of a loss is taken.  It is what learning compares with the
            returns, so the three are only as sharp as their difference demands.
    """
    if scores.shape[1] == 1:
        return th.tanh(scores)
    chances = F.softmax(scores, dim=1)
    return chances[:, :1] - chances[:, 2:]
