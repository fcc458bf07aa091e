from pathlib import Path
from typing import Any

import pytest

from keisei_agent.commands.options import Options, build_parser, read_options, read_settings
from keisei_agent.config import Config, load_config
from keisei_agent.config.files import flatten


def read(*arguments: str) -> tuple[Options, dict[str, Any]]:
    parser = build_parser()
    options = read_options(parser, arguments)
    return options, read_settings(parser, options)


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], {}),
        (["-n", "1e6"], {"total_timesteps": 1_000_000}),
        (["-n5_000"], {"total_timesteps": 5000}),
        (["--total_timesteps=5000"], {"total_timesteps": 5000}),
        (["--max-time", "90s"], {"max_time": 90}),
        (["-n", "5", "--max-time", "none"], {"total_timesteps": 5, "max_time": None}),
        (["-n", "none", "--eval-freq", "None"], {"total_timesteps": None, "evaluation.every": None}),
        (["--algo", "maskable_ppo"], {"algo": "maskable_ppo"}),
        (["--seed", "0"], {"seed": 0}),
        (["--device", "cpu"], {"device": "cpu"}),
        (["--n-envs", "8"], {"env.n_envs": 8}),
        (["--vec-env", "subproc"], {"env.vec_env": "subproc"}),
        (["--workers", "2", "--workers-required"], {"workers.count": 2, "workers.required": True}),
        (["--workers", "0", "--ray-address", "none"], {"workers.count": 0, "workers.ray_address": None}),
        (["--ray-address", "head:6379"], {"workers.ray_address": "head:6379"}),
        (["--save-freq", "1e5"], {"checkpoint.every": 100_000}),
        (["--eval-games", "0"], {"eval_games": 0}),
        (["--eval-freq", "5000"], {"evaluation.every": 5000}),
        (["--eval-opponents", "random", "greedy"], {"evaluation.opponents": ["random", "greedy"]}),
        (["-P"], {"log.display": "rich"}),
        (["--progress", "--seed", "1"], {"log.display": "rich", "seed": 1}),
        (["--track"], {"log.track": "wandb"}),
        (["--track", "off"], {"log.track": "off"}),
        (["--seed", "1", "--seed", "2"], {"seed": 2}),
        (["--ppo.learning-rate", "3e-4"], {"ppo.learning_rate": 3e-4}),
        (["--ppo.learning_rate=3e-4"], {"ppo.learning_rate": 3e-4}),
        (["--ppo.learning-rate", "1", "--ppo.learning_rate", "0.5"], {"ppo.learning_rate": 0.5}),
        (["--ppo.target-kl", "none", "--seed", "1"], {"ppo.target_kl": None, "seed": 1}),
        (["--env.start.random-share=0.5"], {"env.start.random_share": 0.5}),
        (["--league.players", "random", "a=b"], {"league.players": ["random", "a=b"]}),
        (["--league.players=random,greedy"], {"league.players": ["random", "greedy"]}),
        (["--compile"], {"compile": True}),
        (["--compile=False"], {"compile": False}),
        (["--compile", "--precision", "float32"], {"compile": True, "precision": "float32"}),
        (["--callbacks", "mine.Callback"], {"callbacks": ["mine.Callback"]}),
        (["--env.n-envs", "8"], {"env.n_envs": 8}),
    ],
)
def test_settings(arguments: list[str], settings: dict[str, object]) -> None:
    assert read(*arguments)[1] == settings


def test_what_else_can_be_said() -> None:
    options, settings = read("--run_dir", "a/b_c", "--profile", "--preset", "tiny")
    assert (options.run_dir, options.run_name, options.profile) == (Path("a/b_c"), None, True)
    assert (options.preset, options.resume, settings) == ("tiny", None, {})
    assert read("--run-name", "first")[0].run_name == "first"
    options, _ = read("--resume", "runs/x", "--inexact", "--max-time", "1h")
    assert (options.resume, options.inexact) == (Path("runs/x"), True)


@pytest.mark.parametrize(
    ("arguments", "total", "seconds"),
    [
        ([], None, 600),
        (["--total-timesteps", "1e6"], 1_000_000, None),
        (["--max-time", "90s"], None, 90),
        (["--total-timesteps", "5_000", "--max-time", "1m"], 5000, 60),
    ],
)
def test_limits(arguments: list[str], total: int | None, seconds: float | None) -> None:
    config = load_config(settings=read(*arguments)[1])
    assert (config.total_timesteps, config.max_time) == (total, seconds)


def test_every_setting_can_be_given() -> None:
    arguments: list[str] = []
    values = flatten(Config().model_dump())
    short = {action.dest: action.option_strings[0] for action in build_parser()._actions}
    for name, value in values.items():
        words = ["none" if value is None else str(value)]
        if name in ("log.display", "web.enabled"):  # their short forms take no value
            arguments += [f"--{name}", *words]
        elif name == "workers.required":  # likewise; true needs workers
            arguments += ["--workers.required", "false"]
        elif name == "max_time":
            arguments += ["--max-time", "600s"]
        elif name in short and value is not None:
            arguments += [short[name], *(value if isinstance(value, tuple) else words)]
        elif name != "total_timesteps":
            arguments += [f"--{name}", *(value if isinstance(value, tuple) else words)]
    settings = read(*arguments)[1]
    assert set(settings) == set(values) - {"total_timesteps"}
    assert load_config(settings=settings) == Config()
