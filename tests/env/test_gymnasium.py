"""Gymnasium's own tools around Shogi-v0: wrappers, vector environments of Gymnasium, recordings."""

import multiprocessing

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import shogi_env  # noqa: F401 - registers Shogi-v0

ID = "shogi_env:Shogi-v0"
KEYS = ("action_mask", "to_play", "ply", "termination", "winner")


def play_out(env, info, convert=int):
    """Random legal moves to the end of the game; what the last step returned."""
    rng = np.random.default_rng(0)
    while True:
        step = env.step(convert(rng.choice(np.flatnonzero(info["action_mask"]))))
        info = step[4]
        if step[2] or step[3]:
            return step


def test_record_episode_statistics():
    env = wrappers.RecordEpisodeStatistics(gymnasium.make(ID, max_plies=20, side="black"))
    _, reward, _, _, info = play_out(env, env.reset(seed=1)[1])
    assert info["episode"]["l"] == 10 and info["episode"]["r"] == reward


def test_time_limit():
    env = gymnasium.make(ID, max_episode_steps=5)
    _, reward, terminated, truncated, info = play_out(env, env.reset(seed=0)[1])
    assert (reward, terminated, truncated, info["termination"]) == (0, False, True, 0)
    assert wrappers.TimeLimit(gymnasium.make(ID), 7).spec.max_episode_steps == 7


def test_flatten_observation():
    plain, env = gymnasium.make(ID), wrappers.FlattenObservation(gymnasium.make(ID))
    assert env.observation_space.shape == (136 * 81,)
    seen, _ = env.reset(seed=3)
    assert seen in env.observation_space
    assert np.array_equal(seen, plain.reset(seed=3)[0].ravel())


def test_transform_reward():
    env = wrappers.TransformReward(gymnasium.make(ID, opponent=None), lambda reward: 10 * reward)
    env.reset(seed=0)
    assert env.step(-1)[1] == -10


def test_numpy_to_torch():
    pytest.importorskip("array_api_compat")
    torch = pytest.importorskip("torch")
    env = wrappers.NumpyToTorch(gymnasium.make(ID, max_plies=8))
    seen, info = env.reset(seed=0)
    assert seen.dtype == torch.uint8 and info["action_mask"].sum() == 30
    seen, reward, terminated, _, info = play_out(env, info, convert=lambda action: torch.tensor(int(action)))
    assert isinstance(seen, torch.Tensor) and terminated is True and isinstance(reward, float)


def test_numpy_to_torch_of_a_batch():
    pytest.importorskip("array_api_compat")
    torch = pytest.importorskip("torch")
    envs = wrappers.vector.NumpyToTorch(gymnasium.make_vec(ID, 3, opponent=None))
    _, infos = envs.reset(seed=0)
    _, rewards, _, _, infos = envs.step(infos["action_mask"].int().argmax(1))
    assert rewards.tolist() == [0, 0, 0] and infos["ply"].tolist() == [1, 1, 1]
    assert isinstance(infos["action_mask"], torch.Tensor)


def test_record_video(tmp_path):
    pytest.importorskip("moviepy")
    env = wrappers.RecordVideo(gymnasium.make(ID, render_mode="rgb_array", max_plies=4), str(tmp_path))
    play_out(env, env.reset(seed=0)[1])
    env.close()
    (video,) = tmp_path.glob("*.mp4")
    assert video.stat().st_size > 1000


def test_render_collection():
    env = wrappers.RenderCollection(gymnasium.make(ID, render_mode="rgb_array", side="black", max_plies=4))
    play_out(env, env.reset(seed=0)[1])
    frames = env.render()
    assert len(frames) == 3 and frames[0].shape == frames[1].shape
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize("native", [True, False])
def test_record_episode_statistics_of_a_batch(native):
    mode = "vector_entry_point" if native else "sync"
    envs = gymnasium.make_vec(ID, 3, vectorization_mode=mode, max_plies=6, opponent=None)
    envs = wrappers.vector.RecordEpisodeStatistics(envs)
    _, infos = envs.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(6):
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in infos["action_mask"]])
        _, _, terminated, _, infos = envs.step(actions)
    assert terminated.all() and infos["episode"]["l"].tolist() == [6, 6, 6]
    envs.close()


def alike(first, second, name):
    """Whether two results are equal: arrays, dictionaries of them, and arrays of objects."""
    if isinstance(first, dict):
        assert first.keys() == second.keys(), name
        for key, value in first.items():
            alike(value, second[key], f"{name}[{key}]")
        return
    first, second = np.asarray(first), np.asarray(second)
    assert first.shape == second.shape and first.dtype == second.dtype, name
    if first.dtype == object:
        for one, other in zip(first, second, strict=True):
            assert (one is None) == (other is None), name
            assert one is None or np.array_equal(one, other), name
    else:
        assert np.array_equal(first, second), name


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("opponent", ["random", None])
def test_the_native_batch_equals_gymnasiums(mode, opponent):
    n, config = 4, {"max_plies": 14, "opponent": opponent}
    native = gymnasium.make_vec(ID, n, autoreset_mode=mode.value, **config)
    sync = SyncVectorEnv([lambda: gymnasium.make(ID, **config)] * n, autoreset_mode=mode)
    assert native.single_observation_space == sync.single_observation_space
    assert native.action_space == sync.action_space
    assert native.metadata["autoreset_mode"] == sync.metadata["autoreset_mode"]
    ours, theirs = native.reset(seed=5), sync.reset(seed=5)
    alike(ours[0], theirs[0], "first observations")
    alike(ours[1], theirs[1], "first infos")
    rng, ends = np.random.default_rng(0), 0
    for step in range(60):
        masks = ours[-1]["action_mask"]
        actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
        actions = np.where(rng.random(n) < 0.02, rng.integers(0, 2187, n), actions)  # and illegal ones
        ours, theirs = native.step(actions), sync.step(actions)
        for name, one, other in zip(
            ("obs", "rewards", "terminated", "truncated"), ours, theirs, strict=False
        ):
            alike(one, other, f"{name} of step {step}")
        alike(ours[4], theirs[4], f"infos of step {step}")
        ends += ours[2].sum()
    assert ends > 8


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_async_vector_env(method):
    envs = AsyncVectorEnv([make_short] * 2, context=method)
    try:
        native = gymnasium.make_vec(ID, 2, max_plies=10)
        ours, theirs = native.reset(seed=2), envs.reset(seed=2)
        rng = np.random.default_rng(1)
        for _ in range(14):
            for key in KEYS:
                assert np.array_equal(ours[-1][key], theirs[-1][key]), key
            assert np.array_equal(ours[0], theirs[0])
            actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in ours[-1]["action_mask"]])
            ours, theirs = native.step(actions), envs.step(actions)
            assert np.array_equal(ours[1], theirs[1]) and np.array_equal(ours[2], theirs[2])
    finally:
        envs.close()


def make_short():
    return gymnasium.make(ID, max_plies=10)
