"""`keisei`: all commands under one name. Imports a command's module only when it is called."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from keisei_agent.console import nearest, never_fail_on_encoding


class Command(NamedTuple):
    """One of the commands; `keisei NAME` does what `keisei-NAME` does."""

    module: str
    """In this package; has `main(arguments) -> status`."""
    what: str
    """What it does, in a few words."""
    example: str
    """A command line."""


COMMANDS = {
    "train": Command(
        "train",
        "train a player by self-play",
        "keisei train --preset tiny --run-name first",
    ),
    "pretrain": Command(
        "pretrain",
        "teach a network from records of games",
        "keisei pretrain records/*.csa --min-rating 3000",
    ),
    "match": Command(
        "match",
        "let players play each other",
        "keisei match checkpoint:runs/first greedy --games 400",
    ),
    "rate": Command(
        "rate",
        "rate players from logs of games",
        "keisei rate games.jsonl --anchor greedy --cross",
    ),
    "usi": Command(
        "usi",
        "make a trained player a USI engine for shogi GUIs",
        "keisei usi --install engines/first --model runs/first",
    ),
    "play": Command(
        "play",
        "play against a player in the terminal",
        "keisei play --level 1",
    ),
    "web": Command(
        "web",
        "watch runs, replay games and play, in the browser",
        "keisei web runs",
    ),
    "kifu": Command(
        "kifu",
        "look at game records, check them, convert them",
        "keisei kifu convert runs/first/games.jsonl first.csa",
    ),
    "export": Command(
        "export",
        "write a trained player for other libraries",
        "keisei export runs/first --format sb3 first.zip",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei`; return what the command returns, 2 if there is no such command."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if name in ("-h", "--help", "help"):
        for line in _overview():
            print(line)
        return 0
    if name == "--version":
        from shogi_env.version import __version__  # slow: Gymnasium

        print(f"keisei {__version__}")
        return 0
    if name not in COMMANDS:
        meant = nearest(name, COMMANDS)
        guess = f", did you mean {meant}?" if meant else ""
        print(f"keisei: unknown command {name!r}{guess} (known: {', '.join(COMMANDS)})", file=sys.stderr)
        return 2
    status: int = import_module(f"keisei_agent.commands.{COMMANDS[name].module}").main(rest)
    return status


def _overview() -> list[str]:
    lines = ["Shogi players that learn by self-play. Each command has --help.", ""]
    width = 2 + max(map(len, COMMANDS))
    for name, command in COMMANDS.items():
        lines += [f"  keisei {name:<{width}}{command.what}", f"{'':{9 + width}}{command.example}"]
    return lines


if __name__ == "__main__":
    sys.exit(main())
