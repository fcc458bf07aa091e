"""`keisei-web`: runs, games and a board in the browser."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from keisei_agent.commands.page import missing_web
from keisei_agent.console import INTERRUPTED, Parser, never_fail_on_encoding

_EXAMPLES = """examples:
  keisei-web
  keisei-web runs/first --port 8000
  keisei-web runs --host 0.0.0.0"""
PORT = 7870
"""Where the page is, unless something else is asked for."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `keisei-web`."""
    parser = Parser(
        prog="keisei-web",
        description="Watch runs, replay their games, and play, in the browser.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs",
        nargs="?",
        type=Path,
        default=Path("runs"),
        metavar="RUNS_DIR",
        help="folder of runs, or a run (default: runs)",
    )
    host = "address to listen on; others than this machine's own demand a token (default: 127.0.0.1)"
    parser.add_argument("--host", default="127.0.0.1", help=host)
    parser.add_argument(
        "--port", type=_port, default=PORT, metavar="N", help=f"to listen on (default: {PORT})"
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port, 0..65535")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-web` until Ctrl-C; return 130 then, 2 for bad arguments."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    assert isinstance(parser, Parser)
    options = parser.parse_for_agent(arguments)
    missing = missing_web()
    if missing:
        parser.error(missing)
    if not options.runs.is_dir():
        parser.error(f"{options.runs} is no folder; say which one holds the runs")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # others may be training
    from keisei_agent.web.process import AddressError, address_of, listen, new_token, serve

    token = new_token(options.host)
    try:
        found = listen(options.host, options.port)
    except AddressError as error:
        parser.error(str(error))
    with found:
        print(f"Page: {address_of(found, token)}", flush=True)
        if token:
            print("Whoever has this link can look at the runs and play; the connection is not encrypted.")
        print("Ctrl-C ends it.", flush=True)
        serve(found, options.runs, token)
    return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
