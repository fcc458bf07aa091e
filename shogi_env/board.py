"""`Board`: one game, for people: it checks, explains, prints and shows itself."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from shogi_env import render
from shogi_env.core import batch
from shogi_env.core.constants import DEFAULT_MAX_PLIES, MAX_LEGAL_MOVES, NUM_ACTIONS, NUM_CELLS, NUM_PLANES
from shogi_env.core.movegen import LEGAL_SHAPE
from shogi_env.errors import IllegalMoveError
from shogi_env.explain import why_illegal
from shogi_env.initial import MAX_PLIES_LIMIT, first_row
from shogi_env.notation.moves import from_packed
from shogi_env.notation.sfen import Setup, format_sfen
from shogi_env.notation.usi import Move
from shogi_env.types import BoolArray, Color, Snapshot, StateArray, Termination, UInt8Array, UInt64Array

_GAME = np.zeros(1, np.int64)


class Outcome(NamedTuple):
    """How a game ended."""

    termination: Termination
    """The rule that ended it."""
    winner: Color | None
    """The side that won, None for a draw."""


class LegalMoves:
    """The legal moves of a position: iterable, sized, and `move in board.legal_moves`.

    Attributes:
        by_action: each action 0..2186 and its move, in rising order.
        by_move: each move and its action.
    """

    def __init__(self, actions: list[int], moves: list[Move]) -> None:
        self.by_action = dict(zip(actions, moves, strict=True))
        self.by_move = dict(zip(moves, actions, strict=True))

    def __iter__(self) -> Iterator[Move]:
        return iter(self.by_move)

    def __len__(self) -> int:
        return len(self.by_move)

    def __contains__(self, move: object) -> bool:
        return move in self.by_move

    def __repr__(self) -> str:
        return f"<LegalMoves: {' '.join(map(str, self))}>"


class Board:
    """A game of shogi: a position with its history.

    Args:
        sfen: first position, SFEN or the name of a handicap; None for the even game.
        max_plies: plies after which the game is drawn, 1..32767; None for no limit.
        declaration: "auto": a side that fulfils the 27-point rule has won when it is its turn;
            "off".

    Raises:
        SfenError: `sfen` is not a position; the message says which part and why.
        ValueError: `max_plies` or `declaration` is none of these.

    >>> board = Board()
    >>> len(board.legal_moves)
    30
    >>> board.push_usi("7g7f")
    >>> board.sfen()
    'lnsgkgsnl/1r5b1/ppppppppp/9/9/2P6/PP1PPPPPP/1B5R1/LNSGKGSNL w - 2'
    """

    def __init__(
        self,
        sfen: str | None = None,
        *,
        max_plies: int | None = DEFAULT_MAX_PLIES,
        declaration: str = "auto",
    ) -> None:
        if declaration not in ("auto", "off"):
            raise ValueError(f'declaration is "auto" or "off", not {declaration!r}')
        self._rows: StateArray = first_row(sfen, max_plies=max_plies, declaration=declaration == "auto")
        self._history: UInt64Array = np.zeros((1, 64), np.uint64)
        self._legal: UInt64Array = np.zeros((1, *LEGAL_SHAPE), np.uint64)
        self._undo: list[tuple[StateArray, UInt64Array]] = []
        self._moves: list[Move] = []
        self._listed: LegalMoves | None = None
        batch.play(self._rows, self._history, self._legal, _GAME, _GAME, 0, 1)

    def __repr__(self) -> str:
        return f"Board({self.sfen()!r})"

    def __str__(self) -> str:
        return render.ansi(self.diagram())

    def _repr_svg_(self) -> str:
        return self.svg()

    @property
    def turn(self) -> Color:
        """The side to move."""
        return Color(int(self._rows["turn"][0]))

    @property
    def ply(self) -> int:
        """Moves played since the first position."""
        return len(self._moves)

    @property
    def key(self) -> int:
        """Zobrist key of board, hands and side to move, 64 bits."""
        return int(self._rows["key"][0])

    @property
    def moves(self) -> tuple[Move, ...]:
        """The moves played since the first position."""
        return tuple(self._moves)

    @property
    def legal_moves(self) -> LegalMoves:
        """The legal moves, in rising order of their actions."""
        if self._listed is None:
            moves, actions = np.empty((2, MAX_LEGAL_MOVES), np.int16)
            n = batch.list_legal(self._rows, self._legal, 0, moves, actions)
            self._listed = LegalMoves(actions[:n].tolist(), [from_packed(m) for m in moves[:n].tolist()])
        return self._listed

    def setup(self) -> Setup:
        """The position, as SFEN describes it; its arrays are copies."""
        row = self._rows[0]
        number = int(row["number"]) + self.ply
        return Setup(row["board"].copy(), row["hands"].copy(), self.turn, number)

    def sfen(self) -> str:
        """The position as SFEN."""
        return format_sfen(self.setup())

    def push(self, move: Move) -> None:
        """Play a move. It may be played after the game has ended by rule, as in an analysis.

        Raises:
            IllegalMoveError: the move is not legal; the board is unchanged.
        """
        action = self.legal_moves.by_move.get(move)
        if action is None:
            raise IllegalMoveError(f"{move} is not legal: {why_illegal(self.setup(), move)}: {self.sfen()}")
        if self.ply + 1 > MAX_PLIES_LIMIT:
            raise IllegalMoveError(f"a board holds {MAX_PLIES_LIMIT} plies at most")
        if self.ply + 1 >= self._history.shape[1]:
            self._history = np.concatenate([self._history, np.zeros_like(self._history)], axis=1)
        self._undo.append((self._rows.copy(), self._legal.copy()))
        self._moves.append(move)
        self._rows["termination"] = 0
        batch.play(self._rows, self._history, self._legal, np.array([action]), _GAME, 0, 1)
        self._listed = None

    def push_usi(self, usi: str) -> None:
        """Play a move given in USI, such as ``7g7f``, ``8h2b+`` or ``P*5e``.

        Raises:
            UsiError: the text is not a move.
            IllegalMoveError: the move is not legal; the board is unchanged.
        """
        self.push(Move.from_usi(usi))

    def pop(self) -> Move:
        """Take back the last move and return it.

        Raises:
            IndexError: no move was played.
        """
        if not self._undo:
            raise IndexError("no move was played on this board")
        self._rows, self._legal = self._undo.pop()
        self._listed = None
        return self._moves.pop()

    def copy(self) -> "Board":
        """An independent board with the same game."""
        new = object.__new__(Board)
        new._rows, new._legal = self._rows.copy(), self._legal.copy()
        new._history = self._history.copy()
        new._undo, new._moves = self._undo.copy(), self._moves.copy()
        new._listed = self._listed
        return new

    def snapshot(self) -> Snapshot:
        """Copy the game with all that decides how it goes on, as a batch of one."""
        return Snapshot(self._rows.copy(), self._history[:, : self.ply + 1].copy(), self._legal.copy())

    def is_check(self) -> bool:
        """Whether the side to move is in check."""
        return bool(self._rows["in_check"][0])

    def repetitions(self) -> int:
        """How often this position occurred before in the game, 0..127."""
        return int(self._rows["repetitions"][0])

    def can_declare(self) -> bool:
        """Whether the side to move fulfils the 27-point declaration rule (nyugyoku, CSA)."""
        return bool(batch.declarable(self._rows, 0))

    def outcome(self) -> Outcome | None:
        """How the game ended by the rules, None while it runs."""
        row = self._rows[0]
        if not row["termination"]:
            return None
        winner = None if row["winner"] < 0 else Color(int(row["winner"]))
        return Outcome(Termination(int(row["termination"])), winner)

    def action(self, move: Move) -> int:
        """The action 0..2186 of a legal move.

        Raises:
            IllegalMoveError: the move is not legal.
        """
        if move not in self.legal_moves:
            raise IllegalMoveError(f"{move} is not legal: {why_illegal(self.setup(), move)}: {self.sfen()}")
        return self.legal_moves.by_move[move]

    def move(self, action: int) -> Move:
        """The move of a legal action.

        Raises:
            IllegalMoveError: the action is not legal.
        """
        try:
            return self.legal_moves.by_action[action]
        except (KeyError, TypeError):
            raise IllegalMoveError(f"action {action!r} is not legal: {self.sfen()}") from None

    def action_masks(self) -> BoolArray:
        """Which actions are legal, bool[2187]."""
        out = np.empty(NUM_ACTIONS, np.bool_)
        batch.write_masks(self._legal, out[None].view(np.uint8), 0, 1)
        return out

    def planes(self) -> UInt8Array:
        """The 136 planes that a network sees, uint8[136, 9, 9] (`core.planes.PLANES`)."""
        out = np.empty((1, NUM_PLANES * NUM_CELLS), np.uint8)
        batch.write_planes(self._rows, out, 0, 1)
        return out.reshape(NUM_PLANES, 9, 9)

    def diagram(self) -> render.Diagram:
        """What a picture of the position shows."""
        setup = self.setup()
        last = self._moves[-1] if self._moves else None
        cells = () if last is None else tuple(c for c in (last.source, last.to) if c is not None)
        return render.Diagram(setup.board, setup.hands, setup.turn, cells)

    def svg(self) -> str:
        """A picture of the position, the last move marked."""
        return render.svg(self.diagram())

    def rgb(self, *, size: int = 540) -> UInt8Array:
        """The same picture as pixels, uint8[size, width, 3]; the width is 4/3 of the height."""
        return render.rgb(self.diagram(), size=size)
