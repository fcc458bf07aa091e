"""`keisei-kifu`: look at game records, check them, write them in another format."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keisei_agent.console import INTERRUPTED, Parser, count, never_fail_on_encoding, whole

if TYPE_CHECKING:
    from shogi_env.kifu import Kifu

_FORMATS = """formats, by the suffix of the file or by --from and --to:
  .csa              CSA, several games in a file
  .kif .kifu        KIF, with variations
  .ki2 .ki2u        KI2, read only
  .usi .sfen        lines of USI, or positions
  .jsonl            logs of keisei-match and of training, read only
Shift_JIS, EUC-JP and UTF-8 are read, UTF-8 is written.

examples:
  keisei-kifu show game.kif --ply 40
  keisei-kifu check records/*.csa
  keisei-kifu convert runs/first/games.jsonl first.csa"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `keisei-kifu`."""
    parser = Parser(
        prog="keisei-kifu",
        description="Look at records of games, check them, convert them.",
        epilog=_FORMATS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--from", dest="format", metavar="FORMAT", help="csa, kif, ki2 or usi")
    tasks = parser.add_subparsers(dest="task", required=True, metavar="show|check|convert")
    show = tasks.add_parser("show", help="show a game: its moves and a position", allow_abbrev=False)
    show.add_argument("file", type=Path)
    show.add_argument(
        "--game", type=count, default=1, metavar="N", help="which of the file's games (default: 1)"
    )
    show.add_argument(
        "--ply", type=whole, metavar="N", help="show the position after N moves (default: the last)"
    )
    check = tasks.add_parser("check", help="say which files cannot be read, and why", allow_abbrev=False)
    check.add_argument("files", type=Path, nargs="+")
    convert = tasks.add_parser("convert", help="write games in another format", allow_abbrev=False)
    convert.add_argument("file", type=Path)
    convert.add_argument("out", type=Path)
    convert.add_argument("--to", metavar="FORMAT", help="csa, kif or usi")
    convert.add_argument("--game", type=count, metavar="N", help="only this one of the file's games")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-kifu`; return 0, 1 if a file that was checked is bad, 2 for errors, 130 after Ctrl-C."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        if options.task == "check":
            return _check(options.files, options.format)
        games = _load(options.file, options.format)
        if options.task == "show":
            for line in _show(_pick(games, options.game), options.ply):
                print(line)
        else:
            _convert(games if options.game is None else [_pick(games, options.game)], options)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _load(path: Path, format: str | None) -> "list[Kifu]":
    """Games of a file; those of a game log too."""
    from shogi_env import kifu  # slow: Numba

    if path.suffix != ".jsonl":
        return kifu.load(path, format)
    from shogi_env.arena.games import read_log

    return read_log(path)


def _pick(games: "list[Kifu]", number: int) -> "Kifu":
    if number > len(games):
        raise ValueError(f"the file has {len(games)} games, not {number}")
    return games[number - 1]


def _check(files: list[Path], format: str | None) -> int:
    """Say of each file whether it can be read; return 1 if one cannot."""
    bad = 0
    for path in files:
        try:
            games = _load(path, format)
        except (ValueError, OSError) as error:
            bad += 1
            print(f"BAD  {error}")
            continue
        print(f"ok   {path}: {len(games)} game{'s' * (len(games) > 1)}, {_summary(games)}")
    return int(bad > 0)


def _summary(games: "list[Kifu]") -> str:
    moves = sum(len(game.moves) for game in games)
    if len(games) > 1:
        return f"{moves} moves"
    return f"{moves} moves, {_ending(games[0])}"


def _ending(game: "Kifu") -> str:
    if game.end is None:
        return "end not said"
    winner = f", {game.end.winner.name.capitalize()} wins" if game.end.winner is not None else ""
    return f"{game.end.ending}{winner}"


def _show(game: "Kifu", ply: int | None) -> Iterator[str]:
    """The lines of a game: headers, moves up to a ply, the position there, how it ended."""
    from shogi_env import Board
    from shogi_env.kifu import ki2

    nodes = list(game.main_line())
    if ply is not None and ply > len(nodes):
        raise ValueError(f"the game has {len(nodes)} moves, not {ply}")
    yield from (f"{name.capitalize()}: {value}" for name, value in game.headers.items())
    board, before = Board(game.start, max_plies=None, declaration="off"), None
    yield from game.root.comments
    for number, node in enumerate(nodes[:ply], 1):
        assert node.move is not None
        others = f"   ({len(node.next) - 1} variations follow)" if len(node.next) > 1 else ""
        yield f"{number:4d}  {node.move!s:<6}{ki2.format_move(board, node.move, before)}{others}"
        board.push(node.move)
        before = node.move
        yield from (f"      {comment}" for comment in node.comments)
    yield str(board)
    yield board.sfen()
    if ply is None or ply == len(nodes):
        yield _ending(game)


def _convert(games: "list[Kifu]", options: argparse.Namespace) -> None:
    from shogi_env import kifu

    kifu.save(options.out, games, options.to)
    print(f"{len(games)} game{'s' * (len(games) > 1)} in {options.out}")


if __name__ == "__main__":
    sys.exit(main())
