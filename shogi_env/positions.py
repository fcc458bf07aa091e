"""`Positions`: many games at once, for people who write search or their own algorithm."""

from collections.abc import Sequence
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike

from shogi_env import render
from shogi_env.core import batch
from shogi_env.core.constants import (
    DEFAULT_MAX_PLIES,
    MASK_WORDS,
    MAX_LEGAL_MOVES,
    NUM_ACTIONS,
    NUM_CELLS,
    NUM_PLANES,
    PLANE_WORDS,
)
from shogi_env.core.movegen import LEGAL_SHAPE
from shogi_env.core.planes import BOARD_SIZE
from shogi_env.core.state import STATE, UNBEGUN
from shogi_env.errors import IllegalMoveError
from shogi_env.initial import MAX_PLIES_LIMIT, check_max_plies, first_row
from shogi_env.notation.moves import from_packed, to_packed
from shogi_env.notation.sfen import Setup, format_sfen
from shogi_env.notation.usi import Move
from shogi_env.threads import Threads
from shogi_env.types import (
    BoolArray,
    Color,
    Int8Array,
    Int16Array,
    Int64Array,
    Snapshot,
    StateArray,
    Termination,
    UInt8Array,
    UInt64Array,
)

MaskArray = TypeVar("MaskArray", BoolArray, Int8Array, UInt8Array, UInt64Array)
PlaneArray = TypeVar("PlaneArray", UInt8Array, UInt64Array)


