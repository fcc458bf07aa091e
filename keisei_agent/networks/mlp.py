"""A small network that knows nothing of the board: fully connected layers."""

from itertools import pairwise

import torch as th
from torch import Tensor, nn

from keisei_agent.config import NetworkConfig
from keisei_agent.networks.heads import MOVE_PLANES, VALUES
from keisei_agent.networks.network import ACTIVATIONS, Network, expected_value, start_at_zero
from shogi_env.core.constants import NUM_CELLS


class MLP(Network):
    """`blocks` normalised hidden layers of `channels` units.

    Args:
        config: the shape.
        planes: input planes.
        dtype: number format of the hidden layers.
    """

    def __init__(self, config: NetworkConfig, planes: int, dtype: th.dtype) -> None:
        super().__init__(planes, dtype)
        self.activate = ACTIVATIONS[config.activation]
        widths = [planes * NUM_CELLS, *[config.channels] * config.blocks]
        self.layers = nn.ModuleList(nn.Linear(*ends) for ends in pairwise(widths))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths[1:])
        self.policy_head = nn.Linear(widths[-1], MOVE_PLANES * NUM_CELLS)
        self.value_hidden = nn.Linear(widths[-1], config.value_hidden)
        self.value_head = nn.Linear(config.value_hidden, VALUES[config.value_head])
        start_at_zero(self.policy_head)
        start_at_zero(self.value_head)

    def features(self, planes: Tensor) -> Tensor:
        """Map [N, P, 9, 9] to [N, units]."""
        x = planes.permute(0, 2, 3, 1).flatten(1)  # as they lie in memory
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.activate(norm(layer(x)))
        return x

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float32[N, 2187] and value float32[N, 1] of float32[N, units]."""
        x = self.activate(self.value_hidden(features))
        return self.policy_head(features), expected_value(self.value_head(x))


def build(config: NetworkConfig, *, planes: int, dtype: th.dtype) -> MLP:
    """Make one with fresh weights."""
    return MLP(config, planes, dtype)
