"""Learners on the fakes."""

from typing import Any

import numpy as np
from fakes import FakeVecEnv

from keisei_agent.buffer import PackedRolloutBuffer
from keisei_agent.config import NetworkConfig
from keisei_agent.policy import NetworkPolicy, policy_kwargs
from keisei_agent.ppo import SelfPlayPPO
from keisei_agent.seats import discounts

SMALL = NetworkConfig(channels=8, blocks=1, value_hidden=8)


def planes_model(
    env: FakeVecEnv, *, in_bfloat16: bool = False, gamma: float = 1.0, **arguments: Any
) -> SelfPlayPPO:
    """Return a small residual network learning on `env`."""
    return SelfPlayPPO(
        NetworkPolicy,
        env,
        rollout_buffer_class=PackedRolloutBuffer,
        rollout_buffer_kwargs={"discounts": discounts(np.ones(env.num_envs, bool), gamma)},
        policy_kwargs=policy_kwargs(SMALL, in_bfloat16=in_bfloat16),
        device="cpu",
        **{"n_steps": 8, "batch_size": 16, "n_epochs": 1, "seed": 0} | arguments,
    )