class Positions:
    """N games of shogi that are played, masked and observed in single calls.

    Args:
        n: number of games.
        sfens: start of every game (SFEN or handicap name), or one start for each; None for the
            even game.
        max_plies: plies after which a game is drawn, 1..32767.
        declaration: "auto": the 27-point rule ends games; "off".
        threads: how many threads share the work of a call.

    Raises:
        SfenError: a start is not a position.
        ValueError: an argument is none of these.

    Attributes:
        rows: STATE[N], the games; `rows["ply"]`, `rows["turn"]`, ... are views to read.
        everyone: int64[N], 0..N-1.
        max_plies: as given.
        declaration: as given.

    >>> games = Positions(2, max_plies=100)
    >>> games.apply(games.random_actions())
    >>> games.plies
    array([1, 1], dtype=int16)
    """

    def __init__(
        self,
        n: int,
        *,
        sfens: str | Sequence[str] | None = None,
        max_plies: int = DEFAULT_MAX_PLIES,
        declaration: str = "auto",
        threads: int = 1,
    ) -> None:
        if not (isinstance(n, int) and n >= 1 and isinstance(threads, int) and threads >= 1):
            raise ValueError(f"n and threads are integers, at least 1, not {n!r} and {threads!r}")
        if max_plies is None:
            raise ValueError(f"max_plies of a batch is 1..{MAX_PLIES_LIMIT}: its memory is set aside at once")
        check_max_plies(max_plies)
        if declaration not in ("auto", "off"):
            raise ValueError(f'declaration is "auto" or "off", not {declaration!r}')
        self.rows: StateArray = np.zeros(n, STATE)
        self._history: UInt64Array = np.zeros((n, max_plies + 1), np.uint64)
        self._legal: UInt64Array = np.zeros((n, *LEGAL_SHAPE), np.uint64)
        self.everyone: Int64Array = np.arange(n)
        self._threads = Threads(threads)
        starts = [sfens] if sfens is None or isinstance(sfens, str) else list(sfens)
        if len(starts) not in (1, n):
            raise ValueError(f"sfens is one start or {n}, one for each game, not {len(starts)}")
        self.max_plies, self.declaration = max_plies, declaration
        first = [self.first_row(start) for start in starts]
        self.set_up(self.everyone, np.concatenate(first) if len(first) > 1 else np.repeat(first[0], n))
        self.seed(np.random.default_rng().integers(1, 2**64, n, np.uint64))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def turns(self) -> Int8Array:
        """Side to move of each game, int8[N]."""
        return self.rows["turn"].copy()

    @property
    def plies(self) -> Int16Array:
        """Moves played in each game, int16[N]."""
        return self.rows["ply"].copy()

    def first_row(self, start: str | None = None) -> StateArray:
        """A game at its first position under this batch's rules, STATE[1], for `set_up`."""
        return first_row(start, max_plies=self.max_plies, declaration=self.declaration == "auto")

    def set_up(self, where: Int64Array, rows: StateArray) -> None:
        """Start games anew from the given rows, keeping each game's random stream.

        Args:
            where: int64[k], distinct games.
            rows: STATE[k] or STATE[1], as `first_row` makes them.

        Raises:
            ValueError: a row allows more plies than this batch has memory for.
        """
        self._check_plies(rows)
        stream = self.rows["stream"][where]
        self.rows[where] = rows
        self.rows["stream"][where] = stream
        self.rows["termination"][where] = UNBEGUN
        self.apply_unchecked(np.zeros(len(where), np.int64), where)

    def seed(self, streams: UInt64Array, where: Int64Array | None = None) -> None:
        """Set the random streams, uint64[k] and not 0, of the games `where`."""
        self.rows["stream"][slice(None) if where is None else where] = np.maximum(streams, np.uint64(1))

    def apply(self, actions: ArrayLike, where: ArrayLike | None = None, *, illegal: str = "raise") -> None:
        """Play one action in each of some games.

        Args:
            actions: integers [k].
            where: distinct games [k]; None for all N.
            illegal: "raise", or "lose": an illegal action loses the game, and games that have
                ended stand still.

        Raises:
            IllegalMoveError: an action is illegal or its game has ended; no game was changed.
            ValueError: the arrays do not fit, or a game is named twice.
            IndexError: there is no such game.
        """
        idx = self._indices(where)
        acts = np.asarray(actions)
        if acts.shape != idx.shape or acts.dtype.kind not in "iu":
            raise ValueError(f"actions are {len(idx)} integers, not {acts.dtype}{list(acts.shape)}")
        if len(idx) > 1 and np.bincount(idx).max() > 1:
            raise ValueError("where names a game twice")
        acts = np.ascontiguousarray(acts, np.int64)
        if illegal == "raise":
            self.check(acts, idx)
        self.apply_unchecked(acts, idx)

    def check(self, actions: Int64Array, where: Int64Array) -> None:
        """Refuse actions int64[k] of the games int64[k] unless all are legal.

        Raises:
            IllegalMoveError: an action is illegal or its game has ended.
        """
        k = batch.first_illegal(self.rows, self._legal, actions, where)
        if k >= 0:
            self._refuse(int(actions[k]), int(where[k]))

    def apply_unchecked(self, actions: Int64Array, where: Int64Array) -> None:
        """`apply(..., illegal="lose")` for arrays that are known to be right: int64[k], distinct games."""
        self._threads.share(batch.play, len(where), self.rows, self._history, self._legal, actions, where)

    def resign(self, where: ArrayLike) -> None:
        """Let the side to move give up, and lose, in the games `where`; ended games stand still."""
        idx = self._indices(where)
        idx = idx[self.rows["termination"][idx] == Termination.RUNNING]
        self.rows["termination"][idx] = Termination.RESIGNATION
        self.rows["winner"][idx] = 1 - self.rows["turn"][idx]

    def _refuse(self, action: int, i: int) -> None:
        outcome = self.rows["termination"][i]
        reason = "the game has ended" if outcome else "it is not legal"
        raise IllegalMoveError(f"action {action} in game {i}: {reason}: {self.sfen(i)}")

    def apply_and_observe(
        self, actions: Int64Array, where: Int64Array, planes: UInt8Array, masks: Int8Array
    ) -> None:
        """`apply_unchecked`, then `planes` and `masks` of all games, each thread its part in one go.

        Args:
            actions: int64[k].
            where: int64[k], games in rising order.
            planes: uint8[N, 136, 9, 9], overwritten.
            masks: int8[N, 2187], overwritten.
        """
        n = len(self.rows)
        flat, flags = planes.reshape(n, NUM_PLANES * NUM_CELLS), masks.view(np.uint8)

        def work(begin: int, stop: int) -> None:
            first, last = np.searchsorted(where, (begin, stop))
            batch.play(self.rows, self._history, self._legal, actions, where, int(first), int(last))
            batch.write_planes(self.rows, flat, begin, stop)
            batch.write_masks(self._legal, flags, begin, stop)

        self._threads.share(work, n)

    def random_actions(self, where: ArrayLike | None = None) -> Int64Array:
        """A random legal action of each game, int64[k], drawn from its stream; -1 where none is."""
        idx = self._indices(where)
        actions = np.empty(len(idx), np.int64)
        batch.choose_random(self.rows, self._legal, idx, actions)
        return actions

    def greedy_actions(self, where: ArrayLike | None = None) -> Int64Array:
        """A greedy action of each game, int64[k]; see `opponents.greedy`."""
        from shogi_env.core import greedy  # compiled only for those who use it

        idx = self._indices(where)
        actions = np.empty(len(idx), np.int64)
        greedy.choose_greedy(self.rows, self._legal, idx, actions)
        return actions

    def minimax_actions(self, depth: int, where: ArrayLike | None = None) -> Int64Array:
        """The best action of each game by a search of `depth` plies, int64[k]; see `opponents.minimax`.

        Raises:
            ValueError: `depth` is not 1..6.
        """
        from shogi_env.core import minimax  # compiled only for those who use it

        depth, idx = minimax.check_depth(depth), self._indices(where)
        actions, values = np.empty((2, len(idx)), np.int64)
        arrays = self.rows, self._history, self._legal, idx
        self._threads.share(
            minimax.choose_minimax, len(idx), *arrays, depth, minimax.QUIET_PLIES, actions, values
        )
        return actions

    def random_numbers(self, below: int, where: ArrayLike | None = None) -> Int64Array:
        """A random number 0..below-1 for each game, int64[k], drawn from its stream."""
        idx = self._indices(where)
        numbers = np.empty(len(idx), np.int64)
        batch.draw_numbers(self.rows, idx, below, numbers)
        return numbers

    @overload
    def masks(self, out: None = None, where: ArrayLike | None = None) -> BoolArray: ...
    @overload
    def masks(self, out: MaskArray, where: ArrayLike | None = None) -> MaskArray: ...
    def masks(
        self,
        out: BoolArray | Int8Array | UInt8Array | UInt64Array | None = None,
        where: ArrayLike | None = None,
    ) -> Any:
        """Write which actions are legal.

        Args:
            out: bool, int8 or uint8 [k, 2187], or packed uint64[k, 35] (action a is bit ``a % 64``
                of word ``a // 64``); every element is overwritten. None for a new bool array.
            where: games [k]; None for all N.

        Returns:
            `out`.
        """
        legal = self._legal if where is None else self._legal[self._indices(where)]
        n = len(legal)
        out = np.empty((n, NUM_ACTIONS), np.bool_) if out is None else out
        if out.dtype == np.uint64:
            self._check_out(out, (n, MASK_WORDS), (np.uint64,))
            self._threads.share(batch.pack_masks, n, legal, out)
        else:
            self._check_out(out, (n, NUM_ACTIONS), (np.bool_, np.int8, np.uint8))
            self._threads.share(batch.write_masks, n, legal, out.view(np.uint8))
        return out

    @overload
    def planes(self, out: None = None, where: ArrayLike | None = None) -> UInt8Array: ...
    @overload
    def planes(self, out: PlaneArray, where: ArrayLike | None = None) -> PlaneArray: ...
    def planes(self, out: UInt8Array | UInt64Array | None = None, where: ArrayLike | None = None) -> Any:
        """Write the 136 planes (`core.planes.PLANES`) of games, as their side to move sees them.

        Args:
            out: uint8[k, 136, 9, 9] of 0 and 1, or packed uint64[k, 173] (bit ``plane * 81 +
                cell``); every element is overwritten. None for a new uint8 array.
            where: games [k]; None for all N.

        Returns:
            `out`.
        """
        rows = self.rows if where is None else self.rows[self._indices(where)]
        n = len(rows)
        out = np.empty((n, NUM_PLANES, 9, 9), np.uint8) if out is None else out
        if out.dtype == np.uint64:
            self._check_out(out, (n, PLANE_WORDS), (np.uint64,))
            self._threads.share(batch.pack_observations, n, rows, out)
        else:
            self._check_out(out, (n, NUM_PLANES, 9, 9), (np.uint8,))
            self._threads.share(batch.write_planes, n, rows, out.reshape(n, NUM_PLANES * NUM_CELLS))
        return out

    def boards(self, out: UInt8Array | None = None, where: ArrayLike | None = None) -> UInt8Array:
        """Write positions as small integers; see `core.planes.write_board`.

        Args:
            out: uint8[k, 100], overwritten; None for a new array.
            where: games [k]; None for all N.

        Returns:
            `out`.
        """
        rows = self.rows if where is None else self.rows[self._indices(where)]
        n = len(rows)
        out = np.empty((n, BOARD_SIZE), np.uint8) if out is None else out
        self._check_out(out, (n, BOARD_SIZE), (np.uint8,))
        self._threads.share(batch.write_boards, n, rows, out)
        return out

    def outcomes(self) -> tuple[Int8Array, Int8Array]:
        """How each game stands: `Termination` codes int8[N] and winners int8[N] (-1: none)."""
        return self.rows["termination"].copy(), self.rows["winner"].copy()

    def moves(self, i: int) -> list[Move]:
        """The legal moves of game i, in rising order of their actions."""
        return [from_packed(packed) for packed in self._list(i)[0]]

    def action(self, i: int, move: Move) -> int:
        """The action of a legal move in game i.

        Raises:
            IllegalMoveError: the move is not legal.
        """
        moves, actions = self._list(i)
        try:
            return actions[moves.index(to_packed(move))]
        except ValueError:
            raise IllegalMoveError(f"{move} is not legal in game {i}: {self.sfen(i)}") from None

    def _list(self, i: int) -> tuple[list[int], list[int]]:
        """Legal moves, packed, and their actions."""
        moves, actions = np.empty((2, MAX_LEGAL_MOVES), np.int16)
        n = batch.list_legal(self.rows, self._legal, i, moves, actions)
        return moves[:n].tolist(), actions[:n].tolist()

    def sfen(self, i: int) -> str:
        """The position of game i."""
        return format_sfen(self.setup(i))

    def setup(self, i: int) -> Setup:
        """The position of game i, as SFEN describes it; its arrays are copies."""
        row = self.rows[i]
        number = int(row["number"]) + int(row["ply"])
        return Setup(row["board"].copy(), row["hands"].copy(), Color(int(row["turn"])), number)

    def diagram(self, i: int) -> render.Diagram:
        """What a picture of game i shows: the position, and the last move marked."""
        setup, last = self.setup(i), int(self.rows["last_move"][i])
        move = None if last < 0 else from_packed(last)
        cells = () if move is None else tuple(c for c in (move.source, move.to) if c is not None)
        return render.Diagram(setup.board, setup.hands, setup.turn, cells)

    def snapshot(self, where: ArrayLike | None = None) -> Snapshot:
        """Copy games with all that decides how they go on: history and random stream included."""
        idx = self._indices(where)
        longest = int(self.rows["ply"][idx].max(initial=0)) + 1
        return Snapshot(self.rows[idx], self._history[idx, :longest], self._legal[idx])

    def restore(self, where: ArrayLike | None, snapshot: Snapshot) -> None:
        """Put copied games back, into the same or other games of this or a like batch.

        Raises:
            ValueError: the numbers of games differ, or a game may have more plies than this batch has
                memory for.
        """
        idx = self._indices(where)
        if len(idx) != len(snapshot.rows):
            raise ValueError(f"the snapshot holds {len(snapshot.rows)} games, not {len(idx)}")
        self._check_plies(snapshot.rows)
        self.rows[idx] = snapshot.rows
        self._history[idx, : snapshot.history.shape[1]] = snapshot.history
        self._legal[idx] = snapshot.legal

    def _check_plies(self, rows: StateArray) -> None:
        """Refuse games under rules by which they could outgrow `_history`."""
        allowed = rows["max_plies"]
        if ((allowed < 1) | (allowed > self.max_plies)).any():
            raise ValueError(
                f"max_plies of these games is {allowed.max()}, more than the {self.max_plies} here"
            )

    def _indices(self, where: ArrayLike | None) -> Int64Array:
        if where is None or where is self.everyone:
            return self.everyone
        idx = np.atleast_1d(np.asarray(where))
        if idx.dtype == np.bool_:
            idx = np.flatnonzero(idx)
        idx = np.ascontiguousarray(idx, np.int64)
        if len(idx) and not (0 <= idx.min() and idx.max() < len(self)):
            raise IndexError(f"games are 0..{len(self) - 1}")
        return idx

    @staticmethod
    def _check_out(out: np.ndarray[Any, Any], shape: tuple[int, ...], dtypes: tuple[type, ...]) -> None:
        if out.shape != shape or not out.flags.c_contiguous or out.dtype.type not in dtypes:
            names = " or ".join(dtype.__name__ for dtype in dtypes)
            raise ValueError(
                f"out is a contiguous array {names}{list(shape)}, not {out.dtype}{list(out.shape)}"
            )
