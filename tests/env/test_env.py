"""`ShogiEnv`: Gymnasium's contract, seats, starts, state, seeds."""

import copy
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import shogi_env
from shogi_env import Board, IllegalMoveError, SfenError, ShogiEnv, Termination, UsiError
from shogi_env.core.planes import PIECE_PLANES

CONFIGS = [
    {},
    {"opponent": None},
    {"opponent": "greedy", "side": "white"},
    {"observation": "pieces", "layout": "NHWC"},
    {"observation": "board"},
    {"observation": "dlshogi"},
    {"initial": ["2-piece", "even"], "random_plies": 3, "max_plies": 40},
]
MATE_IN_ONE = "7k1/9/7P1/9/9/9/9/9/K8 b G 1"  # G*2b


def play(env, steps, seed):
    """Everything that `steps` random legal steps return, flat."""
    rng = np.random.default_rng(seed)
    obs, info = env.reset(seed=seed)
    trace = [obs, *info.values()]
    for _ in range(steps):
        action = rng.choice(np.flatnonzero(info["action_mask"]))
        obs, reward, terminated, truncated, info = env.step(action)
        trace += [obs, reward, terminated, truncated, *info.values()]
        if terminated:
            obs, info = env.reset()
            trace += [obs, *info.values()]
    return trace


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_gymnasium_checker_passes_without_a_warning(config):
    env = gymnasium.make("shogi_env:Shogi-v0", **config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_same_seed_same_games(config):
    first = play(ShogiEnv(**config), 120, seed=3)
    assert same(first, play(ShogiEnv(**config), 120, seed=3))
    assert not same(first, play(ShogiEnv(**config), 120, seed=4))


@pytest.mark.nojit
def test_what_step_returns():
    env = ShogiEnv()
    obs, info = env.reset(seed=np.random.default_rng(0).integers(9).item())
    assert obs.dtype == np.uint8 and obs.shape == (136, 9, 9) and obs in env.observation_space
    assert set(info) == {"action_mask", "to_play", "ply", "termination", "winner"}
    assert info["action_mask"].dtype == np.int8 and info["action_mask"].sum() == 30
    assert info["winner"] == -1 and info["termination"] == 0
    _, reward, terminated, truncated, info = env.step(np.flatnonzero(info["action_mask"])[0])
    assert type(reward) is float and type(terminated) is bool and type(truncated) is bool
    assert all(isinstance(value, (np.ndarray, np.generic)) for value in info.values())
    assert np.array_equal(env.action_masks(), info["action_mask"].astype(bool))


@pytest.mark.nojit
def test_illegal_action_loses():
    env = ShogiEnv(opponent=None)
    obs, _ = env.reset(seed=0)
    for action in (0, -1, 2187, 10**12):
        before, _ = env.reset()
        obs, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated) == (-1.0, True, False)
        assert info["termination"] == Termination.ILLEGAL_MOVE and info["winner"] == 1
        assert np.array_equal(obs, before), "the offender's view"
        assert info["action_mask"].all() and env.action_masks().all()


def test_illegal_action_may_raise():
    env = ShogiEnv(opponent=None, illegal_action="raise")
    _, info = env.reset(seed=0)
    state = env.get_state()
    with pytest.raises(IllegalMoveError, match="action 0"):
        env.step(0)
    assert same([*env.get_state()["games"][0]], [*state["games"][0]])
    env.step(np.flatnonzero(info["action_mask"])[0])


@pytest.mark.parametrize("action", ["7g7f", "5", None, [1, 2], 1.5])
def test_not_an_action(action):
    env = ShogiEnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="integer"):
        env.step(action)


def test_step_needs_a_running_game():
    env = ShogiEnv()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    env.step(-1)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)


@pytest.mark.parametrize(("side", "color"), [("black", 0), ("white", 1)])
def test_the_learner_plays_its_side(side, color):
    env = ShogiEnv(side=side)
    for seed in range(3):
        _, info = env.reset(seed=seed)
        assert info["to_play"] == color and info["ply"] == color


def test_random_side_is_both():
    env = ShogiEnv()
    env.reset(seed=0)
    assert {int(env.reset()[1]["to_play"]) for _ in range(20)} == {0, 1}


