"""Games of a log as records that other programs read."""

from pathlib import Path

from shogi_env.arena.records import GameRecord, read_games
from shogi_env.kifu import End, Ending, Kifu, loads
from shogi_env.types import Color, Termination

ENDINGS = {
    Termination.CHECKMATE: Ending.CHECKMATE,
    Termination.NO_LEGAL_MOVES: Ending.CHECKMATE,
    Termination.REPETITION: Ending.REPETITION,
    Termination.PERPETUAL_CHECK: Ending.ILLEGAL_MOVE,
    Termination.DECLARATION: Ending.DECLARATION,
    Termination.MAX_PLIES: Ending.MAX_PLIES,
    Termination.ILLEGAL_MOVE: Ending.ILLEGAL_MOVE,
    Termination.RESIGNATION: Ending.RESIGNATION,
}
"""How a record says what ended a game."""


def to_kifu(record: GameRecord) -> Kifu:
    """A game of a log as a record; a void one ends in `Ending.ERROR`.

    Raises:
        RecordError: its moves are not legal.
    """
    (game,) = loads(f"sfen {record.start} moves {' '.join(record.moves)}", "usi")
    game.headers = {"black": record.black.name, "white": record.white.name, "event": record.event}
    endings = {reason.name.lower(): ending for reason, ending in ENDINGS.items()}
    winner = {"black": Color.BLACK, "white": Color.WHITE}.get(record.result)
    void = record.result == "void"
    last = [game.root, *game.main_line()][-1]
    last.end = End(Ending.ERROR if void else endings[record.reason], winner)
    return game


def read_log(path: Path) -> list[Kifu]:
    """All games of a log.

    Raises:
        RecordError: naming the file and what is wrong.
        OSError: it cannot be read.
    """
    return [to_kifu(record) for record in read_games(path)]
