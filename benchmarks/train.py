"""Learning per CPU second against stock sb3-contrib MaskablePPO.

    python benchmarks/train.py [--only 64x5 48x3 compile] [--pairs 15] [--seconds 6] [--steps 32] [--epochs 1]

Both learners play the same native games with the same network, minibatches and epochs on one pinned core,
each in a process of its own.  The peer is `sb3_contrib.MaskablePPO` as installed: its buffer, distribution,
masks and update; its policy only has the network in place of the usual layers.  It is measured with the
network laid out channels-last, as ours, and as torch lays it out by itself.  A unit is a decision, played
and learned from.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from common import Task, compare, machine, pin, save, show, show_comparison, single_threaded

single_threaded()

import numpy as np  # noqa: E402
import torch as th  # noqa: E402
from sb3_contrib import MaskablePPO  # noqa: E402
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy  # noqa: E402
from stable_baselines3.common.logger import Logger  # noqa: E402
from torch import nn  # noqa: E402

from keisei_agent import doctor  # noqa: E402
from keisei_agent.config import NetworkConfig, PPOConfig  # noqa: E402
from keisei_agent.learning.buffer import PackedRolloutBuffer  # noqa: E402
from keisei_agent.learning.memory import keep_freed_memory  # noqa: E402
from keisei_agent.learning.policy import NetworkPolicy, PlanesExtractor, policy_kwargs  # noqa: E402
from keisei_agent.learning.ppo import SelfPlayPPO, ppo_arguments  # noqa: E402
from keisei_agent.learning.seats import discounts  # noqa: E402
from keisei_agent.networks import build  # noqa: E402
from shogi_env.adapters.sb3 import make_vec_env  # noqa: E402

GAMES = 64
LARGE, SMALL = NetworkConfig(channels=64, blocks=5), NetworkConfig(channels=48, blocks=3)
BARS = {"64x5": (LARGE, "bfloat16", 2.0), "48x3": (SMALL, "float32", 1.15)}
"""Our network and precision, and the ratio to be reached against the same network in float32."""


class StockPolicy(MaskableActorCriticPolicy):
    """The stock policy with our network, in float32, in place of its layers."""

    channels_last = True

    def _build(self, lr_schedule: Any) -> None:
        network: Any = build(NetworkConfig(**self.net_arch), planes=136, dtype=th.float32)
        if not self.channels_last:
            network.to(memory_format=th.contiguous_format)
            network._in_dtype = lambda features, planes: features(planes)
        self.mlp_extractor = network
        self.action_net = self.value_net = nn.Identity()
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)


class PlainStockPolicy(StockPolicy):
    """The same, laid out as torch does by itself."""

    channels_last = False


def make_ours(network: NetworkConfig, ppo: PPOConfig, precision: str, compiled: bool) -> SelfPlayPPO:
    """Our learner."""
    keep_freed_memory()
    model = SelfPlayPPO(
        NetworkPolicy,
        make_vec_env(GAMES, seed=0, opponent=None),
        **ppo_arguments(ppo),
        rollout_buffer_class=PackedRolloutBuffer,
        rollout_buffer_kwargs={"discounts": discounts(np.ones(GAMES, bool), 1.0)},
        policy_kwargs=policy_kwargs(network, precision=precision),
        seed=0,
        device="cpu",
    )
    if compiled and not model.policy.compile_network():
        raise RuntimeError("torch.compile does not work here")
    return model


def make_stock(network: NetworkConfig, ppo: PPOConfig, policy: type[StockPolicy]) -> MaskablePPO:
    """Stock MaskablePPO with the discount negated, which is right for self-play."""
    numbers = {name: getattr(ppo, name) for name in ("learning_rate", "clip_range", "ent_coef")}
    return MaskablePPO(
        policy,
        make_vec_env(GAMES, seed=0, opponent=None),
        gamma=-1.0,
        **ppo_arguments(ppo) | numbers,
        policy_kwargs={"net_arch": network.model_dump(), "features_extractor_class": PlanesExtractor},
        seed=0,
        device="cpu",
    )


def serve(pipe: Connection[Any, Any], make: Callable[[], Any]) -> None:
    """Learn from one rollout whenever asked, and answer with the decisions and all CPU seconds so far."""
    th.set_num_threads(1)
    model = make()
    model.set_logger(Logger(None, []))
    decisions = model.n_steps * GAMES
    while pipe.recv():
        model.learn(decisions, reset_num_timesteps=False)
        pipe.send((decisions, time.process_time()))
    model.env.close()


def learning(name: str, make: Callable[[], Any]) -> Task:
    """A learner in a process of its own, on this process's core; a run is a rollout and its update."""
    context = multiprocessing.get_context("spawn")
    pipe, end = context.Pipe()
    process = context.Process(target=serve, args=(end, make), daemon=True)
    process.start()
    end.close()
    seconds = 0.0

    def run() -> int:
        nonlocal seconds
        pipe.send(True)
        decisions: int
        decisions, seconds = pipe.recv()
        return decisions

    def close() -> None:
        pipe.send(False)
        process.join()

    return Task(name, run, lambda: seconds, close)


