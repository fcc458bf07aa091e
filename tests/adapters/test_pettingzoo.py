"""PettingZoo's own suites, and that its games are the environment's."""

import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from library_page import run_example

from shogi_env import IllegalMoveError, ShogiEnv
from shogi_env.types import Termination

pettingzoo = pytest.importorskip("pettingzoo")

from pettingzoo.test import (  # noqa: E402
    api_test,
    max_cycles_test,
    performance_benchmark,
    render_test,
    seed_test,
)
from pettingzoo.utils.conversions import turn_based_aec_to_parallel  # noqa: E402
from pettingzoo.utils.wrappers import BaseWrapper, OrderEnforcingWrapper  # noqa: E402

from shogi_env.adapters.pettingzoo import AGENTS, env  # noqa: E402


def test_api_test():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Silent for a list of PettingZoo's own environments only, whose observations are dicts likewise.
        warnings.filterwarnings("ignore", "Observation is not a NumPy array")
        warnings.filterwarnings("ignore", "Observation space for each agent probably should be")
        api_test(env(), num_cycles=2000)
        api_test(env(observation="board", max_plies=30), num_cycles=200)
        api_test(env(observation="pieces", layout="NHWC"), num_cycles=200)
        api_test(OrderEnforcingWrapper(env()), num_cycles=200)


def test_seed_test():
    seed_test(env)
    seed_test(lambda: env(random_plies=6, initial=["even", "2-piece"]))


def test_render_test(capsys):
    render_test(env)
    assert capsys.readouterr().out


class LegalSpace(gymnasium.spaces.Discrete):
    """Samples legal actions of the agent to move, as `max_cycles_test` knows no masks."""

    def __init__(self, game, agent):
        super().__init__(2187)
        self.game, self.agent = game, agent

    def sample(self):
        mask = self.game.observe(self.agent)["action_mask"]
        return super().sample(mask) if mask.any() else 0


class SampledLegally(BaseWrapper):
    def action_space(self, agent):
        return LegalSpace(self.env, agent)


class Cycles:
    """What `max_cycles_test` wants of a module; a cycle of turns in parallel is a ply, else two."""

    @staticmethod
    def env(max_cycles):
        return SampledLegally(env(max_plies=2 * max_cycles))

    @staticmethod
    def parallel_env(max_cycles):
        return turn_based_aec_to_parallel(SampledLegally(env(max_plies=max_cycles)))


def test_max_cycles_test():
    max_cycles_test(Cycles)


def play(game, rng, wrong=0.0):
    """Play to the end; each agent's final reward, as `last` tells it."""
    totals = {}
    for agent in game.agent_iter():
        observation, reward, terminated, truncated, _ = game.last()
        assert not truncated
        totals[agent] = reward
        legal = np.flatnonzero(observation["action_mask"])
        if terminated:
            assert not len(legal)
            game.step(None)
        else:
            game.step(rng.integers(2187) if rng.random() < wrong else rng.choice(legal))
    return totals


def test_performance_benchmark(capsys):
    performance_benchmark(env(illegal_action="raise"))
    told = dict(
        line.split(" ", 1)[::-1] for line in capsys.readouterr().out.splitlines() if "per second" in line
    )
    # Two agents have a turn each in a cycle; how fast that is, `benchmarks/adapters.py` measures.
    assert float(told["turns per second"]) == pytest.approx(2 * float(told["cycles per second"]))


def test_games_are_those_of_the_environment():
    options = {"random_plies": 4, "initial": ["even", "2-piece", "lance"], "max_plies": 200}
    game, single = env(**options), ShogiEnv(opponent=None, **options)
    rng = np.random.default_rng(0)
    for k in range(20):
        game.reset(seed=k if k < 10 else None)
        observation, info = single.reset(seed=k if k < 10 else None)
        terminated = False
        while not terminated:
            mover = AGENTS[info["to_play"]]
            assert game.agent_selection == mover
            seen = game.observe(mover)
            assert np.array_equal(seen["observation"], observation)
            assert np.array_equal(seen["action_mask"], info["action_mask"])
            other = game.observe(AGENTS[1 - info["to_play"]])
            assert np.array_equal(other["observation"], observation) and not other["action_mask"].any()
            assert not np.shares_memory(seen["observation"], other["observation"])
            action = rng.choice(np.flatnonzero(info["action_mask"]))
            observation, reward, terminated, _, info = single.step(action)
            game.step(action)
            assert game.rewards == {mover: reward, AGENTS[mover == AGENTS[0]]: -reward}
        assert all(game.terminations.values())
        told = {"termination": info["termination"], "winner": info["winner"]}
        assert game.infos == dict.fromkeys(AGENTS, told)
        assert game.sfen() == single.sfen()


def test_rewards_sum_to_zero_whatever_ends_a_game():
    game, rng = env(max_plies=60), np.random.default_rng(1)
    seen = set()
    for seed in range(40):
        game.reset(seed=seed)
        totals = play(game, rng, wrong=0.01)
        termination, winner = game._games.positions.outcomes()
        expected = {agent: 0.0 for agent in AGENTS}
        if winner[0] >= 0:
            expected = {AGENTS[winner[0]]: 1.0, AGENTS[1 - winner[0]]: -1.0}
        assert totals == expected
        seen.add(Termination(int(termination[0])))
    assert {Termination.ILLEGAL_MOVE, Termination.MAX_PLIES} <= seen


@pytest.mark.parametrize("action", [0, 2186, -1, 10**6])
def test_an_illegal_action_loses(action):
    game = env()
    game.reset()
    game.step(action)
    assert game.rewards == {"player_0": -1.0, "player_1": 1.0}
    assert game.infos["player_1"] == {"termination": Termination.ILLEGAL_MOVE, "winner": 1}


def test_what_is_refused():
    with pytest.raises(ValueError, match="render_mode is one of"):
        env(render_mode="svg")
    with pytest.raises(TypeError):
        env(opponent="random")
    game = env(illegal_action="raise")
    with pytest.raises(gymnasium.error.ResetNeeded):
        game.step(0)
    game.reset()
    before = game.sfen()
    with pytest.raises(IllegalMoveError):
        game.step(0)
    for action in (None, 1.5, "7g7f"):
        with pytest.raises(TypeError):
            game.step(action)
    assert game.sfen() == before and not any(game.terminations.values())


def test_options():
    game = env()
    game.reset(options={"sfen": "2-piece"})
    assert game.agent_selection == "player_1", "White gave the pieces and begins"
    game.reset(options={"moves": ["7g7f"], "unknown": 1})
    assert game.agent_selection == "player_1" and " w " in game.sfen()


def test_pickling_keeps_the_game():
    game, rng = env(random_plies=3), np.random.default_rng(2)
    game.reset(seed=1)
    copy = pickle.loads(pickle.dumps(game))
    assert copy.sfen() == game.sfen()
    assert play(copy, np.random.default_rng(2)) == play(game, rng)
    game.reset()
    copy.reset()
    assert copy.sfen() == game.sfen()


def test_registry():
    if not hasattr(pettingzoo, "make"):
        pytest.skip("this PettingZoo has no registry")
    game = pettingzoo.make("aec", "shogi_v0", max_plies=3)
    game.reset()
    assert str(game) == "shogi_v0"


def test_the_page():
    run_example("PettingZoo")
