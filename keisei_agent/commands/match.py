"""`keisei-match`: players against each other. Only the standard library is imported until it makes sense."""

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from keisei_agent.commands.makers import MAKERS
from keisei_agent.commands.results import by_opponent, details, show_progress, standings, variety, voids
from keisei_agent.console import (
    INTERRUPTED,
    Parser,
    count,
    never_fail_on_encoding,
    terminating_like_ctrl_c,
    whole,
)

if TYPE_CHECKING:
    from shogi_env.arena.players import Player
    from shogi_env.arena.records import GameRecord
    from shogi_env.arena.schedules import Conditions

_PLAYERS = """players:
  random, greedy          built in
  minimax:DEPTH           alpha-beta search, built in
  level:NUMBER            a network of the package, 1 the weakest; ;temperature=0.25, or ;sims=64 ;mate=500
  checkpoint:PATH         a trained network or the newest of a run; ;temperature=1 ;device=cpu
  search:PATH             the same, looking ahead; ;sims=64 ;mate=500 ;temperature=0 ;device=cpu
  onnx:FILE               a network in ONNX; ;temperature=0 ;threads=1, or ;sims=64 ;mate=500
  usi:COMMAND             a USI engine; ;go=depth 2 ;processes=1 ;timeout=60 ;option.NAME=VALUE
  gnushogi:DEPTH          GNU Shogi
  python:MODULE.FUNCTION  your own, (positions, idx) -> actions
  policy:MODULE.FUNCTION  your own, (observations, masks) -> actions
  NAME=PLAYER             any of them under another name
  engines, @FILE          lists of players: the engines' ladder, or the lines of a file

examples:
  keisei-match checkpoint:runs/first greedy --games 400
  keisei-match --ladder engines checkpoint:runs/first
  keisei-match "fs=usi:fairy-stockfish;go=depth 1;option.Skill Level=-10" minimax:1 --sprt 0 50"""
