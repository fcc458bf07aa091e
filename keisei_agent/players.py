"""Players made from networks, and how they fare against random moves."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch as th

import shogi_env
from keisei_agent.checkpoint import load_checkpoint
from keisei_agent.distribution import sample_legal
from keisei_agent.networks.resnet import ResNet
from shogi_env.types import Int64Array, Termination

Player: TypeAlias = Callable[["shogi_env.Positions", Int64Array], Int64Array]
"""Chooses actions int64[K] for the games idx int64[K] of a batch, as `shogi_env.opponents` do."""


class NetworkPlayer:
    """Plays what a network's policy head says, without search."""

    def __init__(self, network: ResNet, *, greedy: bool = False) -> None:
        """Wrap it.

        Args:
            network: used as it is, on its device, so that a player follows a network in training.
            greedy: play the most probable move instead of drawing one.
        """
        self.network = network
        self.greedy = greedy

    def __call__(self, positions: "shogi_env.Positions", idx: Int64Array) -> Int64Array:
        """Return int64[K], the actions of games `idx`."""
        device = self.network.policy_head.weight.device
        planes = th.as_tensor(positions.planes()[idx], device=device)
        with th.inference_mode():
            logits = self.network.forward_actor(planes)
            return sample_legal(logits, positions.masks()[idx], greedy=self.greedy)


def load_player(path: Path, *, device: str = "cpu", greedy: bool = False) -> NetworkPlayer:
    """Return the player that a checkpoint holds.

    Raises:
        CheckpointError: if the file is not a checkpoint that this version can read.
    """
    checkpoint = load_checkpoint(path)
    network = ResNet(**checkpoint.config.network.model_dump())
    network.load_state_dict(checkpoint.network)
    return NetworkPlayer(network.to(device), greedy=greedy)


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


def play_random(player: Player, games: int, *, seed: int, max_plies: int = 512) -> Score:
    """Play against uniformly random legal moves, every other game as Black.

    Args:
        player: whose score is returned.
        games: how many, at least 1.
        seed: of the random moves and of the player's sampling; the caller's random streams are untouched.
        max_plies: after which a game is a draw.
    """
    results: list[tuple[Int64Array, Int64Array]] = []
    with th.random.fork_rng():
        th.manual_seed(seed)
        for first in range(0, games, _BATCH):
            results.append(_play_batch(player, min(_BATCH, games - first), seed + first, max_plies))
    points, plies = (np.concatenate(parts) for parts in zip(*results, strict=True))
    wins, draws, losses = (int((points == value).sum()) for value in (1, 0, -1))
    return Score(wins, draws, losses, float(plies.mean()))


_BATCH = 256


def _play_batch(player: Player, games: int, seed: int, max_plies: int) -> tuple[Int64Array, Int64Array]:
    """Return the player's points int64[games] in -1, 0, 1 and the lengths int64[games]."""
    positions = shogi_env.Positions(games, max_plies=max_plies)
    positions.seed(np.random.default_rng(seed).integers(1, 2**64, games, np.uint64))
    seats = np.arange(games) % 2
    while True:
        termination, winner = positions.outcomes()
        running = termination == Termination.RUNNING
        if not running.any():
            points = np.where(winner == seats, 1, np.where(winner == 1 - seats, -1, 0))
            return points, positions.plies.astype(np.int64)
        own = running & (positions.turns == seats)
        mine, other = np.flatnonzero(own), np.flatnonzero(running & ~own)
        if mine.size:
            positions.apply(player(positions, mine), mine)
        positions.apply(positions.random_actions(other), other)
