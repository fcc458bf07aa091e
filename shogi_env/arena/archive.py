"""`Archive`: a game log that matches go on from."""

from pathlib import Path
from types import TracebackType
from typing import Self

from shogi_env.arena.lock import hold
from shogi_env.arena.records import GameLog, GameRecord, read_games


class Archive:
    """Finds the games of a log, and appends to it; a context manager.  One at a time holds the log.

    Args:
        path: the file; need not exist.

    Raises:
        RecordError: the file is not a game log.
        BlockingIOError: another match is writing it.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        self._new = not path.exists()
        self._held = hold(path, f"{path} is being written by another match")
        try:
            self._games: dict[tuple[str, str], GameRecord] = {}
            for game in [] if self._new else read_games(path):
                self._games.setdefault((game.event, game.id), game)
            self._log = GameLog(path)
        except BaseException:
            self._held.close()
            raise

    def find(self, event: str, id: str) -> GameRecord | None:
        """A game that was played before, void ones included."""
        return self._games.get((event, id))

    def add(self, game: GameRecord) -> None:
        """Append a game to the file, at once."""
        self._games[game.event, game.id] = game
        self._log.write([game])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()
        self._held.close()
        if self._new and not self._games:
            self._log.path.unlink()  # whatever went wrong left no game
