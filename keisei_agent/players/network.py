"""`NetworkPlayer`: a network plays what its policy head says."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch as th

import shogi_env
from keisei_agent import doctor
from keisei_agent.files.storage import CheckpointError
from keisei_agent.files.weights import find_weights, load_weights
from keisei_agent.networks import DTYPES, build, resolve_precision
from keisei_agent.networks.distribution import LegalActions
from keisei_agent.networks.network import Network
from shogi_env.arena.digest import digest_of_file
from shogi_env.arena.players import Player, Spec, read_temperature
from shogi_env.core.constants import NUM_PLANES
from shogi_env.core.planes import PLANES_OF
from shogi_env.types import Int64Array, UInt8Array

PLANES = {kind: len(planes) for kind, planes in PLANES_OF.items()}
"""How many planes each kind of observation has."""
_SEEN = {len(planes): planes for planes in PLANES_OF.values()}
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class NetworkPlayer:
    """Plays what a network's policy head says, without search; an `Opponent`."""

    def __init__(self, network: Network, *, temperature: float = 1.0) -> None:
        """Wrap it.

        Args:
            network: used as it is, on its device, so that a player follows a network in training.
            temperature: divides the logits of what a move is drawn from; 0 plays the most probable.
        """
        self.network = network
        self.temperature = temperature

    def __call__(self, positions: "shogi_env.Positions", idx: Int64Array) -> Int64Array:
        """Return int64[K], the actions of games `idx`; draws come from the games' streams."""
        seen = select_planes(self.network, positions.planes(where=idx))
        planes = th.as_tensor(seen, device=self.network.device)
        with th.inference_mode():
            logits = self.network.forward_actor(planes) / (self.temperature or 1.0)
            distribution = LegalActions(logits.shape[1]).proba_distribution(logits)
            distribution.apply_masking(positions.masks(where=idx))
            if self.temperature == 0:
                return distribution.mode().cpu().numpy()
            numbers = positions.random_numbers(2**24, idx) / 2**24  # as many as float32 tells apart
            uniform = th.as_tensor(numbers[:, None], dtype=th.float32, device=logits.device)
            return distribution.at(uniform).cpu().numpy()


def select_planes(network: Network, planes: UInt8Array) -> UInt8Array:
    """What a network sees, uint8[K, P, 9, 9], of all planes uint8[K, 136, 9, 9]."""
    return planes if network.planes == NUM_PLANES else planes[:, _SEEN[network.planes]]


def load_player(path: Path | str, *, device: str = "cpu", temperature: float = 1.0) -> NetworkPlayer:
    """Return the player at a path, in the number format it was trained in.

    Args:
        path: a network file, a checkpoint, or a run's folder for its newest checkpoint.
        device: where it thinks: auto, cpu, cuda, cuda:1, mps.
        temperature: see `NetworkPlayer`.

    Raises:
        CheckpointError: there is nothing there that this version can read.
    """
    file, device = find_weights(Path(path)), doctor.resolve_device(device)
    weights = load_weights(file)
    dtype = DTYPES[resolve_precision(weights.precision, device)]
    try:
        network = build(weights.network, planes=PLANES[weights.observation], dtype=dtype)
        network.load_state_dict(weights.tensors)
    except (RuntimeError, ValueError) as error:  # of another shape, or an architecture that is not here
        raise CheckpointError(f"{file}: {' '.join(str(error).split())}") from None
    return NetworkPlayer(network.to(device), temperature=temperature)


def make_checkpoint_player(spec: Spec) -> Player:
    """Make the player of ``checkpoint:PATH;temperature=0;device=cpu``; the path is that of `load_player`.

    Raises:
        ValueError: the spec is wrong, or there is no such checkpoint or device.
    """
    settings = spec.read({"temperature": float, "device": str})
    if not spec.argument:
        raise ValueError(f"{spec.text!r}: write checkpoint:PATH")
    temperature, device = read_temperature(spec, settings), check_device(spec, settings)
    path = find_weights(Path(spec.argument))
    network = load_player(path, device=device, temperature=temperature)
    return Player(
        name=spec.text,
        spec=spec.text,
        version=f"keisei {shogi_env.__version__}",
        digest=digest_of_file(path),
        choose=network,
        deterministic=temperature == 0,
    )


def check_device(spec: Spec, settings: Mapping[str, Any]) -> str:
    """The device among a player's settings, cpu if there is none.

    Raises:
        ValueError: it is no device, or none that is here.
    """
    device: str = settings.get("device", "cpu")
    problem = doctor.missing_device(device) if _DEVICE.fullmatch(device) else "auto, cpu, mps, cuda or cuda:1"
    if problem:
        raise ValueError(f"{spec.text!r}: device: {problem}")
    return device
