"""A residual network."""

import torch as th
from torch import Tensor, nn

from keisei_agent.config import NetworkConfig
from keisei_agent.networks.heads import BoardNetwork
from keisei_agent.networks.network import ACTIVATIONS


class Block(nn.Module):
    """Two normalised convolutions around a skip connection.

    GroupNorm acts the same in acting and learning, BatchNorm would not.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        channels = config.channels
        self.activate = ACTIVATIONS[config.activation]
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(1, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, 9, 9] to the same shape."""
        y = self.activate(self.norm1(self.conv1(x)))
        return self.activate(self.norm2(self.conv2(y)).add_(x))


class ResNet(BoardNetwork):
    """A stem and `blocks` residual blocks of `channels` channels.

    Args:
        config: the shape.
        planes: input planes.
        dtype: number format of the trunk.
        block: makes a block.
    """

    def __init__(
        self, config: NetworkConfig, planes: int, dtype: th.dtype, block: type[Block] = Block
    ) -> None:
        super().__init__(config, planes, dtype)
        self.stem = nn.Conv2d(planes, config.channels, 3, padding=1, bias=False)
        self.stem_norm = nn.GroupNorm(1, config.channels)
        self.blocks = nn.Sequential(*[block(config) for _ in range(config.blocks)])
        self.add_heads(config)

    def features(self, planes: Tensor) -> Tensor:
        """Map [N, P, 9, 9] to [N, C, 9, 9]."""
        x: Tensor = self.blocks(self.activate(self.stem_norm(self.stem(planes))))
        return x


def build(config: NetworkConfig, *, planes: int, dtype: th.dtype) -> ResNet:
    """Make one with fresh weights."""
    return ResNet(config, planes, dtype)
