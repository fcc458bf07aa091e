"""What each adapter adds to a ply, and PettingZoo's shogi against OpenSpiel's and against PettingZoo's chess.

    python benchmarks/adapters.py [--pairs 15] [--seconds 0.3]

A unit is one ply: a random legal action chosen from what the interface shows (mask or list), its step, the
next observation and mask, and the reset of ended games. Everything runs in one process on one core.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from common import NotInstalled, Task, compare, machine, pin, save, show, show_comparison, single_threaded

single_threaded()

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
import ours  # noqa: E402
import peers  # noqa: E402

import shogi_env  # noqa: E402

Pair = tuple[str, Callable[[], Task], Callable[[], Task]]


def choose(mask: np.ndarray) -> int:
    """A random one of the actions of a mask of 0 and 1, one byte each."""
    legal = mask.view(np.bool_).nonzero()[0]
    return int(legal[int(random.random() * len(legal))])


def bare() -> Task:
    """`ShogiEnv(opponent=None)`, which the adapters wrap or stand beside."""
    env = shogi_env.ShogiEnv(opponent=None)
    info = env.reset(seed=0)[1]

    def step() -> int:
        nonlocal info
        _, _, terminated, _, info = env.step(choose(info["action_mask"]))
        if terminated:
            info = env.reset()[1]
        return 1

    return Task("ShogiEnv", ours.repeated(step, 256))


def aec(name: str, env: Any) -> Task:
    """A PettingZoo environment, as its users step it."""
    env.reset(seed=0)

    def step() -> int:
        observation, _, terminated, truncated, _ = env.last()
        if terminated or truncated:
            env.reset()
            return 0
        env.step(choose(observation["action_mask"]))
        return 1

    return Task(name, lambda: sum(step() for _ in range(64)))


def pettingzoo() -> Task:
    """Our environment for PettingZoo."""
    from shogi_env.adapters import pettingzoo as adapter

    return aec("PettingZoo AEC", adapter.env())


def chess() -> Task:
    """PettingZoo's chess, wrapped as it comes."""
    from pettingzoo.classic import chess_v6

    return aec("PettingZoo chess_v6", chess_v6.env())


def openspiel_states(game: str) -> Task:
    """OpenSpiel states: legal actions as a mask, and the observation tensor."""
    if game != "shogi":
        import shogi_env.adapters.openspiel  # noqa: F401 - registers it
    step = peers.load("openspiel").Game(game=game).step
    return Task(f"OpenSpiel states, {game}", ours.repeated(step, 64))


def openspiel_environment(game: str) -> Task:
    """OpenSpiel's `rl_environment`, which hands out observations and legal actions as PettingZoo does."""
    if game != "shogi":
        import shogi_env.adapters.openspiel  # noqa: F401 - registers it
    from open_spiel.python import rl_environment

    env = rl_environment.Environment(game)
    now = env.reset()

    def step() -> int:
        nonlocal now
        legal = now.observations["legal_actions"][now.observations["current_player"]]
        now = env.step([legal[int(random.random() * len(legal))]])
        if now.last():
            now = env.reset()
        return 1

    return Task(f"OpenSpiel rl_environment, {game}", ours.repeated(step, 16))


def rllib() -> Task:
    """Our multi-agent environment for RLlib."""
    from shogi_env.adapters.rllib import ShogiMultiAgentEnv

    env = ShogiMultiAgentEnv()
    seen = env.reset(seed=0)[0]

    def step() -> int:
        nonlocal seen
        (agent,) = seen
        legal = seen[agent]["action_mask"].nonzero()[0]
        seen, _, done, _, _ = env.step({agent: legal[int(random.random() * len(legal))]})
        if done["__all__"]:
            seen = env.reset()[0]
        return 1

    return Task("RLlib MultiAgentEnv", ours.repeated(step, 64))


def torchrl() -> Task:
    """TorchRL's `GymWrapper` with the mask, choosing by its own masked sampling."""
    import torch
    from torchrl.envs import ActionMask, Compose, DTypeCastTransform, GymWrapper, TransformedEnv

    base = GymWrapper(gymnasium.make("Shogi-v0", opponent=None), categorical_action_encoding=True)
    to_bool = DTypeCastTransform(torch.int8, torch.bool, in_keys=["action_mask"])
    env = TransformedEnv(base.auto_register_info_dict(), Compose(to_bool, ActionMask()))
    env.set_seed(0)

    def run() -> int:
        return len(env.rollout(64, break_when_any_done=False))

    return Task("TorchRL GymWrapper + ActionMask", run)


def tianshou() -> Task:
    """Tianshou's `PettingZooEnv`, whose mask is a list of bool."""
    from tianshou.env.pettingzoo_env import PettingZooEnv

    from shogi_env.adapters import pettingzoo as adapter

    env = PettingZooEnv(adapter.env())
    seen = env.reset(seed=0)[0]

    def step() -> int:
        nonlocal seen
        seen, _, terminated, _, _ = env.step(choose(np.array(seen["mask"])))
        if terminated:
            seen = env.reset()[0]
        return 1

    return Task("Tianshou PettingZooEnv", ours.repeated(step, 64))


def pairs() -> Iterable[Pair]:
    """Each adapter against the bare environment, then what the PettingZoo adapter is measured by."""
    yield "overhead", pettingzoo, bare
    yield "overhead", partial(openspiel_states, "python_shogi"), bare
    yield "overhead", partial(openspiel_environment, "python_shogi"), bare
    yield "overhead", rllib, bare
    yield "overhead", torchrl, bare
    yield "overhead", tianshou, bare
    yield "peers", pettingzoo, partial(openspiel_environment, "shogi")
    yield "peers", pettingzoo, partial(openspiel_states, "shogi")
    yield "peers", pettingzoo, chess


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.3, help="CPU seconds per measurement")
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "core": pin(), "rows": [], "missing": []}
    for kind, make_ours, make_peer in pairs():
        try:
            own, peer = make_ours(), make_peer()
        except (ImportError, NotInstalled) as error:
            result["missing"].append(str(error))
            show(str(error))
            continue
        row = compare(own, peer, "plies/s", pairs=args.pairs, seconds=args.seconds).summary() | {"kind": kind}
        row |= {"our_us": 1e6 / row["our_rate"], "peer_us": 1e6 / row["peer_rate"]}
        result["rows"].append(row)
        show_comparison(row)
        show(f"        {row['our_us']:.1f} us a ply against {row['peer_us']:.1f} us")
    save("adapters", result)


if __name__ == "__main__":
    main()
