"""What a run says of itself before it begins."""

from collections.abc import Iterator
from pathlib import Path

import torch as th

from keisei_agent.config import Config
from keisei_agent.learning import distributed
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.runs.state import network_of


def describe(config: Config, model: SelfPlayPPO, folder: Path, resumed_from: Path | None) -> Iterator[str]:
    """Yield lines for people: what learns, on what, from which games, how long, and from where on.

    Args:
        config: of the run.
        model: ready to learn.
        folder: of the run.
        resumed_from: the checkpoint it goes on from, None for a new run.
    """
    network = network_of(model)
    precision = str(network.dtype).removeprefix("torch.")
    processes = f", {distributed.size()} processes" if distributed.size() > 1 else ""
    weights = sum(weight.numel() for weight in network.parameters())
    shape = "x".join(map(str, model.observation_space.shape or ()))
    yield f"Run {folder.name}, seed {config.seed}, in {folder}"
    threads = f"{th.get_num_threads()} threads{processes}"
    yield f"Device {model.device} in {precision}, {threads}; torch {th.__version__}"
    form = f"{config.network.channels}x{config.network.blocks}"
    actions = model.action_space.n  # type: ignore[attr-defined]  # it is a Discrete
    yield f"Network {config.network.name} {form}, {weights:,} weights; planes {shape}, {actions:,} actions"
    minibatch = min(config.ppo.batch_size, config.rollout)
    yield (
        f"Games {config.env.n_envs} at once ({config.env.vec_env}), {config.ppo.n_steps} decisions each: "
        f"rollouts of {config.rollout:,}, minibatches of {minibatch:,}"
    )
    yield from _workers(config, resumed=resumed_from is not None)
    yield f"Target {' or '.join(_target(config))}"
    yield "New run" if resumed_from is None else f"Resumed from {resumed_from}"
    yield f"Learning starts at decision {model.num_timesteps:,}"


def _workers(config: Config, *, resumed: bool) -> Iterator[str]:
    workers = config.workers
    if not workers.count:
        return
    where = "a cluster of this run's own" if workers.ray_address is None else f"cluster {workers.ray_address}"
    yield f"Workers {workers.count} on Ray ({where}), {config.env.n_envs // workers.count} games each"
    if resumed and workers.max_staleness:
        yield "Workers play ahead: the first rollout is played with newer weights than it would have been"


def _target(config: Config) -> Iterator[str]:
    total, rollout = config.total_timesteps, config.rollout
    if total is not None:
        whole = -(-total // rollout) * rollout
        rounded = f", {total:,} rounded up to whole rollouts" if whole != total else ""
        yield f"{whole:,} decisions{rounded}"
    if config.max_time is not None:
        yield f"{config.max_time:,.0f} seconds of learning"
