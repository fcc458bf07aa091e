"""TorchRL's check of the environments, its collector, and an update of its PPO."""

import gymnasium
import pytest
from library_page import run_example

import shogi_env  # noqa: F401 - registers Shogi-v0
from shogi_env.types import Termination

pytest.importorskip("torchrl")

import torch
from torchrl.collectors import Collector
from torchrl.envs import (
    ActionMask,
    Compose,
    DTypeCastTransform,
    GymEnv,
    GymWrapper,
    PettingZooWrapper,
    TransformedEnv,
)
from torchrl.envs.utils import check_env_specs

from shogi_env.adapters.torchrl import make_vec_env


def masked(base):
    """The environment with the mask of its info, as bool, applied to its actions."""
    to_bool = DTypeCastTransform(torch.int8, torch.bool, in_keys=["action_mask"])
    return TransformedEnv(base.auto_register_info_dict(), Compose(to_bool, ActionMask()))


@pytest.mark.parametrize("arguments", [{}, {"opponent": None}, {"observation": "board", "max_plies": 10}])
def test_check_env_specs(arguments):
    check_env_specs(masked(GymWrapper(gymnasium.make("Shogi-v0", **arguments))))
    check_env_specs(masked(GymEnv("shogi_env:Shogi-v0", **arguments)))


def test_a_collector_plays_legal_games():
    env = masked(GymEnv("shogi_env:Shogi-v0", max_plies=40, categorical_action_encoding=True))
    collector = Collector(env, env.rand_action, frames_per_batch=150, total_frames=450)
    ended = 0
    for batch in collector:
        legal = batch["action_mask"].gather(-1, batch["action"][..., None])
        assert legal.all()
        done = batch["next", "done"].squeeze(-1)
        terminations = batch["next", "termination"].flatten()
        assert ((terminations != Termination.RUNNING) == done.flatten()).all()
        assert (terminations != Termination.ILLEGAL_MOVE).all()
        rewards = batch["next", "reward"].squeeze(-1)
        assert (rewards[~done] == 0).all() and set(rewards[done].tolist()) <= {-1.0, 0.0, 1.0}
        ended += int(done.sum())
    collector.shutdown()
    assert ended >= 15


def test_native_games():
    env = make_vec_env(5, max_plies=30)
    check_env_specs(env)
    collector = Collector(env, env.rand_action, frames_per_batch=500, total_frames=500)
    (batch,) = collector
    collector.shutdown()
    assert batch.shape == (5, 100) and batch["action_mask"].dtype == torch.bool
    assert batch["action_mask"].gather(-1, batch["action"][..., None]).all()
    done = batch["next", "done"].squeeze(-1)
    follows = ~done[:, :-1]
    assert done.sum() >= 25
    assert (batch["next", "reward"].squeeze(-1)[~done] == 0).all()
    seen, came = batch["observation"][:, 1:], batch["next", "observation"][:, :-1]
    assert torch.equal(seen[follows], came[follows])
    changed = (seen != came).flatten(2).any(2)
    assert changed[~follows].all(), "a game's last position is kept, though the next game has begun"


def test_check_env_specs_through_pettingzoo():
    pytest.importorskip("pettingzoo")
    from shogi_env.adapters import pettingzoo

    env = PettingZooWrapper(pettingzoo.env(max_plies=30), use_mask=True)
    check_env_specs(env)
    played = env.rollout(40)
    movers = [played[agent, "mask"].flatten() for agent in ("player_0", "player_1")]
    assert (movers[0] ^ movers[1]).all(), "one agent moves at a time"
    assert played["next", "done"][-1] and not played["next", "done"][:-1].any()
    last = [played["next", agent, "reward"][-1].item() for agent in ("player_0", "player_1")]
    assert sum(last) == 0
    assert played["next", "player_0", "info", "termination"][-1] != Termination.ILLEGAL_MOVE


def test_the_page():
    run_example("TorchRL")
