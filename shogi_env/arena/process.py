"""A program of somebody else's as a child process that is spoken to in lines."""

import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

from shogi_env.errors import ShogiError

_FAR_FOLDERS = "/usr/games" + os.pathsep + "/usr/local/games"
"""Where Debian puts game engines; often missing in PATH."""
_KEPT_LINES = 20
"""Last lines of a program's standard error that go into error texts."""
_PATIENCE = (3.0, 2.0, 2.0)
"""Seconds a program has to end after being asked, terminated and killed."""


class EngineError(ShogiError):
    """An engine cannot be started, died, gave no answer, or answered what it may not."""


class EngineCrashError(EngineError):
    """The engine's process ended by itself."""


def find_engine(name: str) -> str | None:
    """The path of a program, looked for in PATH and in the folders for games; None if it is in neither."""
    return shutil.which(name) or shutil.which(name, path=_FAR_FOLDERS)


class Program:
    """A running program that reads lines and writes lines.

    It reads the end of its input when this process dies, and so does not outlive it; it is in a
    process group of its own, so that Ctrl-C reaches it only through `close`.

    Args:
        command: program and arguments; a program without a folder is looked for by `find_engine`.

    Raises:
        EngineError: there is no such program, or it cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        path = find_engine(command[0])
        if path is None:
            raise EngineError(f"there is no program {command[0]!r} in PATH or {_FAR_FOLDERS}")
        try:
            self._child = subprocess.Popen(
                [path, *command[1:]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=os.name == "posix",
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise EngineError(f"cannot start {path}: {error}") from None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors: deque[str | None] = deque(maxlen=_KEPT_LINES)
        # Threads, because Windows cannot wait for a pipe with a time limit.
        self._readers = [
            self._pass_on(self._child.stdout, self._lines.put),
            self._pass_on(self._child.stderr, self._errors.append),
        ]

    @staticmethod
    def _pass_on(pipe: IO[str] | None, take: Callable[[str | None], None]) -> threading.Thread:
        assert pipe is not None  # all three are piped

        def read() -> None:
            with pipe:
                for line in pipe:
                    take(line.rstrip())
            take(None)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def send(self, *lines: str) -> None:
        """Write lines.

        Raises:
            EngineCrashError: the program has ended.
        """
        pipe = self._child.stdin
        assert pipe is not None
        try:
            pipe.write("\n".join(lines) + "\n")
            pipe.flush()
        except (OSError, ValueError):  # ValueError: `close` was here first
            raise EngineCrashError(self.describe_end()) from None

    def read(self, until: float) -> str:
        """The next line, without its newline.

        Args:
            until: `time.monotonic` at which to give up.

        Raises:
            TimeoutError: no line came.
            EngineCrashError: the program has ended.
        """
        try:
            line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        if line is None:
            self._lines.put(None)
            raise EngineCrashError(self.describe_end())
        return line

    def describe_end(self) -> str:
        """How the program ended, and its last words."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1.0)  # its output may close a moment before it ends
        self._readers[1].join(1.0)
        code = self._child.returncode
        return (
            "it closed its output" if code is None else f"it ended with status {code}"
        ) + self.last_words()

    def last_words(self) -> str:
        """The end of its standard error, as a part of an error text; empty if there was none."""
        lines = [line for line in tuple(self._errors) if line]
        return "; its standard error ends:\n" + "\n".join(lines) if lines else ""

    def close(self, farewell: str = "quit") -> None:
        """End the program: ask it to, then terminate it, then kill it."""
        pipe = self._child.stdin
        assert pipe is not None
        with suppress(OSError, ValueError):
            pipe.write(farewell + "\n")
        with suppress(OSError):
            pipe.close()
        for patience, end in zip(_PATIENCE, (self._terminate, self._kill, None), strict=True):
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(patience)
                break
            if end is not None:
                end()
        for reader in self._readers:
            reader.join(1.0)

    def _terminate(self) -> None:
        self._signal(signal.SIGTERM, self._child.terminate)

    def _kill(self) -> None:
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM), self._child.kill)

    def _signal(self, number: int, otherwise: Callable[[], None]) -> None:
        """Signal the whole group: an engine is often started by a script of its own."""
        if os.name == "posix":
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)
        else:
            otherwise()
