"""`keisei-usi`: a trained player as a USI engine. Only the standard library is imported at the start."""

import locale
import os
import queue
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, TextIO

from keisei_agent.console import INTERRUPTED, Parser, missing_extra, never_fail_on_encoding
from keisei_agent.usi.engine import serve


def main(arguments: list[str] | None = None) -> int:
    """Run `keisei-usi`: serve a GUI and end the process, or `--install` and return 0 or 130."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.model and (missing := missing_extra()):
        parser.error(missing)
    model = str(options.model.absolute()) if options.model else ""
    if options.install is not None:
        from keisei_agent.usi.install import InstallError, install

        try:
            for line in install(options.install, model):
                print(line, flush=True)
        except (InstallError, OSError) as error:
            parser.error(str(error))
        except KeyboardInterrupt:
            return INTERRUPTED
        return 0
    out = _take_stdout()

    def say(line: str) -> None:
        out.write(line + "\n")

    try:
        code = serve(_read_lines(), say, model, _leave)
    except KeyboardInterrupt:
        code = INTERRUPTED
    _leave(code)


def build_parser() -> Parser:
    """Return the parser of `keisei-usi`."""
    parser = Parser(
        prog="keisei-usi",
        description="A trained player as a USI engine for shogi GUIs. Reads USI from stdin.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="RUN",
        help="run folder (its newest checkpoint) or checkpoint to play with, the option Model "
        "(default: the strongest level of the package; see the option Level)",
    )
    parser.add_argument(
        "--install",
        type=Path,
        metavar="DIR",
        help="write a launcher for GUIs, which start an engine without arguments",
    )
    return parser


def _take_stdout() -> TextIO:
    """Return the only way to the GUI: what else is written to stdout, also by C code, goes to stderr."""
    kept = os.dup(1)
    if sys.stderr is None:  # started without one
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return open(kept, "w", buffering=1, encoding="ascii", errors="backslashreplace", newline="\n")


def _read_lines() -> Iterator[str]:
    """Yield the lines of stdin, read by a thread so that `quit` ends the process whatever it is doing."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        encoding = locale.getpreferredencoding(False)
        try:
            for raw in sys.stdin.buffer:
                line = raw.decode(encoding, errors="surrogateescape")
                if line.split()[:1] == ["quit"]:
                    _leave(0)
                lines.put(line)
        finally:
            lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return iter(lines.get, None)


def _leave(code: int) -> NoReturn:
    """End now: a proper exit waits for the thread that reads stdin, and for the libraries' threads."""
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
