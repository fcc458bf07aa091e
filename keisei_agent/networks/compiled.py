"""A trunk translated by torch.compile, used only if it computes what the untranslated one does."""

import logging
from collections.abc import Callable

import torch as th
from torch import Tensor

from keisei_agent.networks.network import Network

logger = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""How far results may lie from those in float32, relative to their size, beside twice the rounding that the
untranslated trunk does in its own number format."""


def compile_trunk(
    network: Network, planes: Tensor, compiler: Callable[..., Callable[[Tensor], Tensor]] = th.compile
) -> bool:
    """Have the trunk translated, in place: names and values of the weights stay as they are.

    What it computes is compared with what the untranslated trunk computes in float32.  If it is wrong, or
    the compiler fails, a warning says so and the network stays as it was.

    Args:
        network: on its device.
        planes: [N, P, 9, 9], an example; the translation is for any N above 1.
        compiler: as `torch.compile`.

    Returns:
        Whether the network is compiled now.
    """
    try:
        exact, plain = _exact_results(network, planes), _results(network, planes)
        network.compiled = compiler(network.features, dynamic=True)
        problem = _difference(exact, plain, _results(network, planes))
    except Exception as error:  # compilers fail in many ways, and a trunk without weights has no gradients
        problem = f"{type(error).__name__}: {str(error).strip()}"
    if problem:
        network.compiled = None
        logger.warning("torch.compile is not used, learning goes on without it: %s", problem)
    return not problem


def _exact_results(network: Network, planes: Tensor) -> dict[str, Tensor]:
    kept, network.dtype = network.dtype, th.float32
    try:
        return _results(network, planes)
    finally:
        network.dtype = kept


def _results(network: Network, planes: Tensor) -> dict[str, Tensor]:
    """What the trunk computes as in acting and as in learning, and all its gradients in one."""
    with th.no_grad():
        acting = network.trunk(planes)
    learning = network.trunk(planes)
    towards = th.arange(learning.numel(), device=learning.device).cos().reshape(learning.shape)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    gradients = th.autograd.grad((learning * towards).sum(), weights, allow_unused=True)
    found = [gradient.flatten() for gradient in gradients if gradient is not None]
    named = {"features in acting": acting, "features in learning": learning.detach()}
    return named | {"gradients": th.cat(found)}


def _difference(
    exact: dict[str, Tensor], plain: dict[str, Tensor], compiled: dict[str, Tensor]
) -> str | None:
    """Say which results are further off than rounding explains; None if none is."""
    for name, right in exact.items():
        usual, distance = (float((found[name] - right).norm() / right.norm()) for found in (plain, compiled))
        if not distance <= 2 * usual + TOLERANCE:
            return f"its {name} are {distance:.2g} of their size off, the untranslated trunk's {usual:.2g}"
    return None
