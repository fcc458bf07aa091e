"""What the settings say reaches the parts that a run is built from; sections have tests of their own."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from runs import EvaluatorHere, lines_of

from keisei_agent.callbacks import evaluation
from keisei_agent.config import Config, with_changes
from keisei_agent.learning.policy import NetworkPolicy
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.players import PLANES
from keisei_agent.runs.build import build_env, build_model
from keisei_agent.runs.training import train
from shogi_env import Termination
from shogi_env.adapters.sb3 import NativeVecEnv, ScalarVecEnv, SubprocVecEnv

BACKENDS = {NativeVecEnv: "native", ScalarVecEnv: "dummy", SubprocVecEnv: "subproc"}


def built(config: Config) -> SelfPlayPPO:
    return build_model(config, build_env(config))


def length_of_games(model: SelfPlayPPO) -> int:
    """Steps until the first game ends, legal move after legal move."""
    model.env.reset()
    for ply in range(1, 100):
        *_, dones, _ = model.env.step(model.env.action_masks().argmax(axis=1))
        if dones.any():
            return ply
    raise AssertionError("no game ends")


@pytest.mark.parametrize(
    ("setting", "value", "look"),
    [
        ("precision", "bfloat16", lambda model: str(model.policy.network.dtype).removeprefix("torch.")),
        ("max_time", 60.0, lambda model: model.max_time),
        ("env.n_envs", 2, lambda model: model.env.num_envs),
        ("env.max_plies", 3, length_of_games),
        ("env.observation", "pieces", lambda model: name_of(model.observation_space.shape[0])),
        ("env.observation", "dlshogi", lambda model: name_of(model.observation_space.shape[0])),
        ("env.vec_env", "dummy", lambda model: BACKENDS[type(model.env)]),
        ("ppo.gamma", 0.75, lambda model: -model.rollout_buffer.gamma[0]),
        ("ppo.weight_decay", 0.1, lambda model: model.policy.optimizer.param_groups[0]["weight_decay"]),
        ("log.layers", True, lambda model: model.measure_layers),
    ],
)
def test_a_setting_has_its_effect(
    small: Config, setting: str, value: Any, look: Callable[[SelfPlayPPO], Any]
) -> None:
    assert look(built(with_changes(small, {setting: value}))) == value
    assert look(built(small)) != value


def name_of(planes: int) -> str:
    return next(name for name, count in PLANES.items() if count == planes)


def test_games_start_where_the_settings_say(small: Config, tmp_path: Path) -> None:
    (tmp_path / "starts.txt").write_text("2-piece\n", encoding="utf-8")
    found = []
    for start in (
        {"random_share": 0.0},
        {"file_share": 1.0, "file": str(tmp_path / "starts.txt")},
        {"random_share": 1.0, "random_plies": 9},
    ):
        env = build_env(with_changes(small, {"env.start": start}))
        env.reset()
        found.append(set(env.env_method("sfen")))
    even, file, after_random_plies = found
    assert len(even) == len(file) == 1
    assert even != file
    assert len(after_random_plies) > 1


@pytest.mark.parametrize("vec_env", BACKENDS.values())
def test_declarations_win_if_one_asks(small: Config, tmp_path: Path, vec_env: str) -> None:
    (tmp_path / "one.txt").write_text("K1GGG4/SSSS5/NNN6/9/9/9/9/9/8k w 2R2BG2L9Pnl9p 1\n", encoding="utf-8")
    start = {"file_share": 1.0, "file": str(tmp_path / "one.txt")}
    for declaration, ended in (("auto", True), ("off", False)):
        settings = {"vec_env": vec_env, "start": start, "declaration": declaration}
        env = build_env(with_changes(small, {"env": settings}))
        env.reset()
        masks = np.stack(env.env_method("action_masks"))
        *_, dones, infos = env.step(masks.argmax(axis=1))  # White moves, then Black could declare
        env.close()
        assert dones.tolist() == [ended] * env.num_envs
        assert all(info["termination"] == Termination.DECLARATION for info in infos if ended)


@pytest.mark.parametrize("threads", [1, 3])
def test_so_many_threads_play(small: Config, threads: int) -> None:
    before = set(threading.enumerate())
    many = {"env.n_envs": 128, "checkpoint.every": 1024}  # fewer games are not worth a thread
    model = built(with_changes(small, {**many, "env.threads": threads}))
    length_of_games(model)
    others = len(set(threading.enumerate()) - before)  # one that is idle is not joined by another
    assert (others > 0) == (threads > 1)
    assert others < threads


def test_another_seed_is_another_network(small: Config) -> None:
    first, same, other = (
        th.cat([weight.detach().flatten() for weight in built(config).policy.parameters()])
        for config in (small, small, with_changes(small, {"seed": 1}))
    )
    assert th.equal(first, same)
    assert not th.equal(first, other)


@pytest.mark.parametrize("wanted", [False, True])
def test_the_network_is_translated_if_one_asks(
    small: Config, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    translated: list[NetworkPolicy] = []
    monkeypatch.setattr(NetworkPolicy, "compile_network", lambda policy: translated.append(policy))
    model = built(with_changes(small, {"compile": wanted}))
    assert translated == [model.policy] * wanted


@pytest.mark.parametrize(("curves", "temperature"), [(True, 1.0), (False, 0.5)])
def test_curves_and_the_temperature_of_evaluations(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, curves: bool, temperature: float
) -> None:
    monkeypatch.setattr(evaluation, "Evaluator", EvaluatorHere)
    settings = {"every": 32, "games": 2, "opponents": ["random"], "temperature": temperature}
    changes = {"total_timesteps": 32, "eval_games": 0, "evaluation": settings, "log.tensorboard": curves}
    train(with_changes(small, changes), tmp_path)
    assert (tmp_path / "tensorboard").exists() == curves
    games = lines_of(tmp_path / "games.jsonl")
    assert len(games) == 2
    for game in games:
        specs = [game[side]["spec"] for side in ("black", "white")]
        assert sum(spec.endswith(f";temperature={temperature:g}") for spec in specs) == 1
