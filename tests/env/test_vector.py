"""`ShogiVectorEnv`: equals `ShogiEnv` game by game, autoreset, columns that differ, state."""

import pickle

import gymnasium
import numpy as np
import pytest

from shogi_env import ShogiEnv, ShogiVectorEnv, opponents

KEYS = ("to_play", "ply", "termination", "winner")
CONFIGS = [
    {},
    {"opponent": None},
    {"opponent": "greedy", "random_plies": 4},
    {"initial": ["2-piece", "even", "6-piece"], "observation": "pieces", "layout": "NHWC"},
    {"initial": lambda rng: ["lance", "rook"][int(rng.integers(2))], "observation": "board"},
]


def make_pair(n, mode, **config):
    """The batch, and as many single environments."""
    config = {"max_plies": 50} | config
    envs = gymnasium.make_vec("shogi_env:Shogi-v0", num_envs=n, autoreset_mode=mode, **config)
    return envs, [ShogiEnv(autoreset_mode=mode, **config) for _ in range(n)]


def random_legal(rng, masks):
    return np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])


@pytest.mark.nojit
@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: ",".join(config) or "default")
def test_equals_single_environments(config, mode):
    n, rng = 5, np.random.default_rng(0)
    envs, singles = make_pair(n, mode, **config)
    obs, infos = envs.reset(seed=11)
    results = [env.reset(seed=11 + k) for k, env in enumerate(singles)]
    over, ends = [False] * n, 0
    for _ in range(110):
        for k in range(n):
            assert np.array_equal(obs[k], results[k][0])
            assert np.array_equal(infos["action_mask"][k], results[k][1]["action_mask"])
            assert all(infos[key][k] == results[k][1][key] for key in KEYS)
        assert np.array_equal(envs.action_masks(), infos["action_mask"].astype(bool))
        actions = random_legal(rng, infos["action_mask"])
        obs, rewards, terminated, truncated, infos = envs.step(actions)
        assert not truncated.any()
        for k, env in enumerate(singles):
            if over[k]:
                results[k], over[k] = env.reset(), False
                assert (rewards[k], terminated[k]) == (0, False)
                continue
            last, reward, done, _, info = env.step(actions[k])
            assert (rewards[k], terminated[k]) == (reward, done)
            ends += done
            if done and mode == "SameStep":
                assert infos["_final_obs"][k] and np.array_equal(infos["final_obs"][k], last)
                final = infos["final_info"]
                assert all(final[key][k] == info[key] for key in ("action_mask", *KEYS)[1:])
                assert np.array_equal(final["action_mask"][k], info["action_mask"])
                results[k] = env.reset()
            else:
                results[k], over[k] = (last, info), done
    assert ends >= n


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_declares_its_autoreset_mode(mode):
    envs = ShogiVectorEnv(2, autoreset_mode=mode)
    assert envs.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode(mode)


@pytest.mark.parametrize("mode", ["Disabled", "next_step", None, gymnasium.vector.AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode):
    with pytest.raises(ValueError, match="NextStep"):
        ShogiVectorEnv(2, autoreset_mode=mode)


def test_columns_may_differ():
    def last_legal(positions, idx):
        return np.array([np.flatnonzero(mask)[-1] for mask in positions.masks()[idx]])

    envs = ShogiVectorEnv(4, seats=[None, "random", last_legal, opponents.greedy], side="black")
    _, infos = envs.reset(seed=0)
    assert envs.both_seats.tolist() == [True, False, False, False]
    assert infos["ply"].tolist() == [0, 0, 0, 0]
    _, _, _, _, infos = envs.step(random_legal(np.random.default_rng(0), infos["action_mask"]))
    assert infos["ply"].tolist() == [1, 2, 2, 2]
    with pytest.raises(ValueError, match="3 entries for 4"):
        ShogiVectorEnv(4, seats=[None] * 3)


def test_set_opponent_in_some_columns():
    envs = ShogiVectorEnv(3, side="black")
    _, infos = envs.reset(seed=0)
    asked = []

    def spy(positions, idx):
        asked.append(idx.tolist())
        return positions.random_actions(idx)

    envs.set_opponent(spy, [0, 2])
    envs.step(random_legal(np.random.default_rng(0), infos["action_mask"]))
    assert asked == [[0, 2]]


@pytest.mark.parametrize("seed", [3, [7, 5, 9]])
def test_seeds(seed):
    envs = ShogiVectorEnv(3, opponent="random", side="white")
    first, _ = envs.reset(seed=seed)
    again, _ = envs.reset(seed=seed)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, envs.reset()[0])
    for k in range(3):
        single = ShogiEnv(opponent="random", side="white")
        own = seed[k] if isinstance(seed, list) else seed + k
        assert np.array_equal(single.reset(seed=own)[0], first[k])


