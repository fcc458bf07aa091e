"""RLlib's PPO plays and learns on the local cluster, and chooses legal actions only."""

import sys

import numpy as np
import pytest
from library_page import run_example

from shogi_env import ShogiEnv
from shogi_env.types import Termination

ray = pytest.importorskip("ray")
pytest.importorskip("ray.rllib")

from ray.rllib.algorithms.ppo import PPOConfig  # noqa: E402
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig  # noqa: E402
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec  # noqa: E402
from ray.rllib.core.rl_module.rl_module import RLModuleSpec  # noqa: E402
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule  # noqa: E402
from ray.rllib.utils.pre_checks.env import check_multiagent_environments  # noqa: E402

from shogi_env.adapters.rllib import AGENTS, ShogiMultiAgentEnv, ShogiSingleAgentEnv  # noqa: E402

# The runners, which cannot import this file, get its functions with their code.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False)
    yield
    ray.shutdown()


def ppo(env, **env_config):
    """A short PPO with one remote runner, whose games refuse an illegal action; so do the runner and we."""
    config = {"layout": "NHWC", "max_plies": 60, "illegal_action": "raise"} | env_config
    return (
        PPOConfig()
        # RLlib's check of an environment plays actions without looking at the mask.
        .environment(env, env_config=config, disable_env_checking=True)
        .env_runners(num_env_runners=1, rollout_fragment_length=64)
        .fault_tolerance(restart_failed_env_runners=False)
        .training(train_batch_size_per_learner=128, minibatch_size=64, num_epochs=1)
        .debugging(seed=0)
    )


def network():
    shape = DefaultModelConfig(conv_filters=[[16, 3, 1]], head_fcnet_hiddens=[])
    return RLModuleSpec(module_class=ActionMaskingTorchRLModule, model_config=shape)


def weights_of(module):
    return {name: value.detach().numpy().copy() for name, value in module.state_dict().items()}


def train_twice(algorithm, module):
    """Train; the weights have to change, and the runner's copy has to follow."""
    before = weights_of(algorithm.learner_group._learner.module[module])
    episodes = 0
    for _ in range(2):
        found = algorithm.train()["env_runners"]
        episodes += found["num_episodes"]
        after = weights_of(algorithm.learner_group._learner.module[module])
        assert any(not np.array_equal(before[name], after[name]) for name in before)
        before = after
    assert episodes > 0
    several = algorithm.config.is_multi_agent
    (states,) = algorithm.env_runner_group.foreach_env_runner(
        lambda runner: weights_of(runner.module[module] if several else runner.module),
        local_env_runner=False,
    )
    assert states
    for name in states:  # the value head is the learner's alone
        assert np.array_equal(states[name], after[name]) or name.startswith("vf."), name
    return found


def seat_greedy(runner):
    opponents = []
    for env in runner.env.unwrapped.envs:
        env.unwrapped.set_opponent("greedy")
        opponents.append(env.unwrapped._games._seats[0].__name__)
    return opponents


@pytest.mark.slow
def test_ppo_in_one_seat(cluster):
    config = ppo(ShogiSingleAgentEnv, opponent="random").rl_module(rl_module_spec=network())
    algorithm = config.build_algo()
    try:
        train_twice(algorithm, "default_policy")
        seated = algorithm.env_runner_group.foreach_env_runner(seat_greedy, local_env_runner=False)
        assert seated == [["greedy"]]
    finally:
        algorithm.stop()


@pytest.mark.slow
def test_ppo_in_both_seats(cluster):
    config = (
        ppo(ShogiMultiAgentEnv)
        .multi_agent(policies={"both"}, policy_mapping_fn=lambda agent, episode, **_: "both")
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs={"both": network()}))
    )
    algorithm = config.build_algo()
    try:
        returns = train_twice(algorithm, "both")["agent_episode_returns_mean"]
        assert returns["player_0"] + returns["player_1"] == 0
    finally:
        algorithm.stop()


def test_rllibs_check_of_multi_agent_environments():
    for config in ({}, {"observation": "board", "initial": ["even", "2-piece"]}, {"max_plies": 1}):
        check_multiagent_environments(ShogiMultiAgentEnv(config))


def test_multi_agent_games_are_those_of_the_environment():
    config = {"max_plies": 150, "random_plies": 3, "initial": ["even", "2-piece"]}
    game, single = ShogiMultiAgentEnv(config), ShogiEnv(opponent=None, **config)
    rng = np.random.default_rng(0)
    for seed in range(8):
        seen, _ = game.reset(seed=seed)
        observation, info = single.reset(seed=seed)
        terminated, total = False, dict.fromkeys(AGENTS, 0.0)
        while not terminated:
            mover = AGENTS[info["to_play"]]
            assert list(seen) == [mover] and seen[mover] in game.observation_spaces[mover]
            assert np.array_equal(seen[mover]["observations"], observation)
            assert np.array_equal(seen[mover]["action_mask"], info["action_mask"])
            # An illegal action ends one game in two.
            legal = np.flatnonzero(info["action_mask"])
            action = rng.integers(2187) if seed % 2 and rng.random() < 0.05 else rng.choice(legal)
            observation, reward, terminated, _, info = single.step(action)
            seen, rewards, done, cut, infos = game.step({mover: action})
            total = {agent: total[agent] + rewards.get(agent, 0.0) for agent in AGENTS}
            assert done == {"__all__": terminated} and cut == {"__all__": False}
            assert set(infos) == set(seen)
        assert set(seen) == set(AGENTS)
        assert not np.shares_memory(*(seen[agent]["observations"] for agent in AGENTS))
        assert total == {mover: reward, AGENTS[mover == AGENTS[0]]: -reward}
        assert infos[mover]["termination"] == info["termination"]


def test_who_never_played_is_not_mentioned():
    game = ShogiMultiAgentEnv({})
    game.reset()
    seen, rewards, done, _, infos = game.step({"player_0": 0})
    assert set(seen) == {"player_0"} and rewards == {"player_0": -1.0} and done["__all__"]
    assert infos["player_0"]["termination"] == Termination.ILLEGAL_MOVE


def test_single_agent_games_are_those_of_the_environment():
    game, single = ShogiSingleAgentEnv({"side": "black"}), ShogiEnv(side="black")
    seen, info = game.reset(seed=3)
    observation, same = single.reset(seed=3)
    terminated = False
    while not terminated:
        assert seen in game.observation_space and seen["action_mask"].dtype == np.float32
        assert np.array_equal(seen["observations"], observation)
        assert np.array_equal(seen["action_mask"], same["action_mask"])
        assert info == {key: same[key] for key in same if key != "action_mask"}
        action = np.flatnonzero(same["action_mask"])[0]
        seen, *rest, info = game.step(action)
        observation, reward, terminated, truncated, same = single.step(action)
        assert rest == [reward, terminated, truncated]


@pytest.mark.slow
def test_the_page():
    run_example("RLlib")
