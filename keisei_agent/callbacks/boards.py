"""What games look like: pictures and records of a finished one now and then."""

import logging
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image

from keisei_agent.callbacks.due import Due
from keisei_agent.files.storage import write_atomically
from shogi_env import Board, Color, Move, Termination
from shogi_env.core.planes import PLANES, PLANES_OF
from shogi_env.types import UInt8Array

logger = logging.getLogger(__name__)

_PICTURES = 4
"""Positions of a game in its picture, evenly spread, the last one last; two in a row."""
_HEIGHT = 320
"""Of each, in pixels."""
_TOLD_APART = ("own pieces", "opponent's pieces", "own hand", "opponent's hand")
"""Planes that every observation has, and that tell a position from all that one move makes of it."""
_WITHOUT_PICTURES = ("stdout", "log", "json", "csv")
"""Outputs of stable-baselines3 that raise when they are given a picture."""
_FULL = [plane for group in PLANES if group.name in _TOLD_APART for plane in group.planes]
_SEEN = {len(kind): [list(kind).index(plane) for plane in _FULL] for kind in PLANES_OF.values()}


@dataclass
class Game:
    """A game that is being followed, and how it ended."""

    column: int
    start: str
    """SFEN of its first position."""
    moves: list[str] = field(default_factory=list)
    """In USI."""
    ending: list[int] | None = None
    """Codes of the termination and the winner; None while it runs."""

    def board(self, moves: int | None = None) -> Board:
        """The position after some moves, None for all."""
        board = Board(self.start, max_plies=None)
        for text in self.moves[:moves]:
            board.push_usi(text)
        return board

    def __str__(self) -> str:
        """Return how it ended, and a line that shogi programs read."""
        assert self.ending is not None
        reason = Termination(self.ending[0]).name.lower().replace("_", " ")
        winner = "a draw" if self.ending[1] < 0 else f"{Color(self.ending[1]).name.title()} wins"
        moves = " ".join(("moves", *self.moves)) if self.moves else ""
        return f"{winner} by {reason} after {len(self.moves)} plies\n\nposition sfen {self.start} {moves}\n"


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
            self._game = Game(column, self._first_position(column))
            self._board = self._game.board()
        return True

    def _first_position(self, column: int) -> str:
        """Where the game starts whose predecessor has just ended; workers tell, as their games are ahead."""
        told: str | None = self.locals["infos"][column].get("next_sfen")
        return told or self.training_env.env_method("sfen", indices=[column])[0]

    def _follow(self, game: Game) -> None:
        """Take what the last step brought, if the game still runs."""
        if game.ending is not None:
            return
        try:
            self._play(game)
        except ValueError as error:
            logger.error("lost track of the game in column %d: %s", game.column, error)
            self._game = None

    def _play(self, game: Game) -> None:
        """Play the learner's move, and its opponent's answer where the environment played one."""
        values = self.locals
        done, info = bool(values["dones"][game.column]), values["infos"][game.column]
        seen = info["terminal_observation"] if done else values["new_obs"][game.column]
        self._push(game, self._board.move(int(values["actions"][game.column])))
        if not _is_seen(self._board, seen):
            self._push(game, _find_answer(self._board, seen))
        if done:
            game.ending = [int(info["termination"]), int(info["winner"])]

    def _push(self, game: Game, move: Move) -> None:
        self._board.push(move)
        game.moves.append(str(move))

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


def _is_seen(board: Board, observation: UInt8Array) -> bool:
    """Whether an observation, uint8[P, 9, 9], shows the position of a board."""
    return np.array_equal(observation[_SEEN[len(observation)]], board.planes()[_FULL])


def _find_answer(board: Board, observation: UInt8Array) -> Move:
    """The move that leads to the position of an observation; the board is unchanged."""
    for move in board.legal_moves:
        board.push(move)
        found = _is_seen(board, observation)
        board.pop()
        if found:
            return move
    raise ValueError(f"no move leads from {board.sfen()} to what the environment shows")
