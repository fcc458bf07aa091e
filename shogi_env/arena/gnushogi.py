"""GNU Shogi as a player, through the text protocol that it speaks with xshogi (``gnushogi -X``).

It keeps a game of its own, so each question sets one up: a new game, the first position entered
with ``edit``, the moves since then entered in force mode, and ``go``.  It then knows of
repetitions.  A move it makes reads ``12. ... 7g7f 300000``, its number and clock (in ms) around it.
Described by its manual page; what that leaves out was tried with version 1.4.2.
"""

import re
from collections.abc import Sequence

from shogi_env.arena.engines import Engine, EnginePlayer, start_all
from shogi_env.arena.process import EngineError, find_engine
from shogi_env.board import Board
from shogi_env.core.constants import NUM_CELLS, PROMOTED, WHITE_PIECE
from shogi_env.notation.sfen import Setup, parse_sfen
from shogi_env.notation.usi import square_name
from shogi_env.types import Color

MAX_DEPTH = 29
"""Largest depth that it takes."""
_REMEMBERED = 200
"""Moves that it is told at most; it keeps 340, and takes a game of 300 for drawn."""
_LETTERS = "plnsbrgk"
_ANSWER = re.compile(r"\d+\. \.\.\. (\S+) -?\d+$")
_BEGUN = "enter piece & location"
"""Ends what `edit` says first; lines before it belong to the last question."""
_GIVEN_UP = re.compile(r"(Black|White) mates!")
_REFUSED = re.compile(r"Illegal move|Ambiguous|# Out-of-board|# No such piece")


def edit_lines(setup: Setup) -> list[str]:
    """The lines of ``edit`` that enter a position: ``#`` clears the board, ``c`` goes to White's."""
    lines = ["edit", "#"]
    for color in Color:
        for cell in range(NUM_CELLS):
            kind = int(setup.board[cell]) - WHITE_PIECE * color
            if 0 < kind < WHITE_PIECE:
                mark = "+" if kind > PROMOTED else ""
                lines.append(_LETTERS[(kind - 1) % PROMOTED] + square_name(cell) + mark)
        for letter, count in zip(_LETTERS, setup.hands[color], strict=False):
            lines += [letter + "*"] * int(count)
        lines.append("c" if color == Color.BLACK else ".")
    return lines


def question(depth: int, start: str, moves: Sequence[str]) -> list[str]:
    """All that is sent to ask for a move.

    Args:
        depth: plies, 1..29.
        start: SFEN of the position that the moves start from.
        moves: USI moves since then.
    """
    setup = parse_sfen(start)
    sides = (setup.turn, Color(setup.turn ^ len(moves) & 1))
    first, mover = (side.name.lower() for side in sides)
    # `new` switches the transposition table on and `edit` the opening book; `hash` and `book` switch them
    # off again.  A side's name says who plays next.
    options = ["depth", str(depth), "hash", "book"]
    return ["new", *edit_lines(setup), *options, first, "force", *moves, mover, "go"]


class GnuShogiEngine(Engine):
    """One GNU Shogi process.

    Args:
        depth: plies it searches, 1..29.
        timeout: seconds to wait for an answer.

    Raises:
        EngineError: it is not installed, or cannot be started.
        ValueError: the depth is not in range.
    """

    def __init__(self, depth: int, *, timeout: float = 60.0) -> None:
        if not (isinstance(depth, int) and 1 <= depth <= MAX_DEPTH):
            raise ValueError(f"gnushogi's depth is 1..{MAX_DEPTH}, not {depth!r}")
        self.depth = depth
        self._begun = False
        self._complaints: list[str] = []
        super().__init__([find_engine("gnushogi") or "gnushogi", "-X", "-h", "1"], timeout)

    def _greet(self) -> None:
        banner = re.compile(r"GNU Shogi \S+")
        self.name = self._ask([], lambda line: m.group() if (m := banner.search(line)) else None, "its name")

    def choose(self, start: str, moves: Sequence[str]) -> str:
        """Ask for a move.

        Args:
            start: SFEN of the position that the moves start from.
            moves: USI moves since then.

        Returns:
            A USI move, or "resign" where it says that it is mated.

        Raises:
            EngineError: no answer in time, it died of the question twice, or it did not understand it.
        """
        if len(moves) > _REMEMBERED:
            board = Board(start, max_plies=None)
            for move in moves[:-_REMEMBERED]:
                board.push_usi(move)
            start, moves = board.sfen(), moves[-_REMEMBERED:]
        asked = " ".join([start, *moves])
        lines = question(self.depth, start, moves)

        def ask() -> str:
            self._begun = False
            self._complaints.clear()
            return self._ask(lines, self._hear, asked)

        answer = self._ask_again(ask, asked)
        if self._complaints:
            raise EngineError(f"{self.name} did not take {asked!r}: {self._complaints[0]}")
        return answer

    def _hear(self, line: str) -> str | None:
        self._begun |= _BEGUN in line
        if not self._begun:
            return None
        refusal = _REFUSED.search(line)
        if refusal:
            self._complaints.append(line[refusal.start() :])
        if _GIVEN_UP.search(line):
            return "resign"
        match = _ANSWER.search(line)
        return None if match is None else match.group(1)


class GnuShogiPlayer(EnginePlayer):
    """GNU Shogi as an opponent.

    Args:
        depth: plies it searches, 1..29.
        processes: how many of it run at once; game i is played by process ``i % processes``.
        timeout: seconds to wait for an answer.

    Raises:
        EngineError: it is not installed, or cannot be started.
        ValueError: an argument is none of these.
    """

    def __init__(self, depth: int, *, processes: int = 1, timeout: float = 60.0) -> None:
        engines = start_all(processes, lambda: GnuShogiEngine(depth, timeout=timeout))
        super().__init__(engines, lambda engine, start, moves: engines[engine].choose(start, moves))
