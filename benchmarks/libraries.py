"""Does the stock PPO of each library learn here?  One seat against random play, then games against it.

    python benchmarks/libraries.py sb3 | torchrl | tianshou | rllib [--seconds 300] [--games 400] [--seed 0]

Each library learns for so long on one core (RLlib's runner has a process of its own beside the learner), with
the mode of seats that `docs/libraries.md` names: the learner has one seat, the discount is positive.  Before
and after it plays `--games` games with moves drawn from its policy, from both sides, against random moves.  A
library has to be installed; `tox -m adapters` makes environments of the versions that were tested.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from common import machine, pin, save, show, single_threaded

single_threaded()

import gymnasium  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import shogi_env  # noqa: E402
from shogi_env.arena.statistics import NORMAL, Score  # noqa: E402

GAMES = 128
"""Games at once while learning."""
STEPS = 32
"""Decisions of each of them between updates."""
BATCH = 512
"""Decisions for each gradient step."""
EPOCHS = 2
RATE = 1e-3
GAMMA = 0.99
ENTROPY = 0.01
LEAST = 0.6
"""Score that a learner with the right sign passes."""


class Learner(NamedTuple):
    """What a library makes."""

    train: Callable[[float], int]
    """Learns for so many seconds; says from how many decisions."""
    act: Callable[[np.ndarray, np.ndarray], np.ndarray]
    """Actions int64[k], drawn from the policy, of planes uint8[k, 136, 9, 9] and masks bool[k, 2187]."""


class Planes(nn.Module):
    """Layers that take planes uint8[..., 136, 9, 9] of any batch size."""

    def __init__(self, *head: nn.Module) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (136, 32, 32):
            layers += [nn.Conv2d(channels, 32, 3, padding=1), nn.GroupNorm(1, 32), nn.ReLU()]
        self.layers = nn.Sequential(*layers, *head)

    def forward(self, planes: Tensor) -> Tensor:
        """What the head makes of them."""
        batch = planes.shape[:-3]
        found: Tensor = self.layers(planes.reshape(-1, *planes.shape[-3:]).float())
        return found.unflatten(0, batch)


def make_policy() -> Planes:
    """Logits float32[..., 2187]."""
    return Planes(nn.Conv2d(32, 27, 1), nn.Flatten())


def make_value() -> Planes:
    """Values float32[..., 1]."""
    return Planes(nn.Conv2d(32, 4, 1), nn.Flatten(), nn.Linear(4 * 81, 1), nn.Tanh())


@torch.no_grad()
def draw(logits: Tensor, masks: np.ndarray) -> np.ndarray:
    """Legal actions by their probability."""
    logits = logits.masked_fill(~torch.as_tensor(masks), -torch.inf)
    actions: np.ndarray = torch.distributions.Categorical(logits=logits).sample().numpy()
    return actions


def sb3(seed: int) -> Learner:
    """sb3-contrib's MaskablePPO with the adapter's extractor."""
    from sb3_contrib import MaskablePPO
    from stable_baselines3.common.callbacks import BaseCallback

    from shogi_env.adapters.sb3 import BoardExtractor, make_vec_env

    class Deadline(BaseCallback):
        """Ends learning at a time."""

        def __init__(self, end: float) -> None:
            super().__init__()
            self.end = end

        def _on_step(self) -> bool:
            return time.monotonic() < self.end

    model = MaskablePPO(
        "MlpPolicy",
        make_vec_env(GAMES, seed=seed, opponent="random"),
        n_steps=STEPS,
        batch_size=BATCH,
        n_epochs=EPOCHS,
        learning_rate=RATE,
        gamma=GAMMA,
        ent_coef=ENTROPY,
        policy_kwargs={
            "features_extractor_class": BoardExtractor,
            "features_extractor_kwargs": {"channels": 32},
            "net_arch": [],
        },
        seed=seed,
        device="cpu",
    )

    def train(seconds: float) -> int:
        model.learn(10**12, callback=Deadline(time.monotonic() + seconds))
        return int(model.num_timesteps)

    return Learner(train, lambda planes, masks: model.predict(planes, action_masks=masks)[0])


def torchrl(seed: int) -> Learner:
    """TorchRL's collector, GAE and clipped loss, on the native batch."""
    from tensordict.nn import TensorDictModule
    from torchrl.collectors import Collector
    from torchrl.modules import MaskedCategorical, ProbabilisticActor, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE

    from shogi_env.adapters.torchrl import make_vec_env

    env = make_vec_env(GAMES, opponent="random")
    env.set_seed(seed)
    policy = make_policy()
    actor = ProbabilisticActor(
        TensorDictModule(policy, in_keys=["observation"], out_keys=["logits"]),
        in_keys={"logits": "logits", "mask": "action_mask"},
        distribution_class=MaskedCategorical,
        spec=env.action_spec,
        return_log_prob=True,
    )
    critic = ValueOperator(make_value(), in_keys=["observation"])
    loss = ClipPPOLoss(actor, critic, entropy_coeff=ENTROPY, normalize_advantage=True)
    advantage = GAE(gamma=GAMMA, lmbda=0.95, value_network=critic)
    optimizer = torch.optim.Adam(loss.parameters(), RATE)

    def train(seconds: float) -> int:
        decisions, end = 0, time.monotonic() + seconds
        collector = Collector(env, actor, frames_per_batch=GAMES * STEPS, total_frames=-1)
        for batch in collector:
            with torch.no_grad():
                advantage(batch)
            samples = batch.reshape(-1)
            for _ in range(EPOCHS):
                for part in samples[torch.randperm(len(samples))].split(BATCH):
                    losses = loss(part)
                    total = losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]
                    optimizer.zero_grad()
                    total.backward()
                    nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                    optimizer.step()
            decisions += len(samples)
            if time.monotonic() > end:
                break
        collector.shutdown()
        return decisions

    return Learner(train, lambda planes, masks: draw(policy(torch.as_tensor(planes)), masks))


