"""CSA: the format of computer shogi (http://www2.computer-shogi.org/protocol/record_v3.html)."""

import re
from collections.abc import Iterator

import numpy as np

from shogi_env.core.constants import NUM_CELLS, PROMOTED, WHITE_PIECE
from shogi_env.errors import RecordError, SfenError
from shogi_env.kifu.tree import Builder, End, Ending, Kifu, Node, fail
from shogi_env.notation.sfen import START_SFEN, Setup, format_sfen, parse_sfen
from shogi_env.notation.usi import Move
from shogi_env.types import Color, Int8Array, PieceType

CODES = ("FU", "KY", "KE", "GI", "KA", "HI", "KI", "OU", "TO", "NY", "NK", "NG", "UM", "RY")
"""Names of the piece types, in their order."""
_TYPES = {code: PieceType(index + 1) for index, code in enumerate(CODES)}
_HAND_ORDER = (PieceType.ROOK, PieceType.BISHOP, PieceType.GOLD, PieceType.SILVER,
               PieceType.KNIGHT, PieceType.LANCE, PieceType.PAWN)  # fmt: skip
_MOVE = re.compile(r"([+-])(\d)(\d)([1-9])([1-9])([A-Z]{2})")
_HEADERS = {
    "EVENT": "event",
    "SITE": "site",
    "START_TIME": "started",
    "END_TIME": "ended",
    "TIME_LIMIT": "time control",
    "TIME": "time control",
}
_MOVER, _OTHER, _NOBODY = range(3)
_ENDS = {
    "TORYO": (Ending.RESIGNATION, _OTHER),
    "CHUDAN": (Ending.INTERRUPTED, _NOBODY),
    "SENNICHITE": (Ending.REPETITION, _NOBODY),
    "TIME_UP": (Ending.TIMEOUT, _OTHER),
    "ILLEGAL_MOVE": (Ending.ILLEGAL_MOVE, _OTHER),
    "JISHOGI": (Ending.IMPASSE, _NOBODY),
    "KACHI": (Ending.DECLARATION, _MOVER),
    "HIKIWAKE": (Ending.IMPASSE, _NOBODY),
    "MAX_MOVES": (Ending.MAX_PLIES, _NOBODY),
    "MATTA": (Ending.INTERRUPTED, _NOBODY),
    "TSUMI": (Ending.CHECKMATE, _OTHER),
    "FUZUMI": (Ending.NO_MATE, _NOBODY),
    "ERROR": (Ending.ERROR, _NOBODY),
}
"""Special moves: the ending, and who wins."""


def read(text: str) -> list[Kifu]:
    """The games of a file, parted by lines with a slash.

    Raises:
        RecordError: naming the line and the reason.
    """
    games, reader = [], _Reader()
    number = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() == "/":
            games.append(reader.done(number))
            reader = _Reader()
        else:
            reader.take(number, line)
    if reader.begun or not games:
        games.append(reader.done(number))
    return games


