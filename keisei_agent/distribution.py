"""The distribution over legal actions, with few passes over its 2187 columns."""

from typing import Self

import numpy as np
import torch as th
from sb3_contrib.common.maskable.distributions import MaskableCategoricalDistribution
from torch.nn import functional as F

from shogi_env.types import BoolArray

ILLEGAL_LOGIT = -1e8
"""Logit of an illegal action: its probability is exactly 0 in float32."""


class LegalActions(MaskableCategoricalDistribution):
    """sb3-contrib's masked categorical distribution, computed faster.

    The stock one normalises twice, takes logsumexp where log_softmax is ten times faster, checks
    its arguments at every use and samples with `multinomial`: together a tenth of a training run.
    """

    def proba_distribution(self, action_logits: th.Tensor) -> Self:
        """Take unmasked logits float32[N, A]."""
        self.logits = action_logits
        return self

    def apply_masking(self, masks: th.Tensor | BoolArray | None) -> None:
        """Rule out the actions whose mask, bool[N, A], is False; None changes nothing."""
        if masks is not None:
            legal = th.as_tensor(masks, dtype=th.bool, device=self.logits.device).reshape(self.logits.shape)
            self.logits = th.where(legal, self.logits, th.tensor(ILLEGAL_LOGIT, device=self.logits.device))

    def log_prob(self, actions: th.Tensor) -> th.Tensor:
        """Return float32[N], the log-probability of actions int64[N]."""
        return F.log_softmax(self.logits, dim=1).gather(1, actions.reshape(-1, 1)).squeeze(1)

    def entropy(self) -> th.Tensor:
        """Return float32[N] in nats."""
        log_probs = F.log_softmax(self.logits, dim=1)
        return -(F.softmax(self.logits, dim=1) * log_probs).sum(1)

    def sample(self) -> th.Tensor:
        """Return int64[N], drawn."""
        return self.at(th.rand(len(self.logits), 1, device=self.logits.device))

    def at(self, uniform: th.Tensor) -> th.Tensor:
        """Return int64[N], the cumulative distribution inverted at float32[N, 1] in 0..1.

        An action of probability 0 adds nothing to the sum, so the search never stops at one.
        """
        cumulative = F.softmax(self.logits, dim=1).cumsum(1)
        total = cumulative[:, -1:]
        below = th.nextafter(total, th.zeros_like(total))  # rounding may lift the product to the total itself
        return th.searchsorted(cumulative, th.minimum(uniform * total, below), right=True).squeeze(1)

    def mode(self) -> th.Tensor:
        """Return int64[N], the most probable actions."""
        return self.logits.argmax(1)


def sample_legal(logits: th.Tensor, masks: BoolArray, *, greedy: bool) -> np.ndarray:
    """Return int64[N], one legal action per row of logits float32[N, A] and masks bool[N, A]."""
    distribution = LegalActions(logits.shape[1]).proba_distribution(logits)
    distribution.apply_masking(masks)
    actions: np.ndarray = distribution.get_actions(deterministic=greedy).cpu().numpy()
    return actions
