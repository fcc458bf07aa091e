"""The stable-baselines3 adapter: three backends that play the same games and answer alike."""

import gymnasium
import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor
from vec_envs import BACKENDS, play_alike

import shogi_env
from shogi_env import opponents
from shogi_env.types import Termination


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


class Alternating:
    """Plays the last legal move throughout one game and the first one throughout the next."""

    def __init__(self):
        self.games = {}

    def begin(self, idx):
        for i in idx.tolist():
            self.games[i] = self.games.get(i, 0) + 1

    def __call__(self, positions, idx):
        masks = positions.masks(where=idx)
        odd = [self.games[i] % 2 for i in idx.tolist()]
        return np.where(odd, 2186 - masks[:, ::-1].argmax(1), masks.argmax(1))


def test_opponents_are_told_which_games_start(make):
    """In each backend an opponent sits in one game, whose number may differ: 0 where it is alone."""
    envs = [
        make(4, backend, seed=1, seats=[Alternating() for _ in range(4)], max_plies=20)
        for backend in BACKENDS
    ]
    assert len(play_alike(envs, 80)) > 10


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
