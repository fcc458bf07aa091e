"""Worker processes that each hold a slice of the games.  Imports no learning library: workers start fast.

A request is one short message through a worker's pipe, and so is its answer; observations, masks,
actions, rewards and dones lie in shared memory.  A process with nothing to do sleeps in a read of
its pipe, and ends when the other end is closed, by whatever death of the parent.
"""

import ctypes
import multiprocessing
import pickle
import signal
import time
import traceback
from collections.abc import Mapping, Sequence
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

import cloudpickle  # type: ignore[import-untyped]
import numpy as np

from shogi_env.adapters._same_step import Ending, SameStepGames, State
from shogi_env.core.constants import NUM_ACTIONS
from shogi_env.types import BoolArray

_EXIT_SECONDS = 3.0
"""How long a worker may take to end by itself."""


class WorkerError(RuntimeError):
    """A worker process died, or failed with an error that cannot be passed on as it is."""


class SharedArrays:
    """The arrays through which workers and parent exchange a step; they pass to workers at their start.

    Anonymous shared memory: it has no name that could be left behind, and lives as long as an array
    made of it does.

    Args:
        context: of the processes to be started.
        n: number of games N.
        shape: of one observation.
    """

    def __init__(self, context: BaseContext, n: int, shape: tuple[int, ...]) -> None:
        self._layout: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
            "observations": (np.uint8, (2, n, *shape)),
            "masks": (np.int8, (2, n, NUM_ACTIONS)),
            "actions": (np.int64, (n,)),
            "rewards": (np.float32, (n,)),
            "dones": (np.bool_, (n,)),
        }
        self._memory = {
            name: context.RawArray(ctypes.c_uint8, int(np.prod(shape)) * np.dtype(dtype).itemsize)
            for name, (dtype, shape) in self._layout.items()
        }

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """The array "observations" or "masks" [2, N, ...], "actions", "rewards" or "dones" [N]."""
        dtype, shape = self._layout[name]
        array: np.ndarray[Any, Any] = np.frombuffer(memoryview(self._memory[name]), dtype).reshape(shape)
        return array


class GamesSlice:
    """What runs in a worker: the games ``begin..end`` of the batch. Its methods are the requests."""

    def __init__(self, shared: SharedArrays, begin: int, end: int) -> None:
        mine = slice(begin, end)
        self._begin = begin
        self._observations, self._masks = shared["observations"][:, mine], shared["masks"][:, mine]
        self._actions, self._rewards = shared["actions"][mine], shared["rewards"][mine]
        self._dones = shared["dones"][mine]

    def start(self, arguments: Mapping[str, Any]) -> None:
        """Make the games; the arguments are those of `SameStepGames`."""
        self._games = SameStepGames(len(self._actions), **arguments)

    def reset(self, seeds: Sequence[int | None], options: Sequence[dict[str, Any]], slot: int) -> None:
        """Start all games and observe them."""
        self._games.reset(seeds, options)
        self._observe(slot)

    def step(self, slot: int) -> list[Ending]:
        """Play the actions, observe, and tell which games ended, by their number in the batch."""
        self._rewards[:], self._dones[:], endings = self._games.step(self._actions)
        self._observe(slot)
        return [ending._replace(game=self._begin + ending.game) for ending in endings]

    def _observe(self, slot: int) -> None:
        self._games.write(self._observations[slot], self._masks[slot])

    def set_opponent(self, opponent: Any, games: Sequence[int]) -> None:
        """Seat another opponent in some games."""
        self._games.set_opponent(opponent, games)

    def each(self, method: str, games: Sequence[int]) -> list[Any]:
        """Call a method of `SameStepGames` with each of some games."""
        return [getattr(self._games, method)(i) for i in games]

    def both_seats(self) -> BoolArray:
        """bool[N], in which games the learner plays both sides."""
        return self._games.both_seats

    def get_state(self) -> State:
        """See `SameStepGames.get_state`."""
        return self._games.get_state()

    def set_state(self, state: State, slot: int) -> None:
        """Go back to a state and observe it."""
        self._games.set_state(state)
        self._observe(slot)


