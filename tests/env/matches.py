"""Games for the tests of statistics and ratings: only who played and who won matters."""

from collections.abc import Sequence

from shogi_env.arena.records import GameRecord, Seat
from shogi_env.notation.sfen import START_SFEN

REASONS = {"w": "checkmate", "l": "resignation", "d": "repetition", "v": "engine died"}


def seat(name: str, digest: str = "", spec: str = "", version: str = "1") -> Seat:
    return Seat(name, spec or name, version, digest)


def match(first: str | Seat, second: str | Seat, results: str, event: str = "") -> list[GameRecord]:
    """Games in pairs: the first player is Black in even games; results are its: w, d, l, or v for void."""
    players = [player if isinstance(player, Seat) else seat(player) for player in (first, second)]
    games = []
    for number, letter in enumerate(results.replace(" ", "")):
        pair, swapped = divmod(number, 2)
        sides = ("white", "black") if swapped else ("black", "white")
        games.append(
            GameRecord(
                id=f"{pair}.{swapped}",
                event=event or f"{players[0].name} against {players[1].name}",
                black=players[swapped],
                white=players[1 - swapped],
                start=START_SFEN,
                moves=("7g7f",) * (10 + number),
                opening_plies=0,
                result={"w": sides[0], "l": sides[1], "d": "draw", "v": "void"}[letter],
                reason=REASONS[letter],
                seed=number,
            )
        )
    return games


def letters(pair_points: Sequence[float]) -> str:
    """Results of pairs that score 0, 0.5, 1 (as a win and a loss), 1.5 or 2."""
    return "".join({0: "ll", 1: "ld", 2: "wl", 3: "wd", 4: "ww"}[round(2 * points)] for points in pair_points)
