"""OpenSpiel's own checks of a game, and that its games are the environment's."""

import numpy as np
import pytest
from library_page import run_example

from shogi_env import Board, SfenError, ShogiEnv
from shogi_env.types import Termination

pyspiel = pytest.importorskip("pyspiel")

from open_spiel.python import rl_environment  # noqa: E402
from open_spiel.python.algorithms import mcts  # noqa: E402
from open_spiel.python.observation import make_observation  # noqa: E402

import shogi_env.adapters.openspiel  # noqa: E402, F401 - registers the game


@pytest.mark.parametrize("parameters", ["max_plies=120", "sfen=2-piece,max_plies=60,declaration=off"])
def test_random_sim_test(parameters):
    game = pyspiel.load_game(f"python_shogi({parameters})")
    pyspiel.random_sim_test(game, num_sims=3, serialize=True, verbose=False)


def test_mcts_bot_plays_a_game():
    game = pyspiel.load_game("python_shogi(max_plies=30)")
    evaluator = mcts.RandomRolloutEvaluator(1, np.random.RandomState(0))
    bots = [
        mcts.MCTSBot(game, 2, 4, evaluator, random_state=np.random.RandomState(seed), solve=True)
        for seed in range(2)
    ]
    state = game.new_initial_state()
    while not state.is_terminal():
        action = bots[state.current_player()].step(state)
        assert action in state.legal_actions()
        state.apply_action(action)
    assert sum(state.returns()) == 0


def test_mcts_bot_finds_a_mate():
    game = pyspiel.load_game("python_shogi(sfen=4k4/9/4P4/9/9/9/9/9/4K4 b G2r2b3g4s4n4l17p 1)")
    evaluator = mcts.RandomRolloutEvaluator(1, np.random.RandomState(0))
    bot = mcts.MCTSBot(game, 2, 300, evaluator, random_state=np.random.RandomState(0), solve=True)
    state = game.new_initial_state()
    action = bot.step(state)
    assert state.action_to_string(action) == "G*5b"
    state.apply_action(action)
    assert state.is_terminal() and state.returns() == [1.0, -1.0]


def test_games_are_those_of_the_environment():
    rng = np.random.default_rng(0)
    game = pyspiel.load_game("python_shogi(max_plies=150)")
    observer, single = make_observation(game), ShogiEnv(opponent=None, max_plies=150)
    for _ in range(5):
        state, board = game.new_initial_state(), Board(max_plies=150)
        observation, info = single.reset()
        terminated, reward = False, 0.0
        while not terminated:
            player = info["to_play"]
            assert state.current_player() == player and not state.is_terminal()
            assert state.legal_actions() == np.flatnonzero(info["action_mask"]).tolist()
            assert state.legal_actions_mask() == info["action_mask"].tolist()
            assert state.legal_actions(1 - player) == []
            for seen in range(2):
                observer.set_from(state, seen)
                assert np.array_equal(observer.dict["observation"], observation)
            assert observer.string_from(state, 0) == str(state) == board.sfen() == single.sfen()
            action = int(rng.choice(state.legal_actions()))
            usi = state.action_to_string(action)
            assert state.string_to_action(usi) == action
            state.apply_action(action)
            board.push_usi(usi)
            observation, reward, terminated, _, info = single.step(action)
        assert state.is_terminal() and state.legal_actions() == []
        assert state.returns()[player] == reward and sum(state.returns()) == 0


def test_a_clone_goes_its_own_way():
    """Repetition is counted from the history, which a clone has to carry along."""
    state = pyspiel.load_game("python_shogi").new_initial_state()
    for usi in ["2h3h", "8b7b", "3h2h", "7b8b"] * 2:
        state.apply_action(state.string_to_action(usi))
    clone, before = state.clone(), str(state)
    for usi in ["2h3h", "8b7b", "3h2h", "7b8b"]:
        assert not clone.is_terminal()
        clone.apply_action(clone.string_to_action(usi))
    assert clone.is_terminal() and clone.returns() == [0.0, 0.0]
    assert clone.rows["termination"][0] == Termination.REPETITION
    assert str(state) == before and not state.is_terminal() and len(state.history()) == 8


def test_serialized_and_back():
    game = pyspiel.load_game("python_shogi(max_plies=40)")
    state = game.new_initial_state()
    for _ in range(10):
        state.apply_action(state.legal_actions()[-1])
    again, copy = pyspiel.deserialize_game_and_state(pyspiel.serialize_game_and_state(game, state))
    assert str(again) == str(game) and str(copy) == str(state) and copy.history() == state.history()


def test_an_illegal_action_loses():
    state = pyspiel.load_game("python_shogi").new_initial_state()
    with pytest.raises(ValueError, match="action 0 is not legal"):
        state.action_to_string(0)
    state.apply_action(0)
    assert state.returns() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"max_plies": 0}, ValueError),
        ({"sfen": "9-piece"}, SfenError),
        ({"declaration": "on"}, ValueError),
        ({"sfen": "4k4/4G4/4P4/9/9/9/9/9/4K4 w 2r2b3g4s4n4l17p 1"}, ValueError),
    ],
)
def test_wrong_parameters_are_refused(parameters, error):
    with pytest.raises(error):
        pyspiel.load_game("python_shogi", parameters)


def test_in_its_learning_environment():
    env = rl_environment.Environment(pyspiel.load_game("python_shogi(max_plies=20)"))
    step, rng = env.reset(), np.random.default_rng(0)
    while not step.last():
        player = step.observations["current_player"]
        assert len(step.observations["info_state"][player]) == 136 * 81
        step = env.step([int(rng.choice(step.observations["legal_actions"][player]))])
    assert sum(step.rewards) == 0


def test_the_page():
    run_example("OpenSpiel")
