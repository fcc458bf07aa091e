"""What the tests of the stable-baselines3 adapter share: the backends, and games played alike in several."""

import multiprocessing

import numpy as np

BACKENDS = ["native", "dummy", "subproc"]
START_METHODS = multiprocessing.get_all_start_methods()
# Workers of these tests start faster; the start methods have tests of their own.
multiprocessing.set_forkserver_preload(["__main__", "shogi_env.adapters._workers"])


def choose(rng, masks):
    """A random legal action of each game, and an illegal one now and then."""
    actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
    wrong = rng.random(len(masks)) < 0.01
    return np.where(wrong, rng.integers(0, masks.shape[1], len(masks)), actions)


def same_infos(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert np.array_equal(value, other[key]) and type(value) is type(other[key]), key


def play_alike(envs, steps, seed=0, reset=True):
    """Play the same actions in all; everything returned must be equal. The ends of games, in order."""
    rng = np.random.default_rng(seed)
    endings = []
    if reset:
        first, *others = [env.reset() for env in envs]
        assert all(np.array_equal(first, other) for other in others)
    for _ in range(steps):
        masks = envs[0].action_masks()
        assert masks.any(axis=1).all()
        for env in envs[1:]:
            assert np.array_equal(masks, env.action_masks())
        actions = choose(rng, masks)
        observations, rewards, dones, infos = envs[0].step(actions)
        assert rewards.dtype == np.float32 and dones.dtype == np.bool_
        for env in envs[1:]:
            returned = env.step(actions)
            assert np.array_equal(observations, returned[0]) and observations.dtype == returned[0].dtype
            assert np.array_equal(rewards, returned[1]) and rewards.dtype == returned[1].dtype
            assert np.array_equal(dones, returned[2])
            same_infos(infos, returned[3])
        for i in np.flatnonzero(dones):
            endings.append(infos[i])
        assert all(infos[i] == {} for i in np.flatnonzero(~dones))
    return endings
