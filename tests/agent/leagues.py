"""Small pools and leagues, and learners that play against them."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from learners import planes_model
from stable_baselines3.common.logger import Logger
from written import Written

from keisei_agent.callbacks.league import LeagueCallback
from keisei_agent.config import Config, parse_config
from keisei_agent.league.league import League
from keisei_agent.league.members import Member
from keisei_agent.league.pool import Pool
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.learning.seats import seats
from keisei_agent.networks import build
from keisei_agent.networks.network import Network
from shogi_env import Positions, opponents
from shogi_env.adapters.sb3 import make_vec_env
from shogi_env.arena.players import Player
from shogi_env.types import Int64Array

ROLLOUT = 48
"""Decisions in a rollout of these learners."""


def resigns(positions: Positions, idx: Int64Array) -> Int64Array:
    return np.full(len(idx), opponents.RESIGN)


def fails(positions: Positions, idx: Int64Array) -> Int64Array:
    raise RuntimeError("no power")


def tires(positions: Positions, idx: Int64Array) -> Int64Array:
    """Plays at random, and fails in a game's twelfth ply or later."""
    if (positions.plies[idx] >= 11).any():
        raise RuntimeError("no power")
    return positions.random_actions(idx)


def cheats(positions: Positions, idx: Int64Array) -> Int64Array:
    return positions.masks(where=idx).argmin(1)


PLAYERS: dict[str, Callable[..., Any]] = {
    "random": opponents.random,
    "greedy": opponents.greedy,
    "resigns": resigns,
    "fails": fails,
    "cheats": cheats,
    "few": lambda positions, idx: positions.random_actions(idx)[:-1],
    "one": lambda positions, idx: 0,
    "float": lambda positions, idx: positions.random_actions(idx) + 0.5,
    "int32": lambda positions, idx: positions.random_actions(idx).astype(np.int32),
}


class Workshop:
    """Makes players of `PLAYERS` and counts how many are open."""

    def __init__(self, **more: Callable[..., Any]) -> None:
        self.known, self.open = PLAYERS | more, Counter[str]()

    def __call__(self, spec: str) -> Player:
        name, _, version = spec.partition(";")
        self.open[name] += 1
        return Player(name, spec, "", version, self.known[name], close=lambda: self.open.subtract({name: 1}))


def a_config(n_envs: int = 6, **league: Any) -> Config:
    return parse_config(
        {
            "device": "cpu",
            "precision": "float32",
            "total_timesteps": 4 * ROLLOUT,
            "max_time": None,
            "checkpoint": {"every": ROLLOUT},
            "log": {"boards_every": None, "mates_every": None},
            "env": {"n_envs": n_envs, "max_plies": 24},
            "network": {"channels": 8, "blocks": 1, "value_hidden": 8},
            "ppo": {"n_steps": ROLLOUT // n_envs, "batch_size": 16},
            "league": {"share": 0.5, "snapshot_every": ROLLOUT, **league},
        }
    )


def a_network(seed: int = 0) -> Network:
    """A network that prefers some moves."""
    with th.random.fork_rng(devices=[]):
        th.manual_seed(seed)
        network = build(a_config().network, planes=136, dtype=th.float32)
        for weight in network.parameters():
            th.nn.init.normal_(weight, std=0.3)
    return network


def a_pool(folder: Path, make: Callable[[str], Player] | None = None, **league: Any) -> Pool:
    return Pool(
        a_config(**league), folder / "pool", folder / "checkpoints", device="cpu", make=make or Workshop()
    )


def a_league(folder: Path, make: Callable[[str], Player] | None = None, **league: Any) -> League:
    return League(a_pool(folder, make, **league), n_envs=6, seed=0)


def names(pool: Pool) -> list[str]:
    return [member.name.lstrip("0") or "0" for member in pool.members]


def member_of(pool: Pool, name: str) -> Member:
    return next(member for member in pool.members if (member.name.lstrip("0") or "0") == name)


def a_learner(
    folder: Path,
    make: Callable[[str], Player] | None = None,
    *,
    env: dict[str, Any] | None = None,
    **league: Any,
) -> tuple[SelfPlayPPO, LeagueCallback]:
    """A learner in six columns, of which the last three have the league."""
    config = a_config(**league)
    callback = LeagueCallback(a_league(folder, make, **league), config.league.snapshot_every)
    sitting = seats(6, config.league.share, callback.league)
    arguments = {"max_plies": config.env.max_plies} | (env or {})
    games = make_vec_env(6, seed=3, seats=sitting, **arguments)
    return planes_model(games, n_steps=config.ppo.n_steps), callback


def learn(
    folder: Path,
    rollouts: int,
    make: Callable[[str], Player] | None = None,
    *,
    env: dict[str, Any] | None = None,
    **league: Any,
) -> tuple[SelfPlayPPO, LeagueCallback]:
    """Let such a learner learn; its logger has one `Written`."""
    model, callback = a_learner(folder, make, env=env, **league)
    model.set_logger(Logger(None, [Written()]))
    callback.league.start(model.policy.network)
    model.learn(rollouts * ROLLOUT, callback=callback)
    return model, callback


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint would give back: numbers and texts as JSON, arrays as they were."""

    def pack(value: Any) -> Any:
        return {"array": value.tolist()} if isinstance(value, np.ndarray) else value

    def unpack(value: dict[str, Any]) -> Any:
        return np.array(value["array"], np.int64) if "array" in value else value

    text = json.dumps(state, default=pack, allow_nan=False)
    found: dict[str, Any] = json.loads(text, object_hook=unpack)
    return found
