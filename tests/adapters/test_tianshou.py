"""Tianshou's collectors play the PettingZoo environment, and its multi-agent training runs on it."""

import numpy as np
import pytest
from library_page import run_example

pytest.importorskip("tianshou", minversion="2.0")

import torch
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.multiagent.marl import MultiAgentOffPolicyAlgorithm
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.algorithm.random import MARLRandomDiscreteMaskedOffPolicyAlgorithm
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.env.pettingzoo_env import PettingZooEnv
from tianshou.trainer import OffPolicyTrainerParams

from shogi_env.adapters import pettingzoo


class Values(torch.nn.Module):
    """A value for each action."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(136 * 81, 2187))

    def forward(self, obs, state=None, info=None):
        return self.layers(torch.as_tensor(obs, dtype=torch.float32)), state


def make(**kwargs):
    """Games in which an illegal action is an error."""
    return PettingZooEnv(pettingzoo.env(illegal_action="raise", **kwargs))


def test_a_collector_plays_legal_games():
    env = make(max_plies=50)
    algorithm = MultiAgentOffPolicyAlgorithm(
        algorithms=[MARLRandomDiscreteMaskedOffPolicyAlgorithm(env.action_space) for _ in range(2)], env=env
    )
    envs = DummyVectorEnv([lambda: make(max_plies=50) for _ in range(3)])
    collector = Collector(algorithm, envs, VectorReplayBuffer(2000, 3))
    collector.reset()
    found = collector.collect(n_episode=6)
    assert found.n_collected_episodes == 6
    assert (found.returns.sum(axis=1) == 0).all(), "one side's win is the other's loss"
    assert set(np.abs(found.returns).flatten()) <= {0.0, 1.0}
    batch, _ = collector.buffer.sample(0)
    assert set(batch.obs.agent_id) == {"player_0", "player_1"}
    # Why the page sends learners to one seat.
    assert (batch.obs.agent_id != batch.obs_next.agent_id)[~batch.terminated].all()
    assert all(mask[action] for mask, action in zip(batch.obs.mask, batch.act, strict=True))


def test_multi_agent_training():
    env = make(max_plies=30)
    learner = DQN(
        policy=DiscreteQLearningPolicy(
            model=Values(), action_space=env.action_space, eps_training=0.2, eps_inference=0.05
        ),
        optim=AdamOptimizerFactory(lr=1e-3),
        target_update_freq=20,
    )
    other = MARLRandomDiscreteMaskedOffPolicyAlgorithm(env.action_space)
    algorithm = MultiAgentOffPolicyAlgorithm(algorithms=[learner, other], env=env)
    train, test = (DummyVectorEnv([lambda: make(max_plies=30) for _ in range(2)]) for _ in range(2))
    before = [value.detach().clone() for value in learner.policy.parameters()]
    result = algorithm.run_training(
        OffPolicyTrainerParams(
            training_collector=Collector(
                algorithm, train, VectorReplayBuffer(400, 2), exploration_noise=True
            ),
            test_collector=Collector(algorithm, test),
            max_epochs=1,
            epoch_num_steps=120,
            collection_step_num_env_steps=40,
            test_step_num_episodes=4,
            batch_size=32,
            update_step_num_gradient_steps_per_sample=0.1,
            multi_agent_return_reduction=lambda returns: returns[:, 0],
            show_progress=False,
        )
    )
    assert result.train_step >= 120 and result.test_episode >= 4
    assert any(not torch.equal(a, b) for a, b in zip(before, learner.policy.parameters(), strict=True))


def test_the_page():
    run_example("Tianshou")