def tianshou(seed: int) -> Learner:
    """Tianshou's PPO; its network puts the mask on the logits, which its policy would not."""
    from tianshou.algorithm import PPO
    from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv
    from tianshou.utils.torch_utils import policy_within_training_step

    class Masked(gymnasium.Wrapper[Any, Any, Any, Any]):
        """The mask beside the planes."""

        def reset(self, **options: Any) -> Any:
            planes, info = self.env.reset(**options)
            return {"obs": planes, "mask": info.pop("action_mask").astype(bool)}, info

        def step(self, action: Any) -> Any:
            planes, *rest, info = self.env.step(action)
            return {"obs": planes, "mask": info.pop("action_mask").astype(bool)}, *rest, info

    class Actor(nn.Module):
        """Logits, and no state."""

        def __init__(self) -> None:
            super().__init__()
            self.policy = make_policy()

        def forward(self, obs: Any, state: Any = None, info: Any = None) -> tuple[Tensor, Any]:
            logits = self.policy(torch.as_tensor(obs.obs))
            return logits.masked_fill(~torch.as_tensor(obs.mask), -1e8), state

    class Critic(nn.Module):
        """Values."""

        def __init__(self) -> None:
            super().__init__()
            self.value = make_value()

        def forward(self, obs: Any, *_: Any) -> Tensor:
            found: Tensor = self.value(torch.as_tensor(obs.obs))
            return found

    envs = DummyVectorEnv([lambda: Masked(gymnasium.make("shogi_env:Shogi-v0")) for _ in range(GAMES)])
    envs.seed(seed)
    actor = Actor()
    algorithm = PPO(
        policy=DiscreteActorPolicy(actor=actor, action_space=envs.action_space[0]),
        critic=Critic(),
        optim=AdamOptimizerFactory(lr=RATE),
        ent_coef=ENTROPY,
        gamma=GAMMA,
        max_grad_norm=0.5,
        max_batchsize=BATCH,
    )
    collector = Collector(algorithm, envs, VectorReplayBuffer(GAMES * STEPS, GAMES))

    def train(seconds: float) -> int:
        decisions, end = 0, time.monotonic() + seconds
        collector.reset()
        while time.monotonic() < end:
            with policy_within_training_step(algorithm.policy):
                decisions += collector.collect(n_step=GAMES * STEPS).n_collected_steps
                algorithm.update(buffer=collector.buffer, batch_size=BATCH, repeat=EPOCHS)
            collector.reset_buffer(keep_statistics=True)
        return decisions

    return Learner(train, lambda planes, masks: draw(actor.policy(torch.as_tensor(planes)), masks))


