"""The parts of a run, made from its settings, and what of the settings this machine cannot do."""

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecEnv

from keisei_agent import doctor
from keisei_agent.callbacks.alarms import AlarmsCallback
from keisei_agent.callbacks.boards import BoardsCallback
from keisei_agent.callbacks.display import make_display
from keisei_agent.callbacks.evaluation import EvaluationCallback
from keisei_agent.callbacks.games import GamesCallback
from keisei_agent.callbacks.league import LeagueCallback
from keisei_agent.callbacks.live import LiveCallback
from keisei_agent.callbacks.mates import MatesCallback
from keisei_agent.callbacks.metrics import MetricsCallback
from keisei_agent.callbacks.output import Outputs
from keisei_agent.callbacks.plugins import find_makers
from keisei_agent.callbacks.profile import ProfileCallback
from keisei_agent.callbacks.stop import MaxTimeCallback
from keisei_agent.callbacks.tracking import TrackingCallback
from keisei_agent.callbacks.workers import WorkersCallback
from keisei_agent.config import Config, ConfigError
from keisei_agent.files.storage import CheckpointError
from keisei_agent.files.weights import find_weights, load_weights
from keisei_agent.league.league import League
from keisei_agent.league.pool import Pool
from keisei_agent.learning import distributed
from keisei_agent.learning.buffer import PackedRolloutBuffer
from keisei_agent.learning.memory import keep_freed_memory
from keisei_agent.learning.policy import NetworkPolicy, policy_kwargs
from keisei_agent.learning.ppo import SelfPlayPPO, ppo_arguments
from keisei_agent.learning.seats import discounts, seats
from keisei_agent.learning.starts import build_starts
from keisei_agent.networks import DTYPES, build, resolve_precision
from keisei_agent.players import MAKERS, PLANES
from keisei_agent.runs.curves import EventWriter
from keisei_agent.runs.run_folder import RunFolder
from shogi_env.arena.players import make_player

LEARNERS = {"maskable_ppo": SelfPlayPPO}
"""Learning algorithms by their name in the configuration."""
NO_RAY = "ray is not installed; pip install 'keisei[ray]'"
"""Why there can be no workers."""


def check(config: Config, folder: Path | None = None) -> None:
    """Check what depends on this machine, and what the settings name: device, players, files, modules.

    Args:
        config: the settings.
        folder: of a new run; None if that is not known yet, or for one that is resumed.

    Raises:
        ConfigError: naming the setting and what stands against it.
    """
    problem = doctor.missing_device(config.device)
    if problem:
        raise ConfigError(f"device = {config.device!r}: {problem}")
    if config.precision == "bfloat16" and doctor.resolve_device(config.device) == "mps":
        raise ConfigError("precision = 'bfloat16': not supported on mps")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if config.league.share > 0:
            raise ConfigError(
                f"league.share = {config.league.share}: a pool needs a single process; set it to 0"
            )
        if config.workers.count:
            raise ConfigError(
                f"workers.count = {config.workers.count}: workers need a single process; set it to 0"
            )
    if config.workers.required and find_spec("ray") is None:
        raise ConfigError(f"workers.count = {config.workers.count}: {NO_RAY}")
    distributed.share(config)
    _check_parts(config)
    if config.evaluation.every is not None:
        _check_players("evaluation.opponents", config.evaluation.opponents)
    _check_players("league.players", config.league.players)
    if folder is not None:
        RunFolder(folder).refuse_used()
        find_start(config)


def _check_parts(config: Config) -> None:
    find_makers(config.callbacks)
    if config.log.track == "wandb" and find_spec("wandb") is None:
        raise ConfigError("log.track = 'wandb': it is not installed; pip install 'keisei[track]'")
    try:
        seats(config.env.n_envs, config.league.share, None)
        build_starts(config.env.start)
        with th.random.fork_rng(devices=[]):  # the random numbers of whoever calls this stay as they are
            build(config.network, planes=PLANES[config.env.observation], dtype=DTYPES["float32"])
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _check_players(setting: str, specs: Sequence[str]) -> None:
    names: set[str] = set()
    for spec in specs:
        try:
            with th.random.fork_rng(devices=[]), make_player(spec, makers=MAKERS) as player:
                name = player.name
        except (ValueError, OSError) as error:
            raise ConfigError(f"{setting}: {error}") from None
        if name in names:
            raise ConfigError(f"{setting}: two players are called {name!r}; NAME=PLAYER renames one")
        names.add(name)


def build_league(config: Config, folder: RunFolder, device: str) -> League | None:
    """Return who sits opposite the learner in the pool's columns, None if there are none."""
    if not config.league.share:
        return None
    pool = Pool(config, folder.pool, folder.checkpoints, device=device)
    return League(pool, n_envs=config.env.n_envs, seed=config.seed)


