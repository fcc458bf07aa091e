"""Checkpoints: the whole state of a run in a sealed folder ``checkpoints/000000123456``.

    weights.safetensors     a network file, see `weights`
    optimizer.safetensors   Adam's tensors by the names of the weights
    state.safetensors       games, generators: all arrays
    state.json              everything else, the settings included
    manifest.json           format, versions, threads, number format; SHA-256 of every file

Further processes that learned have a ``state-1.safetensors`` and a ``state-1.json`` each, and so on.
``checkpoints/latest`` holds the name of the newest.  Nothing is unpickled, and nothing is used before its
hash was compared.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.numpy
import safetensors.torch
import torch as th

from keisei_agent.files import storage
from keisei_agent.files.storage import CheckpointError
from keisei_agent.files.weights import CHECKPOINTS, LATEST, WEIGHTS, named_by, weights_from_bytes
from keisei_agent.runs.state import State

logger = logging.getLogger(__name__)

FORMAT = 1
"""Version of the folder's layout; a reader refuses what is newer than itself."""
_OPTIMIZER = "optimizer.safetensors"


class Checkpoint(NamedTuple):
    """What a checkpoint holds, verified."""

    path: Path
    weights: dict[str, th.Tensor]
    """The network's `state_dict`."""
    states: list[State]
    """Of each process that learned; the optimizer, which is the same in all, in the first one only."""
    run: dict[str, Any]
    """What belongs to the run as a whole: settings, lengths of files, and so on."""
    about: dict[str, Any]
    """What it was written with: versions, threads, number format."""


def path_of(folder: Path, num_timesteps: int) -> Path:
    """Where the checkpoint of so many decisions is, in the folder of all."""
    return folder / f"{num_timesteps:012d}"


def write(
    path: Path,
    weights: bytes,
    states: Sequence[State],
    run: Mapping[str, Any],
    about: Mapping[str, Any],
) -> None:
    """Write a checkpoint, and make it the latest.

    Args:
        path: as `path_of` gives it.
        weights: content of a network file.
        states: of all processes; see `Checkpoint`, also for the others.
        run: JSON.
        about: JSON.

    Raises:
        FileExistsError: there is one.
        OSError: it cannot be written; those before it are as they were.
    """
    files = {WEIGHTS: weights, _OPTIMIZER: safetensors.torch.save(states[0].optimizer)}
    for number, state in enumerate(states):
        arrays, values = _names(number)
        files[arrays] = safetensors.numpy.save(state.arrays)
        files[values] = storage.to_json(state.values if number else {**state.values, "run": run})
    manifest = {"format": FORMAT, "num_timesteps": int(path.name), "processes": len(states), "about": about}
    storage.write_folder(path, files, manifest)
    try:
        point_to(path)
    except OSError:
        storage.remove_folder(path)  # who tries again finds the place free
        raise


def point_to(path: Path) -> None:
    """Make a checkpoint the latest of its run."""
    storage.write_atomically(path.with_name(LATEST), f"{path.name}\n".encode())


def read(path: Path) -> Checkpoint:
    """Read and verify a checkpoint.

    Args:
        path: of a checkpoint, of its run's folder, or of the file ``latest``.

    Raises:
        CheckpointError: there is none; or it is damaged, or of a newer format: the text names the file
            and the newest good checkpoint before it.
    """
    found = find(path)
    try:
        return _read(found)
    except CheckpointError as error:
        before = newest_before(found)
        advice = f"resume from the one before it: {before}" if before else "there is no good one before it"
        raise CheckpointError(f"{error}; {advice}") from None


def _read(path: Path) -> Checkpoint:
    manifest = storage.read_manifest(path)
    if manifest["format"] > FORMAT:
        raise CheckpointError(
            f"{path} has format {manifest['format']}, this version reads up to {FORMAT}; "
            "install a newer keisei"
        )
    files = {name: storage.read_sealed(path, name, manifest) for name in manifest["files"]}
    try:
        states = []
        for number in range(manifest["processes"]):
            arrays, values = (files[name] for name in _names(number))
            optimizer = {} if number else safetensors.torch.load(files[_OPTIMIZER])
            states.append(State(optimizer, safetensors.numpy.load(arrays), json.loads(values)))
        return Checkpoint(
            path,
            weights_from_bytes(files[WEIGHTS]).tensors,
            states,
            states[0].values.pop("run"),
            manifest["about"],
        )
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is not as this version writes it: {error}") from None


def _names(number: int) -> tuple[str, str]:
    """Files with the arrays and the JSON of a process."""
    stem = f"state-{number}" if number else "state"
    return f"{stem}.safetensors", f"{stem}.json"


def find(path: Path) -> Path:
    """The checkpoint that a path stands for, absolute, whether it is whole or not; see `read`.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(os.path.abspath(path))
    if path.name == LATEST and path.is_file():
        path = path.parent.parent
    if path.parent.name == CHECKPOINTS and path.name.isdigit() and path.is_dir():
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path} is neither a run's folder nor a checkpoint in one")
    latest = path / CHECKPOINTS / LATEST
    others = numbered(path / CHECKPOINTS)
    if not latest.is_file():
        if not others:
            raise CheckpointError(f"{path} holds no checkpoint to resume from")
        logger.warning("%s is missing; the newest checkpoint is %s", latest, others[-1])
        return others[-1]  # the process died before it had named its first one
    return named_by(latest)


def numbered(folder: Path) -> list[Path]:
    """The checkpoints in a folder, from the oldest to the newest."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.isdigit() and path.is_dir())


def newest_before(path: Path) -> Path | None:
    """The newest checkpoint before another that can be read; None if there is none."""
    for older in reversed(numbered(path.parent)):
        if older.name < path.name:
            try:
                return _read(older).path
            except CheckpointError:
                continue
    return None


def keep_newest(folder: Path, count: int | None) -> None:
    """Remove all but the newest checkpoints; one that cannot be removed is named in the log."""
    for path in numbered(folder)[: -count if count else 0]:
        try:
            storage.remove_folder(path)
        except OSError as error:
            logger.warning("%s could not be removed: %s", path, error)
