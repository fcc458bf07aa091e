"""What the page in the browser shows of a run while it goes on: one small file, written now and then."""

import json
import math
import os
import time
from collections import deque
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.callbacks.display import COST
from keisei_agent.callbacks.following import Game, Step, next_start, step_of
from keisei_agent.callbacks.progress import Pace
from keisei_agent.config import Config
from keisei_agent.files.storage import write_for_readers
from keisei_agent.learning.policy import NetworkPolicy
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.networks.distribution import LegalActions
from shogi_env import Board, Color, Termination
from shogi_env.core.constants import NUM_CELLS

FORMAT = 1
"""Of the file."""
_BEST = 5
"""Moves whose probabilities are told."""
_ENDED = 12
"""Games whose ends are remembered."""


class LiveCallback(BaseCallback):
    """Follows the game of the first column, and writes it with the run's progress to ``live.json``.

    It is written at most every `web.every` seconds while games are played, and once more when a rollout is
    over; always seldom enough to take less than a hundredth of the time.  Values are those that the learner
    computed when it chose its moves; the policy is asked once for each writing, about the position that is on
    the board then.

    Args:
        path: of the file.
        config: of the run.
    """

    COLUMN = 0

    def __init__(self, path: Path, config: Config) -> None:
        super().__init__()
        self.path = path
        self.config = config
        self._doing = "starting"
        self._told, self._cost = -math.inf, 0.0
        """When it was told last, and how many seconds that took."""
        self._game: Game | None = None
        self._board = Board()
        self._steps: list[tuple[Step, float]] = []
        """Of the game, with their values, since it was told last."""
        self._values: list[tuple[int, float]] = []
        self._policy: dict[str, Any] | None = None
        self._ended: deque[dict[str, Any]] = deque(maxlen=_ENDED)

    def _on_training_start(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        self._pace = Pace(self.model.num_timesteps, self.model.done)
        self._write()

    def _on_rollout_start(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        if self.model.stop_requested or self.model.done >= 1:  # evaluations may still be waited for
            self._doing = "finishing"
            self._write()

    def _on_step(self) -> bool:
        self._doing = "playing"
        if self._game is not None:
            self._take(self._game)
        elif not self._is_ahead:
            self._begin()
        if self._is_due(self.config.web.every):
            self._tell()
        return True

    @property
    def _is_ahead(self) -> bool:
        """Whether the games stand at the rollout's end already, as workers have played them."""
        assert isinstance(self.model, SelfPlayPPO)
        return self.model.workers is not None

    def _on_rollout_end(self) -> None:
        self._doing = "learning"
        if self._game is None:
            self._begin()
        if self._is_due(0.0):  # nothing moves until the update is made
            self._tell()

    def _on_training_end(self) -> None:
        self._doing = "done"

    def close(self) -> None:
        """Write once more; also after an exception in training."""
        if self._doing != "done":
            self._doing = "stopped"
        self._write()

    def _begin(self) -> None:
        """Follow the game that is on the board now, or has just started."""
        self._game = Game(self.COLUMN, next_start(self.training_env, self.locals, self.COLUMN))
        self._board = self._game.board()
        self._steps, self._values, self._policy = [], [], None

    def _take(self, game: Game) -> None:
        """Keep what the last step brought; the game is followed when it is told."""
        step = step_of(self.locals, game.column)
        if step.ending is None:
            self._steps.append((step, float(self.locals["values"][game.column])))
            return
        termination, winner = step.ending
        self._ended.append(
            {
                "result": "draw" if winner < 0 else Color(winner).name.lower(),
                "reason": Termination(termination).name.lower(),
                "plies": int(self.locals["infos"][game.column]["ply"]),
                "steps": self.model.num_timesteps,
            }
        )
        self._begin()

    def _is_due(self, every: float) -> bool:
        return time.monotonic() >= self._told + max(every, COST * self._cost)

    def _tell(self) -> None:
        """Write the game as it stands, and what the network thinks of it."""
        start = time.monotonic()
        try:
            self._follow()
            self._look()
            self._write()
        finally:  # also where the disk is full
            self._told = time.monotonic()
            self._cost = self._told - start

    def _follow(self) -> None:
        """Move on to the position on the board."""
        steps, self._steps = self._steps, []
        for step, value in steps:
            assert self._game is not None
            ply, turn = len(self._game.moves), self._board.turn
            try:
                self._game.take(self._board, step)
            except ValueError:  # lost track of it, as where games were set from outside
                self._game = None
                if not self._is_ahead:
                    self._begin()
                return
            self._values.append((ply, _to_black(value, turn)))

    def _look(self) -> None:
        """Ask the network about the position on the board, if there is one."""
        if self._game is None:
            return
        assert isinstance(self.model.policy, NetworkPolicy)
        network = self.model.policy.network
        planes = th.as_tensor(self.locals["new_obs"][self.COLUMN][None], device=network.device)
        with th.inference_mode():
            logits, value = network(planes)
        distribution = LegalActions(logits.shape[1]).proba_distribution(logits)
        distribution.apply_masking(self._board.action_masks()[None])
        shares = distribution.probs[0].tolist()
        heat = [0.0] * NUM_CELLS
        found = [(shares[action], move) for action, move in self._board.legal_moves.by_action.items()]
        for share, move in found:
            heat[move.to] += share
        found.sort(key=lambda pair: -pair[0])
        self._policy = {
            "ply": len(self._game.moves),
            "value": _to_black(float(value), self._board.turn),
            "best": [[str(move), share] for share, move in found[:_BEST]],
            "heat": [round(share, 5) for share in heat],
        }

    def _write(self) -> None:
        write_for_readers(self.path, json.dumps(self._frame()).encode())

    def _frame(self) -> dict[str, Any]:
        assert isinstance(self.model, SelfPlayPPO)
        self._pace.update(self.model.num_timesteps, self.model.done)
        game = self._game
        return {
            "format": FORMAT,
            "pid": os.getpid(),
            "time": time.time(),
            "doing": self._doing,
            "steps": self._pace.steps,
            "seconds": self.model.seconds,
            "done": min(self._pace.done, 1.0),
            "speed": self._pace.speed,
            "left": self._pace.left,
            "game": game and {"start": game.start, "moves": game.moves, "values": self._values},
            "policy": self._policy,
            "ended": list(self._ended),
        }


def _to_black(value: float, turn: Color) -> float:
    """A value to the side to move, as Black sees it."""
    return value if turn == Color.BLACK else -value
