"""Networks as ONNX files, for programs without torch; `shogi_env.arena.onnx` says what is in them."""

import logging
import warnings

import torch as th
from torch import Tensor, nn

from keisei_agent.networks.network import Network
from shogi_env.arena.onnx import DLSHOGI_PLANES


class Plain(nn.Module):
    """Our layout: ``planes`` to ``logits`` and ``value``, -1..1."""

    inputs, outputs = ("planes",), ("logits", "value")

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.sizes: tuple[int, ...] = (network.planes,)

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float32[N, 2187] and value float32[N, 1] of planes float32[N, P, 9, 9]."""
        logits, value = self.network(planes)
        return logits, value


class Dlshogi(nn.Module):
    """dlshogi's layout, under its names: the planes in two parts, the value as the chance to win, 0..1.

    Our value is the chance to win less that to lose; half of a draw counts as won.

    Raises:
        ValueError: the network sees other planes than dlshogi's.
    """

    inputs, outputs = ("input1", "input2"), ("output_policy", "output_value")

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.sizes = DLSHOGI_PLANES
        if network.planes != sum(DLSHOGI_PLANES):
            raise ValueError(
                f"dlshogi's layout has {sum(DLSHOGI_PLANES)} planes, this network sees {network.planes}: "
                "it takes one that was trained with --env.observation dlshogi"
            )

    def forward(self, features1: Tensor, features2: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float32[N, 2187] and chances float32[N, 1] of float32[N, 62 and 57, 9, 9]."""
        logits, value = self.network(th.cat((features1, features2), 1))
        return logits, (value + 1) / 2


LAYOUTS: dict[str, type[Plain] | type[Dlshogi]] = {"onnx": Plain, "dlshogi": Dlshogi}
"""Layouts by the name of their format."""


def to_onnx(network: Network, layout: str) -> bytes:
    """The content of a network's ONNX file, for batches of any size.

    Args:
        network: on the CPU; it is computed in float32, whatever it was trained in.
        layout: one of `LAYOUTS`.

    Raises:
        ValueError: the layout does not fit the network, or what the export needs is not installed.
    """
    try:
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError:
        raise ValueError('onnxscript missing, install the extra: pip install "keisei[onnx]"') from None
    module = LAYOUTS[layout](network).eval()
    batch = th.export.Dim("batch")
    example = tuple(th.zeros(2, planes, 9, 9) for planes in module.sizes)
    kept, network.dtype = network.dtype, th.float32
    log = logging.getLogger("torch.onnx")
    level = log.level
    try:
        log.setLevel(logging.ERROR)  # it warns of packages that nobody asked for
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch's code says of torch, and of names of axes
            program = th.onnx.export(
                module,
                example,
                input_names=module.inputs,
                output_names=module.outputs,
                dynamic_shapes=tuple({0: batch} for _ in example),
                dynamo=True,
                verbose=False,
            )
    finally:
        network.dtype = kept
        log.setLevel(level)
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content
