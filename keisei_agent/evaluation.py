"""Matches of a network in training, played by a process of their own while training goes on."""

import json
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from shogi_env.arena.openings import load_openings
from shogi_env.arena.players import make_player
from shogi_env.arena.records import GameLog, GameRecord
from shogi_env.arena.scale import load_protocol, rate_against
from shogi_env.arena.schedules import head_to_head
from shogi_env.arena.statistics import Elo, Tally, tally

logger = logging.getLogger(__name__)

_NICENESS = 10
"""How far the games give way to the learner, where the system knows such a thing."""


class EvaluationError(RuntimeError):
    """An evaluation came to no result; the text says why."""


@dataclass(frozen=True)
class Task:
    """What is to be played."""

    checkpoint: Path
    steps: int
    """Plies that its network has learned from."""
    opponents: tuple[str, ...]
    """Specs, as `make_player` takes them."""
    games: int
    """Against each opponent; even."""
    temperature: float
    """Of the network's moves; see `make_checkpoint_player`."""
    seed: int
    max_plies: int
    log: Path
    """Game log that the games are appended to."""


@dataclass(frozen=True)
class Result:
    """How the network did against one opponent."""

    opponent: str
    wins: int
    draws: int
    losses: int
    voids: int
    """Games that a failing player left without a result."""
    score: float | None
    """Points of a game on average, 0..1; None where all games are void."""
    low: float | None
    """Lower end of the score's 95 % interval."""
    high: float | None

    def __str__(self) -> str:
        """Return counts, score and interval."""
        text = f"{self.wins} wins, {self.draws} draws, {self.losses} losses"
        if self.score is not None and self.low is not None and self.high is not None:
            text += f": {100 * self.score:.1f} % ({100 * self.low:.1f} .. {100 * self.high:.1f})"
        return text + (f", {self.voids} void" if self.voids else "")


@dataclass(frozen=True)
class Evaluation:
    """What came of a task."""

    steps: int
    results: tuple[Result, ...]
    seconds: float
    """That it took."""
    rating: Elo | None = None
    """From the games against levels of the scale; None where no opponent is one."""

    @property
    def score(self) -> float | None:
        """Points of a game on average over all opponents, 0..1; None where one gave no result."""
        scores = [result.score for result in self.results]
        return None if None in scores or not scores else sum(scores) / len(scores)  # type: ignore[arg-type]

    def to_line(self) -> str:
        """One line of JSON for the evaluation log, without the newline."""
        return json.dumps(asdict(self) | {"score": self.score})


def evaluate(task: Task) -> Evaluation:
    """Play a task's matches, log their games and count them.

    Raises:
        ValueError: a player cannot be made.
        CheckpointError: the checkpoint cannot be read.
    """
    from keisei_agent.players import MAKERS

    start = time.monotonic()
    openings = load_openings(seed=task.seed)
    tallies: dict[str, Tally] = {}
    spec = f"checkpoint:{task.checkpoint};temperature={task.temperature:g}"
    with (
        make_player(spec, name=f"{task.log.parent.name}-{task.steps}", makers=MAKERS) as own,
        GameLog(task.log) as log,
    ):
        for opponent in task.opponents:
            with make_player(opponent, makers=MAKERS) as other:
                games: list[GameRecord] = []
                for game in head_to_head(
                    own, other, task.games, openings=openings, seed=task.seed, max_plies=task.max_plies
                ):
                    log.write([game])
                    games.append(game)
            tallies[opponent] = tally(games, own.name)
    results = tuple(_result(opponent, counted) for opponent, counted in tallies.items())
    return Evaluation(task.steps, results, round(time.monotonic() - start, 3), _rating(tallies))


def _result(opponent: str, counted: Tally) -> Result:
    low, high = counted.interval or (None, None)
    return Result(opponent, *counted.results, counted.voids, counted.score, low, high)


def _rating(tallies: Mapping[str, Tally]) -> Elo | None:
    levels = {level.spec: level.rating for level in load_protocol().levels}
    played = {name: counted for name, counted in tallies.items() if name in levels and counted.games}
    return rate_against(levels, played) if played else None


class Evaluator:
    """A process that evaluates one task after the other.

    It is started by the first task, ends with this process, and is started anew if it dies.
    """

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._tasks: list[Task] = []

    @property
    def waiting(self) -> int:
        """Tasks without an answer."""
        return len(self._tasks)

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def submit(self, task: Task) -> None:
        """Have a task played after those before it."""
        if not self._tasks and not self.alive:
            self.close()
        self._tasks.append(task)
        with suppress(OSError):  # it died with tasks before this one: `result` says so
            self._pipe_to_process().send(task)

    def result(self, timeout: float | None = 0.0) -> Evaluation | None:
        """What came of the oldest task, or None if it is not done.

        Args:
            timeout: seconds to wait; None waits for as long as it takes.

        Raises:
            EvaluationError: it failed, or the process died; its tasks are given up.
        """
        assert self._pipe is not None and self._tasks, "nothing was submitted"
        try:
            if not self._pipe.poll(timeout):
                return None
            answer: Evaluation | str = self._pipe.recv()
        except (EOFError, OSError):
            task = self._tasks[0]
            self.close()
            raise EvaluationError(f"the process that evaluated {task.checkpoint.name} died") from None
        self._tasks.pop(0)
        if isinstance(answer, str):
            raise EvaluationError(answer)
        return answer

    def close(self) -> None:
        """End the process, in the middle of a game if need be."""
        if self._process is not None:
            self._process.terminate()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
        self._tasks.clear()

    def _pipe_to_process(self) -> "Connection[Any, Any]":
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, end = context.Pipe()
            self._process = context.Process(target=_serve, args=(end,), daemon=True, name="evaluation")
            self._process.start()
            end.close()
        return self._pipe


def _serve(pipe: "Connection[Any, Any]") -> None:
    """Answer tasks until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    import torch as th

    th.set_num_threads(1)
    while True:
        try:
            task: Task = pipe.recv()
        except EOFError:
            return
        try:
            answer: Evaluation | str = evaluate(task)
        except Exception as error:
            logger.exception("evaluation of %s failed", task.checkpoint)
            answer = f"{type(error).__name__}: {error}"
        pipe.send(answer)
