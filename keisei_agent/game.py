"""A game that people and players play move by move, until somebody wins it, gives it up or stops."""

import numpy as np

from shogi_env import Board, Color, Move, Positions
from shogi_env.arena.games import ENDINGS
from shogi_env.arena.players import Player
from shogi_env.kifu import End, Ending, Kifu, Node, ki2
from shogi_env.opponents import RESIGN


class OpenGame:
    """A game in progress.

    Args:
        start: SFEN or a handicap's name; None for the even game.
        seed: of the players' random stream; None for another one each time.

    Raises:
        SfenError: `start` is no position.
    """

    def __init__(self, start: str | None = None, *, seed: int | None = None) -> None:
        self.board = Board(start, declaration="off")
        self.end: End | None = None
        """How the game ended; None while it goes on."""
        self.start = self.board.sfen()
        """SFEN of the first position."""
        self._random = np.random.default_rng(seed)
        self._note_end()

    @property
    def is_over(self) -> bool:
        """Whether the game has ended."""
        return self.end is not None

    def push(self, move: Move) -> str:
        """Play a move; return it as people write it in Japanese.

        Raises:
            IllegalMoveError: it is not legal; nothing has changed.
        """
        before = self.board.moves[-1] if self.board.moves else None
        legal = move in self.board.legal_moves
        text = ki2.format_move(self.board, move, before) if legal else ""
        self.board.push(move)
        self._note_end()
        return text

    def take_back(self, plies: int) -> None:
        """Take back moves; the game goes on.

        Raises:
            IndexError: so many were not played; those that were are taken back.
        """
        for _ in range(plies):
            self.board.pop()
        self.end = None

    def ask(self, player: Player) -> Move | None:
        """What a player would play here, None if it resigns; the game is unchanged.

        Raises:
            Exception: whatever the player raises.
        """
        games = Positions(1, sfens=self.start, declaration="off")
        games.seed(self._random.integers(1, 2**64, 1, np.uint64))
        for move in self.board.moves:
            games.apply([games.action(0, move)])
        action = int(player.choose(games, games.everyone)[0])
        return None if action == RESIGN else self.board.move(action)

    def resign(self, color: Color) -> None:
        """Let a side give up."""
        self.end = End(Ending.RESIGNATION, color.other)

    def declare(self) -> bool:
        """Let the side to move win by the 27-point rule; return whether it fulfils it."""
        if self.is_over or not self.board.can_declare():
            return False
        self.end = End(Ending.DECLARATION, self.board.turn)
        return True

    def record(self, black: str, white: str) -> Kifu:
        """The game so far, as a record.

        Args:
            black: what Black is called.
            white: what White is called.
        """
        game = Kifu(self.start, {"black": black, "white": white})
        node = game.root
        for move in self.board.moves:
            node.next.append(Node(move))
            node = node.next[0]
        node.end = self.end or End(Ending.INTERRUPTED)
        return game

    def _note_end(self) -> None:
        outcome = self.board.outcome()
        if outcome is not None:
            self.end = End(ENDINGS[outcome.termination], outcome.winner)