class _Reader:
    """Reads one game."""

    def __init__(self) -> None:
        self.begun = False
        self._headers: dict[str, str] = {}
        self._board: list[int] | None = None
        self._hands = [[0] * 7, [0] * 7]
        self._rest: Color | None = None  # who has all pieces that are not set
        self._builder: Builder | None = None

    def take(self, number: int, line: str) -> None:
        """Read a line, in which commas may part statements."""
        if line.startswith("'"):
            self._read_remark(line)
            return
        if line.startswith(("N+", "N-", "$")):
            self._read_header(number, line)
            return
        for statement in line.split(","):
            if statement.startswith("'"):
                return
            if statement.strip():
                self.begun = True
                self._read(number, statement.rstrip())

    def _read_remark(self, line: str) -> None:
        """Keep a comment, and what the server Floodgate says of the players' ratings."""
        rating = re.fullmatch(r"'(black|white)_rate:.*:([\d.]+)\s*", line)
        if rating:
            self._headers[f"{rating[1]} rating"] = rating[2]
        elif line.startswith("'*") and self._builder:
            self._builder.node.comments.append(line[2:])

    def _read_header(self, number: int, line: str) -> None:
        self.begun = True
        if line.startswith("$"):
            name, colon, value = line[1:].partition(":")
            if not colon:
                fail(number, "a header is written $NAME:VALUE", line)
        else:
            name, value = {"+": "black", "-": "white"}[line[1]], line[2:]
        if value.strip():
            self._headers[_HEADERS.get(name, name)] = value.strip()

    def _read(self, number: int, text: str) -> None:
        """Read one statement."""
        if self._builder is None:
            if re.fullmatch(r"V\d+(\.\d+)*", text):
                return
            if text in "+-":
                self._begin(number, Color("+-".index(text)))
            elif text.startswith("P"):
                self._read_position(number, text)
            else:
                fail(number, "neither a header nor a part of the first position", text)
        elif re.fullmatch(r"T\d+(\.\d+)?", text):
            self._read_time(int(float(text[1:])))
        elif text.startswith("%"):
            self._end(number, text)
        else:
            self._move(number, text)

    def _read_position(self, number: int, text: str) -> None:
        if text.startswith("PI"):
            self._board = parse_sfen(START_SFEN).board.tolist()
            for cell, code in self._pieces(number, text[2:], text):
                if self._board[cell] & 15 != _TYPES[code]:
                    fail(number, f"no {code} stands there at the start", text)
                self._board[cell] = 0
        elif text[1:2] in ("+", "-"):
            self._read_pieces(number, text)
        elif re.fullmatch(r"P[1-9]", text[:2]):
            self._read_rank(number, int(text[1]) - 1, text[2:])
        else:
            fail(number, "a position is written PI, P1..P9, P+ or P-", text)

    def _pieces(self, number: int, text: str, line: str) -> Iterator[tuple[int, str]]:
        """Cells, -1 for a hand, and codes of ``22KA82HI``."""
        for at in range(0, len(text), 4):
            square, code = text[at : at + 2], text[at + 2 : at + 4]
            if code not in _TYPES or not re.fullmatch("00|[1-9][1-9]", square):
                fail(number, f"{text[at : at + 4]!r} is not a square and a piece", line)
            yield (-1 if square == "00" else 9 * int(square[0]) + int(square[1]) - 10), code

    def _read_pieces(self, number: int, text: str) -> None:
        color = Color("+-".index(text[1]))
        self._board = self._board or [0] * NUM_CELLS
        if text.endswith("00AL"):
            self._rest, text = color, text[:-4]
        for cell, code in self._pieces(number, text[2:], text):
            kind = _TYPES[code]
            if cell >= 0:
                self._place(number, cell, kind + WHITE_PIECE * color, text)
            elif kind > PieceType.GOLD:
                fail(number, f"{code} cannot be held in hand", text)
            else:
                self._hands[color][kind - 1] += 1

    def _read_rank(self, number: int, rank: int, text: str) -> None:
        self._board = self._board or [0] * NUM_CELLS
        text = text.ljust(27)
        for column in range(9):
            item = text[3 * column : 3 * column + 3]
            if item.strip() in ("*", ""):
                continue
            if item[0] not in "+-" or item[1:] not in _TYPES:
                fail(number, f"{item!r} is not a piece", text)
            self._place(
                number, 9 * (8 - column) + rank, _TYPES[item[1:]] + WHITE_PIECE * "+-".index(item[0]), text
            )

    def _place(self, number: int, cell: int, piece: int, text: str) -> None:
        assert self._board is not None
        if self._board[cell]:
            fail(number, "two pieces on one square", text)
        self._board[cell] = piece

    def _begin(self, number: int, turn: Color) -> None:
        """The side to move is said: the first position is complete."""
        board = self._board if self._board is not None else parse_sfen(START_SFEN).board.tolist()
        if self._rest is not None:
            _give_rest(board, self._hands, self._rest)
        setup = Setup(np.array(board, np.int8), np.array(self._hands, np.int8), turn, 1)
        try:
            self._builder = Builder(format_sfen(setup))
        except SfenError as error:
            fail(number, f"the first position cannot be: {error}")
        self._builder.kifu.headers = self._headers

    def _read_time(self, seconds: int) -> None:
        assert self._builder is not None
        node = self._builder.node
        if node.end is not None:
            node.end = node.end._replace(seconds=seconds)
        else:
            node.seconds = seconds

    def _end(self, number: int, text: str) -> None:
        assert self._builder is not None
        turn = self._builder.board.turn
        name = text[1:].strip()
        if name in ("+ILLEGAL_ACTION", "-ILLEGAL_ACTION"):
            end = End(Ending.ILLEGAL_MOVE, Color("-+".index(name[0])))
        elif name in _ENDS:
            ending, who = _ENDS[name]
            end = End(ending, (turn, turn.other, None)[who])
        else:
            fail(number, f"unknown special move (known: {', '.join(_ENDS)})", text)
        self._builder.finish(end, number, text)

    def _move(self, number: int, text: str) -> None:
        assert self._builder is not None
        found = _MOVE.fullmatch(text)
        if found is None or found[6] not in _TYPES:
            fail(number, "not a move, a time or a special move", text)
        side, from_file, from_rank, to_file, to_rank, code = found.groups()
        board, kind = self._builder.board, _TYPES[code]
        if Color("+-".index(side)) != board.turn:
            fail(number, f"it is {board.turn.name.capitalize()}'s turn", text)
        to = 9 * int(to_file) + int(to_rank) - 10
        if from_file + from_rank == "00":
            if kind > PieceType.GOLD:
                fail(number, f"{code} cannot be dropped", text)
            move = Move(to, drop=kind)
        elif "0" in from_file + from_rank:
            fail(number, "a square has a file and a rank from 1 to 9", text)
        else:
            move = self._board_move(number, 9 * int(from_file) + int(from_rank) - 10, to, kind, text)
        self._builder.push(move, number, text)

    def _board_move(self, number: int, source: int, to: int, kind: PieceType, text: str) -> Move:
        """The move of the piece on a cell; its name after the move says whether it promotes."""
        assert self._builder is not None
        before = int(self._builder.board.setup().board[source]) & 15
        if source == to or before not in (kind, kind - PROMOTED):
            found = CODES[before - 1] if before else "nothing"
            fail(number, f"move {self._builder.number} is illegal: {found} stands on its square", text)
        return Move(to, source=source, promotion=before != kind)

    def done(self, number: int) -> Kifu:
        """The game.

        Raises:
            RecordError: the side to move was never said.
        """
        if self._builder is None:
            fail(max(number, 1), "the record ends before its first position does ('+' or '-')")
        return self._builder.kifu


