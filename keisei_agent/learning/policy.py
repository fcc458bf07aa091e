"""The glue between a network and stable-baselines3."""

from typing import Any

import torch as th
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import nn

from keisei_agent.config import NetworkConfig
from keisei_agent.networks import DTYPES, build
from keisei_agent.networks.compiled import compile_trunk
from keisei_agent.networks.distribution import LegalActions
from keisei_agent.networks.network import Network

ADAM_EPSILON = 1e-5
"""Added to the root of Adam's second moment, as stable-baselines3 has it."""


class PlanesExtractor(BaseFeaturesExtractor):
    """Hands the planes on as they are: the stock extractor would flatten them."""

    def __init__(self, observation_space: spaces.Box) -> None:
        super().__init__(observation_space, features_dim=int(observation_space.shape[0]))

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """Return the observations."""
        return observations


class NetworkPolicy(MaskableActorCriticPolicy):
    """A masked actor-critic policy that is one network with both heads, and nothing else.

    Its arguments are plain values, see `policy_kwargs`, so that stable-baselines3 saves them as JSON.
    What differs from the parent: `_build`, which would leave an unused 2187-wide Linear in the optimizer,
    and what would turn the planes to float32 in a layout that the network then has to change.

    Args:
        observation_space: `Box(0, 1, (P, 9, 9), uint8)`.
        action_space: `Discrete(2187)`.
        lr_schedule: gives the learning rate.
        network: the fields of `NetworkConfig`.
        precision: number format of the trunk: float32, bfloat16 or float16.
        weight_decay: decoupled, as in AdamW; of the weights of convolutions and linear layers only.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        network: dict[str, Any] | None = None,
        precision: str = "float32",
        weight_decay: float = 0.0,
    ) -> None:
        self._arguments = {"network": network or {}, "precision": precision, "weight_decay": weight_decay}
        super().__init__(
            observation_space, action_space, lr_schedule, features_extractor_class=PlanesExtractor
        )

    def _build(self, lr_schedule: Schedule) -> None:
        assert isinstance(self.observation_space, spaces.Box)
        self.mlp_extractor = build(  # type: ignore[assignment]  # it has the same three forwards
            NetworkConfig.model_validate(self._arguments["network"]),
            planes=self.observation_space.shape[0],
            dtype=DTYPES[self.precision],
        )
        self.action_net = nn.Identity()  # the network returns logits
        self.value_net = nn.Identity()  # type: ignore[assignment]  # and the value
        weights = list(self.parameters())
        decayed = {
            "params": [weight for weight in weights if weight.ndim > 1],
            "weight_decay": self._arguments["weight_decay"],
        }
        others = {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0}
        rate = lr_schedule(1)
        self.optimizer = th.optim.AdamW([decayed, others], lr=rate, eps=ADAM_EPSILON, fused=True)

    @property
    def network(self) -> Network:
        """The network, its weights under their own names."""
        assert isinstance(self.mlp_extractor, Network)
        return self.mlp_extractor

    @property
    def precision(self) -> str:
        """Number format of the trunk: float32, bfloat16 or float16."""
        return str(self._arguments["precision"])

    def compile_network(self) -> bool:
        """Have torch.compile translate the trunk; return whether it is used, see `compile_trunk`."""
        shape = (8, *self.observation_space.shape)  # type: ignore[misc]  # a Box has one
        planes = th.randint(0, 2, shape, dtype=th.uint8, generator=th.Generator().manual_seed(0))
        return compile_trunk(self.network, planes.to(self.network.device))

    def extract_features(  # type: ignore[override]  # as in the parent
        self, obs: th.Tensor, features_extractor: BaseFeaturesExtractor | None = None
    ) -> th.Tensor:
        """Return the planes uint8[N, P, 9, 9] untouched; the network converts them."""
        return obs

    def predict_values(self, obs: PyTorchObs) -> th.Tensor:
        """Return the values float32[N, 1] of observations for the player to move."""
        assert isinstance(obs, th.Tensor)
        return self.network.forward_critic(obs)

    def _get_action_dist_from_latent(self, latent_pi: th.Tensor) -> LegalActions:
        # a new one each time: one that stayed would hold on to the last batch and its graph
        return LegalActions(latent_pi.shape[1]).proba_distribution(latent_pi)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            **self._arguments,
        }


def policy_kwargs(network: NetworkConfig, *, precision: str, weight_decay: float = 0.0) -> dict[str, Any]:
    """Arguments of a learner's `policy_kwargs` for `NetworkPolicy`, as plain values.

    Args:
        network: name and shape.
        precision: float32, bfloat16 or float16, see `networks.resolve_precision`.
        weight_decay: as in AdamW.
    """
    return {"network": network.model_dump(), "precision": precision, "weight_decay": weight_decay}
