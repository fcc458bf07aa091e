"""What the USI engine does with a position: the network's move, seen mates and declarations."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch as th

from keisei_agent import doctor
from keisei_agent.files.weights import WEIGHTS, find_weights
from keisei_agent.networks.network import Network
from keisei_agent.players import load_player, select_planes
from shogi_env import Board, Move, Outcome, Termination
from shogi_env.types import Float64Array

SCALE = 600.0
"""Centipawns per unit of log odds: Ponanza's, as in python-dlshogi2 (`pydlshogi2/player/mcts_player.py`)."""
LIMIT = 30_000
"""Largest score in centipawns, given to a certain win (the same source)."""


class Thought(NamedTuple):
    """What to answer in a position."""

    move: str
    """A move in USI, "win" (declares) or "resign" (has no move)."""
    score: str
    """"cp N" or "mate N" for the side to move, "" if there is no move to show."""
    chance: float
    """Probability of winning, 0..1."""


class Game:
    """The game that the GUI asks about."""

    def __init__(self) -> None:
        self.start: str | None = None
        """SFEN of the first position, None for the even game's."""
        self.moves: tuple[str, ...] = ()
        """The moves since then, in USI."""
        self.board = Board()

    def set_up(self, text: str) -> None:
        """Go to the position of a USI `position` command, by the shortest way from the present one.

        Args:
            text: ``startpos`` or ``sfen SFEN``, and perhaps ``moves MOVE ...``.

        Raises:
            ValueError: malformed or illegal; the game is unchanged.
        """
        words = text.split()
        end = words.index("moves") if "moves" in words else len(words)
        moves = tuple(words[end + 1 :])
        start = " ".join(words[1:end]) if words[:1] == ["sfen"] else None
        if start is None and words[:end] != ["startpos"]:
            raise ValueError(f"neither startpos nor sfen: {text[:80]!r}")
        same = 0
        if start == self.start:
            board = self.board.copy()
            pairs = zip(moves, self.moves, strict=False)
            same = next((i for i, (new, old) in enumerate(pairs) if new != old), min(len(moves), board.ply))
        else:
            board = Board(start)
        while board.ply > same:
            board.pop()
        for move in moves[same:]:
            board.push_usi(move)
        self.start, self.moves, self.board = start, moves, board


class Thinker:
    """Plays the move that a network finds most probable, or draws one."""

    def __init__(self, network: Network, device: str, about: str) -> None:
        """Wrap a network.

        Args:
            network: on `device`.
            device: as torch names it.
            about: what is playing, for people.
        """
        self.network = network
        self.device = device
        self.about = about
        self._random = np.random.default_rng()

    def think(self, board: Board, temperature: float) -> Thought:
        """Return the answer; the board is unchanged.

        Args:
            board: a position, also of a game that has ended by repetition or the ply limit.
            temperature: 0 for the most probable move, 1 to draw as in training.

        Raises:
            ValueError: the network computes no numbers.
        """
        if board.can_declare():
            return Thought("win", "", 1.0)
        actions = board.legal_moves.by_action
        if not actions:
            return Thought("resign", "", 0.0)
        for move, outcome, _ in _try_moves(board):
            if outcome and outcome.termination in (Termination.CHECKMATE, Termination.NO_LEGAL_MOVES):
                return Thought(str(move), "mate 1", 1.0)
        scores, chance = self._evaluate(board, list(actions))
        if not (math.isfinite(chance) and np.isfinite(scores).all()):
            raise ValueError("the network's answer is not a number")
        move = list(actions.values())[self.choose(scores, temperature)]
        return Thought(str(move), f"cp {centipawns(chance)}", chance)

    def choose(self, logits: Float64Array, temperature: float) -> int:
        """Return the index of the largest of logits float64[k], or of one drawn at a temperature > 0."""
        if temperature == 0:
            return int(logits.argmax())
        weights = np.exp((logits - logits.max()) / temperature)
        return int(self._random.choice(len(weights), p=weights / weights.sum()))

    def _evaluate(self, board: Board, actions: list[int]) -> tuple[Float64Array, float]:
        """Return the logits float64[k] of k actions, and the probability of winning."""
        planes = th.as_tensor(select_planes(self.network, board.planes()[None]), device=self.device)
        with th.inference_mode():
            logits, value = self.network(planes)
        scores: Float64Array = logits[0, actions].double().cpu().numpy()
        return scores, (1 + value.item()) / 2

    def find_mate(self, board: Board) -> str:
        """Return what `go mate` asks for.

        A mate in one is found. Without any check there is no mate, "nomate"; deeper ones are not
        looked for, "timeout".
        """
        checks = False
        for move, outcome, check in _try_moves(board):
            if outcome and outcome.termination == Termination.CHECKMATE:
                return str(move)
            checks = checks or check
        return "timeout" if checks else "nomate"


def centipawns(chance: float) -> int:
    """Score of a probability of winning 0..1: `SCALE` times its log odds, within +-`LIMIT`.

    >>> centipawns(0.5), centipawns(0.75), centipawns(0.0)
    (0, 659, -30000)
    """
    if not 0 < chance < 1:
        return LIMIT if chance >= 1 else -LIMIT
    return max(-LIMIT, min(LIMIT, round(SCALE * math.log(chance / (1 - chance)))))


def load(model: str, device: str, threads: int) -> Thinker:
    """Load a player and let it think once, so that everything is compiled.

    Args:
        model: a network file, a checkpoint, or a run's folder for its newest one.
        device: auto, cpu, cuda, cuda:1 or mps.
        threads: of the network on the CPU, in this process.

    Raises:
        ValueError: there is no such model or device; the text says which.
    """
    path = find_weights(Path(model))
    device = doctor.resolve_device(device)
    problem = doctor.missing_device(device)
    if problem:
        raise ValueError(f"device {device}: {problem}")
    th.set_num_threads(threads)
    network = load_player(path, device=device).network
    shown = path.parent if path.name == WEIGHTS else path  # a checkpoint is known by its folder
    thinker = Thinker(network, device, f"{shown} on {device}")
    thinker.think(Board(), 0.0)
    return thinker


def _try_moves(board: Board) -> Iterator[tuple[Move, Outcome | None, bool]]:
    """Yield each legal move, the outcome after it, and whether it gives check."""
    for move in list(board.legal_moves):
        board.push(move)
        outcome, check = board.outcome(), board.is_check()
        board.pop()
        yield move, outcome, check