def rllib(seed: int) -> Learner:
    """RLlib's PPO with its module for masks, and one remote runner."""
    import ray
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.rllib.core.rl_module.rl_module import RLModuleSpec
    from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule

    from shogi_env.adapters.rllib import ShogiSingleAgentEnv

    shape = DefaultModelConfig(conv_filters=[[32, 3, 1]] * 3, conv_activation="relu", head_fcnet_hiddens=[])
    config = (
        PPOConfig()
        .environment(ShogiSingleAgentEnv, env_config={"layout": "NHWC", "opponent": "random"})
        .env_runners(num_env_runners=1, num_envs_per_env_runner=GAMES, rollout_fragment_length=STEPS)
        .training(
            train_batch_size_per_learner=GAMES * STEPS,
            minibatch_size=BATCH,
            num_epochs=EPOCHS,
            lr=RATE,
            gamma=GAMMA,
            lambda_=0.95,
            clip_param=0.2,
            use_kl_loss=False,
            entropy_coeff=ENTROPY,
            vf_loss_coeff=0.5,
            grad_clip=0.5,
        )
        .rl_module(rl_module_spec=RLModuleSpec(module_class=ActionMaskingTorchRLModule, model_config=shape))
        .debugging(seed=seed)
    )
    ray.init(num_cpus=2, include_dashboard=False)
    algorithm = config.build_algo()

    def train(seconds: float) -> int:
        end, found = time.monotonic() + seconds, {}
        while time.monotonic() < end:
            found = algorithm.train()
        return int(found["env_runners"]["num_env_steps_sampled_lifetime"])

    def act(planes: np.ndarray, masks: np.ndarray) -> np.ndarray:
        board = torch.as_tensor(planes.transpose(0, 2, 3, 1)).float()
        seen = {"observations": board, "action_mask": torch.as_tensor(masks).float()}
        with torch.no_grad():
            found = algorithm.get_module().forward_inference({"obs": seen})
        return draw(found["action_dist_inputs"], masks)

    return Learner(train, act)


LIBRARIES: dict[str, Callable[[int], Learner]] = {
    "sb3": sb3,
    "torchrl": torchrl,
    "tianshou": tianshou,
    "rllib": rllib,
}


def play(learner: Learner, games: int, seed: int) -> dict[str, Any]:
    """One game in each environment against random moves; the side is drawn."""
    envs = shogi_env.ShogiVectorEnv(games, opponent="random", autoreset_mode="SameStep")
    planes, infos = envs.reset(seed=seed)
    results = np.full(games, np.nan)
    while np.isnan(results).any():
        actions = learner.act(planes, infos["action_mask"].astype(bool))
        planes, rewards, done, _, infos = envs.step(actions)
        first = done & np.isnan(results)  # later games of the same environment do not count
        results[first] = rewards[first]
    counts = Score(*(int((results == outcome).sum()) for outcome in (1, 0, -1)))
    points = (results + 1) / 2
    half = NORMAL * points.std() / games**0.5
    return counts._asdict() | {"score": float(points.mean()), "half_interval": float(half)}


def main() -> None:
    """Learn, play, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("--seconds", type=float, default=300.0, help="time to learn")
    parser.add_argument("--games", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    result: dict[str, Any] = {"machine": machine(), "seconds": args.seconds, "bar": LEAST}
    if args.library != "rllib":
        result["core"] = pin()
    learner = LIBRARIES[args.library](args.seed)
    result["before"] = play(learner, args.games, args.seed + 1)
    show(f"before: {result['before']}")
    before = time.process_time()
    result["decisions"] = learner.train(args.seconds)
    result["cpu_seconds"] = time.process_time() - before
    result["after"] = play(learner, args.games, args.seed + 2)
    show(f"after {result['decisions']} decisions in {args.seconds:g} s: {result['after']}")
    save(f"libraries-{args.library}", result)


if __name__ == "__main__":
    main()
