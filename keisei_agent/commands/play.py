"""`keisei-play`: a game against a player, in the terminal."""

import argparse
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from keisei_agent.commands.makers import MAKERS
from keisei_agent.console import INTERRUPTED, Parser, count, never_fail_on_encoding, whole

_EXAMPLES = """examples:
  keisei-play --level 2
  keisei-play "level:2;sims=200" --handicap rook
  keisei-play search:runs/first --color white
  keisei-play "checkpoint:runs/first;temperature=0.5" --handicap 6-piece"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `keisei-play`."""
    parser = Parser(
        prog="keisei-play",
        description="Play against a player: those of keisei-match. Type help in the game.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument("player", nargs="?", metavar="PLAYER", help="see keisei-match --help")
    who.add_argument(
        "--level", type=count, metavar="N", help="play against a level of the package, 1 and up (default: 1)"
    )
    parser.add_argument(
        "--color", choices=("black", "white", "random"), default="random", help="yours (default: random)"
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--handicap", metavar="NAME", help="White gives pieces: 2-piece, 6-piece, rook, ...")
    start.add_argument("--sfen", help="position to start from")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write the game at its end: .kif, .csa or .usi"
    )
    parser.add_argument("--seed", type=whole, help="of the player's draws")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-play`; return 0, 2 for bad arguments, 130 after Ctrl-C."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    options = parser.parse_args(arguments)
    sys.path.insert(0, os.getcwd())  # for the user's own players
    try:
        return _run(options)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print()
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    from keisei_agent.play import Game  # slow: Numba
    from shogi_env import Color
    from shogi_env.arena.players import make_player

    name = options.color if options.color != "random" else random.choice(("black", "white"))
    with make_player(options.player or f"level:{options.level or 1}", makers=MAKERS) as player:
        game = Game(player, Color[name.upper()], options.handicap or options.sfen, seed=options.seed)
        lines = game.begin()
        while True:
            for line in lines:
                print(line)
            for line in game.reply():
                print(line)
            text = _ask()
            if text is None or text.strip() in ("quit", "exit", "q"):
                break
            lines = game.answer(text)
    if options.save:
        for line in game.answer(f"save {options.save}"):
            print(line)
    return 0


def _ask() -> str | None:
    """What is typed next, None at the end of the input."""
    try:
        return input("> ")
    except EOFError:
        return None


if __name__ == "__main__":
    sys.exit(main())
