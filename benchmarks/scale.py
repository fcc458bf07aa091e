"""Makes the scale: the rungs play each other, and their games rate them.

    python benchmarks/scale.py play [--games 600] [--reach 2] [--rungs PLAYER ...]
    python benchmarks/scale.py pack LOG ...
    python benchmarks/scale.py rate [--protocol v1]
    python benchmarks/scale.py evaluate PLAYER [--games 400]

`play` lets each rung play those next to it, and the ones up to `--reach` away, and goes on where it was
stopped; a rung whose engine is not installed is left out and named.  `pack` stores logs in `games/`; games
that the same command plays again to the last move, those without engines, are stored without their moves.
`rate` computes all ratings from the stored games, prints and saves them, and writes the levels of the
protocol into the package.
"""

from __future__ import annotations

import argparse
import json
import lzma
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from common import ROOT, machine, save, show

from keisei_agent.players import MAKERS
from shogi_env.arena.archive import Archive
from shogi_env.arena.openings import load_openings
from shogi_env.arena.players import Player, make_player, parse_spec, read_specs
from shogi_env.arena.rating import Ratings, rate
from shogi_env.arena.records import read_games, to_line
from shogi_env.arena.scale import Level, evaluate, fingerprint
from shogi_env.arena.schedules import head_to_head
from shogi_env.arena.statistics import tally

LEVELS = ("random", "greedy", "minimax:1", "minimax:2", "minimax:3")
"""What protocol v1 plays against; engines rate the levels, but are not asked of its users."""
OPENINGS, MAX_PLIES = "balanced", 512
GAMES = Path(__file__).resolve().parent / "games"
DATA = ROOT / "shogi_env" / "arena" / "data"


def play(rungs: list[str], games: int, reach: int, slots: int, log: Path) -> None:
    """Play all pairs of rungs that are at most `reach` apart, the nearest first."""
    with ExitStack() as stack, Archive(log) as archive:
        players = [player for spec in rungs if (player := make(spec, stack)) is not None]
        for apart in range(1, reach + 1):
            for lower, upper in zip(players, players[apart:], strict=False):
                start, wanted = time.monotonic(), max(2, 2 * round(games / apart / 2))
                played = list(
                    head_to_head(
                        upper,
                        lower,
                        wanted,
                        openings=load_openings(OPENINGS),
                        max_plies=MAX_PLIES,
                        slots=slots,
                        archive=archive,
                    )
                )
                show(
                    f"{upper.name} against {lower.name}: {tally(played, upper.seat)} "
                    f"({time.monotonic() - start:.0f} s)"
                )


def make(spec: str, stack: ExitStack) -> Player | None:
    """A rung, or None where this machine lacks its engine."""
    try:
        return stack.enter_context(make_player(spec))
    except ValueError as error:
        show(f"left out: {spec}: {error}")
        return None


def pack(log: Path) -> None:
    """Store a log, without the moves of games that can be played again."""
    lines = []
    for game in read_games(log):
        engines = {"usi", "gnushogi"} & {parse_spec(seat.spec)[1].kind for seat in (game.black, game.white)}
        lines.append(to_line(game if engines else replace(game, moves=(), opening_plies=0)) + "\n")
    path = GAMES / f"scale-{log.stem}.jsonl.xz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(lzma.compress("".join(sorted(lines)).encode(), preset=9))
    show(f"{len(lines)} games in {path}, {path.stat().st_size} bytes")


def rate_rungs(protocol: str) -> None:
    """Print and save the ratings, and write the levels."""
    games = [game for file in sorted(GAMES.glob("*.jsonl*")) for game in read_games(file)]
    ratings = rate(games)
    rows = [
        {"player": p.name, "rating": p.rating and p.rating._asdict(), "games": p.games, "score": p.score}
        for p in ratings.players
    ]
    for player in ratings.players:
        show(f"{player.name:20} {player.rating or player.note!s:30} {player.games:6} games")
    for note in ratings.notes:
        show(note)
    save(f"scale-{protocol}", {"machine": machine(), "games": ratings.games, "ratings": rows})
    levels = [asdict(level_of(spec, ratings)) for spec in LEVELS]
    met = sorted(pair for pair in ratings.cross if pair[0] < pair[1])
    results = [[*pair, *ratings.cross[pair]] for pair in met]  # points of the first, games
    content = {"openings": OPENINGS, "max_plies": MAX_PLIES, "levels": levels, "results": results}
    path = DATA / f"scale-{protocol}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    show(f"wrote {path}")


def evaluate_player(spec: str, games: int) -> None:
    """Say where a player stands on the scale, and save it."""
    with make_player(spec, makers=MAKERS) as player:
        found = evaluate(player, games)
    show(str(found))
    scores = {name: tally.results._asdict() for name, tally in found.levels.items()}
    result = {"machine": machine(), "player": spec, "digest": player.digest, "games": games}
    save("scale-evaluation", result | {"rating": found.rating._asdict(), "levels": scores})


def level_of(spec: str, ratings: Ratings) -> Level:
    """A level with its rating, whole points."""
    rating = ratings[spec].rating
    if rating is None or rating.value is None or rating.low is None or rating.high is None:
        raise SystemExit(f"{spec} has no rating with two ends: {rating}; play more games")
    with make_player(spec) as player:
        return Level(spec, round(rating.value), round(rating.low), round(rating.high), fingerprint(player))


def main() -> None:
    """Play or rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    playing = commands.add_parser("play")
    playing.add_argument("--rungs", nargs="+", default=read_specs("engines"))
    playing.add_argument("--games", type=int, default=600, help="of neighbours; fewer the further apart")
    playing.add_argument("--reach", type=int, default=2)
    playing.add_argument("--slots", type=int, default=32, help="games at once")
    playing.add_argument("--log", type=Path, default=GAMES / "new.jsonl")
    packing = commands.add_parser("pack")
    packing.add_argument("logs", nargs="+", type=Path)
    rating = commands.add_parser("rate")
    rating.add_argument("--protocol", default="v1")
    evaluating = commands.add_parser("evaluate")
    evaluating.add_argument("player")
    evaluating.add_argument("--games", type=int, default=400)
    args = parser.parse_args()
    if args.command == "play":
        play(args.rungs, args.games, args.reach, args.slots, args.log)
    elif args.command == "pack":
        for log in args.logs:
            pack(log)
    elif args.command == "rate":
        rate_rungs(args.protocol)
    else:
        evaluate_player(args.player, args.games)


if __name__ == "__main__":
    main()
