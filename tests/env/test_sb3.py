"""The stable-baselines3 adapter: three backends that play the same games, and SB3's own tools on them."""

import multiprocessing
import subprocess
import sys
import textwrap
import threading
import warnings

import gymnasium
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

import torch
from gymnasium.utils.env_checker import check_env as check_env_gymnasium
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.env_util import make_vec_env as make_stock_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv as StockSubprocVecEnv
from stable_baselines3.common.vec_env import VecMonitor

import shogi_env
from shogi_env import opponents
from shogi_env.adapters.sb3 import BoardExtractor, WorkerError, make_vec_env
from shogi_env.types import Termination

BACKENDS = ["native", "dummy", "subproc"]
START_METHODS = multiprocessing.get_all_start_methods()
# Workers of these tests start faster; the start methods have tests of their own.
multiprocessing.set_forkserver_preload(["__main__", "shogi_env.adapters._workers"])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """These networks are far too small to share among threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make():
    """`make_vec_env` that closes what it made; two workers unless told otherwise."""
    made = []

    def make_one(num_envs, backend="native", **kwargs):
        if backend == "subproc":
            kwargs.setdefault("num_workers", min(2, num_envs))
        env = make_vec_env(num_envs, backend, **kwargs)
        made.append(env)
        return env

    yield make_one
    for env in made:
        env.close()


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


@pytest.mark.parametrize("opponent", [None, "random", "greedy"])
def test_backends_play_the_same_games(make, opponent):
    envs = [make(5, backend, seed=3, opponent=opponent, max_plies=60) for backend in BACKENDS]
    endings = play_alike(envs, 300)
    reasons = {info["termination"] for info in endings}
    assert {Termination.MAX_PLIES, Termination.ILLEGAL_MOVE} <= reasons and len(endings) > 20
    for info in endings:
        assert info["TimeLimit.truncated"] is False and info["terminal_observation"].shape == (136, 9, 9)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"observation": "pieces", "layout": "NHWC", "side": "white", "initial": ["even", "2-piece"]},
        {"observation": "board", "random_plies": 5, "seats": [None, "random", "greedy", None, "random"]},
        {"initial": lambda generator: ["4-piece", "lance"][generator.integers(2)], "declaration": "off"},
    ],
)
def test_arguments_mean_the_same_in_every_backend(make, kwargs):
    envs = [make(5, backend, seed=8, max_plies=25, **kwargs) for backend in BACKENDS]
    assert len(play_alike(envs, 60)) > 5
    for env in envs[1:]:
        assert np.array_equal(envs[0].both_seats, env.both_seats)
        assert env.observation_space == envs[0].observation_space
        assert env.env_method("sfen") == envs[0].env_method("sfen")


def test_threads_change_nothing(make):
    play_alike([make(64, seed=0, max_plies=15, threads=threads) for threads in (1, 2)], 30)


def test_seeds_and_options_hold_for_one_reset(make):
    envs = [make(4, backend, opponent=None) for backend in BACKENDS]
    for env in envs:
        assert env.seed(11) == [11, 12, 13, 14]
        env.set_options({"moves": ["7g7f"]})
    play_alike(envs, 5)
    assert all(" w " in sfen for sfen in make_sfens(envs[0], {"moves": ["7g7f"]}))
    for env in envs:
        env.set_options([{"moves": ["7g7f"]}, {}, {"sfen": "2-piece"}, {}])
    play_alike(envs, 5)
    play_alike(envs, 5)


def make_sfens(env, options):
    env.set_options(options)
    env.reset()
    return env.env_method("sfen")


@pytest.mark.parametrize("method", START_METHODS)
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_start_methods(make, method):
    workers = make(5, "subproc", seed=1, start_method=method, num_workers=3, max_plies=20)
    assert len(set(workers.pids)) == 3
    play_alike([make(5, seed=1, max_plies=20), workers], 40)


@pytest.mark.parametrize("backend", ["native", "subproc"])
def test_what_a_step_returned_outlives_the_next(make, backend):
    env = make(3, backend, seed=0, opponent=None)
    observations = env.reset()
    masks = env.action_masks()
    kept, kept_masks = observations.copy(), masks.copy()
    later, *_ = env.step(masks.argmax(axis=1))
    assert np.array_equal(observations, kept) and np.array_equal(masks, kept_masks)
    assert not np.array_equal(later, kept) and not np.shares_memory(later, observations)


@pytest.mark.parametrize("source", BACKENDS)
def test_states_move_between_backends(make, source):
    env = make(5, source, seed=5, max_plies=40)
    play_alike([env], 30)
    state = env.get_state()
    others = [make(5, backend, seed=6, max_plies=40) for backend in BACKENDS]
    for other in others:
        other.reset()
        other.set_state(state)
    play_alike([env, *others], 50, reset=False)


def last_action(positions, idx):
    """An opponent that plays the last legal move."""
    return np.array([positions.action(int(i), positions.moves(int(i))[-1]) for i in idx])


def test_opponents_are_replaced_while_running(make):
    envs = [make(4, backend, seed=2, side="black") for backend in BACKENDS]
    shift = 0
    for opponent, indices in [
        (last_action, None),
        ("greedy", [0, 3]),
        (lambda positions, idx: positions.random_actions(idx) + shift, [1]),
        (opponents.random, 2),
    ]:
        for env in envs:
            assert env.env_method("set_opponent", opponent, indices=indices) == [None] * (
                4 if indices is None else len(np.atleast_1d(indices))
            )
        play_alike(envs, 10, reset=indices is None)
    for env in envs:
        env.set_opponent(None)
        assert env.both_seats.all()


def test_sb3_asks_for_attributes(make):
    for backend in BACKENDS:
        env = make(3, backend, seed=0)
        env.reset()
        assert env.get_attr("render_mode") == [None] * 3 and env.has_attr("action_masks")
        assert not env.has_attr("nonsense") and is_masking_supported(env)
        assert np.array_equal(get_action_masks(VecMonitor(env)), env.action_masks())
        rows = [method() for method in env.get_attr("action_masks", indices=[2, 0])]
        assert np.array_equal(np.reshape(rows, (2, 2187)), env.action_masks()[[2, 0]])
        assert env.env_is_wrapped(Monitor, indices=1) == [False]
        env.set_attr("nickname", "x")
        assert env.get_attr("nickname") == ["x"] * 3
    env = make(3)
    with pytest.raises(AttributeError, match="'nonsense'"):
        env.env_method("nonsense")
    with pytest.raises(IndexError, match=r"0\.\.2"):
        env.env_method("action_masks", indices=[3])
    with pytest.raises(ValueError, match="shared by all"):
        env.set_attr("nickname", "x", indices=[1])


def test_wrong_arguments_are_refused(make):
    for kwargs in ({"backend": "fast"}, {"num_envs": 0}, {"seats": ["random"]}, {"opponent": "strong"}):
        for backend in BACKENDS:
            with pytest.raises(ValueError, match=r"backend|num_envs|seats|opponent"):
                make(**{"num_envs": 2, "backend": backend} | kwargs)
    with pytest.raises(TypeError, match="'oponent'"):
        make(2, "subproc", oponent=None)
    with pytest.raises(ValueError, match="num_workers"):
        make(2, "subproc", num_workers=3)
    with pytest.raises(ValueError, match="start_method"):
        make(2, "subproc", start_method="thread")
    env = make(2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(np.zeros(2, int))
    env.reset()
    for actions in (np.zeros(3, int), np.zeros(2), [[0, 0]]):
        with pytest.raises(ValueError, match="actions are 2 integers"):
            env.step(actions)


@pytest.mark.parametrize("backend", ["native", "subproc"])
def test_illegal_actions_can_raise_before_anything_is_played(make, backend):
    env = make(4, backend, seed=0, opponent=None, illegal_action="raise")
    env.reset()
    sfens = env.env_method("sfen")
    actions = env.action_masks().argmax(axis=1)
    for wrong in (2186, -1, 5000):
        actions[2] = wrong
        with pytest.raises(shogi_env.IllegalMoveError, match=f"action {wrong} in game 2.*not legal.*lnsg"):
            env.step(actions)
    assert env.env_method("sfen") == sfens
    env.step(env.action_masks().argmax(axis=1))


def test_pictures(make):
    for backend in BACKENDS:
        env = make(2, backend, render_mode="rgb_array")
        env.reset()
        assert [picture.dtype for picture in env.get_images()] == [np.uint8] * 2
        assert env.render("rgb_array").ndim == 3
        env = make(2, backend, render_mode="ansi")
        env.reset()
        assert "飛" in env.env_method("render")[1]


class Refusal(Exception):
    def __init__(self, code, detail):
        super().__init__(code, detail)


def failing(positions, idx):
    raise Refusal(7, "out of moves")


def test_an_exception_in_a_worker_comes_back(make):
    env = make(4, "subproc", seed=0, side="black", opponent="random")
    env.reset()
    env.set_opponent(failing, indices=[3])
    with pytest.raises(Refusal, match=r"7, 'out of moves'") as caught:
        env.step(env.action_masks().argmax(axis=1))
    (note,) = caught.value.__notes__
    assert "worker 1" in note and str(env.pids[1]) in note and "in failing" in note
    env.set_opponent("random")
    env.seed(9)
    play_alike([make(4, seed=9, side="black"), env], 5)
    env.set_opponent(lambda positions, idx: np.full(len(idx), 2186))
    with pytest.raises(shogi_env.IllegalMoveError, match=r"opponent <lambda>: action 2186"):
        env.step(env.action_masks().argmax(axis=1))


def test_what_cannot_be_pickled_is_explained(make):
    lock = threading.Lock()

    def locked(positions, idx):
        with lock:
            return positions.random_actions(idx)

    with pytest.raises(TypeError, match=r"lock.*picklable.*native"):
        make(2, "subproc", opponent=locked)
    env = make(2, "subproc")
    with pytest.raises(TypeError, match=r"lock.*picklable.*native"):
        env.set_opponent(locked)
    env.reset()
    make(2, opponent=locked).reset()


def children(pids):
    return [child for child in multiprocessing.active_children() if child.pid in pids]


@pytest.mark.parametrize("method", START_METHODS)
@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
def test_a_killed_worker_is_named_and_the_others_end(make, method):
    env = make(6, "subproc", seed=0, num_workers=3, start_method=method)
    env.reset()
    actions = env.action_masks().argmax(axis=1)
    env.step_async(actions)
    (victim,) = children(env.pids[1:2])
    victim.kill()
    victim.join()
    with pytest.raises(WorkerError, match=rf"worker 1 \(pid {victim.pid}, games 2\.\.3\) died \(exit code"):
        for _ in range(3):
            env.step_wait()
            env.step_async(actions)
    assert children(env.pids) == []
    with pytest.raises(WorkerError, match="closed"):
        env.reset()


def test_close_leaves_no_process(make):
    env = make(4, "subproc")
    env.reset()
    pids = env.pids
    assert len(children(pids)) == 2
    env.step_async(np.zeros(4, int))  # closed in the middle of a step
    env.close()
    env.close()
    assert children(pids) == []


def test_a_step_that_nobody_waited_for_is_dropped_by_reset(make):
    env = make(4, "subproc", seed=0)
    env.reset()
    env.step_async(np.zeros(4, int))
    env.seed(4)
    play_alike([make(4, seed=4), env], 5)


PARENT = """
import os, sys
from shogi_env.adapters.sb3 import make_vec_env

