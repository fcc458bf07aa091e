"""Games that are played on the page."""

import secrets
import threading
from collections import OrderedDict
from typing import Any

from keisei_agent.game import OpenGame
from keisei_agent.web.games import color_name
from keisei_agent.web.players import Choice, ChoiceError, Players
from shogi_env import Color, Move, ShogiError
from shogi_env.kifu import ki2

MOST_GAMES = 64
"""Games that are kept; the one that was not touched longest makes room for the next."""
MOST_PLIES = 1000


class UnknownGameError(KeyError):
    """There is no such game, or no longer."""


class TableError(ValueError):
    """What was asked for cannot be done in the game as it stands."""


class Table:
    """A game with its two sides; may be asked from several threads.

    Args:
        players: makes those who are no people.
        sides: who plays Black and White.
        start: SFEN or a handicap's name; None for the even game.

    Raises:
        SfenError: `start` is no position.
        ChoiceError: there is no such player.
    """

    def __init__(self, players: Players, sides: dict[Color, Choice], start: str | None) -> None:
        self.id = secrets.token_urlsafe(12)
        self.sides = sides
        self._players = players
        for choice in sides.values():
            if choice.kind != "person":
                players.player(choice)
        self._game = OpenGame(start)
        self._texts: list[str] = []
        self._lock = threading.Lock()

    def state(self) -> dict[str, Any]:
        """The game as JSON; `legal` are the moves of the side to move, none once it is over."""
        board, end = self._game.board, self._game.end
        person = self.sides[board.turn].kind == "person"
        return {
            "id": self.id,
            "start": self._game.start,
            "sfen": board.sfen(),
            "moves": [str(move) for move in board.moves],
            "texts": list(self._texts),
            "turn": color_name(board.turn),
            "check": board.is_check(),
            "legal": [] if end else [str(move) for move in board.legal_moves],
            "can_declare": end is None and person and board.can_declare(),
            "sides": {color_name(color): choice._asdict() for color, choice in self.sides.items()},
            "labels": {color_name(color): self._label(color) for color in Color},
            "end": None if end is None else str(end.ending),
            "winner": None if end is None else color_name(end.winner),
        }

    def move(self, text: str) -> None:
        """Play a person's move.

        Raises:
            TableError: it is not a person's turn, or the game is over.
            ShogiError: it is no legal move.
        """
        with self._lock:
            self._refuse_end()
            if self.sides[self._game.board.turn].kind != "person":
                raise TableError("it is not your turn")
            self._push(Move.from_usi(text))

    def think(self, ply: int) -> None:
        """Let the side to move play, if it is a player and the game has so many plies.

        Args:
            ply: of the game when it was asked for; if it has others by now, nothing happens.

        Raises:
            ChoiceError: the player is gone.
        """
        with self._lock:
            board = self._game.board
            choice = self.sides[board.turn]
            if choice.kind == "person" or self._game.is_over or board.ply != ply:
                return
            if self._game.declare():
                return
            move = self._game.ask(self._players.player(choice))
            if move is None:
                self._game.resign(board.turn)
            else:
                self._push(move)

    def take_back(self) -> None:
        """Take back to the last position in which a person was to move.

        Raises:
            TableError: there is none.
        """
        with self._lock:
            plies = self._game.board.ply
            turn = self._game.board.turn
            back = [k for k in range(1, plies + 1) if self._side_before(turn, k).kind == "person"]
            if not back:
                raise TableError("there is no move of yours to take back")
            self._game.take_back(back[0])
            del self._texts[plies - back[0] :]

    def _side_before(self, turn: Color, plies: int) -> Choice:
        """Who was to move so many plies ago."""
        return self.sides[turn if plies % 2 == 0 else turn.other]

    def hint(self, choice: Choice) -> dict[str, str] | None:
        """What a player would play here; None if it would resign.

        Raises:
            TableError: the game is over.
            ChoiceError: there is no such player.
        """
        with self._lock:
            self._refuse_end()
            board = self._game.board
            move = self._game.ask(self._players.player(choice))
            before = board.moves[-1] if board.moves else None
            if move is None:
                return None
            return {"move": str(move), "text": ki2.format_move(board, move, before)}

    def resign(self, color: Color) -> None:
        """Let a person give up.

        Raises:
            TableError: the side is no person, or the game is over.
        """
        with self._lock:
            self._refuse_end()
            if self.sides[color].kind != "person":
                raise TableError("that side is not yours")
            self._game.resign(color)

    def declare(self) -> None:
        """Let a person win by the 27-point rule.

        Raises:
            TableError: the position does not allow it, or it is not a person's turn.
        """
        with self._lock:
            self._refuse_end()
            if self.sides[self._game.board.turn].kind != "person" or not self._game.declare():
                raise TableError("the position does not allow a declaration")

    def record(self) -> Any:
        """The game so far, as a record."""
        return self._game.record(self._label(Color.BLACK), self._label(Color.WHITE))

    def _label(self, color: Color) -> str:
        return self._players.label(self.sides[color])

    def _refuse_end(self) -> None:
        if self._game.is_over:
            raise TableError("the game is over")

    def _push(self, move: Move) -> None:
        if self._game.board.ply >= MOST_PLIES:
            raise TableError(f"a game here has {MOST_PLIES} plies at most")
        self._texts.append(self._game.push(move))


class Tables:
    """The games that are played, so many at a time.

    Args:
        players: makes those who are no people.
    """

    def __init__(self, players: Players) -> None:
        self._players = players
        self._tables: OrderedDict[str, Table] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, black: Choice, white: Choice, start: str | None) -> Table:
        """Begin a game.

        Raises:
            SfenError: `start` is no position.
            ChoiceError: there is no such player.
        """
        table = Table(self._players, {Color.BLACK: black, Color.WHITE: white}, start)
        with self._lock:
            self._tables[table.id] = table
            while len(self._tables) > MOST_GAMES:
                self._tables.popitem(last=False)
        return table

    def find(self, name: str) -> Table:
        """A game by its id.

        Raises:
            UnknownGameError: there is none.
        """
        with self._lock:
            if name not in self._tables:
                raise UnknownGameError(name)
            self._tables.move_to_end(name)
            return self._tables[name]


REFUSALS = (TableError, ChoiceError, ShogiError)
"""What a page is told that asks for what cannot be."""
