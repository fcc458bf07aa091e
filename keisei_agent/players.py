"""Players made from networks, for the matches of `shogi_env.arena`."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch as th

import shogi_env
from keisei_agent import doctor
from keisei_agent.checkpoint import load_checkpoint
from keisei_agent.distribution import LegalActions, sample_legal
from keisei_agent.networks.resnet import ResNet
from shogi_env import opponents
from shogi_env.arena.digest import digest_of_file, seed_of
from shogi_env.arena.match import Pairing, play
from shogi_env.arena.openings import Opening
from shogi_env.arena.players import Maker, Player, Spec
from shogi_env.opponents import Opponent
from shogi_env.types import Int64Array

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class NetworkPlayer:
    """Plays what a network's policy head says, without search; an `Opponent`."""

    def __init__(self, network: ResNet, *, temperature: float = 1.0) -> None:
        """Wrap it.

        Args:
            network: used as it is, on its device, so that a player follows a network in training.
            temperature: divides the logits of what a move is drawn from; 0 plays the most probable.
        """
        self.network = network
        self.temperature = temperature

    def __call__(self, positions: "shogi_env.Positions", idx: Int64Array) -> Int64Array:
        """Return int64[K], the actions of games `idx`; draws come from the games' streams."""
        planes = th.as_tensor(positions.planes(where=idx), device=self.network.policy_head.weight.device)
        masks = positions.masks(where=idx)
        with th.inference_mode():
            logits = self.network.forward_actor(planes)
            if self.temperature == 0:
                return sample_legal(logits, masks, greedy=True)
            distribution = LegalActions(logits.shape[1]).proba_distribution(logits / self.temperature)
            distribution.apply_masking(masks)
            numbers = positions.random_numbers(2**24, idx) / 2**24  # as many as float32 tells apart
            uniform = th.as_tensor(numbers[:, None], dtype=th.float32, device=logits.device)
            return distribution.at(uniform).cpu().numpy()


def load_player(path: Path, *, device: str = "cpu", temperature: float = 1.0) -> NetworkPlayer:
    """Return the player that a checkpoint holds, in the number format it was trained in.

    Raises:
        CheckpointError: if the file is not a checkpoint that this version can read.
    """
    checkpoint = load_checkpoint(path)
    config = checkpoint.config
    in_bfloat16 = config.precision == "bfloat16" or (
        config.precision == "auto" and doctor.has_bfloat16(device)
    )
    network = ResNet(**config.network.model_dump(), in_bfloat16=in_bfloat16)
    network.load_state_dict(checkpoint.network)
    return NetworkPlayer(network.to(device), temperature=temperature)


def find_checkpoint(path: Path) -> Path:
    """The checkpoint at a path: the file itself, or the newest one of a run's folder.

    Raises:
        ValueError: there is none.
    """
    if not path.is_dir():
        return path
    found = [*path.glob("*.safetensors"), *path.glob("checkpoints/*.safetensors")]
    numbered = [file for file in found if file.stem.isdigit()]
    if not numbered:
        raise ValueError(f"{path} holds no checkpoint, nor does a folder checkpoints in it")
    return max(numbered, key=lambda file: int(file.stem))


def make_checkpoint_player(spec: Spec) -> Player:
    """Make the player of ``checkpoint:PATH;temperature=0;device=cpu``: a checkpoint or a run's folder.

    Raises:
        ValueError: the spec is wrong, or there is no such checkpoint or device.
    """
    settings = spec.read({"temperature": float, "device": str})
    temperature, device = settings.get("temperature", 0.0), settings.get("device", "cpu")
    if not spec.argument:
        raise ValueError(f"{spec.text!r}: write checkpoint:PATH")
    if temperature != 0 and not 0.01 <= temperature <= 100:
        raise ValueError(f"{spec.text!r}: temperature is 0, or 0.01..100")
    problem = doctor.missing_device(device) if _DEVICE.fullmatch(device) else "auto, cpu, mps, cuda or cuda:1"
    if problem:
        raise ValueError(f"{spec.text!r}: device: {problem}")
    path = find_checkpoint(Path(spec.argument))
    network = load_player(path, device=doctor.resolve_device(device), temperature=temperature)
    return Player(
        name=spec.text,
        spec=spec.text,
        version=f"keisei {shogi_env.__version__}",
        digest=digest_of_file(path),
        choose=network,
        deterministic=temperature == 0,
    )


MAKERS: Mapping[str, Maker] = {"checkpoint": make_checkpoint_player}
"""Kinds of players for `shogi_env.arena.players.make_player`, beside its own."""


@dataclass(frozen=True)
class Score:
    """Results of a match from one player's side."""

    wins: int
    draws: int
    losses: int
    plies: float
    """Mean length of a game."""

    @property
    def games(self) -> int:
        """Games played."""
        return self.wins + self.draws + self.losses

    def __str__(self) -> str:
        """Return counts and the share of wins."""
        share = 100 * self.wins / self.games
        return (
            f"{self.wins} wins, {self.draws} draws, {self.losses} losses"
            f" of {self.games} games ({share:.1f} % wins, {self.plies:.0f} plies on average)"
        )

    def as_dict(self) -> dict[str, float]:
        """Return the fields for JSON."""
        return asdict(self)


def play_random(choose: Opponent, games: int, *, seed: int, max_plies: int = 512) -> Score:
    """Play against uniformly random legal moves, every other game as Black.

    Args:
        choose: whose score is returned.
        games: how many, at least 1.
        seed: of the games' random streams; no other random stream is touched.
        max_plies: after which a game is a draw.

    Raises:
        RuntimeError: the player failed in a game, or its move was illegal.
    """
    player = Player("player", "", "", "", choose)
    other = Player("random", "random", "", "", opponents.random)
    pairings = [
        Pairing(str(k), *((other, player) if k % 2 else (player, other)), Opening(), seed_of(seed, k))
        for k in range(games)
    ]
    records = list(play(pairings, max_plies=max_plies))
    for record in records:
        if record.result == "void" or record.reason == "illegal_move":
            raise RuntimeError(record.reason)
    scores = [record.score("player") for record in records]
    wins, draws, losses = (scores.count(value) for value in (1.0, 0.5, 0.0))
    return Score(wins, draws, losses, float(np.mean([len(record.moves) for record in records])))