def serve(
    pipe: Connection, inherited: Sequence[Connection], shared: SharedArrays, begin: int, end: int
) -> None:
    """Answer requests until the pipe is closed: the main function of a worker.

    Args:
        pipe: to the parent.
        inherited: ends of pipes that a fork brought along; open, they would outlive the parent.
        shared: the arrays.
        begin: first game.
        end: game after the last.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    for other in inherited:
        other.close()
    games = GamesSlice(shared, begin, end)
    while True:
        try:
            pipe.send_bytes(_answer(games, pipe.recv_bytes()))
        except (EOFError, OSError):
            return


def _answer(games: GamesSlice, request: bytes) -> bytes:
    try:
        method, arguments = pickle.loads(request)
        return pickle.dumps((True, getattr(games, method)(*arguments)))
    except Exception as error:  # whatever it is, it belongs to the caller
        text = "".join(traceback.format_exception(error))
        try:
            pickled = cloudpickle.dumps(error)
        except Exception:
            pickled = b""
        return pickle.dumps((False, (pickled, f"{type(error).__name__}: {error}", text)))


def request(method: str, *arguments: Any) -> bytes:
    """A message that calls a method of `GamesSlice`.

    Raises:
        TypeError: an argument cannot be pickled.
    """
    try:
        message: bytes = cloudpickle.dumps((method, arguments))
    except Exception as error:
        raise TypeError(
            f"{error}: what goes to worker processes (opponents, seats, initial, options) has to be "
            "picklable, whatever the start method; open files, locks, generators and running engines are "
            'not: let the callable make them at its first call, or use backend="native"'
        ) from error
    return message


class Workers:
    """The parent's side: starts workers, sends requests, collects answers, ends the workers.

    Args:
        context: how processes are started.
        shared: the arrays.
        bounds: worker w holds the games ``bounds[w]..bounds[w + 1]``.
    """

    def __init__(self, context: BaseContext, shared: SharedArrays, bounds: Sequence[int]) -> None:
        self._bounds = bounds
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._asked: set[int] = set()
        try:
            for w, (begin, end) in enumerate(pairwise(bounds)):
                ours, theirs = context.Pipe()
                self._pipes.append(ours)
                inherited = list(self._pipes) if context.get_start_method() == "fork" else []
                process = context.Process(  # type: ignore[attr-defined]
                    target=serve,
                    args=(theirs, inherited, shared, begin, end),
                    name=f"shogi-games-{w}",
                    daemon=True,
                )
                process.start()
                theirs.close()
                self._processes.append(process)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._processes)

    @property
    def pids(self) -> list[int]:
        """Process ids."""
        return [process.pid for process in self._processes if process.pid]

    def call(self, requests: Mapping[int, bytes]) -> list[Any]:
        """Send requests to some workers and collect their answers; see `collect`."""
        self.send(requests)
        return self.collect()

    def send(self, requests: Mapping[int, bytes]) -> None:
        """Send a request to each of some workers; answers nobody collected are dropped."""
        for w in sorted(self._asked):
            self._receive(w)
        for w, message in requests.items():
            try:
                self._pipes[w].send_bytes(message)
            except OSError:
                self._report_death(w)
            self._asked.add(w)

    def collect(self) -> list[Any]:
        """The answers to the requests sent, by worker.

        Raises:
            WorkerError: a worker has died; the others were ended too.
            Exception: what a worker raised, its traceback in the notes; all workers have answered.
        """
        answers = {w: self._receive(w) for w in sorted(self._asked)}
        for w, (fine, answer) in answers.items():
            if not fine:
                self._raise(w, *answer)
        return [answer for _, answer in answers.values()]

    def _receive(self, w: int) -> tuple[bool, Any]:
        try:
            message = self._pipes[w].recv_bytes()
        except (EOFError, OSError):
            self._report_death(w)
        self._asked.discard(w)
        answer: tuple[bool, Any] = pickle.loads(message)
        return answer

    def _name(self, w: int) -> str:
        games = f"games {self._bounds[w]}..{self._bounds[w + 1] - 1}"
        return f"worker {w} (pid {self._processes[w].pid}, {games})"

    def _raise(self, w: int, pickled: bytes, summary: str, text: str) -> NoReturn:
        try:
            error: Exception = pickle.loads(pickled)
        except Exception:  # of a type that only the worker knows
            error = WorkerError(summary)
        error.add_note(f"In {self._name(w)}:\n{text}")
        raise error

    def _report_death(self, w: int) -> NoReturn:
        if self._pipes[w].closed:
            raise WorkerError("the worker processes have been closed")
        process = self._processes[w]
        process.join(_EXIT_SECONDS)
        code = process.exitcode
        reason = f"exit code {code}"
        if code is not None and code < 0:
            reason += f", {signal.strsignal(-code)}"
        name = self._name(w)
        self.close()
        raise WorkerError(f"{name} died ({reason}); the others were ended") from None

    def close(self) -> None:
        """End all workers; they finish the request they are at, or are killed."""
        for pipe in self._pipes:
            pipe.close()
        self._asked.clear()
        deadline = time.monotonic() + _EXIT_SECONDS
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
        for process in self._processes:
            if process.is_alive():
                process.kill()
                process.join()


def start_context(method: str | None) -> BaseContext:
    """How processes are started; by default "forkserver" where there is one, else "spawn", as in SB3.

    Raises:
        ValueError: this system has no such method.
    """
    known = multiprocessing.get_all_start_methods()
    if method is None:
        method = "forkserver" if "forkserver" in known else "spawn"
    if method not in known:
        raise ValueError(f"start_method is one of {', '.join(map(repr, known))}, not {method!r}")
    return multiprocessing.get_context(method)
