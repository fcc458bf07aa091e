"""A game of the training that is followed move by move, whoever plays it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from shogi_env import Board, Color, Move, Termination
from shogi_env.core.planes import PLANES, PLANES_OF
from shogi_env.types import UInt8Array

_TOLD_APART = ("own pieces", "opponent's pieces", "own hand", "opponent's hand")
"""Planes that every observation has, and that tell a position from all that one move makes of it."""
_FULL = [plane for group in PLANES if group.name in _TOLD_APART for plane in group.planes]
_SEEN = {len(kind): [list(kind).index(plane) for plane in _FULL] for kind in PLANES_OF.values()}


class Step(NamedTuple):
    """What one step of the training brought to one of its games."""

    action: int
    seen: UInt8Array
    """The observation after it, of the game's last position where it has ended: uint8[P, 9, 9]."""
    ending: tuple[int, int] | None
    """Codes of the termination and the winner; None while the game runs."""


def step_of(values: Mapping[str, Any], column: int) -> Step:
    """What a step brought to the game in a column; `values` are a callback's `locals` after the step."""
    done, info = bool(values["dones"][column]), values["infos"][column]
    seen = info["terminal_observation"] if done else values["new_obs"][column].copy()
    ending = (int(info["termination"]), int(info["winner"])) if done else None
    return Step(int(values["actions"][column]), seen, ending)


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

    def take(self, board: Board, step: Step) -> None:
        """Take what a step of the training brought: a move, and the answer where one was played.

        Args:
            board: at the position before the step; it is moved on.
            step: of this game.

        Raises:
            ValueError: what the environment shows does not follow from the board.
        """
        self._push(board, board.move(step.action))
        if not _is_seen(board, step.seen):
            self._push(board, _find_answer(board, step.seen))
        if step.ending is not None:
            self.ending = list(step.ending)

    def _push(self, board: Board, move: Move) -> None:
        board.push(move)
        self.moves.append(str(move))

    def __str__(self) -> str:
        """Return how it ended, and a line that shogi programs read."""
        assert self.ending is not None
        reason = Termination(self.ending[0]).name.lower().replace("_", " ")
        winner = "a draw" if self.ending[1] < 0 else f"{Color(self.ending[1]).name.title()} wins"
        moves = " ".join(("moves", *self.moves)) if self.moves else ""
        return f"{winner} by {reason} after {len(self.moves)} plies\n\nposition sfen {self.start} {moves}\n"


def next_start(env: VecEnv, values: Mapping[str, Any], column: int) -> str:
    """SFEN of the position where a game starts whose predecessor has ended in the last step.

    Args:
        env: the games of the training.
        values: a callback's `locals` after the step; games of workers are ahead, so they tell it there.
        column: of the game.
    """
    told: str | None = values["infos"][column].get("next_sfen")
    return told or str(env.env_method("sfen", indices=[column])[0])


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
