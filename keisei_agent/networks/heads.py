"""Heads of networks whose trunk keeps the board: 27 planes of moves, and a value."""

import torch as th
from torch import Tensor, nn

from keisei_agent.config import NetworkConfig
from keisei_agent.networks.network import ACTIVATIONS, Network, expected_value, start_at_zero
from shogi_env.core.constants import NUM_CELLS

MOVE_PLANES = 27
"""Ways to arrive at a cell; action = plane * 81 + 9 * file + rank."""
VALUES = {"scalar": 1, "wdl": 3}
"""Outputs of a value head by its name."""
_VALUE_CHANNELS = 8


class BoardNetwork(Network):
    """A network whose features are [N, C, 9, 9]: a move's logit is read at the cell where the move ends.

    A subclass makes its trunk, then calls `add_heads`.

    Args:
        config: the shape.
        planes: input planes.
        dtype: number format of the trunk.
    """

    def __init__(self, config: NetworkConfig, planes: int, dtype: th.dtype) -> None:
        super().__init__(planes, dtype)
        self.activate = ACTIVATIONS[config.activation]

    def add_heads(self, config: NetworkConfig) -> None:
        """Make the heads, starting at zero, and lay out all weights for channels-last planes."""
        self.policy_head = nn.Conv2d(config.channels, MOVE_PLANES, 1)
        self.value_conv = nn.Conv2d(config.channels, _VALUE_CHANNELS, 1)
        self.value_hidden = nn.Linear(_VALUE_CHANNELS * NUM_CELLS, config.value_hidden)
        self.value_head = nn.Linear(config.value_hidden, VALUES[config.value_head])
        start_at_zero(self.policy_head)
        start_at_zero(self.value_head)
        self.to(memory_format=th.channels_last)  # type: ignore[call-overload]  # missing in torch's stub

    def heads(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float32[N, 2187] and value float32[N, 1] of float32[N, C, 9, 9]."""
        # both 1x1 convolutions as one product over the cells: 40 % faster, in float32 as they have to be
        weight = th.cat((self.policy_head.weight, self.value_conv.weight)).flatten(1)
        bias = th.cat((self._bias(self.policy_head), self._bias(self.value_conv)))
        maps = th.matmul(weight, features.flatten(2)) + bias[:, None]
        logits = maps[:, :MOVE_PLANES].flatten(1)
        x = self.activate(maps[:, MOVE_PLANES:].flatten(1).contiguous())
        return logits, expected_value(self.value_head(self.activate(self.value_hidden(x))))

    @staticmethod
    def _bias(layer: nn.Conv2d) -> Tensor:
        assert layer.bias is not None
        return layer.bias