def test_reset_mask_starts_only_those():
    envs = ShogiVectorEnv(3, opponent=None)
    _, infos = envs.reset(seed=0)
    _, _, _, _, infos = envs.step(random_legal(np.random.default_rng(0), infos["action_mask"]))
    _, infos = envs.reset(options={"reset_mask": np.array([True, False, True])})
    assert infos["ply"].tolist() == [0, 1, 0]


def test_copy_decides_who_owns_the_arrays():
    owned, lent = ShogiVectorEnv(2, opponent=None), ShogiVectorEnv(2, opponent=None, copy=False)
    for envs, shared in ((owned, False), (lent, True)):
        observations = [envs.reset(seed=0)[0]]
        for step in range(3):
            observations.append(envs.step(random_legal(np.random.default_rng(step), envs.action_masks()))[0])
        assert not np.shares_memory(observations[0], observations[1])
        assert np.shares_memory(observations[0], observations[2]) is shared


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(threads):
    envs = ShogiVectorEnv(200, opponent="random", max_plies=30, threads=threads)
    reference = ShogiVectorEnv(200, opponent="random", max_plies=30)
    results = [e.reset(seed=1) for e in (envs, reference)]
    for step in range(40):
        actions = random_legal(np.random.default_rng(step), results[0][-1]["action_mask"])
        results = [e.step(actions) for e in (envs, reference)]
        assert np.array_equal(results[0][0], results[1][0])
        assert np.array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("how", ["pickle", "state"])
def test_a_copy_goes_on_alike(how):
    envs = ShogiVectorEnv(4, max_plies=20)
    envs.reset(seed=0)
    rng = np.random.default_rng(1)
    for _ in range(15):
        envs.step(random_legal(rng, envs.action_masks()))
    if how == "pickle":
        twin = pickle.loads(pickle.dumps(envs))
    else:
        twin = ShogiVectorEnv(4, max_plies=20)
        twin.reset(seed=7)
        twin.set_state(envs.get_state())
    for _ in range(60):
        assert np.array_equal(envs.action_masks(), twin.action_masks())
        actions = random_legal(rng, envs.action_masks())
        ours, theirs = envs.step(actions), twin.step(actions)
        assert all(np.array_equal(a, b) for a, b in zip(ours[:4], theirs[:4], strict=True))


def test_wrong_actions_are_refused():
    envs = ShogiVectorEnv(2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.zeros(2, int))
    envs.reset(seed=0)
    for actions in (np.zeros(3, int), np.zeros(2), [[1], [2]]):
        with pytest.raises(ValueError, match="2 integers"):
            envs.step(actions)


@pytest.mark.parametrize("wrapper", ["RecordEpisodeStatistics", "DictInfoToList"])
def test_gymnasiums_wrappers_work(wrapper):
    envs = getattr(gymnasium.wrappers.vector, wrapper)(ShogiVectorEnv(3, max_plies=12))
    envs.reset(seed=0)
    finished = 0
    for step in range(30):
        masks = envs.unwrapped.action_masks()
        _, _, terminated, _, _ = envs.step(random_legal(np.random.default_rng(step), masks))
        finished += terminated.sum()
    assert finished > 3


def test_render():
    envs = ShogiVectorEnv(2, render_mode="rgb_array")
    envs.reset(seed=0)
    frames = envs.render()
    assert len(frames) == 2 and frames[0].shape == (540, 720, 3)
