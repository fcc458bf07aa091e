"""What games look like: pictures and records of a finished one now and then."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image

from keisei_agent.callbacks.due import Due
from keisei_agent.callbacks.following import Game, next_start, step_of
from keisei_agent.files.storage import write_atomically
from shogi_env import Board
from shogi_env.types import UInt8Array

logger = logging.getLogger(__name__)

_PICTURES = 4
"""Positions of a game in its picture, evenly spread, the last one last; two in a row."""
_HEIGHT = 320
"""Of each, in pixels."""
_WITHOUT_PICTURES = ("stdout", "log", "json", "csv")
"""Outputs of stable-baselines3 that raise when they are given a picture."""


class BoardsCallback(BaseCallback):
    """Follows one game every so often, the next one that starts, and shows it at the boundary after its end.

    The game is written to ``boards/STEPS.txt`` and, with four positions as a picture, to the logger's
    outputs as `boards/game` and `boards/positions`.
    """

    def __init__(self, folder: Path, every: int | None) -> None:
        """Prepare it.

        Args:
            folder: of the run.
            every: decisions between games; None follows none.
        """
        super().__init__()
        self.folder = folder
        self._due = Due(every)
        self._wanted = False
        self._game: Game | None = None
        self._board = Board()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: the game that is being followed, as JSON."""
        return {"wanted": self._wanted, "game": self._game and asdict(self._game)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._wanted = state["wanted"]
        self._game = None
        if state["game"] is not None:
            self._game = Game(**state["game"])
            self._board = self._game.board()

    def _on_training_start(self) -> None:
        self._due.steps = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        if self._game is not None and self._game.ending is not None:
            self._show(self._game)
            self._game = None
        if self._due.crossed(self.model.num_timesteps):
            self._wanted = self._game is None

    def _on_step(self) -> bool:
        if self._game is not None:
            self._follow(self._game)
        elif self._wanted and self.locals["dones"].any():
            column = int(self.locals["dones"].argmax())  # its next game has just started
            self._wanted = False
            self._game = Game(column, next_start(self.training_env, self.locals, column))
            self._board = self._game.board()
        return True

    def _follow(self, game: Game) -> None:
        """Take what the last step brought, if the game still runs."""
        if game.ending is not None:
            return
        try:
            game.take(self._board, step_of(self.locals, game.column))
        except ValueError as error:
            logger.error("lost track of the game in column %d: %s", game.column, error)
            self._game = None

    def _show(self, game: Game) -> None:
        text = str(game)
        write_atomically(self.folder / "boards" / f"{self.model.num_timesteps:012d}.txt", text.encode())
        self.logger.record("boards/game", text)
        self.logger.record("boards/positions", Image(draw_game(game), "HWC"), exclude=_WITHOUT_PICTURES)


def draw_game(game: Game) -> UInt8Array:
    """Draw positions of a game, the last one last: uint8[H, W, 3]."""
    moves = np.linspace(0, len(game.moves), _PICTURES + 1).round().astype(int)[1:]
    pictures = [game.board(int(count)).rgb(size=_HEIGHT) for count in moves]
    rows = [np.concatenate(pictures[k : k + 2], axis=1) for k in range(0, _PICTURES, 2)]
    return np.concatenate(rows, axis=0)
