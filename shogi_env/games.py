"""`Games`: what both environments do, for a batch: start games, seat opponents, play, reward."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from shogi_env.core.constants import DEFAULT_MAX_PLIES
from shogi_env.errors import IllegalMoveError
from shogi_env.notation.usi import Move
from shogi_env.opponents import RESIGN, Opponent
from shogi_env.opponents import resolve as resolve_opponent
from shogi_env.positions import Positions
from shogi_env.types import (
    BoolArray,
    Color,
    Float64Array,
    Int8Array,
    Int64Array,
    Snapshot,
    StateArray,
    UInt8Array,
)

Initial: TypeAlias = str | Sequence[str] | Callable[[np.random.Generator], str] | None
"""Where games start: an SFEN or handicap name, a list to draw from, a function, or the even game."""

SIDES = ("random", "black", "white")
_RESET_OPTIONS = ("sfen", "moves", "side")
_TRIES = 100
"""Games that may end before the learner's first move, one after the other, before that is an error."""


class Games:
    """N games with a learner in each, opposite an opponent or in both seats.

    Args:
        n: number of games.
        opponent: who sits opposite the learner in all games, None for nobody (the learner plays both
            sides).
        seats: one opponent for each game, instead of `opponent`.
        side: the learner's side where it has an opponent.
        max_plies: as in `Positions`.
        initial: where games start.
        random_plies: random moves played from there before the learner's first.
        declaration: as in `Positions`.
        illegal_action: "lose" or "raise".
        threads: as in `Positions`.

    Raises:
        SfenError: a start is not a position.
        ValueError: an argument is none of these.

    Attributes:
        positions: the games.
        sides: int8[N], the learner's color in each game with an opponent.
    """

    def __init__(
        self,
        n: int,
        *,
        opponent: str | Opponent | None = "random",
        seats: Sequence[str | Opponent | None] | None = None,
        side: str = "random",
        max_plies: int = DEFAULT_MAX_PLIES,
        initial: Initial = None,
        random_plies: int = 0,
        declaration: str = "auto",
        illegal_action: str = "lose",
        threads: int = 1,
    ) -> None:
        if side not in SIDES:
            raise ValueError(f"side is one of {', '.join(map(repr, SIDES))}, not {side!r}")
        if illegal_action not in ("lose", "raise"):
            raise ValueError(f'illegal_action is "lose" or "raise", not {illegal_action!r}')
        self.positions = Positions(n, max_plies=max_plies, declaration=declaration, threads=threads)
        if not 0 <= random_plies < max_plies:
            raise ValueError(f"random_plies is 0..max_plies - 1, not {random_plies!r}")
        self.sides: Int8Array = np.zeros(n, np.int8)
        self._side, self._illegal, self._random_plies = side, illegal_action, random_plies
        self._seats: list[Opponent | None] = [None] * n
        self._initial = _Start(initial, self.positions)
        self.seat([opponent] * n if seats is None else seats)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def both_seats(self) -> BoolArray:
        """bool[N], whether the learner plays both sides."""
        return self._both.copy()

    @property
    def alone(self) -> bool:
        """Whether the learner plays both sides of every game."""
        return not self._groups

    def seat(self, seats: Sequence[str | Opponent | None], columns: Int64Array | None = None) -> None:
        """Put opponents into games; they answer from the next step on.

        A game that changes between one seat and both should be reset by the caller.

        Args:
            seats: one entry for each of the games.
            columns: int64[k], the games; None for all N.

        Raises:
            ValueError: the numbers differ, or no opponent has that name.
        """
        columns = self.positions.everyone if columns is None else columns
        if len(seats) != len(columns):
            raise ValueError(f"seats has {len(seats)} entries for {len(columns)} games")
        found = [resolve_opponent(seat) for seat in seats]
        for column, opponent in zip(columns.tolist(), found, strict=True):
            self._seats[column] = opponent
        self._both = np.array([opponent is None for opponent in self._seats])
        self._groups = _group(self._seats)

    def start(self, idx: Int64Array, options: dict[str, Any] | None = None) -> None:
        """Start games anew, up to the learner's first decision.

        Draws from each game's stream, in this order: side, start, random plies, opponent.

        Args:
            idx: int64[k].
            options: "sfen" (as `initial`), "moves" (USI texts played from there) and "side";
                others are ignored.

        Raises:
            ShogiError: a position, a text or a move in the options is wrong.
            ValueError: the start is a decided game, or games go on ending before the learner's first
                move.
        """
        given = {key: (options or {}).get(key) for key in _RESET_OPTIONS}
        side = self._side if given["side"] is None else given["side"]
        if side not in SIDES:
            raise ValueError(f"side is one of {', '.join(map(repr, SIDES))}, not {side!r}")
        start = self._initial if given["sfen"] is None else _Start(given["sfen"], self.positions)
        moves = [Move.from_usi(text) for text in given["moves"] or ()]
        random_plies = 0 if moves or given["sfen"] is not None else self._random_plies
        before = self.positions.snapshot(idx), self.sides[idx]
        try:
            self._open(idx, start, side, moves, random_plies)
        except Exception:
            self.positions.restore(idx, before[0])
            self.sides[idx] = before[1]
            raise

    def _open(
        self, idx: Int64Array, start: "_Start", side: str, moves: list[Move], random_plies: int
    ) -> None:
        """Play up to the learner's first decision; a game that ends before is opened again."""
        terminations = self.positions.rows["termination"]
        for _ in range(_TRIES):
            self._choose_sides(idx, side)
            start.set_up(self.positions, idx)
            for move in moves:
                self.positions.apply(self._actions_of(move, idx), idx)
            refuse_decided(self.positions, idx)
            self._announce(idx)
            running = idx
            for _ in range(random_plies):
                self.positions.apply(self.positions.random_actions(running), running)
                running = running[terminations[running] == 0]
            self.answer(running)
            idx = idx[terminations[idx] != 0]
            if not len(idx):
                return
        end = self.positions.sfen(int(idx[0]))
        raise ValueError(f"{_TRIES} times in a row a game ended before the learner's first move: {end}")

    def _announce(self, idx: Int64Array) -> None:
        """Tell the opponents that want to know which of their games start."""
        for opponent, columns in self._groups:
            begin = getattr(opponent, "begin", None)
            mine = idx if columns is None else idx[columns[idx]]
            if begin is not None and len(mine):
                begin(mine)

    def _choose_sides(self, idx: Int64Array, side: str) -> None:
        random = side == "random"
        self.sides[idx] = self.positions.random_numbers(2, idx) if random else Color[side.upper()]

    def _actions_of(self, move: Move, idx: Int64Array) -> Int64Array:
        return np.array([self.positions.action(int(i), move) for i in idx], np.int64)

    def step(self, actions: Int64Array, idx: Int64Array) -> Float64Array:
        """Play the learner's actions and the opponents' answers.

        Args:
            actions: int64[k].
            idx: int64[k], running games.

        Returns:
            float64[k]: 1 for a win, -1 for a loss, else 0, of the player who acted.

        Raises:
            IllegalMoveError: an action is illegal and `illegal_action="raise"`; nothing was played.
        """
        actors = np.where(self._both, self.positions.rows["turn"], self.sides)
        self.check(actions, idx)
        self.positions.apply_unchecked(actions, idx)
        self.answer(idx)
        return self._rewards(actors)[idx]

    def step_and_observe(
        self, actions: Int64Array, idx: Int64Array, planes: UInt8Array, masks: Int8Array
    ) -> Float64Array:
        """`step` where `alone`, and write the observations and masks of all games in the same go.

        Args:
            actions: int64[k].
            idx: int64[k], running games in rising order.
            planes: uint8[N, 136, 9, 9], overwritten.
            masks: int8[N, 2187], overwritten.
        """
        actors = self.positions.rows["turn"].copy()
        self.positions.apply_and_observe(actions, idx, planes, masks)
        return self._rewards(actors)[idx]

    def check(self, actions: Int64Array, idx: Int64Array) -> None:
        """Refuse illegal actions where `illegal_action="raise"`.

        Raises:
            IllegalMoveError: an action is illegal.
        """
        if self._illegal == "raise":
            self.positions.check(actions, idx)

    def _rewards(self, actors: Int8Array) -> Float64Array:
        """float64[N] for the colors int8[N] of those who acted."""
        winners = self.positions.rows["winner"]
        rewards: Float64Array = np.subtract(winners == actors, winners == 1 - actors, dtype=np.float64)
        return rewards

    def answer(self, idx: Int64Array) -> None:
        """Let opponents move in those of the games `idx` where they are to move."""
        for opponent, columns in self._groups:
            mine = idx if columns is None else idx[columns[idx]]
            rows = self.positions.rows
            waiting = (rows["termination"] == 0) & (rows["turn"] != self.sides)
            mine = mine[waiting[mine]]
            if len(mine):
                actions = np.asarray(opponent(self.positions, mine))
                resigned = actions == RESIGN
                self.positions.resign(mine[resigned])
                try:
                    self.positions.apply(actions[~resigned], mine[~resigned])
                except IllegalMoveError as error:
                    name = getattr(opponent, "__name__", type(opponent).__name__)
                    raise IllegalMoveError(f"opponent {name}: {error}") from None

    def snapshot(self) -> tuple[Snapshot, Int8Array]:
        """All that decides how the games go on, but for who sits opposite."""
        return self.positions.snapshot(), self.sides.copy()

    def restore(self, state: tuple[Snapshot, Int8Array]) -> None:
        """Go back to a `snapshot`."""
        snapshot, sides = state
        self.positions.restore(None, snapshot)
        self.sides[:] = sides