_SLOTS, _ENGINE_SLOTS = 256, 16
"""Games at once; an engine thinks about one at a time, and few games are then lost by Ctrl-C."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `keisei-match`."""
    parser = Parser(
        prog="keisei-match",
        description="Let players play each other, both colors of each opening, and log every game.",
        epilog=_PLAYERS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("players", nargs="*", metavar="PLAYER", help="two for a match")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--gauntlet", action="append", metavar="PLAYER", help="play against each of these (may be repeated)"
    )
    kinds.add_argument(
        "--ladder", action="append", metavar="PLAYER", help="climb these until beaten (may be repeated)"
    )
    kinds.add_argument("--round-robin", action="store_true", help="everybody against everybody else")
    kinds.add_argument("--benchmark", type=Path, metavar="FILE", help="compare with expected scores (TOML)")
    kinds.add_argument(
        "--sprt",
        nargs=2,
        type=float,
        metavar=("ELO0", "ELO1"),
        help="stop once one of two differences is settled",
    )
    parser.add_argument(
        "--games", type=count, default=400, metavar="N", help="of each two players, even (default: 400)"
    )
    parser.add_argument(
        "--openings",
        default="balanced",
        metavar="NAME",
        help="balanced, start, random:PLIES or a file (default: balanced)",
    )
    parser.add_argument(
        "--seed", type=whole, default=0, metavar="N", help="of openings and games (default: 0)"
    )
    parser.add_argument(
        "--max-plies", type=count, default=512, metavar="N", help="longer games are drawn (default: 512)"
    )
    parser.add_argument(
        "--slots", type=count, metavar="N", help="games at once (default: 256, with engines 16)"
    )
    log = "log to write or to go on with (default: matches/TIME-PROCESS.jsonl)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=log)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-match`; return 0, 1 without a result, 2 for bad arguments, 130 after Ctrl-C or SIGTERM."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    options = parser.parse_args(arguments)
    problem = _check(options)
    if problem:
        parser.error(problem)
    sys.path.insert(0, os.getcwd())  # for the user's own players
    # Read when torch is loaded; see `keisei-train`.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # two matches that begin in one second have a log each
    out: Path = options.out or Path("matches", f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.jsonl")
    try:
        with terminating_like_ctrl_c():
            return _run(options, out)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def _check(options: argparse.Namespace) -> str | None:
    """What is wrong with the arguments as such."""
    if options.games % 2:
        return f"--games {options.games}: an even number, both colors of each opening"
    found = len(options.players)
    if options.round_robin:
        return None if found else "--round-robin needs the players"
    if options.gauntlet or options.ladder or options.benchmark:
        return None if found == 1 else f"name one player to play these; {found} are named"
    return None if found == 2 else f"name two players, or a schedule (see --help); {found} are named"


def _run(options: argparse.Namespace, out: Path) -> int:
    """Play, then say what came of it."""
    from shogi_env.arena.archive import Archive
    from shogi_env.arena.openings import load_openings
    from shogi_env.arena.schedules import read_benchmark

    openings = load_openings(options.openings, options.seed)
    expected = read_benchmark(options.benchmark) if options.benchmark else []
    others = [spec.player for spec in expected] + (options.gauntlet or options.ladder or [])
    with ExitStack() as stack:
        players = _Players(stack)
        made = list(players.each(_expand(options.players)))
        if not options.round_robin and len(made) != len(options.players):
            raise ValueError("a list of players stands for --gauntlet, --ladder or --round-robin")
        rungs = players.each(_expand(others))
        met = [] if options.ladder else list(rungs)
        conditions: Conditions = {
            "openings": openings,
            "seed": options.seed,
            "max_plies": options.max_plies,
            "slots": options.slots or (_ENGINE_SLOTS if _has_engine([*options.players, *others]) else _SLOTS),
            "archive": stack.enter_context(Archive(out)),
        }
        games: list[GameRecord] = []
        try:
            new = _play(options, made, met or rungs, conditions)
            games.extend(show_progress(new, _total(options, len(made), len(met)), sys.stderr))
        except KeyboardInterrupt:
            print(f"Stopped. Finished games are in {out}; the same command with --out {out} goes on.")
            return INTERRUPTED
    scores = {player.name: spec.score for player, spec in zip(met, expected, strict=False)}
    for line in _report(options, games, [player.name for player in made], scores):
        print(line)
    print(f"Games: {out}")
    return 0 if any(game.result != "void" for game in games) else 1


def _total(options: argparse.Namespace, players: int, others: int) -> int | None:
    """How many games there will be; None where the games themselves decide it."""
    if options.ladder or options.sprt:
        return None
    if options.round_robin:
        return int(options.games * players * (players - 1) // 2)
    return int(options.games * max(others, 1))


def _play(
    options: argparse.Namespace, made: list["Player"], others: Iterable["Player"], conditions: "Conditions"
) -> Iterator["GameRecord"]:
    """The games of the schedule that the arguments ask for."""
    from shogi_env.arena import schedules
    from shogi_env.arena.statistics import Sprt

    if options.round_robin:
        return schedules.round_robin(made, options.games, **conditions)
    if options.ladder:
        return schedules.ladder(made[0], others, options.games, **conditions)
    if options.gauntlet or options.benchmark:
        return schedules.gauntlet(made[0], list(others), options.games, **conditions)
    first, second = made
    if options.sprt:
        return schedules.sequential(first, second, options.games, Sprt(*options.sprt), **conditions)
    return schedules.head_to_head(first, second, options.games, **conditions)


def _report(
    options: argparse.Namespace,
    games: Sequence["GameRecord"],
    names: Sequence[str],
    expected: Mapping[str, float],
) -> Iterator[str]:
    from shogi_env.arena.statistics import Sprt, tally

    first = tally(games, names[0])
    if options.round_robin:
        yield from standings(games)
    elif options.gauntlet or options.ladder or options.benchmark:
        yield f"{names[0]} against"
        yield from by_opponent(games, names[0], expected)
    else:
        yield f"{names[0]} against {names[1]}: {first}"
    if not options.round_robin:
        yield from details(first)
    yield variety(games)
    if options.sprt:
        yield f"SPRT:     {Sprt(*options.sprt).verdict(first)}"
    if any(game.result == "void" for game in games):
        yield from voids(games)


def _has_engine(texts: Iterable[str]) -> bool:
    from shogi_env.arena.players import parse_spec

    return any(parse_spec(spec)[1].kind in ("usi", "gnushogi") for spec, _ in _expand(texts))


def _expand(texts: Iterable[str]) -> list[tuple[str, bool]]:
    """Specs, those of lists included, each with whether it may be left out.

    The package's lists name engines that few machines have.
    """
    from shogi_env.arena.players import LISTS, read_specs

    found: list[tuple[str, bool]] = []
    for text in texts:
        if text in LISTS or text.startswith("@"):
            found += [(spec, text in LISTS) for spec in read_specs(text.removeprefix("@"))]
        else:
            found.append((text, False))
    return found


class _Players:
    """Makes players, one for each spec, and closes them at the end."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._made: dict[str, Player] = {}

    def each(self, specs: Iterable[tuple[str, bool]]) -> Iterator["Player"]:
        """The players, each made when it is asked for; says which are left out."""
        from shogi_env.arena.players import make_player

        for spec, optional in specs:
            try:
                if spec not in self._made:
                    player = make_player(spec, makers=MAKERS)
                    self._made[spec] = self._stack.enter_context(player)
            except ValueError as error:
                if not optional:
                    raise
                print(f"Left out: {spec}: {error}")
                continue
            yield self._made[spec]


if __name__ == "__main__":
    sys.exit(main())