def build_env(config: Config, league: League | None = None) -> VecEnv:
    """Return the games, of this process where there are several; `build_model` seeds them.

    Args:
        config: of this process, see `distributed.share`.
        league: answers in the pool's columns.
    """
    from shogi_env.adapters.sb3 import make_vec_env

    n_envs = config.env.n_envs
    own: dict[str, dict[str, Any]] = {
        "native": {"threads": config.env.threads},
        "dummy": {},
        "subproc": {"num_workers": config.env.num_workers},
    }
    return make_vec_env(
        n_envs,
        backend=config.env.vec_env,
        seats=seats(n_envs, config.league.share, league),
        max_plies=config.env.max_plies,
        declaration=config.env.declaration,
        observation=config.env.observation,
        initial=build_starts(config.env.start),
        **own[config.env.vec_env],
    )


def build_model(
    config: Config, env: VecEnv, device: str | None = None, *, start: Mapping[str, th.Tensor] | None = None
) -> SelfPlayPPO:
    """Return the learner, on a device.

    Args:
        config: the settings.
        env: its games.
        device: None for that of the settings.
        start: weights of its network by name, as `find_start` returns them; None for fresh ones.
    """
    device = doctor.resolve_device(config.device) if device is None else device
    if device == "cpu":
        keep_freed_memory()
    both_seats = np.asarray(env.get_attr("both_seats"), bool)
    precision = resolve_precision(config.precision, device)
    model = LEARNERS[config.algo](
        NetworkPolicy,
        env,
        **ppo_arguments(config.ppo),
        rollout_buffer_class=PackedRolloutBuffer,
        rollout_buffer_kwargs={"discounts": discounts(both_seats, config.ppo.gamma)},
        policy_kwargs=policy_kwargs(
            config.network, precision=precision, weight_decay=config.ppo.weight_decay
        ),
        seed=config.seed,
        device=device,
    )
    # stable-baselines3 has seeded the games of every process alike
    env.seed(config.seed + distributed.rank() * config.env.n_envs)
    assert isinstance(model.policy, NetworkPolicy)
    if start is not None:
        model.policy.network.load_state_dict(dict(start))
    distributed.align(model.policy, config.seed)
    model.max_time = config.max_time
    model.measure_layers = config.log.layers
    if config.compile:
        model.policy.compile_network()
    return model


def find_start(config: Config) -> Mapping[str, th.Tensor] | None:
    """Return the weights that a new run starts with, by their names; None for fresh ones.

    Raises:
        ConfigError: there are none, or they are of another network.
    """
    if config.init_from is None:
        return None
    try:
        found = load_weights(find_weights(Path(config.init_from)))
    except CheckpointError as error:
        raise ConfigError(f"init_from: {error}") from None
    theirs = found.network.model_dump() | {"observation": found.observation}
    ours = config.network.model_dump() | {"observation": config.env.observation}
    other = [f"{name} {theirs[name]!r}, not {ours[name]!r}" for name in theirs if theirs[name] != ours[name]]
    if other:
        raise ConfigError(f"init_from = {config.init_from!r}: its network has {', '.join(other)}")
    return found.tensors


def build_logger(config: Config, folder: RunFolder | None) -> Logger:
    """Return what metrics are recorded with; other parts may add outputs.

    Args:
        config: of the run.
        folder: of the run; None writes nothing.
    """
    outputs: list[KVWriter] = []
    if config.log.tensorboard and folder is not None:
        outputs.append(EventWriter(str(folder.tensorboard)))
    return Outputs(outputs)


def close_logger(found: Logger) -> None:
    """Close the outputs and take them away, so that a model can learn on without them."""
    found.close()
    found.output_formats.clear()


def build_callbacks(
    config: Config, folder: RunFolder, league: League | None, *, profile: bool
) -> list[BaseCallback]:
    """Return the built-in callbacks in calling order.

    Those of the user follow, and behind them what writes the metrics and what saves.
    """
    found: list[BaseCallback | None] = [
        GamesCallback(),
        MetricsCallback(),
        AlarmsCallback(),
        BoardsCallback(folder.path, config.log.boards_every),
        MatesCallback(config.log.mates_every),
        EvaluationCallback(folder.path, config),
        LeagueCallback(league, config.league.snapshot_every) if league else None,
        WorkersCallback() if config.workers.count else None,
        MaxTimeCallback(config.max_time) if config.max_time is not None else None,
        TrackingCallback(folder.path, config) if config.log.track == "wandb" else None,
        make_display(config, folder.path),
        LiveCallback(folder.live, config) if config.web.enabled else None,
        ProfileCallback(folder.profile) if profile else None,
    ]
    return [callback for callback in found if callback is not None]
