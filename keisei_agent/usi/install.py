"""`keisei-usi --install`: a launcher that a GUI can start, and the proof that it plays."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_MODULE = ("keisei_agent", "usi")
_PATIENCE = 600  # seconds for loading; an empty compile cache on a busy machine takes one


class InstallError(Exception):
    """The launcher cannot be written or does not work; the text is one line."""


def install(folder: Path, model: str) -> Iterator[str]:
    """Write the launcher of this system, play a move with it, and say how that went.

    The trial also fills the compile cache, so that the GUI's first game starts fast.

    Args:
        folder: where to; made if it is missing.
        model: absolute path of a run folder or checkpoint; "" for the package's levels.

    Yields:
        What was done, one line each.

    Raises:
        InstallError: the launcher does not play; it is then removed.
        OSError: the folder cannot be written.
    """
    windows = os.name == "nt"
    path = folder.absolute() / ("keisei-usi.bat" if windows else "keisei-usi.sh")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # cmd.exe reads batch files in the console's code page
        path.write_bytes(launcher(sys.executable, model, windows).encode("oem" if windows else "utf-8"))
    except UnicodeError:
        raise InstallError(f"cmd.exe cannot read the path {model!a}; move the model") from None
    path.chmod(0o755)
    try:
        move, seconds = try_launcher(path)
    except BaseException:
        path.unlink()
        raise
    yield f"Wrote {path}"
    yield f"It loaded and opened with {move} after {seconds:.1f} s."
    yield "In the GUI, add this file as an engine."


def launcher(python: str, model: str, windows: bool) -> str:
    """Return the launcher's text.

    `-P` keeps the folder that the GUI starts it in off Python's path.

    Args:
        python: absolute path of the interpreter.
        model: absolute path of a run folder or checkpoint; "" for none.
        windows: a batch file instead of a shell script.

    Raises:
        InstallError: a path that a batch file cannot hold.
    """
    if not windows:
        command = shlex.join([python, "-P", "-m", *_MODULE, *(["--model", model] if model else [])])
        return f'#!/bin/sh\nexec {command} "$@"\n'
    if any(character in python + model for character in '"\r\n'):
        raise InstallError(f"a batch file cannot hold the path {model!r}")
    option = f' --model "{model}"' if model else ""
    command = f'"{python}" -P -m {" ".join(_MODULE)}{option}'.replace("%", "%%")
    return f"@echo off\r\n{command} %*\r\n"


def try_launcher(path: Path) -> tuple[str, float]:
    """Play one move as a GUI would: from the launcher's folder, without arguments.

    Returns:
        The move and the seconds it took from the start.

    Raises:
        InstallError: it did not answer.
    """
    began = time.monotonic()
    try:
        done = subprocess.run(
            [str(path)],
            input="usi\nisready\nusinewgame\nposition startpos\ngo byoyomi 1000\n",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            cwd=path.parent,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{path} does not start: {error}") from None
    last = (done.stdout.splitlines() or [""])[-1]
    if done.returncode or not last.startswith("bestmove "):
        words = (done.stderr.splitlines() or ["no answer"])[-1]
        raise InstallError(words.removeprefix("keisei-usi: ").removeprefix("error: "))
    return last.removeprefix("bestmove "), time.monotonic() - began
