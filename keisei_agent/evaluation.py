"""Matches of a network in training, played by a process of their own while training goes on."""

import json
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from shogi_env import __version__
from shogi_env.arena.digest import digest_of_file
from shogi_env.arena.openings import load_openings
from shogi_env.arena.players import Player, make_player
from shogi_env.arena.records import GameRecord
from shogi_env.arena.scale import load_protocol, rate_against
from shogi_env.arena.schedules import head_to_head
from shogi_env.arena.statistics import Elo, Tally, tally

_NICENESS = 10
"""How far the games give way to the learner, where the system knows such a thing."""


class EvaluationError(RuntimeError):
    """An evaluation came to no result; the text says why, with the trace from behind its first line."""


@dataclass(frozen=True)
class Task:
    """What is to be played."""

    weights: Path
    """Network file; it has to stay until the task is answered."""
    steps: int
    """Decisions that the network has learned from."""
    name: str
    """What it is called in the games."""
    opponents: tuple[str, ...]
    """Specs, as `make_player` takes them."""
    games: int
    """Against each opponent; even."""
    temperature: float
    """Of the network's moves; see `make_checkpoint_player`."""
    seed: int
    max_plies: int


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
    rating: Elo | None = None
    """From the games against levels of the scale; None where no opponent is one."""
    games: tuple[GameRecord, ...] = ()
    """All that were played, in the order in which they ended."""
    seconds: float = 0.0
    """That it took."""

    @property
    def score(self) -> float | None:
        """Points of a game on average over all opponents, 0..1; None where one gave no result."""
        scores = [result.score for result in self.results]
        return None if None in scores or not scores else sum(scores) / len(scores)  # type: ignore[arg-type]

    def to_line(self) -> str:
        """One line of JSON for the evaluation log, without the newline.

        The games have a log of their own; the time is left out, so that the same run writes the same lines.
        """
        results = [asdict(result) for result in self.results]
        rating = self.rating and list(self.rating)
        return json.dumps({"steps": self.steps, "results": results, "rating": rating, "score": self.score})


def evaluate(task: Task) -> Evaluation:
    """Play a task's matches and count them.

    What comes of a task depends on the weights and on the task's other fields, not on where the file lies.

    Raises:
        ValueError: a player cannot be made.
        CheckpointError: the weights cannot be read.
    """
    from keisei_agent.players import MAKERS, load_player

    start = time.monotonic()
    openings = load_openings(seed=task.seed)
    tallies: dict[str, Tally] = {}
    games: list[GameRecord] = []
    own = Player(
        name=task.name,
        spec=f"checkpoint:{task.name};temperature={task.temperature:g}",
        version=f"keisei {__version__}",
        digest=digest_of_file(task.weights),
        choose=load_player(task.weights, temperature=task.temperature),
        deterministic=task.temperature == 0,
    )
    for opponent in task.opponents:
        with make_player(opponent, makers=MAKERS) as other:
            match = head_to_head(
                own, other, task.games, openings=openings, seed=task.seed, max_plies=task.max_plies
            )
            played = list(match)
        tallies[opponent] = tally(played, own.name)
        games += played
    results = tuple(_result(opponent, counted) for opponent, counted in tallies.items())
    seconds = round(time.monotonic() - start, 3)
    return Evaluation(task.steps, results, _rating(tallies), tuple(games), seconds)


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
    def tasks(self) -> tuple[Task, ...]:
        """Those without an answer, the oldest first."""
        return tuple(self._tasks)

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
        with suppress(OSError):  # it died with tasks before this one, or cannot start: `result` says so
            self._pipe_to_process().send(task)

    def result(self, timeout: float | None = 0.0) -> Evaluation | None:
        """What came of the oldest task, or None if it is not done.

        Args:
            timeout: seconds to wait; None waits for as long as it takes.

        Raises:
            EvaluationError: it failed, or the process died over it or did not start; the task is given up.
        """
        assert self._tasks, "nothing was submitted"
        try:
            if self._pipe is None:
                raise EOFError
            if not self._pipe.poll(timeout):
                return None
            answer: Evaluation | str = self._pipe.recv()
        except (EOFError, OSError):
            task, *others = self._tasks
            self.close()
            for other in others:
                self.submit(other)
            raise EvaluationError(f"the process for {task.weights.name} died, or did not start") from None
        self._tasks.pop(0)
        if isinstance(answer, str):
            raise EvaluationError(answer)
        return answer

    def close(self) -> None:
        """End the process, in the middle of a game if need be."""
        if self._process is not None:
            self._process.kill()  # it holds nothing that would have to be put in order
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
        self._tasks.clear()

    def _pipe_to_process(self) -> "Connection[Any, Any]":
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            pipe, end = context.Pipe()
            with closing(end):
                process = context.Process(target=_serve, args=(end,), daemon=True, name="evaluation")
                try:
                    process.start()
                except OSError:
                    pipe.close()
                    raise
            self._pipe, self._process = pipe, process
        return self._pipe


def _serve(pipe: "Connection[Any, Any]") -> None:
    """Answer tasks until the other end of the pipe is closed, or the process that trains is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):  # the process that trains ends this one when it ends
        signal.signal(number, signal.SIG_IGN)
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
            answer = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"  # the log is over there
        with suppress(OSError):  # the other end is closed: the next `recv` says so
            pipe.send(answer)


def _end_with_parent() -> None:
    """End in the middle of a game when the process that trains was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
