"""What the USI engine does with a position: the network's move, seen mates and declarations."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keisei_agent.console import missing_extra
from shogi_env import Board, Move, Outcome, Termination, levels
from shogi_env.search.puct import Evaluate
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

    def __init__(self, evaluate: Evaluate, about: str) -> None:
        """Wrap a network.

        Args:
            evaluate: what it says of positions.
            about: what is playing, for people.
        """
        self.evaluate = evaluate
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
        logits, values = self.evaluate(board.planes()[None])
        scores, chance = logits[0, list(actions)].astype(np.float64), (1 + float(values[0])) / 2
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


def centipawns(chance: float) -> int:
    """Score of a probability of winning 0..1: `SCALE` times its log odds, within +-`LIMIT`.

    >>> centipawns(0.5), centipawns(0.75), centipawns(0.0)
    (0, 659, -30000)
    """
    if not 0 < chance < 1:
        return LIMIT if chance >= 1 else -LIMIT
    return max(-LIMIT, min(LIMIT, round(SCALE * math.log(chance / (1 - chance)))))


def load(model: str, level: int, device: str, threads: int) -> Thinker:
    """Load a player and let it think once, so that everything is compiled.

    Args:
        model: a network file, a checkpoint, or a run's folder for its newest one.
        level: of the package, to play in place of the model; 0 for none, and the strongest if there is
            no model either.
        device: of a model: auto, cpu, cuda, cuda:1 or mps.
        threads: of the network on the CPU.

    Raises:
        ValueError: there is no such model or device, or no torch to play it with; the text says which.
    """
    if level or not model:
        level = level or levels.count_levels()
        thinker = Thinker(levels.load_level(level, threads=threads), f"level {level}")
    else:
        thinker = _load_model(model, device, threads)
    thinker.think(Board(), 0.0)
    return thinker


def _load_model(model: str, device: str, threads: int) -> Thinker:
    missing = missing_extra()
    if missing:
        raise ValueError(missing)
    import torch as th  # slow, and not needed for levels

    from keisei_agent import doctor
    from keisei_agent.files.weights import WEIGHTS, find_weights
    from keisei_agent.players import evaluate_with, load_player

    path = find_weights(Path(model))
    device = doctor.resolve_device(device)
    problem = doctor.missing_device(device)
    if problem:
        raise ValueError(f"device {device}: {problem}")
    th.set_num_threads(threads)
    shown = path.parent if path.name == WEIGHTS else path  # a checkpoint is known by its folder
    return Thinker(evaluate_with(load_player(path, device=device).network), f"{shown} on {device}")


def _try_moves(board: Board) -> Iterator[tuple[Move, Outcome | None, bool]]:
    """Yield each legal move, the outcome after it, and whether it gives check."""
    for move in list(board.legal_moves):
        board.push(move)
        outcome, check = board.outcome(), board.is_check()
        board.pop()
        yield move, outcome, check