def refuse_decided(positions: Positions, idx: Int64Array) -> None:
    """Refuse games that are over where they start.

    Raises:
        ValueError: one of the games `idx` is.
    """
    decided = idx[positions.rows["termination"][idx] != 0]
    if len(decided):
        sfen = positions.sfen(int(decided[0]))
        raise ValueError(f"a game cannot start where it is already decided: {sfen}")


def _group(seats: list[Opponent | None]) -> list[tuple[Opponent, BoolArray | None]]:
    """Each distinct opponent with the columns it plays, bool[N], or None for all."""
    groups = []
    for opponent in {id(seat): seat for seat in seats if seat is not None}.values():
        columns = np.array([seat is opponent for seat in seats])
        groups.append((opponent, None if columns.all() else columns))
    return groups


class _Start:
    """Sets games up at their first position."""

    def __init__(self, initial: Initial, positions: Positions) -> None:
        self._draw = initial if callable(initial) else None
        if callable(initial):
            return
        starts = ["even"] if initial is None else [initial] if isinstance(initial, str) else list(initial)
        if not starts:
            raise ValueError("initial is an empty list of positions")
        games = Positions(
            len(starts), sfens=starts, max_plies=positions.max_plies, declaration=positions.declaration
        )
        refuse_decided(games, games.everyone)
        self._rows: StateArray = games.rows

    def set_up(self, positions: Positions, idx: Int64Array) -> None:
        """Set up the games `idx`; a draw, where there is one, comes from each game's stream."""
        if self._draw is not None:
            seeds = positions.random_numbers(2**31, idx).tolist()
            starts = [self._draw(np.random.default_rng(seed)) for seed in seeds]
            positions.set_up(idx, np.concatenate([positions.first_row(start) for start in starts]))
        elif len(self._rows) > 1:
            positions.set_up(idx, self._rows[positions.random_numbers(len(self._rows), idx)])
        else:
            positions.set_up(idx, self._rows)
