"""The one match runner: it plays pairings in a batch of games and yields each game's record."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from shogi_env.arena.openings import Opening
from shogi_env.arena.players import Player
from shogi_env.arena.records import GameRecord
from shogi_env.core.constants import DEFAULT_MAX_PLIES
from shogi_env.notation.moves import from_packed
from shogi_env.notation.usi import Move
from shogi_env.opponents import RESIGN
from shogi_env.positions import Positions
from shogi_env.types import Int16Array, Int64Array, Snapshot, Termination

logger = logging.getLogger(__name__)

_NOBODY = -1
_RESULTS = {0: "black", 1: "white", -1: "draw"}


@dataclass(frozen=True, slots=True)
class Pairing:
    """A game to be played."""

    id: str
    """As in `GameRecord`."""
    black: Player
    white: Player
    opening: Opening
    seed: int
    """Of the game's random stream, 1..2**64-1."""
    event: str = ""
    """As in `GameRecord`."""


def play(
    pairings: Iterable[Pairing],
    *,
    slots: int = 256,
    max_plies: int = DEFAULT_MAX_PLIES,
    declaration: str = "auto",
) -> Iterator[GameRecord]:
    """Play games, many at once, and yield their records as they end.

    A player is called once for all games where it is to move.  Its game depends on the pairing
    alone, not on the games beside it, as far as the player keeps to the game's own random stream.
    An illegal action loses.  Where a player raises or returns no array of actions, it is asked again
    game by game; games it fails in then are void.

    Args:
        pairings: taken one by one as places become free.
        slots: games at once.
        max_plies: plies after which a game is drawn, those of the opening included.
        declaration: as in `Positions`.

    Raises:
        ShogiError: an opening is not a position with legal moves.
        ValueError: an opening ends the game, or an argument is wrong.
    """
    tables = _Tables(slots, max_plies, declaration)
    waiting = iter(pairings)
    while True:
        for i in tables.free():
            pairing = next(waiting, None)
            if pairing is None:
                break
            tables.seat(i, pairing)
        if tables.empty:
            return
        tables.move()
        yield from tables.finished()


class _Tables:
    """Games that are being played, and who sits there."""

    def __init__(self, slots: int, max_plies: int, declaration: str) -> None:
        self._games = Positions(slots, max_plies=max_plies, declaration=declaration)
        self._room = Positions(1, max_plies=max_plies, declaration=declaration)
        self._moves: Int16Array = np.empty((slots, max_plies + 1), np.int16)  # by the ply after the move
        self._pairings: dict[int, tuple[Pairing, str]] = {}  # with the SFEN of the start
        self._players: dict[Player, int] = {}
        self._seats: Int64Array = np.full((slots, 2), _NOBODY)
        self._void: dict[int, str] = {}
        self._prepared: tuple[Opening, Snapshot, str, list[int]] | None = None

    @property
    def empty(self) -> bool:
        """Whether nobody plays."""
        return not self._pairings

    def free(self) -> list[int]:
        """Slots without a game, in rising order."""
        if len(self._pairings) == len(self._games):
            return []
        return [int(i) for i in np.flatnonzero(self._seats[:, 0] == _NOBODY)]

    def seat(self, i: int, pairing: Pairing) -> None:
        """Begin a game in a free slot."""
        snapshot, start, moves = self._prepare(pairing)
        self._games.restore(i, snapshot)
        self._games.seed(np.array([pairing.seed], np.uint64), np.array([i]))
        self._moves[i, 1 : len(moves) + 1] = moves
        self._pairings[i] = pairing, start
        for color, player in enumerate((pairing.black, pairing.white)):
            self._seats[i, color] = self._players.setdefault(player, len(self._players))

    def _prepare(self, pairing: Pairing) -> tuple[Snapshot, str, list[int]]:
        """The position after the opening, the SFEN it starts from, and its moves as in `core.play`."""
        opening = pairing.opening
        if self._prepared is None or self._prepared[0] != opening:  # two games in a row have the same
            room = self._room
            room.set_up(room.everyone, room.first_row(opening.start))
            start, moves = room.sfen(0), []
            for text in opening.moves:
                self._refuse_ended(pairing)
                room.apply([room.action(0, Move.from_usi(text))])
                moves.append(int(room.rows["last_move"][0]))
            self._refuse_ended(pairing)
            self._prepared = opening, room.snapshot(), start, moves
        return self._prepared[1:]

    def _refuse_ended(self, pairing: Pairing) -> None:
        if self._room.rows["termination"][0]:
            raise ValueError(f"game {pairing.id}: the opening ends the game: {self._room.sfen(0)}")

    def move(self) -> None:
        """Let each player move in all games where it is to move."""
        rows, everyone = self._games.rows, self._games.everyone
        for player, number in self._players.items():
            to_move = self._seats[everyone, rows["turn"]] == number
            idx = np.flatnonzero(to_move & (rows["termination"] == Termination.RUNNING))
            if not len(idx):
                continue
            idx, actions = self._ask(player, idx)
            resigned = actions == RESIGN
            if resigned.any():
                self._games.resign(idx[resigned])
                idx, actions = idx[~resigned], actions[~resigned]
            self._games.apply_unchecked(actions, idx)
            self._moves[idx, rows["ply"][idx]] = rows["last_move"][idx]

    def _ask(self, player: Player, idx: Int64Array) -> tuple[Int64Array, Int64Array]:
        """A player's actions int64[K], and the games int64[K] that they are for; the others become void."""
        streams = self._games.rows["stream"][idx]
        try:
            actions = np.asarray(player.choose(self._games, idx))
            if actions.shape != idx.shape or actions.dtype.kind not in "iu":
                found = f"{actions.dtype}{list(actions.shape)}"
                raise TypeError(f"a player returns {len(idx)} integers, not {found}")
            return idx, np.ascontiguousarray(actions, np.int64)
        except (Exception, SystemExit) as error:
            if len(idx) == 1:
                logger.debug("%s failed", player.name, exc_info=True)
                i = int(idx[0])
                self._void[i] = f"{player.name}: {type(error).__name__}: {error}"
                return idx[:0], idx[:0]
        self._games.seed(streams, idx)
        answers = [self._ask(player, idx[k : k + 1]) for k in range(len(idx))]
        games, chosen = zip(*answers, strict=True)
        return np.concatenate(games), np.concatenate(chosen)

    def finished(self) -> Iterator[GameRecord]:
        """Take away the games that are over."""
        over = (self._games.rows["termination"] != Termination.RUNNING) & (self._seats[:, 0] != _NOBODY)
        for i in sorted({*np.flatnonzero(over).tolist(), *self._void}):
            record = self._record(i, *self._pairings.pop(i))
            self._seats[i] = _NOBODY
            yield record

    def _record(self, i: int, pairing: Pairing, start: str) -> GameRecord:
        row = self._games.rows[i]
        failure = self._void.pop(i, None)
        return GameRecord(
            id=pairing.id,
            event=pairing.event,
            black=pairing.black.seat,
            white=pairing.white.seat,
            start=start,
            moves=tuple(map(_usi, self._moves[i, 1 : int(row["ply"]) + 1].tolist())),
            opening_plies=len(pairing.opening.moves),
            result=_RESULTS[int(row["winner"])] if failure is None else "void",
            reason=Termination(int(row["termination"])).name.lower() if failure is None else failure,
            seed=pairing.seed,
        )


@cache
def _usi(packed: int) -> str:
    """A move of `core.play` as text."""
    return str(from_packed(packed))
