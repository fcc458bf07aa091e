"""KIF: the format of Japanese programs for people, with times, comments and variations."""

import re

from shogi_env.board import Board
from shogi_env.errors import RecordError
from shogi_env.kifu import japanese
from shogi_env.kifu.tree import Builder, Kifu, Node, fail
from shogi_env.notation.usi import Move
from shogi_env.types import PieceType

_LINE = re.compile(r"\s*(\d+)\s+(\S.*)")
_TIME = re.compile(r"\(\s*(?:(\d+):)?\s*(\d+):\s*(\d+)\s*(?:/[\s\d:]*)?\)\s*\+?\s*$")
_MOVE = re.compile(
    rf"(?:(?P<to>[1-9１-９][1-9１-９一二三四五六七八九])|同[\s　]*)"
    rf"(?P<piece>{japanese.PIECE_PATTERN})(?P<how>不成|成|打)?"
    r"(?:\((?P<source>[1-9][1-9])\))?[\s+]*"
)
VARIATION = re.compile(r"変化：\s*(\d+)手.*")


def read(text: str) -> Kifu:
    """The game of a file, its variations as branches of a tree.

    Raises:
        RecordError: naming the line and the reason.
    """
    opening, builder = japanese.Opening(), None
    comments: list[str] = []
    number = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("*"):
            (builder.node.comments if builder else comments).append(line[1:])
        elif line.startswith("&"):
            if builder:
                builder.node.bookmark = line[1:]
        elif line.startswith("手数----"):
            builder = builder or Builder(opening.start())
        elif builder is None and opening.take(number, line):
            continue
        else:
            builder = builder or Builder(opening.start())
            _read_line(builder, number, line)
    builder = builder or Builder(opening.start())
    builder.kifu.headers = opening.headers
    builder.kifu.root.comments[:0] = comments
    return builder.kifu


def _read_line(builder: Builder, number: int, line: str) -> None:
    """Read a line behind the headers."""
    variation = VARIATION.fullmatch(line.strip())
    found = _LINE.fullmatch(line.rstrip())
    if variation:
        builder.branch(int(variation[1]), number, line)
    elif line.startswith("まで"):
        end = japanese.end_of_summary(line)
        if end and builder.node.end is None:
            builder.finish(end, number, line)
    elif found is None:
        fail(number, "neither a move nor anything else that a KIF holds", line)
    elif int(found[1]) != builder.number:
        fail(number, f"move {builder.number} should stand here", line)
    else:
        _read_move(builder, number, found[2])


def _read_move(builder: Builder, number: int, text: str) -> None:
    time = _TIME.search(text)
    seconds = None
    if time:
        seconds = 3600 * int(time[1] or 0) + 60 * int(time[2]) + int(time[3])
        text = text[: time.start()]
    text = text.rstrip("　 +")
    end = japanese.end_of(text, builder.board.turn)
    if end:
        builder.finish(end._replace(seconds=seconds), number, text)
        return
    builder.push(_parse_move(builder, number, text), number, text, seconds)


def _parse_move(builder: Builder, number: int, text: str) -> Move:
    found = _MOVE.fullmatch(text)
    if found is None:
        fail(number, "not a move", text)
    to = japanese.parse_square(found["to"]) if found["to"] else _same(builder, number, text)
    assert to is not None
    piece = japanese.TYPES[found["piece"]]
    if found["how"] == "打":
        if piece > PieceType.GOLD or found["source"]:
            fail(number, "a piece that is dropped is not promoted and comes from no square", text)
        return Move(to, drop=piece)
    source = japanese.parse_square(found["source"] or "")
    if source is None:
        fail(number, "the square that the piece comes from is missing", text)
    standing = int(builder.board.setup().board[source])
    if standing & 15 != piece or source == to:
        name = japanese.PIECES[(standing & 15) - 1] if standing else "nothing"
        fail(number, f"move {builder.number} is illegal: {name} stands on {found['source']}", text)
    return Move(to, source=source, promotion=found["how"] == "成")


def _same(builder: Builder, number: int, text: str) -> int:
    """The square that the move before went to."""
    before = builder.node.move
    if before is None:
        fail(number, "同 (the same square) without a move before it", text)
    return before.to


def write(kifu: Kifu) -> str:
    """The whole record, variations included.

    Raises:
        RecordError: a line ends in a way that KIF cannot say.
    """
    lines = ["#KIF version=2.0 encoding=UTF-8", *japanese.write_opening(kifu.start, kifu.headers)]
    lines.append("手数----指手---------消費時間--")
    board, path = Board(kifu.start, max_plies=None, declaration="off"), [kifu.root]
    lines += _remarks(kifu.root) + _end(path, board)
    waiting = _children(1, kifu.root)
    while waiting:  # each line to its end, then its variations, those from the last move first
        number, node, first = waiting.pop()
        while board.ply >= number:
            board.pop()
            path.pop()
        if not first:
            lines += ["", f"変化：{number}手"]
        assert node.move is not None
        text = format_move(board, node.move, path[-1].move)
        board.push(node.move)
        path.append(node)
        lines += [_numbered(number, text, node.seconds, path), *_remarks(node), *_end(path, board)]
        waiting += _children(number + 1, node)
    return "\n".join(lines) + "\n"


def _children(number: int, node: Node) -> list[tuple[int, Node, bool]]:
    """What follows a node, the line's next move last: number of the move, node, whether it is that move."""
    goes_on = node.end is None
    return [(number, child, goes_on and child is node.next[0]) for child in reversed(node.next)]


def _remarks(node: Node) -> list[str]:
    bookmark = [f"&{node.bookmark}"] if node.bookmark else []
    return [f"*{comment}" for comment in node.comments] + bookmark


def _end(path: list[Node], board: Board) -> list[str]:
    """The line that says how a line ends at its last node, if it does."""
    end = path[-1].end
    if end is None:
        return []
    word = japanese.word_of(end, board.turn)
    if word is None:
        winner = end.winner.name.lower() if end.winner is not None else "nobody"
        mover = board.turn.name.lower()
        raise RecordError(f"KIF has no word for: {end.ending}, {winner} wins, {mover} to move")
    return [_numbered(len(path), word, end.seconds, [*path, Node(seconds=end.seconds)])]


def _numbered(number: int, text: str, seconds: int | None, path: list[Node]) -> str:
    """A line with its number and, if it is known, its time and the side's time up to there."""
    line = f"{number:4d} {text}"
    if seconds is None:
        return line
    total = sum(node.seconds or 0 for node in path[number::-2] if node.move or node is path[-1])
    clock = f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}"
    return f"{line.ljust(17)}({seconds // 60:2d}:{seconds % 60:02d}/{clock})"


def format_move(board: Board, move: Move, before: Move | None) -> str:
    """A legal move as KIF writes it: ``７六歩(77)``; 同 is the square that the move before went to."""
    to = "同　" if before and before.to == move.to else japanese.square(move.to)
    if move.drop is not None:
        return f"{to}{japanese.PIECES[move.drop - 1]}打"
    assert move.source is not None
    piece = int(board.setup().board[move.source]) & 15
    promotion = "成" if move.promotion else ""
    return f"{to}{japanese.PIECES[piece - 1]}{promotion}({move.source // 9 + 1}{move.source % 9 + 1})"
