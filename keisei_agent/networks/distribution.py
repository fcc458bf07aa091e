"""The distribution over legal actions, with few passes over its 2187 columns."""

from functools import cached_property
from typing import Self

import torch as th
from sb3_contrib.common.maskable.distributions import MaskableCategoricalDistribution
from torch.nn import functional as F

from shogi_env.types import BoolArray

ILLEGAL_LOGIT = -1e8
"""Logit of an illegal action: its probability is exactly 0 in float32."""


class LegalActions(MaskableCategoricalDistribution):
    """sb3-contrib's masked categorical distribution, computed faster; one for each batch of logits.

    The stock one normalises twice, takes logsumexp where log_softmax is ten times faster, checks
    its arguments at every use and samples with `multinomial`: together a tenth of a training run.
    """

    logits: th.Tensor

    def proba_distribution(self, action_logits: th.Tensor) -> Self:
        """Take unmasked logits float32[N, A]."""
        self._set(action_logits)
        return self

    def apply_masking(self, masks: th.Tensor | BoolArray | None) -> None:
        """Rule out the actions whose mask, bool[N, A], is False; None changes nothing."""
        if masks is not None:
            legal = th.as_tensor(masks, dtype=th.bool, device=self.logits.device).reshape(self.logits.shape)
            self._set(th.where(legal, self.logits, ILLEGAL_LOGIT))

    def _set(self, logits: th.Tensor) -> None:
        self.logits = logits
        self.__dict__.pop("log_probs", None)

    @cached_property
    def log_probs(self) -> th.Tensor:
        """float32[N, A], normalised once for all that is asked."""
        return F.log_softmax(self.logits, dim=1)

    @property
    def probs(self) -> th.Tensor:
        """float32[N, A]; `log_probs.exp()` would take ten times as long where so many are far below 0."""
        return F.softmax(self.logits, dim=1)

    def log_prob(self, actions: th.Tensor) -> th.Tensor:
        """Return float32[N], the log-probability of actions int64[N]."""
        return self.log_probs.gather(1, actions.reshape(-1, 1)).squeeze(1)

    def entropy(self) -> th.Tensor:
        """Return float32[N] in nats."""
        return -(self.probs * self.log_probs).sum(1)

    def sample(self) -> th.Tensor:
        """Return int64[N], drawn."""
        return self.at(th.rand(len(self.logits), 1, device=self.logits.device))

    def at(self, uniform: th.Tensor) -> th.Tensor:
        """Return int64[N], the cumulative distribution inverted at float32[N, 1] in 0..1.

        An action of probability 0 adds nothing to a sum that goes from one action to the next, so the search
        does not stop at one.  CUDA sums a single row in parts, whose rounding may lift the sum there, once in
        a million draws: the most probable action takes its place.
        """
        probs = self.probs
        cumulative = probs.cumsum(1)
        total = cumulative[:, -1:]
        below = th.nextafter(total, th.zeros_like(total))  # rounding may lift the product to the total itself
        places = th.searchsorted(cumulative, th.minimum(uniform * total, below), right=True).squeeze(1)
        places = places.clamp_max(probs.shape[1] - 1)  # of logits that are not finite
        missed = probs.gather(1, places[:, None]).squeeze(1) == 0
        if missed.is_cpu and not missed.any():  # on other devices looking takes longer than replacing
            return places
        return th.where(missed, self.mode(), places)

    def mode(self) -> th.Tensor:
        """Return int64[N], the most probable actions."""
        return self.logits.argmax(1)
