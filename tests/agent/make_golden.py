"""Makes the golden checkpoint; was run once, and is to be run again only for another format.

    python tests/agent/make_golden.py

A run of two rollouts is kept as its last checkpoint, with the moves that its network plays in some
positions.  Later versions have to load it, to play these moves, and to learn on from it.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.config import parse_config
from keisei_agent.players import NetworkPlayer, load_player, select_planes
from keisei_agent.runs.training import train
from shogi_env import Positions

GOLDEN = Path(__file__).parent / "data" / "golden-run"
MOVES = GOLDEN.with_name("golden-moves.json")
POSITIONS = 60
MARGIN = 0.05
"""Logits that the best move has to be ahead of the next, so that other machines find the same."""


class Prejudiced(BaseCallback):
    """Gives a fresh network preferences that are clearer than rounding."""

    def _on_training_start(self) -> None:
        network = self.model.policy.network  # type: ignore[operator, union-attr]
        th.nn.init.normal_(network.policy_head.weight, std=0.5)  # type: ignore[arg-type, union-attr]

    def _on_step(self) -> bool:
        return True


def positions_for(player: NetworkPlayer) -> list[str]:
    """Positions of random games in which the player has a clear favourite."""
    games, found = Positions(1), []
    games.seed(np.array([2024], np.uint64))
    for _ in range(20 * POSITIONS):
        games.apply(games.random_actions())
        if games.outcomes()[0][0]:
            games = Positions(1)
            games.seed(np.array([2024 + len(found)], np.uint64))
            continue
        planes = th.as_tensor(select_planes(player.network, games.planes()))
        with th.no_grad():
            logits = player.network.forward_actor(planes)[0][th.as_tensor(games.masks()[0], dtype=th.bool)]
        best = logits.topk(min(2, len(logits))).values.tolist()
        if len(best) == 2 and best[0] - best[1] > MARGIN:
            found.append(games.sfen(0))
    return found[:: max(1, len(found) // POSITIONS)][:POSITIONS]


def moves_of(player: NetworkPlayer, sfens: list[str]) -> list[str]:
    """What the player does in positions, in USI."""
    positions = Positions(len(sfens), sfens=sfens)
    actions = player(positions, positions.everyone).tolist()
    return [
        next(str(move) for move in positions.moves(i) if positions.action(i, move) == action)
        for i, action in enumerate(actions)
    ]


def main() -> None:
    th.set_num_threads(1)
    config = parse_config(
        {
            "device": "cpu",
            "precision": "float32",
            "total_timesteps": 32,
            "max_time": None,
            "eval_games": 0,
            "env": {"n_envs": 2, "max_plies": 40, "observation": "pieces"},
            "network": {"channels": 4, "blocks": 1, "value_hidden": 4},
            "ppo": {"n_steps": 8, "batch_size": 16},
            "evaluation": {"every": 16, "games": 2, "opponents": ["random"], "blocking": True},
            "log": {"boards_every": 16, "mates_every": None},
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        run = train(config, Path(folder) / "run", callbacks=[Prejudiced()])
        assert run.checkpoint is not None
        shutil.rmtree(GOLDEN, ignore_errors=True)
        shutil.copytree(run.checkpoint, GOLDEN / "checkpoints" / run.checkpoint.name)
        (GOLDEN / "checkpoints" / "latest").write_text(f"{run.checkpoint.name}\n", encoding="utf-8")
    player = load_player(GOLDEN, temperature=0)
    sfens = positions_for(player)
    moves = dict(zip(sfens, moves_of(player, sfens), strict=True))
    MOVES.write_text(json.dumps(moves, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
