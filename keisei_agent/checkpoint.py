"""Checkpoints: one safetensors file with weights and optimizer state by name, and a JSON description.

Reading one never unpickles anything. Files appear whole or not at all.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch as th
from torch import nn

from keisei_agent.config import TrainConfig, parse_config

FORMAT = 1
"""Version of the file's layout; a reader refuses what is newer than itself."""
_NETWORK = "network."
_OPTIMIZER = "optimizer."
_KEY = "keisei"


class CheckpointError(ValueError):
    """A file is not a checkpoint that this version can read; the text names the file and the reason."""


class Checkpoint(NamedTuple):
    """What a checkpoint file holds."""

    config: TrainConfig
    """The settings of the run that wrote it."""
    num_timesteps: int
    """Plies learned from until then."""
    network: dict[str, th.Tensor]
    """The network's `state_dict`."""
    optimizer: dict[str, th.Tensor]
    """Adam's state, `weight name.exp_avg` and so on."""


def save_checkpoint(
    path: Path, network: nn.Module, optimizer: th.optim.Optimizer, config: TrainConfig, num_timesteps: int
) -> None:
    """Write a checkpoint, replacing `path` at once.

    Args:
        path: `*.safetensors`; its folder is made if it is missing.
        network: exactly the module whose parameters `optimizer` updates.
        optimizer: Adam or another whose state is tensors.
        config: settings of the run, stored as JSON.
        num_timesteps: plies learned from so far.
    """
    tensors = {_NETWORK + name: weight for name, weight in network.state_dict().items()}
    for name, weight in network.named_parameters():
        for key, value in optimizer.state.get(weight, {}).items():
            tensors[f"{_OPTIMIZER}{name}.{key}"] = value
    # safetensors stores plain row-major arrays; the network is channels-last in memory
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {"format": FORMAT, "num_timesteps": num_timesteps, "config": config.model_dump(mode="json")}
    write_atomically(path, safetensors.torch.save(plain, {_KEY: json.dumps(about)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        CheckpointError: if the file is missing, damaged, of another kind or of a newer format.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{path} is not a readable checkpoint: {error or type(error).__name__}"
        ) from error
    if about["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has format {about['format']}, this version reads up to {FORMAT}; install a newer keisei"
        )
    return Checkpoint(
        parse_config(about["config"]),
        about["num_timesteps"],
        _with_prefix(tensors, _NETWORK),
        _with_prefix(tensors, _OPTIMIZER),
    )


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that readers see whole or not at all, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # tempfile's would be private to the user
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON atomically."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def _replace(source: Path, target: Path) -> None:
    """Rename over `target`; Windows refuses while a virus scanner or reader holds it, so try for a second."""
    for delay in (0.05, 0.1, 0.2, 0.3, 0.4):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(delay)
    os.replace(source, target)


def _with_prefix(tensors: dict[str, th.Tensor], prefix: str) -> dict[str, th.Tensor]:
    """Return the tensors whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
