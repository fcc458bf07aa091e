"""Two processes that learn together, on the CPU through gloo."""

import multiprocessing
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from fakes import RandomPlanes
from learners import planes_model
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from keisei_agent.config import ConfigError, parse_config
from keisei_agent.learning import distributed
from keisei_agent.learning.ppo import SelfPlayPPO

COLUMNS, STEPS = 8, 8


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def together(work: Callable[..., Any], folder: Path, **arguments: Any) -> list[Any]:
    """What `work(folder, **arguments)` returns in each of two processes that have joined."""
    context = multiprocessing.get_context("spawn")
    port = free_port()
    processes = [
        context.Process(target=start, args=(work, rank, port, folder, arguments), daemon=True)
        for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return [th.load(folder / f"{rank}.pt") for rank in (0, 1)]


def start(work: Callable[..., Any], rank: int, port: int, folder: Path, arguments: dict[str, Any]) -> None:
    import os

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    th.set_num_threads(1)
    with distributed.joined("cpu") as device:
        assert (device, distributed.size(), distributed.rank()) == ("cpu", 2, rank)
        th.save(work(**arguments), folder / f"{rank}.pt")


def weights_of(model: SelfPlayPPO) -> th.Tensor:
    return th.cat([weight.detach().flatten() for weight in model.policy.parameters()])


# ------------------------------------------------------------------------- one update, two ways to make it


def one_update(**arguments: Any) -> dict[str, Any]:
    """Learn from this process's columns of a stored rollout; return the weights and what the update tells."""
    size, rank = distributed.size(), distributed.rank()
    mine = np.arange(COLUMNS) // (COLUMNS // size) == rank
    env = RandomPlanes(COLUMNS // size)
    batch_size = arguments.pop("batch_size", COLUMNS * STEPS) // size
    starving = arguments.pop("starve", False)
    model = planes_model(env, n_steps=STEPS, learning_rate=1e-2, batch_size=batch_size, **arguments)
    th.nn.init.normal_(model.policy.network.value_head.weight, generator=th.Generator().manual_seed(0))
    model.set_logger(Logger(None, []))
    fill(model, mine)
    if starving and rank == 1:
        starve(model, 4)
    th.randperm = th.arange  # step after step: then both ways have the same minibatches
    model.train()
    return {"weights": weights_of(model), "update": dict(model.update.metrics())}


def starve(model: SelfPlayPPO, most: int) -> None:
    """Let memory run out wherever more than `most` positions are learned from at once."""
    evaluate = model.policy.evaluate_actions

    def evaluate_some(obs: th.Tensor, *args: Any, **kwargs: Any) -> Any:
        if len(obs) > most:
            raise MemoryError
        return evaluate(obs, *args, **kwargs)

    model.policy.evaluate_actions = evaluate_some


def fill(model: SelfPlayPPO, mine: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        planes = rng.integers(0, 2, (COLUMNS, 136, 9, 9), np.uint8)
        masks = (rng.random((COLUMNS, 2187)) < 0.02) | (np.arange(2187) == 3)
        rewards, values = rng.random((2, COLUMNS), np.float32)
        model.rollout_buffer.observe(planes[mine], masks[mine])
        log_probs = -np.log(masks.sum(1)).astype(np.float32)
        actions = np.full(COLUMNS, 3)
        starts = rng.random(COLUMNS) < 0.2
        model.rollout_buffer.add(actions[mine], rewards[mine], starts[mine], values[mine], log_probs[mine])
    last = th.from_numpy(rng.random((COLUMNS, 1), np.float32)[mine])
    model.rollout_buffer.compute_returns_and_advantage(last, np.zeros(int(mine.sum()), bool))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        {"n_epochs": 3},
        {"batch_size": 16},
        {"n_epochs": 4, "batch_size": 16, "target_kl": 0.003},
        {"batch_size": 16, "starve": True},  # one of them, which nobody has to wait for in vain
    ],
    ids=["whole rollout", "minibatches", "early stop", "out of memory"],
)
def test_an_update_of_two_is_that_of_one(
    tmp_path: Path, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(th, "randperm", th.arange)
    alone = one_update(**dict(arguments))
    both = together(one_update, tmp_path, **arguments)
    assert th.equal(both[0]["weights"], both[1]["weights"])
    assert float((both[0]["weights"] - alone["weights"]).abs().max()) <= 1e-5
    for key in (
        "policy_gradient_loss",
        "value_loss",
        "entropy",
        "approx_kl",
        "grad_norm",
        "steps",
        "early_stop",
    ):
        for update in (both[0]["update"], both[1]["update"]):
            assert update[key] == pytest.approx(alone["update"][key], rel=1e-4, abs=1e-6), key
    assert both[0]["update"]["batch_size"] == alone["update"]["batch_size"]
    if "target_kl" in arguments:
        assert alone["update"]["early_stop"] == 1
        assert 1 < alone["update"]["steps"] < 16


# --------------------------------------------------------------------------------------------- learning


class StopSecond(BaseCallback):
    """One process alone wishes to stop, in the second rollout."""

    def _on_step(self) -> bool:
        if distributed.rank() == 1 and self.model.num_timesteps > 2 * 4 * 8:
            self.model.stop_requested = True
        return True


def some_rollouts() -> dict[str, Any]:
    seed = 5
    model = planes_model(RandomPlanes(4, seed=distributed.rank()), seed=seed + 10 * distributed.rank())
    before = weights_of(model)
    distributed.align(model.policy, seed)
    aligned = weights_of(model)
    model.learn(100 * 2 * 4 * 8, callback=StopSecond())
    return {
        "before": before,
        "aligned": aligned,
        "after": weights_of(model),
        "steps": model.num_timesteps,
        "actions": th.from_numpy(model.rollout_buffer.actions.copy()),
    }


@pytest.mark.slow
def test_weights_stay_equal_and_one_may_stop_all(tmp_path: Path) -> None:
    first, second = together(some_rollouts, tmp_path)
    assert not th.equal(first["before"], second["before"])
    assert th.equal(first["aligned"], second["aligned"])
    assert th.equal(first["aligned"], first["before"])
    assert th.equal(first["after"], second["after"])
    assert not th.equal(first["after"], first["aligned"])
    assert first["steps"] == second["steps"] == 2 * 2 * 4 * 8  # two rollouts, of all processes
    assert not th.equal(first["actions"], second["actions"])


# -------------------------------------------------------------------------------------------- settings


def test_alone_every_function_is_the_plain_one() -> None:
    values = th.tensor([1.0, 2.0, 6.0])
    assert distributed.size() == 1 and distributed.rank() == 0
    assert distributed.agree(True, 3.5) == (True, 3.5)
    assert th.equal(distributed.mean(values.clone()), values)
    mean, deviation = distributed.mean_and_deviation(values)
    assert (mean, deviation) == (values.mean(), values.std())
    with distributed.joined("mps") as device:
        assert device == "mps"
    config = parse_config({})
    assert distributed.share(config) == config


def test_totals_are_shared_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "size", lambda: 4)
    config = parse_config({"env": {"n_envs": 64}, "ppo": {"batch_size": 512, "n_steps": 32}})
    mine = distributed.share(config)
    assert (mine.env.n_envs, mine.ppo.batch_size, mine.ppo.n_steps) == (16, 128, 32)
    assert mine.env.max_plies == config.env.max_plies
    with pytest.raises(ConfigError, match=r"env.n_envs = 30 cannot be divided evenly among 4 processes"):
        distributed.share(parse_config({"env": {"n_envs": 30}}))
    with pytest.raises(ConfigError, match=r"ppo.batch_size = 510 cannot be divided evenly"):
        distributed.share(parse_config({"ppo": {"batch_size": 510}}))
    with pytest.raises(ConfigError, match=r"env.num_workers = 2 is more than the 1 games that each of 4"):
        distributed.share(parse_config({"env": {"n_envs": 4, "vec_env": "subproc", "num_workers": 2}}))


@pytest.mark.parametrize("device", ["mps", "cuda:1"])
def test_devices_that_cannot_be_shared_out_are_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=f"device = '{device}'"), distributed.joined(device):
        pass


@pytest.mark.skipif(th.cuda.is_available(), reason="there is one")
def test_a_device_that_is_not_there_is_refused_before_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with (
        pytest.raises(ConfigError, match="device = 'cuda:1', one for each process: "),
        distributed.joined("cuda"),
    ):
        pass
