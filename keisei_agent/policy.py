"""The glue between a network and stable-baselines3."""

from typing import Any

import torch as th
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from keisei_agent.config import NetworkConfig
from keisei_agent.distribution import LegalActions
from keisei_agent.networks.resnet import ResNet


class PlanesExtractor(BaseFeaturesExtractor):
    """Hands the planes on as they are: the stock extractor would flatten them."""

    def __init__(self, observation_space: spaces.Box) -> None:
        super().__init__(observation_space, features_dim=int(observation_space.shape[0]))

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """Return the observations."""
        return observations


class NetworkPolicy(MaskableActorCriticPolicy):
    """A masked actor-critic policy that is one network with both heads, and nothing else.

    Construct it with `policy_kwargs`. Two things differ from the parent: `_build`, which would
    leave an unused 2187-wide Linear in the optimizer, and `extract_features`, which would turn
    the planes to float32 in a layout that the network then has to change.
    """

    def _build(self, lr_schedule: Schedule) -> None:
        arguments: Any = self.net_arch  # not the parent's layer sizes, see policy_kwargs
        self.mlp_extractor = ResNet(**arguments)  # type: ignore[assignment]  # it has the same three forwards
        assert isinstance(self.action_space, spaces.Discrete)
        self.action_dist = LegalActions(int(self.action_space.n))
        self.action_net = nn.Identity()  # the network returns logits
        self.value_net = nn.Identity()  # type: ignore[assignment]  # and the value
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )

    def extract_features(  # type: ignore[override]  # as in the parent
        self, obs: th.Tensor, features_extractor: BaseFeaturesExtractor | None = None
    ) -> th.Tensor:
        """Return the planes uint8[N, 136, 9, 9] untouched; the network converts them."""
        return obs

    @property
    def network(self) -> ResNet:
        """The network, its weights under their own names."""
        assert isinstance(self.mlp_extractor, ResNet)
        return self.mlp_extractor


def policy_kwargs(network: NetworkConfig, *, in_bfloat16: bool) -> dict[str, Any]:
    """Arguments of a learner's `policy_kwargs` for `NetworkPolicy`."""
    return {
        "net_arch": network.model_dump() | {"in_bfloat16": in_bfloat16},
        "features_extractor_class": PlanesExtractor,
    }