if __name__ == "__main__":
    end, method = (*sys.argv[1:], None)[:2]
    envs = [make_vec_env(3, "subproc", num_workers=n, start_method=method, seed=0) for n in (2, 1)]
    for env in envs:
        env.reset()
    print("started", flush=True)
    envs[0].step_async(env.action_masks().argmax(axis=1))
    if end == "kill":
        os.kill(os.getpid(), 9)
    if end == "raise":
        raise SystemExit(3)
"""


@pytest.mark.parametrize(
    ("method", "end"), [*((method, "kill") for method in START_METHODS), (None, "raise"), (None, "return")]
)
def test_workers_end_with_their_parent(tmp_path, method, end):
    if end == "kill" and sys.platform == "win32":
        pytest.skip("Windows has no SIGKILL")
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT), encoding="utf-8")
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(script), end, *filter(None, [method])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Workers share these pipes, so this returns only when the last of them has ended.
    output, errors = parent.communicate(timeout=120)
    assert output == "started\n"
    assert [line for line in errors.splitlines() if line and "compiling the rules" not in line] == []
    assert parent.returncode == {"kill": -9, "raise": 3, "return": 0}[end]


def test_a_script_without_a_main_guard_is_told(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from shogi_env.adapters.sb3 import make_vec_env\n"
        "make_vec_env(2, 'subproc', num_workers=2, start_method='spawn')\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    last = done.stderr.splitlines()[-2:]
    assert "WorkerError: worker 0" in last[0] and "__main__" in last[1] and done.returncode == 1


def test_workers_load_no_learning_library():
    code = """if True:
        import sys, shogi_env.adapters._workers
        print(sorted({"torch", "stable_baselines3"} & {*sys.modules}))"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


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


SMALL = {
    "features_extractor_class": BoardExtractor,
    "features_extractor_kwargs": {"channels": 8, "features_dim": 16},
    "net_arch": [],
}


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
