"""Data-parallel learning: several processes play and learn side by side, and their weights stay equal.

``torchrun --nproc-per-node 2 -m keisei_agent train ...`` starts them.  ``env.n_envs`` and ``ppo.batch_size``
are totals, divided evenly.  What decides how learning goes on is agreed upon by all: the gradients, mean and
deviation of the advantages, the divergence that ends an update, the time, the wish to stop.  In a process
of its own every function here is the plain operation.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch as th
from torch import Tensor, nn
from torch import distributed as dist

from keisei_agent import doctor
from keisei_agent.config import Config, ConfigError

_PATIENCE = timedelta(days=1)
"""How long processes wait for one another: number 0 also evaluates and saves."""


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the other processes if torchrun started several, and leave them in the end.

    Args:
        device: of the run: cpu, cuda, cuda:1, mps.

    Yields:
        The device of this process: ``cuda:LOCAL_RANK`` where each has one, else `device`.

    Raises:
        ConfigError: several processes cannot share the device out.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device not in ("cpu", "cuda"):
        raise ConfigError(
            f"device = {device!r}: several processes learn on cpu, or each on its own cuda device"
        )
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        problem = doctor.missing_device(device)
        if problem:
            raise ConfigError(f"device = {device!r}, one for each process: {problem}")
        th.cuda.set_device(device)
    dist.init_process_group("gloo" if device == "cpu" else "nccl", timeout=_PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def size() -> int:
    """How many processes learn together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0; only number 0 saves, evaluates and tells."""
    return dist.get_rank() if size() > 1 else 0


def share(config: Config) -> Config:
    """Return what each process does of a run: its part of the games and of every minibatch.

    Raises:
        ConfigError: they cannot be divided evenly.
    """
    env, ppo = config.env, config.ppo
    for name, value in (("env.n_envs", env.n_envs), ("ppo.batch_size", ppo.batch_size)):
        if value % size():
            raise ConfigError(f"{name} = {value} cannot be divided evenly among {size()} processes")
    if env.num_workers is not None and env.num_workers > env.n_envs // size():
        raise ConfigError(
            f"env.num_workers = {env.num_workers} is more than the {env.n_envs // size()} games that each of "
            f"{size()} processes plays"
        )
    return config.model_copy(
        update={
            "env": env.model_copy(update={"n_envs": env.n_envs // size()}),
            "ppo": ppo.model_copy(update={"batch_size": ppo.batch_size // size()}),
        }
    )


def align(module: nn.Module, seed: int) -> None:
    """Give every process the weights of number 0, and torch's random numbers of its own.

    Args:
        module: built alike everywhere.
        seed: of the run; number 0 goes on with the random numbers it has.
    """
    if size() == 1:
        return
    for tensor in module.state_dict().values():
        dist.broadcast(tensor, 0)
    if rank():
        th.manual_seed(seed + rank())


def agree(stop: bool, seconds: float) -> tuple[bool, float]:
    """Return whether any process wants to stop, and the seconds that number 0 has counted."""
    if size() == 1:
        return stop, seconds
    device = "cpu" if dist.get_backend() == "gloo" else th.cuda.current_device()
    wish = th.tensor([float(stop), 0.0 if rank() else seconds], dtype=th.float64, device=device)
    dist.all_reduce(wish)
    wishes, agreed = wish.tolist()
    return wishes > 0, agreed


def mean(tensor: Tensor) -> Tensor:
    """Return the mean over all processes; `tensor` is overwritten."""
    if size() > 1:
        dist.all_reduce(tensor)
        tensor /= size()
    return tensor


def mean_and_deviation(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation, with n - 1, of the values float32[n] of all processes together."""
    if size() == 1:
        return values.mean(), values.std()
    exact = values.double()
    sums = th.stack((th.ones_like(exact).sum(), exact.sum(), exact.square().sum()))
    dist.all_reduce(sums)
    count, first, second = sums
    variance = (second - first * first / count) / (count - 1)
    return (first / count).float(), variance.clamp_min(0).sqrt().float()


def average_gradients(weights: Sequence[Tensor]) -> None:
    """Replace the gradients by their means over all processes, in one exchange."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if size() == 1 or not gradients:
        return
    together = mean(th.cat([gradient.flatten() for gradient in gradients]))
    start = 0
    for gradient in gradients:
        gradient.copy_(together[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
