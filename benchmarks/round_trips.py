"""Records of real games, through every format and back, and beside rsshogi.

    python benchmarks/round_trips.py [--games GAMES.tsv] [--files FOLDER]

`--games`: a table with the columns source, initial_sfen, moves_usi and reason; each game is written as CSA,
KIF and USI and read again, and has to have the same start, moves and end.  `--files`: records as they were
found; each has to be read to the main line that rsshogi (group bench) reads, or refused with a line and a
reason.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from common import ROOT, machine, save, show

sys.path.insert(0, str(ROOT))

from shogi_env import RecordError, kifu
from shogi_env.kifu import End, Ending, Kifu
from shogi_env.kifu.text import decode

ENDINGS = {
    "checkmate": Ending.CHECKMATE,
    "declaration": Ending.DECLARATION,
    "impasse": Ending.IMPASSE,
    "interrupted": Ending.INTERRUPTED,
    "max_moves": Ending.MAX_PLIES,
    "resign": Ending.RESIGNATION,
    "sennichite": Ending.REPETITION,
    "time_up": Ending.TIMEOUT,
}
"""Ends of the table that all formats have a word for."""
LOSES = {Ending.CHECKMATE, Ending.RESIGNATION, Ending.TIMEOUT}
"""Ends by which the side to move loses."""
READERS = {"csa": "csa", "kif": "kif", "kifu": "kif", "ki2": "ki2", "ki2u": "ki2"}
"""rsshogi's reader for a file name."""


def story(game: Kifu) -> tuple[Any, ...]:
    """What has to stay."""
    return game.start, [str(move) for move in game.moves], game.end


def games_of(path: Path) -> list[Kifu]:
    """The games of a table."""
    csv.field_size_limit(1 << 24)
    found = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            try:
                (game,) = kifu.loads(f"sfen {row['initial_sfen']} moves {row['moves_usi']}", "usi")
            except RecordError as error:
                show(f"  not a game of shogi: {row['source']}: {error}")
                continue
            ending = ENDINGS.get(row["reason"])
            if ending is not None:
                turn = game.board().turn
                winner = turn.other if ending in LOSES else turn if ending == Ending.DECLARATION else None
                [game.root, *game.main_line()][-1].end = End(ending, winner)
            found.append(game)
    return found


def round_trips(games: list[Kifu]) -> dict[str, Any]:
    """How many games come back as they were; USI has words for few ends, which are then left out."""
    same: Counter[str] = Counter()
    for number, game in enumerate(games):
        for name in ("csa", "kif", "usi"):
            (back,) = kifu.loads(kifu.dumps(game, name), name)
            wanted, found = story(game), story(back)
            if name == "usi" and found[2] is None:
                wanted = (*wanted[:2], None)
            same[name] += wanted == found
            if wanted != found:
                show(f"  game {number + 1} is another one as {name}: {wanted[2]}, {found[2]}")
    show(f"{len(games)} games, the same again: {dict(same)}")
    return {"games": len(games), "same": dict(same)}


def line_of(path: Path) -> list[str] | None:
    """Start and moves as rsshogi reads them; None if it refuses."""
    from rsshogi.record import Record

    reader = READERS.get(path.suffix[1:])
    if reader is None:
        return None
    try:
        record = getattr(Record, f"from_{reader}_str")(decode(path.read_bytes()))
        text = str(record.to_usi_position())
    except Exception:  # whatever it raises, it did not read it
        return None
    start, _, moves = text.removeprefix("position ").partition(" moves ")
    return [start.removeprefix("sfen "), *moves.split()]


def compare_files(folder: Path) -> dict[str, Any]:
    """What became of each file."""
    rows: dict[str, str] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix != ".tsv"):
        theirs = line_of(path)
        try:
            game = kifu.load(path)[0]
        except RecordError as error:
            reason = str(error).removeprefix(f"{path}: ")
            rows[path.name] = f"refused{'' if theirs is None else ', which rsshogi reads'}: {reason}"
        else:
            same = theirs == [game.start, *map(str, game.moves)]
            rows[path.name] = (
                "as rsshogi" if same else "rsshogi refuses it" if theirs is None else "DIFFERENT"
            )
        show(f"  {path.name}: {rows[path.name]}")
    return rows


def main() -> None:
    """Compare, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=Path, metavar="TSV")
    parser.add_argument("--files", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    found: dict[str, Any] = {"machine": machine()}
    if args.games:
        found["games"] = round_trips(games_of(args.games))
    if args.files:
        found["files"] = compare_files(args.files)
    save("round-trips", found)


if __name__ == "__main__":
    main()
