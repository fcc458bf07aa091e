"""Network files: the weights of one network by name, and what is needed to build it.  Nothing is unpickled.

A network file is a safetensors file.  Its tensors are called ``network.NAME``; its metadata holds one
entry, "keisei": JSON with the format, the decisions learned from, the network's shape, the planes it sees,
its number format, and the whole settings of the run, for people, without secrets.  Snapshots of the league,
evaluated networks, the best and the final one are such files, and so is each checkpoint's
``weights.safetensors``.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch as th
from pydantic import ValidationError
from torch import nn

from keisei_agent.about import redact_values
from keisei_agent.config import Config, NetworkConfig
from keisei_agent.files.storage import MANIFEST, CheckpointError, read_sealed, write_atomically

FORMAT = 2
"""Version of the file's layout; format 1 was never released."""
WEIGHTS = "weights.safetensors"
"""The network file of a checkpoint."""
CHECKPOINTS = "checkpoints"
"""Folder of a run that holds its checkpoints, each a folder named by its decisions."""
LATEST = "latest"
"""File in there with the name of the newest."""
_KEY = "keisei"
_PREFIX = "network."


class Weights(NamedTuple):
    """What a network file holds."""

    network: NetworkConfig
    """The network's shape."""
    observation: str
    """Planes it sees, as `EnvConfig.observation`."""
    precision: str
    """Number format of its trunk, as `Config.precision`."""
    num_timesteps: int
    """Decisions learned from until then."""
    tensors: dict[str, th.Tensor]
    """The network's `state_dict`, on the CPU."""


def save_weights(path: Path, network: nn.Module, config: Config, num_timesteps: int) -> None:
    """Write a network file, replacing `path` at once; its folder is made if it is missing.

    Args:
        path: ``*.safetensors``.
        network: as `config` describes it.
        config: settings of the run.
        num_timesteps: decisions learned from so far.
    """
    write_atomically(path, weights_to_bytes(network, config, num_timesteps))


def weights_to_bytes(network: nn.Module, config: Config, num_timesteps: int) -> bytes:
    """The content of a network file; see `save_weights`."""
    about = {
        "format": FORMAT,
        "num_timesteps": num_timesteps,
        "network": config.network.model_dump(mode="json"),
        "observation": config.env.observation,
        "precision": config.precision,
        "config": redact_values(config.model_dump(mode="json")),
    }
    tensors = {_PREFIX + name: plain(weight) for name, weight in network.state_dict().items()}
    return safetensors.torch.save(tensors, {_KEY: json.dumps(about)})


def load_weights(path: Path) -> Weights:
    """Read a network file; one of a checkpoint is compared with the checkpoint's manifest first.

    Raises:
        CheckpointError: the file is missing, damaged, of another kind or of another format.
    """
    try:
        sealed = path.name == WEIGHTS and (path.parent / MANIFEST).exists()
        data = read_sealed(path.parent, WEIGHTS) if sealed else path.read_bytes()
        return weights_from_bytes(data)
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {_one_line(error)}") from error


def weights_from_bytes(data: bytes) -> Weights:
    """Read the content of a network file.

    Raises:
        ValueError: it is none, or of another format.
    """
    about = _metadata(data)
    if about["format"] != FORMAT:
        newer = about["format"] > FORMAT
        advice = "install a newer keisei" if newer else "it was written before keisei was released"
        raise ValueError(f"format {about['format']}, this version reads {FORMAT}; {advice}")
    tensors = {
        name.removeprefix(_PREFIX): tensor
        for name, tensor in safetensors.torch.load(data).items()
        if name.startswith(_PREFIX)
    }
    return Weights(
        NetworkConfig.model_validate(about["network"]),
        about["observation"],
        about["precision"],
        about["num_timesteps"],
        tensors,
    )


def find_weights(path: Path) -> Path:
    """The network file at a path: the file itself, a checkpoint's, or that of a run's newest checkpoint.

    Raises:
        CheckpointError: there is none.
    """
    if path.name == LATEST and path.is_file():
        path = path.parent.parent
    if not path.is_dir():
        return path
    latest = path / CHECKPOINTS / LATEST
    folder = named_by(latest) if latest.is_file() else path
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{path} holds no checkpoint, nor is it one")
    return folder / WEIGHTS


def named_by(latest: Path) -> Path:
    """The checkpoint that a run's file ``latest`` names, whether it is there or not.

    Raises:
        CheckpointError: it names none.
    """
    name = latest.read_text("utf-8", errors="replace").strip()
    if not name.isdigit():
        raise CheckpointError(f"{latest} is damaged: it holds {name[:40]!r}; name a checkpoint beside it")
    return latest.with_name(name)


def plain(tensor: th.Tensor) -> th.Tensor:
    """A copy as safetensors stores it: on the CPU, row after row; networks are channels-last in memory."""
    return tensor.detach().to("cpu", copy=True, memory_format=th.contiguous_format)


def _metadata(data: bytes) -> dict[str, Any]:
    """The entry "keisei" of a safetensors file: 8 bytes say how long the JSON before the tensors is.

    Source: https://github.com/huggingface/safetensors, "Format".
    """
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    about: dict[str, Any] = json.loads(header["__metadata__"][_KEY])
    return about


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{problem['loc']}: {problem['msg']}" for problem in error.errors())
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    return " ".join(str(error).split()) or type(error).__name__
