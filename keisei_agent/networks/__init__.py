"""Networks from planes to (logits, value), found by name; torch only.

Another architecture is one module with a function ``build(config, *, planes, dtype) -> Network``: in this
package under its own name, or anywhere under its dotted name.
"""

import importlib
import importlib.util
import pkgutil

import torch as th

from keisei_agent import doctor
from keisei_agent.config import NetworkConfig
from keisei_agent.networks.network import Network

DTYPES = {"float32": th.float32, "bfloat16": th.bfloat16, "float16": th.float16}
"""Number formats of a trunk by their names."""
_PARTS = ("compiled", "distribution", "heads", "network", "onnx_file")
"""Modules here that are no architecture."""


class UnknownNetwork(ValueError):
    """No architecture is called so."""


def names() -> list[str]:
    """Architectures of this package."""
    return [module.name for module in pkgutil.iter_modules(__path__) if module.name not in _PARTS]


def build(config: NetworkConfig, *, planes: int, dtype: th.dtype) -> Network:
    """Make a network with fresh weights, on the CPU.

    Args:
        config: its name and shape.
        planes: input planes P of a position.
        dtype: number format of the trunk: float32, bfloat16 or float16.

    Raises:
        UnknownNetwork: there is no such architecture.
        ValueError: it cannot be imported, or its `build` fails or makes something else.
    """
    try:
        make = getattr(importlib.import_module(_find(config.name)), "build", None)
        network = make(config, planes=planes, dtype=dtype) if callable(make) else None
    except UnknownNetwork:
        raise
    except Exception as error:  # whatever a module of somebody else does
        raise ValueError(f"network.name = {config.name!r}: {type(error).__name__}: {error}") from error
    if not isinstance(network, Network):
        raise ValueError(f"network.name = {config.name!r}: it needs a function build that returns a Network")
    return network


def resolve_precision(precision: str, device: str) -> str:
    """Return the number format that a precision stands for on a device: float32, bfloat16 or float16.

    Args:
        precision: one of these, or auto: bfloat16 where the hardware computes in it, float16 on other CUDA
            devices, else float32.
        device: cpu, cuda, cuda:1, mps.
    """
    if precision != "auto":
        return precision
    if doctor.has_bfloat16(device):
        return "bfloat16"
    return "float16" if device.startswith("cuda") else "float32"


def _find(name: str) -> str:
    """The dotted name of an architecture's module."""
    path = name if "." in name else f"{__name__}.{name}"
    try:
        found = None if name.startswith(".") else importlib.util.find_spec(path)
    except ModuleNotFoundError:
        found = None
    if found is None or name in _PARTS:
        raise UnknownNetwork(
            f"unknown network.name {name!r}, known: {', '.join(names())}, and dotted names of other modules"
        )
    return path