def _give_rest(board: list[int], hands: list[list[int]], color: Color) -> None:
    """Put all pieces that are nowhere yet into a hand (``00AL``)."""
    full = {1: 18, 2: 4, 3: 4, 4: 4, 5: 2, 6: 2, 7: 4}
    for kind, count in full.items():
        there = sum(piece & 15 in (kind, kind + PROMOTED) for piece in board)
        hands[color][kind - 1] += max(0, count - there - hands[0][kind - 1] - hands[1][kind - 1])


def write(kifu: Kifu) -> str:
    """The main line in CSA, version 2.2; variations are not part of the format.

    Raises:
        RecordError: the record ends in a way that CSA cannot say.
    """
    lines = ["V2.2"]
    for side, name in (("N+", "black"), ("N-", "white")):
        if name in kifu.headers:
            lines.append(side + kifu.headers[name])
    names = {value: key for key, value in reversed(_HEADERS.items())}
    for name, value in kifu.headers.items():
        if name not in ("black", "white") and (name in names or name.isascii()):
            lines.append(f"${names.get(name, name)}:{value}")
    setup = parse_sfen(kifu.start)
    lines += _position(setup)
    lines += [f"'*{comment}" for comment in kifu.root.comments]
    board, turn, node = setup.board.copy(), setup.turn, kifu.root
    for node in kifu.main_line():
        lines += _node(node, board, turn)
        turn = turn.other
    if node.end is not None:
        lines.append("%" + _special(node.end, turn))
        if node.end.seconds is not None:
            lines.append(f"T{node.end.seconds}")
    return "\n".join(lines) + "\n"


def _position(setup: Setup) -> list[str]:
    """The lines of a first position."""
    side = "+-"[setup.turn]
    if format_sfen(setup._replace(turn=Color.BLACK, number=1)) == START_SFEN:
        return ["PI", side]
    lines = []
    for rank in range(9):
        items = []
        for file in range(8, -1, -1):
            piece = int(setup.board[9 * file + rank])
            items.append(f"{'+-'[piece >> 4]}{CODES[(piece & 15) - 1]}" if piece else " * ")
        lines.append(f"P{rank + 1}{''.join(items)}")
    for color in Color:
        held = "".join(f"00{CODES[kind - 1]}" * int(setup.hands[color, kind - 1]) for kind in _HAND_ORDER)
        if held:
            lines.append(f"P{'+-'[color]}{held}")
    return [*lines, side]


def _node(node: Node, board: Int8Array, turn: Color) -> list[str]:
    """The lines of a move, which is played on the board."""
    move = node.move
    assert move is not None
    if move.drop is not None:
        piece, source = move.drop + WHITE_PIECE * turn, "00"
    else:
        assert move.source is not None
        piece, source = int(board[move.source]) + PROMOTED * move.promotion, _square(move.source)
        board[move.source] = 0
    board[move.to] = piece
    lines = [f"{'+-'[turn]}{source}{_square(move.to)}{CODES[(piece & 15) - 1]}"]
    if node.seconds is not None:
        lines.append(f"T{node.seconds}")
    return lines + [f"'*{comment}" for comment in node.comments]


def _square(cell: int) -> str:
    return f"{cell // 9 + 1}{cell % 9 + 1}"


def _special(end: End, turn: Color) -> str:
    """The special move of an end with that side to move."""
    if end.ending is Ending.ILLEGAL_MOVE and end.winner == turn:
        return f"{'+-'[turn.other]}ILLEGAL_ACTION"
    for name, (ending, who) in _ENDS.items():
        if ending is end.ending and end.winner == (turn, turn.other, None)[who]:
            return name
    winner = end.winner.name.lower() if end.winner is not None else "nobody"
    raise RecordError(f"CSA has no word for: {end.ending}, {winner} wins, {turn.name.lower()} to move")
