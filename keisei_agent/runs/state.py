"""Everything that decides how a run goes on, taken from its parts and put back into them.

A state is arrays by name, and JSON.  It is taken at a boundary, when nothing is half done and nothing that
was recorded waits to be written.  Callbacks with `state` and `restore` take part in it:

    def state(self) -> dict[str, Any]: ...      # JSON, with arrays wherever a value may stand
    def restore(self, state: dict[str, Any]) -> None: ...
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.files.storage import CheckpointError
from keisei_agent.files.trees import shaped_like, with_arrays, without_arrays
from keisei_agent.files.weights import plain
from keisei_agent.learning.policy import NetworkPolicy
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.networks.network import Network
from keisei_agent.runs import generators

logger = logging.getLogger(__name__)


@runtime_checkable
class Stateful(Protocol):
    """What has a state of its own."""

    def state(self) -> dict[str, Any]:
        """JSON and arrays."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned, perhaps in another process."""


class State(NamedTuple):
    """What a run knows, besides its weights and its settings."""

    optimizer: dict[str, th.Tensor]
    """Adam's tensors on the CPU, ``weight name.exp_avg`` and so on."""
    arrays: dict[str, np.ndarray]
    """Games, generators and whatever else is arrays."""
    values: dict[str, Any]
    """The rest, as JSON, with references to the arrays."""


def capture(model: SelfPlayPPO, callbacks: Sequence[BaseCallback]) -> State:
    """Take the state of a run at a boundary; nothing is changed.

    Args:
        model: with its games.
        callbacks: the states of those that have one are taken too. One that fails is logged and left out,
            unless the callback is fatal.
    """
    assert model.env is not None and isinstance(model._last_obs, np.ndarray)
    found = {
        "model": _counters(model),
        "env": model.env.get_state(),  # type: ignore[attr-defined]  # all of this project's have it
        "last_obs": np.packbits(model._last_obs.reshape(len(model._last_obs), -1), axis=1),
        "last_episode_starts": model._last_episode_starts,
        "generators": generators.capture(),
    }
    arrays: dict[str, np.ndarray] = {}
    values = without_arrays(found, "", arrays)
    values["callbacks"] = {}
    for name, callback in stateful(callbacks):
        own: dict[str, np.ndarray] = {}
        try:
            value = without_arrays(callback.state(), f"callbacks.{name}", own)
            json.dumps(value, allow_nan=False)
        except (Exception, SystemExit):
            if getattr(callback, "fatal", False):
                raise
            logger.exception("%s.state failed; the checkpoint is without it", name)
            continue
        values["callbacks"][name] = value
        arrays |= own
    return State(_optimizer_tensors(network_of(model), model.policy.optimizer), arrays, values)


def restore_model(model: SelfPlayPPO, weights: Mapping[str, th.Tensor], state: State) -> None:
    """Put weights, optimizer, counters and games back, before `learn`.

    Raises:
        CheckpointError: they do not fit.
    """
    network = network_of(model)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"the weights do not fit the network: {' '.join(str(error).split())}") from None
    _restore_optimizer(network, model.policy.optimizer, state.optimizer)
    values = with_arrays(state.values, state.arrays)
    _restore_counters(model, values["model"])
    assert model.env is not None
    template = model.env.get_state()  # type: ignore[attr-defined]
    model.env.set_state(shaped_like(template, values["env"], "env"))  # type: ignore[attr-defined]
    shape = model.observation_space.shape
    assert shape is not None
    bits = np.unpackbits(values["last_obs"], axis=1, count=int(np.prod(shape)))
    model._last_obs = bits.reshape(-1, *shape)
    model._last_episode_starts = values["last_episode_starts"]


def restore_callbacks(callbacks: Sequence[BaseCallback], state: State) -> None:
    """Put the states of callbacks back, when they are set up.

    Raises:
        CheckpointError: one does not fit its callback.
    """
    left = with_arrays(state.values["callbacks"], state.arrays)
    for name, callback in stateful(callbacks):
        if name not in left:
            logger.warning("%s begins anew: the checkpoint holds nothing of it", name)
            continue
        try:
            callback.restore(left.pop(name))
        except (Exception, SystemExit) as error:
            raise CheckpointError(
                f"the checkpoint's state of {name} does not fit it: {type(error).__name__}: {error}"
            ) from error
    for name in left:
        logger.warning("%s takes no part any more; what the checkpoint holds of it is not used", name)


def restore_generators(state: State) -> None:
    """Put the random generators back, last of all."""
    generators.restore(with_arrays(state.values["generators"], state.arrays))


def stateful(callbacks: Sequence[BaseCallback]) -> Iterator[tuple[str, Any]]:
    """The callbacks that have a state, each with a name of its own."""
    names: list[str] = []
    for callback in callbacks:
        if isinstance(callback, Stateful):
            names.append(type(callback).__name__)
            count = names.count(names[-1])
            yield names[-1] + (f" {count}" if count > 1 else ""), callback


def network_of(model: SelfPlayPPO) -> Network:
    """The network that learns."""
    assert isinstance(model.policy, NetworkPolicy)
    return model.policy.network


def _optimizer_tensors(network: Network, optimizer: th.optim.Optimizer) -> dict[str, th.Tensor]:
    return {
        f"{name}.{key}": plain(value)
        for name, weight in network.named_parameters()
        for key, value in optimizer.state.get(weight, {}).items()
    }


def _restore_optimizer(
    network: Network, optimizer: th.optim.Optimizer, tensors: Mapping[str, th.Tensor]
) -> None:
    """Give each weight its tensors, in the weight's own memory layout, in which new ones would be made.

    Raises:
        CheckpointError: some are of a weight that there is not.
    """
    found: dict[str, dict[str, th.Tensor]] = {}
    for full_name, tensor in tensors.items():
        name, _, key = full_name.rpartition(".")
        found.setdefault(name, {})[key] = tensor
    weights = (weight for group in optimizer.param_groups for weight in group["params"])
    numbers = {weight: number for number, weight in enumerate(weights)}  # as in its state_dict
    current = optimizer.state_dict()
    for name, weight in network.named_parameters():
        current["state"][numbers[weight]] = {
            key: th.empty_like(weight).copy_(value) if value.shape == weight.shape else value.clone()
            for key, value in found.pop(name, {}).items()
        }
    if found:
        raise CheckpointError(f"the optimizer's state is of a weight that there is not: {min(found)}")
    optimizer.load_state_dict(current)


def _counters(model: SelfPlayPPO) -> dict[str, Any]:
    return {
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "seconds": model.seconds,
        "minibatch_splits": model.minibatch_splits,
        "scaler": None if model.scaler is None else model.scaler.state_dict(),
    }


def _restore_counters(model: SelfPlayPPO, found: Mapping[str, Any]) -> None:
    model.num_timesteps = found["num_timesteps"]
    model._n_updates = found["n_updates"]
    model.seconds = found["seconds"]
    model.minibatch_splits = found["minibatch_splits"]
    if model.scaler is not None and found["scaler"] is not None:  # another precision begins with a fresh one
        model.scaler.load_state_dict(found["scaler"])
