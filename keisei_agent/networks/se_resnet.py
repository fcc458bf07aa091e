"""A residual network whose blocks weigh their channels by what the whole board holds."""

import torch as th
from torch import Tensor, nn

from keisei_agent.config import NetworkConfig
from keisei_agent.networks.resnet import Block, ResNet


class SEBlock(Block):
    """A block whose second half is scaled and shifted, channel by channel, by a look at all cells.

    Squeeze and excitation (Hu, Shen and Sun, "Squeeze-and-Excitation Networks", CVPR 2018) with a shift
    beside the scale, as Leela Chess Zero has it.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        squeezed = max(1, config.channels // config.squeeze)
        self.squeeze = nn.Linear(config.channels, squeezed)
        self.excite = nn.Linear(squeezed, 2 * config.channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, 9, 9] to the same shape."""
        y = self.norm2(self.conv2(self.activate(self.norm1(self.conv1(x)))))
        excited = self.excite(self.activate(self.squeeze(y.mean((2, 3)))))
        scale, shift = excited[:, :, None, None].chunk(2, dim=1)
        return self.activate(x + y * th.sigmoid(scale) + shift)


def build(config: NetworkConfig, *, planes: int, dtype: th.dtype) -> ResNet:
    """Make one with fresh weights."""
    return ResNet(config, planes, dtype, SEBlock)