def test_reset_options():
    env = ShogiEnv(side="black")
    env.reset(seed=0)
    env.reset(options={"sfen": MATE_IN_ONE, "side": "black", "something": 1})
    assert env.sfen() == MATE_IN_ONE
    board = Board(MATE_IN_ONE)
    action = board.action(next(m for m in board.legal_moves if str(m) == "G*2b"))
    _, reward, terminated, _, info = env.step(action)
    assert (reward, terminated) == (1.0, True)
    assert info["termination"] == Termination.CHECKMATE and info["winner"] == 0
    env.reset(options={"moves": ["7g7f", "3c3d"], "side": "black"})
    assert env.sfen().split()[0] == "lnsgkgsnl/1r5b1/pppppp1pp/6p2/9/2P6/PP1PPPPPP/1B5R1/LNSGKGSNL"
    env.reset()
    assert env.sfen() == Board().sfen()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sfen": "nonsense"}, SfenError),
        ({"moves": ["7g7f", "xx"]}, UsiError),
        ({"moves": ["7g7f", "7f7e"]}, IllegalMoveError),
        ({"side": "red"}, ValueError),
        ({"sfen": "7k1/7G1/7P1/9/9/9/9/9/K8 w - 1"}, ValueError),
    ],
    ids=str,
)
def test_a_wrong_option_loses_nothing(options, error):
    env = ShogiEnv(opponent=None)
    _, info = env.reset(seed=0)
    env.step(np.flatnonzero(info["action_mask"])[3])
    before = env.sfen(), env.get_state()["games"][0].rows.copy()
    with pytest.raises(error):
        env.reset(options=options)
    assert env.sfen() == before[0]
    assert env.get_state()["games"][0].rows["ply"] == 1
    env.step(np.flatnonzero(env.action_masks())[0])


@pytest.mark.parametrize(
    ("initial", "sfens"),
    [
        ("2-piece", {shogi_env.Board("2-piece").sfen()}),
        (MATE_IN_ONE, {MATE_IN_ONE}),
        (["even", "10-piece"], {Board().sfen(), Board("10-piece").sfen()}),
        (
            lambda rng: ["lance", "bishop"][int(rng.integers(2))],
            {Board("lance").sfen(), Board("bishop").sfen()},
        ),
    ],
    ids=["handicap", "sfen", "list", "function"],
)
def test_initial(initial, sfens):
    env = ShogiEnv(opponent=None, initial=initial)
    env.reset(seed=1)
    seen = set()
    for _ in range(20):
        env.reset()
        seen.add(env.sfen())
    assert seen == sfens


def test_random_plies():
    env = ShogiEnv(opponent=None, random_plies=7)
    seen = {env.reset(seed=seed)[1]["ply"].item() for seed in range(5)}
    assert seen == {7}
    assert len({(env.reset(), env.sfen())[1] for _ in range(10)}) == 10


def test_a_game_that_ends_before_the_first_decision_is_opened_again():
    env = ShogiEnv(opponent="greedy", side="random", initial=MATE_IN_ONE)
    for seed in range(8):  # Black is to move and mates: only Black gets to play
        assert env.reset(seed=seed)[1]["to_play"] == 0
    env.step(np.flatnonzero(env.action_masks())[0])
    before = env.sfen()
    with pytest.raises(ValueError, match="before the learner's first move"):
        env.reset(options={"side": "white"})
    assert env.sfen() == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"opponent": "strong"},
        {"side": "both"},
        {"max_plies": 0},
        {"max_plies": 40000},
        {"declaration": "yes"},
        {"observation": "rgb"},
        {"layout": "CHW"},
        {"illegal_action": "ignore"},
        {"render_mode": "svg"},
        {"initial": "no such handicap"},
        {"initial": []},
        {"initial": "7k1/7G1/7P1/9/9/9/9/9/K8 w - 1"},
        {"max_plies": 10**12},
        {"max_plies": None},
        {"random_plies": -1},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError):
        ShogiEnv(**arguments)


def test_set_opponent():
    env = ShogiEnv(side="black")
    _, info = env.reset(seed=0)
    asked = []

    def first_legal(positions, idx):
        asked.append(idx.tolist())
        return np.array([np.flatnonzero(positions.masks()[i])[0] for i in idx])

    env.set_opponent(first_legal)
    env.step(np.flatnonzero(info["action_mask"])[0])
    assert asked == [[0]]
    with pytest.raises(ValueError, match="strong"):
        env.set_opponent("strong")


def test_an_opponent_may_resign():
    def hopeless(positions, idx):
        return np.full(len(idx), shogi_env.opponents.RESIGN)

    env = ShogiEnv(opponent=hopeless, side="black")
    _, info = env.reset(seed=0)
    _, reward, terminated, _, info = env.step(np.flatnonzero(info["action_mask"])[0])
    assert (reward, terminated) == (1.0, True)
    assert (info["termination"], info["winner"]) == (Termination.RESIGNATION, shogi_env.Color.BLACK)


def test_an_opponents_illegal_move_is_an_error():
    def wrong(positions, idx):
        return np.zeros(len(idx), np.int64)

    env = ShogiEnv(opponent=wrong, side="black")
    _, info = env.reset(seed=0)
    with pytest.raises(IllegalMoveError, match="opponent wrong"):
        env.step(np.flatnonzero(info["action_mask"])[0])


