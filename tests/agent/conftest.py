from collections.abc import Iterator

import pytest
import torch as th

from keisei_agent.config import Config, parse_config


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The same numbers on every machine, and no fight over cores."""
    threads = th.get_num_threads()
    th.set_num_threads(1)
    yield
    th.set_num_threads(threads)


@pytest.fixture
def small() -> Config:
    """A run of seconds."""
    return parse_config(
        {
            "device": "cpu",
            "precision": "float32",
            "total_timesteps": 64,
            "max_time": None,
            "eval_games": 4,
            "checkpoint": {"every": 32},
            "log": {"boards_every": None, "mates_every": None},
            "env": {"n_envs": 4, "max_plies": 24},
            "network": {"channels": 8, "blocks": 1, "value_hidden": 8},
            "ppo": {"n_steps": 8, "batch_size": 16},
        }
    )
