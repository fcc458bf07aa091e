"""A game between a person and a player, in words: what `keisei-play` does, without a terminal."""

from collections.abc import Callable, Iterator
from pathlib import Path

from keisei_agent.game import OpenGame
from shogi_env import Color, Move, ShogiError, kifu
from shogi_env.arena.players import Player
from shogi_env.kifu import Ending, Kifu, ki2

HELP = """a move     7g7f, 8h2b+ (promotes), P*5e (drops a pawn)
moves      your legal moves; moves 7g: those of the piece there, moves P*: a pawn's drops
hint       what the other side would play in your place
undo       take back your last move and the answer
board      show the board again
sfen       show the position as text
save FILE  write the game: .kif, .csa or .usi
declare    win by the 27-point rule, if you fulfil it
resign     give up
quit       leave; the game is not lost if you save it first"""
_WORDS = {
    Ending.RESIGNATION: "by resignation",
    Ending.CHECKMATE: "by checkmate",
    Ending.DECLARATION: "by declaration",
    Ending.ILLEGAL_MOVE: "because of perpetual check",
}


class Game(OpenGame):
    """A person's game against a player.

    Args:
        player: the other side.
        color: the person's side.
        start: SFEN or a handicap's name; None for the even game.
        seed: of the game's random stream; None for another one each time.

    Raises:
        SfenError: `start` is no position.
    """

    def __init__(
        self, player: Player, color: Color, start: str | None = None, *, seed: int | None = None
    ) -> None:
        super().__init__(start, seed=seed)
        self.player = player
        self.color = color

    def answer(self, text: str) -> Iterator[str]:
        """Do what a person typed; yield what there is to say, line by line."""
        words = text.split()
        if not words:
            return
        name, *rest = words
        if name in _COMMANDS:
            yield from _COMMANDS[name](self, rest)
        elif self.is_over:
            yield "The game is over: undo, save FILE or quit."
        else:
            yield from self._play(name)

    def reply(self) -> Iterator[str]:
        """Let the other side play if it is its turn; yield what it did.

        Raises:
            Exception: whatever the player raises.
        """
        if self.is_over or self.board.turn == self.color:
            return
        if not self.declare():
            move = self.ask(self.player)
            if move is None:
                self.resign(self.color.other)
            else:
                yield f"{self.player.name} plays {move} {self.push(move)}"
        yield from self._position()

    def begin(self) -> Iterator[str]:
        """What is said before the first move."""
        yield f"You are {_name(self.color)}, against {self.player.name}. Type help for what you can do."
        yield from self._position()

    def _position(self) -> Iterator[str]:
        yield str(self.board)
        if self.end is not None:
            yield self._result()
        elif self.board.is_check():
            yield "Check."

    def _result(self) -> str:
        assert self.end is not None
        how = _WORDS.get(self.end.ending, f"({self.end.ending})")
        if self.end.winner is None:
            return f"The game is drawn {how}."
        return f"{'You win' if self.end.winner == self.color else f'{self.player.name} wins'} {how}."

    def _play(self, text: str) -> Iterator[str]:
        try:
            move = Move.from_usi(text)
            played = f"{move} {self.push(move)}"
        except ShogiError as error:
            yield f"{str(error).rsplit(': ', 1)[0]}. Type moves for what is legal, help for the rest."
            return
        yield f"You play {played}"
        yield from self._position() if self.is_over else ()

    def _help(self, rest: list[str]) -> Iterator[str]:
        yield from HELP.splitlines()

    def _show(self, rest: list[str]) -> Iterator[str]:
        yield from self._position()

    def _sfen(self, rest: list[str]) -> Iterator[str]:
        yield self.board.sfen()

    def _moves(self, rest: list[str]) -> Iterator[str]:
        before = self.board.moves[-1] if self.board.moves else None
        begin = rest[0] if rest else ""
        found = [move for move in self.board.legal_moves if str(move).startswith(begin)]
        texts = [f"{move!s:<6}{ki2.format_move(self.board, move, before)}" for move in found]
        yield from texts or [f"No legal move begins with {begin}." if begin else "There is no legal move."]

    def _hint(self, rest: list[str]) -> Iterator[str]:
        if self.is_over:
            yield "The game is over."
            return
        move = self.ask(self.player)
        before = self.board.moves[-1] if self.board.moves else None
        yield f"Perhaps {move} {ki2.format_move(self.board, move, before)}" if move else "It would resign."

    def _undo(self, rest: list[str]) -> Iterator[str]:
        mine = 2 if self.board.turn == self.color else 1
        if self.board.ply < mine:
            yield "There is no move of yours to take back."
            return
        self.take_back(mine)
        yield from self._position()

    def _save(self, rest: list[str]) -> Iterator[str]:
        if len(rest) != 1:
            yield "Say where: save game.kif"
            return
        try:
            kifu.save(Path(rest[0]), [self._record()])
        except (ValueError, OSError) as error:
            yield f"Not saved: {error}"
            return
        yield f"Saved {rest[0]}."

    def _declare(self, rest: list[str]) -> Iterator[str]:
        if self.board.turn != self.color or not self.declare():
            yield "You cannot declare: it takes the king and ten other pieces in the camp, no check, and"
            yield "28 points as Black, 27 as White (rooks and bishops count 5, others 1, in hand too)."
            return
        yield self._result()

    def _resign(self, rest: list[str]) -> Iterator[str]:
        if not self.is_over:
            self.resign(self.color)
        yield self._result()

    def _record(self) -> Kifu:
        names = {self.color: "You", self.color.other: self.player.name}
        return self.record(names[Color.BLACK], names[Color.WHITE])


def _name(color: Color) -> str:
    return "Black (sente)" if color == Color.BLACK else "White (gote)"


_COMMANDS: dict[str, Callable[[Game, list[str]], Iterator[str]]] = {
    "help": Game._help,
    "moves": Game._moves,
    "hint": Game._hint,
    "undo": Game._undo,
    "board": Game._show,
    "sfen": Game._sfen,
    "save": Game._save,
    "declare": Game._declare,
    "resign": Game._resign,
}
