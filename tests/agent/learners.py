"""Learners on the fakes."""

from typing import Any

import numpy as np
import torch as th
from fakes import FakeVecEnv
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

from keisei_agent.config import NetworkConfig
from keisei_agent.learning.buffer import PackedRolloutBuffer
from keisei_agent.learning.policy import NetworkPolicy, policy_kwargs
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.learning.seats import discounts

ROLLOUT = 4 * 8
"""Decisions in a rollout of `planes_model` with four games."""
SMALL = NetworkConfig(channels=8, blocks=1, value_hidden=8)


def planes_model(
    env: FakeVecEnv,
    *,
    network: NetworkConfig = SMALL,
    precision: str = "float32",
    weight_decay: float = 0.0,
    gamma: float = 1.0,
    **arguments: Any,
) -> SelfPlayPPO:
    """Return a small network learning on `env`."""
    return SelfPlayPPO(
        NetworkPolicy,
        env,
        rollout_buffer_class=PackedRolloutBuffer,
        rollout_buffer_kwargs={"discounts": discounts(np.asarray(env.both_seats), gamma)},
        policy_kwargs=policy_kwargs(network, precision=precision, weight_decay=weight_decay),
        device="cpu",
        **{"n_steps": 8, "batch_size": 16, "n_epochs": 1, "seed": 0} | arguments,
    )


def nim_model(env: FakeVecEnv, gamma: float, **arguments: Any) -> SelfPlayPPO:
    """Return a stock policy learning on `env`, whose observations are a row of bits, in both seats.

    Args:
        env: the games.
        gamma: the discount, unsigned; a negative one teaches with the sign flipped.
        **arguments: of the learner.
    """
    return SelfPlayPPO(
        MaskableActorCriticPolicy,
        env,
        rollout_buffer_class=PackedRolloutBuffer,
        rollout_buffer_kwargs={"discounts": discounts(np.ones(env.num_envs, bool), gamma)},
        device="cpu",
        **{"learning_rate": 3e-3, "n_steps": 64, "batch_size": 256, "n_epochs": 4, "ent_coef": 0.01}
        | arguments,
    )


def weights_of(model: SelfPlayPPO) -> th.Tensor:
    return th.cat([weight.detach().flatten() for weight in model.policy.parameters()])
