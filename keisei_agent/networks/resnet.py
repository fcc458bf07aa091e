"""A residual network with a convolutional policy head whose cells are the planes' cells."""

import torch as th
from torch import Tensor, nn
from torch.nn import functional as F

PLANES = 136
"""Input planes of one position, `Box(0, 1, (136, 9, 9), uint8)`, indexed [plane, file, rank]."""
MOVE_PLANES = 27
"""Ways to arrive at a cell; action = plane * 81 + 9 * file + rank."""


class Block(nn.Module):
    """Two normalised convolutions around a skip connection.

    GroupNorm acts the same in acting and learning (BatchNorm would not), so that the first
    minibatch after a rollout sees probability ratios of exactly 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(1, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, 9, 9] to the same shape."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


class ResNet(nn.Module):
    """Planes [N, 136, 9, 9] of any dtype to (logits float32[N, 2187], value float32[N, 1] in -1..1).

    The heads start at zero: every legal move is equally likely and every position worth 0.
    """

    def __init__(
        self, channels: int = 48, blocks: int = 3, value_hidden: int = 64, *, in_bfloat16: bool = False
    ) -> None:
        """Build it.

        Args:
            channels: of the trunk.
            blocks: residual blocks.
            value_hidden: units of the value head's hidden layer.
            in_bfloat16: run the trunk under bfloat16 autocast; weights and heads stay float32.
        """
        super().__init__()
        self.in_bfloat16 = in_bfloat16
        self.stem = nn.Conv2d(PLANES, channels, 3, padding=1, bias=False)
        self.stem_norm = nn.GroupNorm(1, channels)
        self.blocks = nn.Sequential(*[Block(channels) for _ in range(blocks)])
        self.policy_head = nn.Conv2d(channels, MOVE_PLANES, 1)
        self.value_conv = nn.Conv2d(channels, 8, 1)
        self.value_hidden = nn.Linear(8 * 81, value_hidden)
        self.value_head = nn.Linear(value_hidden, 1)
        for head in (self.policy_head, self.value_head):
            nn.init.zeros_(head.weight)
            if head.bias is not None:
                nn.init.zeros_(head.bias)
        self.to(memory_format=th.channels_last)  # type: ignore[call-overload]  # missing in torch's stub

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float32[N, 2187] and value float32[N, 1]."""
        trunk = self._trunk(planes)
        return self._logits(trunk), self._value(trunk)

    def forward_actor(self, planes: Tensor) -> Tensor:
        """Return logits float32[N, 2187] only."""
        return self._logits(self._trunk(planes))

    def forward_critic(self, planes: Tensor) -> Tensor:
        """Return value float32[N, 1] only."""
        return self._value(self._trunk(planes))

    def _trunk(self, planes: Tensor) -> Tensor:
        with th.autocast(planes.device.type, dtype=th.bfloat16, enabled=self.in_bfloat16):
            # transposing bytes costs a tenth of transposing floats
            x: Tensor = planes.contiguous(memory_format=th.channels_last)
            x = x.to(th.bfloat16 if self.in_bfloat16 else self.stem.weight.dtype)
            x = F.relu(self.stem_norm(self.stem(x)))
            x = self.blocks(x)
        return x.float()  # bfloat16 logits would lose 0.08 in log-probability and break .numpy()

    def _logits(self, trunk: Tensor) -> Tensor:
        logits: Tensor = self.policy_head(trunk)
        return logits.flatten(1)

    def _value(self, trunk: Tensor) -> Tensor:
        x = F.relu(self.value_conv(trunk)).flatten(1)
        value: Tensor = self.value_head(F.relu(self.value_hidden(x)))
        return th.tanh(value)
