"""Engines as opponents: what their adapters share.

An engine wants to be told a game's moves, because repetitions count; an opponent sees positions.
`EnginePlayer` follows each game from the first position that it is asked about.
"""

import os
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self, TypeVar

import numpy as np

from shogi_env import opponents
from shogi_env.arena.process import EngineCrashError, EngineError, Program
from shogi_env.board import Board
from shogi_env.errors import ShogiError
from shogi_env.notation.moves import from_packed
from shogi_env.notation.usi import Move
from shogi_env.positions import Positions
from shogi_env.types import Int64Array

Answer = TypeVar("Answer")


class Engine(ABC):
    """A program that is asked for moves, and started again when it has died.

    Args:
        command: program and arguments, in one text as for a shell or one by one.
        timeout: seconds to wait for an answer, on top of the thinking time that is asked for.

    Attributes:
        name: what the engine calls itself; its program's name until it has said so.
    """

    def __init__(self, command: Sequence[str] | str, timeout: float) -> None:
        if isinstance(command, str):
            command = shlex.split(command, posix=os.name == "posix")
        if not command:
            raise ValueError("an engine's command is empty")
        if not timeout > 0:
            raise ValueError(f"timeout is a number of seconds above 0, not {timeout!r}")
        self.command, self.timeout = tuple(command), timeout
        self.name = os.path.basename(self.command[0])
        self._program: Program | None = None
        self._closed = False
        self._start()

    @abstractmethod
    def _greet(self) -> None:
        """Do what comes between the program's start and the first question."""

    def _start(self) -> None:
        if self._closed:
            raise EngineError(f"{self.name} is closed")
        self._program = Program(self.command)
        try:
            self._greet()
        except EngineCrashError as error:
            self._stop()
            raise EngineError(f"{self.name} could not be started: {error}") from None
        except BaseException:
            self._stop()
            raise

    def _ask(
        self,
        question: Sequence[str],
        find: Callable[[str], str | None],
        asked: str,
        *,
        think: float = 0.0,
        advice: str = "",
    ) -> str:
        """Send lines and return what `find` finds in a line of the answer.

        Args:
            question: the lines to send.
            find: gives the wanted part of a line, or None.
            asked: the question in short, for error texts.
            think: seconds that the engine is allowed to think.
            advice: what to add to the error text when no answer comes.

        Raises:
            EngineCrashError: the program ended.
            EngineError: no answer came in time; the program is ended, for its answer could come later.
        """
        program, wait = self._program, think + self.timeout
        assert program is not None
        until = time.monotonic() + wait
        program.send(*question)
        try:
            while True:
                found = find(program.read(until))
                if found is not None:
                    return found
        except TimeoutError:
            words = program.last_words()
            self._stop()
            raise EngineError(
                f"{self.name} did not answer {asked!r} within {wait:g} s{advice}{words}"
            ) from None

    def _ask_again(self, ask: Callable[[], Answer], asked: str) -> Answer:
        """Ask; if the engine dies of it, or is dead already, start it and ask once more.

        Raises:
            EngineError: it died again, or did not answer.
        """
        try:
            if self._program is None:
                self._start()
            return ask()
        except EngineCrashError:
            self._stop()
            self._start()
        try:
            return ask()
        except EngineCrashError as error:
            self._stop()
            raise EngineError(f"{self.name} died twice of {asked!r}: {error}") from None

    def _stop(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.close()

    def close(self) -> None:
        """End the program, surely."""
        self._closed = True
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


AnyEngine = TypeVar("AnyEngine", bound=Engine)


@dataclass(slots=True)
class _Game:
    """What an engine needs to know of a game: how it came to the position asked about."""

    start: str
    """SFEN of the first position asked about."""
    sfen: str
    """SFEN of the last one."""
    moves: list[str] = field(default_factory=list)
    """USI moves between the two."""
    answer: str | None = None
    """The move given for the last one."""

    def follow(self, sfen: str, last_move: int) -> bool:
        """Go on to the next position asked about; whether that is this game's continuation.

        Args:
            sfen: the position.
            last_move: the move that led to it, as `core.play` packs it; -1 for none.
        """
        if sfen == self.sfen:  # asked again, say because another game of the batch failed
            return True
        if self.answer is None or last_move < 0:
            return False
        board = Board(self.sfen, max_plies=None, declaration="off")
        theirs = from_packed(last_move)
        try:
            board.push_usi(self.answer)
            board.push(theirs)
        except ShogiError:
            return False
        if board.sfen() != sfen:
            return False
        self.moves += [self.answer, str(theirs)]
        self.sfen, self.answer = sfen, None
        return True


class EnginePlayer:
    """Engines of one kind as an opponent: ``(positions, idx int64[k]) -> actions int64[k]``.

    Game i is played by engine ``i % len(engines)``; the engines think at the same time.

    Args:
        engines: at least one.
        ask: ``(engine number, start SFEN, USI moves) -> answer``: a USI move, "resign" or "win".

    Attributes:
        version: what the first engine calls itself.
    """

    def __init__(self, engines: Sequence[Engine], ask: Callable[[int, str, Sequence[str]], str]) -> None:
        self.version = engines[0].name
        self._engines, self._ask = engines, ask
        self._games: dict[int, _Game] = {}
        self._pool = ThreadPoolExecutor(len(engines), "engine")

    def __call__(self, positions: Positions, idx: Int64Array) -> Int64Array:
        """Ask the engines for a move in each of the games int64[k].

        Returns:
            int64[k], legal actions, or `opponents.RESIGN`.

        Raises:
            EngineError: an engine failed or answered no legal move; the text names engine, answer
                and position. The other games can be asked about again.
        """
        for i in idx.tolist():
            sfen, game = positions.sfen(i), self._games.get(i)
            if game is None or not game.follow(sfen, int(positions.rows["last_move"][i])):
                self._games[i] = _Game(sfen, sfen)
        actions = np.empty(len(idx), np.int64)
        work = [np.flatnonzero(idx % len(self._engines) == e) for e in range(len(self._engines))]
        jobs = [
            self._pool.submit(self._choose, positions, idx, where, e, actions)
            for e, where in enumerate(work)
            if len(where)
        ]
        errors = [error for job in jobs if (error := job.exception()) is not None]
        if errors:
            raise errors[0]
        return actions

    def _choose(
        self, positions: Positions, idx: Int64Array, where: Int64Array, engine: int, actions: Int64Array
    ) -> None:
        """Write the actions of the games idx[where], all of one engine."""
        for k in where.tolist():
            i = int(idx[k])
            game = self._games[i]
            answer = self._ask(engine, game.start, game.moves)
            actions[k] = self._action(positions, i, answer)
            game.answer = answer

    def _action(self, positions: Positions, i: int, answer: str) -> int:
        if answer == "resign":
            return opponents.RESIGN
        by_rule = positions.declaration == "auto"  # then a game that can be declared has ended
        reason = "it cannot declare here" if by_rule else "this game is played without declarations"
        if answer != "win":
            try:
                return positions.action(i, Move.from_usi(answer))
            except ShogiError as error:
                reason = str(error)
        raise EngineError(f"{self.version} answered {answer!r} to {positions.sfen(i)}: {reason}")

    def close(self) -> None:
        """End the engines' processes, surely."""
        for engine in self._engines:
            engine.close()
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def start_all(count: int, make: Callable[[], AnyEngine]) -> list[AnyEngine]:
    """Make engines; if one cannot be started, the others are closed.

    Raises:
        ValueError: the count is not an integer of at least 1.
    """
    if not (isinstance(count, int) and count >= 1):
        raise ValueError(f"processes is an integer, at least 1, not {count!r}")
    engines: list[AnyEngine] = []
    try:
        for _ in range(count):
            engines.append(make())
    except BaseException:
        for engine in engines:
            engine.close()
        raise
    return engines
