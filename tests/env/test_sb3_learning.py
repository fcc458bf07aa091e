"""The stable-baselines3 adapter with SB3's own tools: checkers, algorithms, extractors, stock workers."""

import warnings

import gymnasium
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

import torch
from gymnasium.utils.env_checker import check_env as check_env_gymnasium
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.env_util import make_vec_env as make_stock_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import SubprocVecEnv as StockSubprocVecEnv
from stable_baselines3.common.vec_env import VecCheckNan, VecMonitor
from vec_envs import BACKENDS, START_METHODS

import shogi_env
from shogi_env import opponents
from shogi_env.adapters.sb3 import BoardExtractor, stack_frames

SMALL = {
    "features_extractor_class": BoardExtractor,
    "features_extractor_kwargs": {"channels": 8, "features_dim": 16},
    "net_arch": [],
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """These networks are far too small to share among threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("opponent", ["random", None])
@pytest.mark.parametrize("observation", ["full", "board"])
def test_both_checkers_pass(opponent, observation):
    kwargs = {"opponent": opponent, "observation": observation}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env_gymnasium(gymnasium.make("shogi_env:Shogi-v0", **kwargs).unwrapped)
        if observation == "board":  # planes make SB3 advise on images
            check_env_sb3(shogi_env.ShogiEnv(**kwargs))
    check_env_sb3(shogi_env.ShogiEnv(**kwargs), warn=False)


@pytest.mark.parametrize("backend", BACKENDS)
def test_maskable_ppo_learns(make, backend):
    env = VecMonitor(make(4, backend, seed=0, opponent=None, max_plies=10))
    model = MaskablePPO(
        "MlpPolicy", env, gamma=-1, n_steps=16, batch_size=32, n_epochs=1, policy_kwargs=SMALL
    )
    model.learn(128)
    assert len(model.ep_info_buffer) >= 8


@pytest.mark.parametrize(
    ("observation", "layout"), [("full", "NCHW"), ("full", "NHWC"), ("pieces", "NHWC"), ("board", "NCHW")]
)
def test_other_algorithms_learn(make, observation, layout):
    def env():
        return make(2, seed=0, observation=observation, layout=layout, max_plies=6)

    options = {"policy_kwargs": SMALL, "device": "cpu"}
    for model in (
        A2C("MlpPolicy", env(), n_steps=8, **options),
        PPO("MlpPolicy", env(), n_steps=16, batch_size=16, n_epochs=1, **options),
        DQN("MlpPolicy", env(), buffer_size=100, learning_starts=20, batch_size=8, **options),
    ):
        model.learn(64)
        evaluate_policy(model, VecMonitor(env()), n_eval_episodes=2)
        extractor = next(m for m in model.policy.modules() if isinstance(m, BoardExtractor))
        assert all(p.grad is not None for p in extractor.parameters())


def test_extractor_reads_both_layouts_alike(make):
    torch.manual_seed(0)
    last = make(2, seed=0, layout="NHWC")
    first = make(2, seed=0)
    one = BoardExtractor(first.observation_space, features_dim=7)
    other = BoardExtractor(last.observation_space, features_dim=7)
    other.load_state_dict(one.state_dict())
    features = one(torch.as_tensor(first.reset()).float())
    assert features.shape == (2, 7)
    torch.testing.assert_close(other(torch.as_tensor(last.reset()).float()), features)
    with pytest.raises(ValueError, match="Shogi-v0"):
        BoardExtractor(gymnasium.spaces.Box(0, 1, (3, 64, 64)))


@pytest.mark.parametrize("method", [method for method in START_METHODS if method != "fork"])
def test_stock_subproc_vec_env_works(method):
    env = make_stock_vec_env(
        "shogi_env:Shogi-v0",
        n_envs=2,
        seed=0,
        vec_env_cls=StockSubprocVecEnv,
        vec_env_kwargs={"start_method": method},
        env_kwargs={"max_plies": 10},
    )
    try:
        MaskablePPO("MlpPolicy", env, n_steps=8, batch_size=16, n_epochs=1, policy_kwargs=SMALL).learn(16)
        assert env.env_method("set_opponent", opponents.greedy) == [None, None]
        env.step(get_action_masks(env).argmax(axis=1))
    finally:
        env.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_saved_model_predicts_the_same(make, backend, tmp_path):
    env = VecCheckNan(VecMonitor(make(4, backend, seed=0, opponent=None, max_plies=10)), raise_exception=True)
    model = MaskablePPO(
        "MlpPolicy", env, gamma=-1, n_steps=8, batch_size=32, n_epochs=1, policy_kwargs=SMALL, seed=0
    )
    model.learn(64)
    model.save(tmp_path / "model")
    loaded = MaskablePPO.load(tmp_path / "model", env=env)
    assert loaded.gamma == -1
    seen = env.reset()
    for _ in range(12):
        masks = get_action_masks(env)
        wanted, _ = model.predict(seen, action_masks=masks, deterministic=True)
        found, _ = loaded.predict(seen, action_masks=masks, deterministic=True)
        assert np.array_equal(wanted, found)
        assert masks[np.arange(4), found].all()
        seen, *_ = env.step(found)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ({}, (408, 9, 9)),
        ({"layout": "NHWC"}, (9, 9, 408)),
        ({"observation": "board"}, (300,)),
    ],
    ids=str,
)
def test_frames_are_stacked_for_one_side(make, backend, kind, shape):
    env = stack_frames(make(2, backend, seed=0, max_plies=12, **kind), 3)
    assert env.observation_space.shape == shape
    axis = 3 if "layout" in kind else 1
    seen = [env.reset()]
    for _ in range(2):
        seen.append(env.step(get_action_masks(env).argmax(axis=1))[0].copy())
    newest = [np.split(frames, 3, axis=axis)[-1] for frames in seen]
    assert np.array_equal(np.concatenate(newest, axis=axis), seen[-1])
    if shape == (408, 9, 9):
        MaskablePPO("MlpPolicy", env, n_steps=8, batch_size=16, n_epochs=1, policy_kwargs=SMALL).learn(16)


@pytest.mark.parametrize("backend", BACKENDS)
def test_frames_of_two_seats_are_not_stacked(make, backend):
    with pytest.raises(ValueError, match="face the two sides in turn"):
        stack_frames(make(2, backend, seats=["random", None]), 2)