def test_greedy_mates_and_captures():
    env = ShogiEnv(opponent="greedy", side="white")
    env.reset(seed=0, options={"sfen": MATE_IN_ONE, "side": "black"})
    games = shogi_env.Positions(4, sfens=MATE_IN_ONE)
    actions = shogi_env.opponents.greedy(games, np.arange(4))
    assert {str(Board(MATE_IN_ONE).move(int(a))) for a in actions} == {"G*2b"}
    rook_hangs = "4k4/9/9/9/4r4/4P4/9/9/4K4 b - 1"
    games = shogi_env.Positions(4, sfens=rook_hangs)
    actions = shogi_env.opponents.greedy(games, np.arange(4))
    assert {str(Board(rook_hangs).move(int(a))) for a in actions} == {"5f5e"}


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("how", ["pickle", "deepcopy", "state"])
def test_a_copy_goes_on_alike(config, how):
    env = ShogiEnv(**config)
    env.reset(seed=5)
    for _ in range(9):
        if env.step(np.flatnonzero(env.action_masks())[0])[2]:
            env.reset()
    if how == "pickle":
        twin = pickle.loads(pickle.dumps(env))
    elif how == "deepcopy":
        twin = copy.deepcopy(env)
    else:
        twin = ShogiEnv(**config)
        twin.reset(seed=99)
        twin.set_state(pickle.loads(pickle.dumps(env.get_state())))
    rng = np.random.default_rng(0)
    for _ in range(80):
        assert env.sfen() == twin.sfen()
        action = rng.choice(np.flatnonzero(env.action_masks()))
        ours, theirs = env.step(action), twin.step(action)
        assert same([*ours[:4], *ours[4].values()], [*theirs[:4], *theirs[4].values()])
        if ours[2]:
            assert same([env.reset()[0]], [twin.reset()[0]])


def test_results_share_no_memory():
    env = ShogiEnv(opponent=None)
    results = [env.reset(seed=0)]
    for _ in range(4):
        step = env.step(np.flatnonzero(env.action_masks())[0])
        results.append((step[0], step[4]))
    arrays = [array for obs, info in results for array in (obs, info["action_mask"])]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])


def test_observations_agree():
    kinds = ("full", "pieces", "dlshogi", "board")
    envs = {kind: ShogiEnv(opponent=None, observation=kind) for kind in kinds}
    nhwc = ShogiEnv(opponent=None, layout="NHWC")
    rng = np.random.default_rng(7)
    views = {name: env.reset(seed=1)[0] for name, env in envs.items()}
    last = nhwc.reset(seed=1)[0]
    for _ in range(150):
        full, board = views["full"], views["board"]
        assert np.array_equal(full[PIECE_PLANES], views["pieces"])
        assert np.array_equal(full[:119], views["dlshogi"])
        assert np.array_equal(full.transpose(1, 2, 0), last)
        cells = np.zeros(81, int)
        for piece in range(14):
            cells += (piece + 1) * full[piece].ravel() + (piece + 15) * full[31 + piece].ravel()
        assert np.array_equal(cells, board[:81])
        assert board in envs["board"].observation_space
        action = rng.choice(np.flatnonzero(envs["full"].action_masks()))
        steps = {name: env.step(action) for name, env in envs.items()}
        last, _, over, _, _ = nhwc.step(action)
        views = {name: step[0] for name, step in steps.items()}
        if over:
            views = {name: env.reset()[0] for name, env in envs.items()}
            last = nhwc.reset()[0]


def test_max_plies_is_a_draw_by_rule():
    env = ShogiEnv(opponent=None, max_plies=3)
    env.reset(seed=0)
    for _ in range(3):
        _, reward, terminated, truncated, info = env.step(np.flatnonzero(env.action_masks())[0])
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert info["termination"] == Termination.MAX_PLIES and info["winner"] == -1


@pytest.mark.parametrize("mode", ["ansi", "rgb_array", "human"])
def test_render(mode, capsys):
    env = gymnasium.make("Shogi-v0", render_mode=mode, opponent=None)
    _, info = env.reset(seed=0)
    env.step(np.flatnonzero(info["action_mask"])[0])
    picture = env.render()
    if mode == "ansi":
        assert "玉" in picture and "[" in picture
    elif mode == "rgb_array":
        assert picture.dtype == np.uint8 and picture.shape[2] == 3
    else:
        assert picture is None and "玉" in capsys.readouterr().out
    env.close()
    env.close()


def test_is_registered_once():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = gymnasium.spec("Shogi-v0")
    assert spec.entry_point == "shogi_env.env:ShogiEnv"
    assert gymnasium.envs.registration.EnvSpec.from_json(spec.to_json()).id == "Shogi-v0"