def ours(network: NetworkConfig, ppo: PPOConfig, precision: str, *, compiled: bool = False) -> Task:
    """Our learner as a task."""
    name = f"{size(network)} {precision}{', compiled' if compiled else ''}"
    return learning(name, partial(make_ours, network, ppo, precision, compiled))


def stock(network: NetworkConfig, ppo: PPOConfig, policy: type[StockPolicy]) -> Task:
    """The stock learner as a task."""
    layout = "channels-last" if policy.channels_last else "default layout"
    return learning(f"stock {size(network)} float32, {layout}", partial(make_stock, network, ppo, policy))


def size(network: NetworkConfig) -> str:
    """Width and depth."""
    return f"{network.channels}x{network.blocks}"


def measure(own: Task, peer: Task, **how: Any) -> dict[str, Any]:
    """Compare two learners and show the result."""
    row = compare(own, peer, "decisions/s", **how).summary()
    show_comparison(row)
    own.close()
    peer.close()
    return row


def measure_compiled(network: NetworkConfig, ppo: PPOConfig, precision: str, **how: Any) -> dict[str, Any]:
    """What torch.compile costs at the start, and what it gains afterwards."""
    eager, compiled = ours(network, ppo, precision), ours(network, ppo, precision, compiled=True)
    starts = []
    for task in (eager, compiled):
        task.run()
        starts.append(task.clock())
    seconds = starts[1] - starts[0]
    show(
        f"torch.compile of {size(network)} {precision}: {seconds:.1f} CPU seconds more until the first update"
    )
    return measure(compiled, eager, **how) | {"compile_seconds": seconds}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[*BARS, "compile"], default=[*BARS, "compile"])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=6.0, help="CPU seconds of each measurement")
    parser.add_argument("--steps", type=int, default=32, help="of each game in a rollout")
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    how = {"pairs": args.pairs, "seconds": args.seconds}
    ppo = PPOConfig(n_steps=args.steps, n_epochs=args.epochs)
    result: dict[str, Any] = {"machine": machine(), "core": pin(), "games": GAMES, "ppo": ppo.model_dump()}
    native = doctor.has_bfloat16("cpu")
    show("bfloat16 is computed natively" if native else "bfloat16 is only emulated: the bar of 64x5 is void")
    result["rows"] = [
        measure(ours(network, ppo, precision), stock(network, ppo, policy), **how) | {"bar": bar}
        for name, (network, precision, bar) in BARS.items()
        if name in args.only
        for policy in (StockPolicy, PlainStockPolicy)
    ]
    if "compile" in args.only:
        result["compiled"] = [
            measure_compiled(network, ppo, precision, **how) for network, precision, _ in BARS.values()
        ]
    save("train", result)


if __name__ == "__main__":
    main()
