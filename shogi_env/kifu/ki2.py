"""KI2: moves as people write them, such as ``▲７六歩 △３四歩 ▲２二角成``, with words only where needed.

The words are those of the Japan Shogi Association (https://www.shogi.or.jp/faq/kihuhyouki.html).
"""

import re

from shogi_env.board import Board
from shogi_env.core.constants import PROMOTED
from shogi_env.kifu import japanese
from shogi_env.kifu.kif import VARIATION
from shogi_env.kifu.tree import Builder, Kifu, fail
from shogi_env.notation.usi import Move
from shogi_env.types import Color, PieceType

_SIGNS = {
    "▲": Color.BLACK,
    "☗": Color.BLACK,
    "△": Color.WHITE,
    "▽": Color.WHITE,
    "☖": Color.WHITE,
    "▼": Color.BLACK,
}
_MOVE = re.compile(
    rf"([{''.join(_SIGNS)}])\s*(?:([1-9１-９][1-9１-９一二三四五六七八九])?(同?)[\s　]*)"
    rf"({japanese.PIECE_PATTERN})([左右直]?)([上行入寄引]?)(不成|成|打)?[\s　]*"
)


def read(text: str) -> Kifu:
    """The game of a file, its variations as branches of a tree.

    Raises:
        RecordError: naming the line and the reason.
    """
    opening, builder = japanese.Opening(), None
    comments: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        variation = VARIATION.fullmatch(line.strip())
        if line.startswith("*"):
            (builder.node.comments if builder else comments).append(line[1:])
        elif line.startswith("&"):
            if builder:
                builder.node.bookmark = line[1:]
        elif line.strip()[0] in _SIGNS or line.startswith("まで") or variation:
            builder = builder or Builder(opening.start())
            if variation:
                builder.branch(int(variation[1]), number, line)
            else:
                _read_line(builder, number, line)
        elif builder is not None or not opening.take(number, line):
            fail(number, "neither moves nor anything else that a KI2 holds", line)
    builder = builder or Builder(opening.start())
    builder.kifu.headers = opening.headers
    builder.kifu.root.comments[:0] = comments
    return builder.kifu


def _read_line(builder: Builder, number: int, line: str) -> None:
    """Read a line of moves, or the line that tells the end."""
    if line.startswith("まで"):
        end = japanese.end_of_summary(line)
        if end and builder.node.end is None:
            builder.finish(end, number, line)
        return
    at, text = 0, line.strip()
    while at < len(text):
        found = _MOVE.match(text, at)
        if found is None:
            fail(number, "not a move", text[at:])
        turn = builder.board.turn
        if _SIGNS[found[1]] != turn:
            fail(number, f"it is {turn.name.capitalize()}'s turn", found[0])
        builder.push(_find_move(builder, number, found), number, found[0])
        at = found.end()


def _find_move(builder: Builder, number: int, found: re.Match[str]) -> Move:
    """The one legal move that the words mean."""
    to = japanese.parse_square(found[2] or "")
    before = builder.node.move
    if found[3]:
        if before is None or to not in (None, before.to):
            fail(number, "同 (the same square) does not fit the move before", found[0])
        to = before.to
    if to is None:
        fail(number, "the square that the piece goes to is missing", found[0])
    piece = japanese.TYPES[found[4]]
    moves = _candidates(builder.board, to, piece, found[7])
    moves = [move for move in moves if _comes(move, builder.board.turn, found[6])]
    side = found[5]
    if side == "直":
        moves = [move for move in moves if _is_straight(move, builder.board.turn)]
    elif side and moves:
        files = [_from_right(move, builder.board.turn) for move in moves]
        outermost = max(files) if side == "左" else min(files)
        moves = [move for move, file in zip(moves, files, strict=True) if file == outermost]
    if len(moves) == 1:
        return moves[0]
    if not moves:
        fail(number, f"move {builder.number} is illegal: no {found[4]} can go there so", found[0])
    fail(number, f"move {builder.number} could be any of {', '.join(map(str, moves))}", found[0])


def _candidates(board: Board, to: int, piece: PieceType, how: str | None) -> list[Move]:
    """Legal moves of a piece type to a cell; a drop if that is said or no piece on the board can go there."""
    cells = board.setup().board
    here = [move for move in board.legal_moves if move.to == to]
    drops = [move for move in here if move.drop == piece]
    moves = [move for move in here if move.source is not None and int(cells[move.source]) & 15 == piece]
    moves = [move for move in moves if move.promotion == (how == "成")]
    if how == "打":
        return drops
    return moves or (drops if how is None else [])


def _from_right(move: Move, turn: Color) -> int:
    """File that a piece comes from, counted from the mover's right, 0..8."""
    assert move.source is not None
    return move.source // 9 if turn == Color.BLACK else 8 - move.source // 9


def _ahead(move: Move, turn: Color) -> int:
    """Ranks that a piece goes towards the other side."""
    assert move.source is not None
    ranks = move.source % 9 - move.to % 9
    return ranks if turn == Color.BLACK else -ranks


def _comes(move: Move, turn: Color, word: str) -> bool:
    """Whether a move goes ahead (上, of big pieces 行 or 入), sideways (寄) or back (引)."""
    if not word or move.source is None:
        return not word
    ahead = _ahead(move, turn)
    return ahead > 0 if word in "上行入" else ahead < 0 if word == "引" else ahead == 0


def _is_straight(move: Move, turn: Color) -> bool:
    """Whether a move goes one rank straight ahead (直)."""
    return move.source is not None and move.source // 9 == move.to // 9 and _ahead(move, turn) == 1


def format_move(board: Board, move: Move, before: Move | None) -> str:
    """A legal move as people write it, with as few words as tell it apart.

    Args:
        board: the position.
        move: the move.
        before: the move before it; 同 is written where it went to the same square.
    """
    sign = "▲△"[board.turn]
    to = "同　" if before and before.to == move.to else japanese.square(move.to)
    if move.drop is not None:
        others = _candidates(board, move.to, move.drop, "") + _candidates(board, move.to, move.drop, "成")
        needed = any(other.source is not None for other in others)
        return f"{sign}{to}{japanese.PIECES[move.drop - 1]}{'打' if needed else ''}"
    assert move.source is not None
    cells = board.setup().board
    piece = PieceType(int(cells[move.source]) & 15)
    rivals = [other for other in board.legal_moves if other.to == move.to and other.source is not None]
    rivals = [other for other in rivals if int(cells[other.source or 0]) & 15 == piece]
    sources = {other.source: other for other in rivals}
    words = _words(list(sources.values()), move, board.turn, piece) if len(sources) > 1 else ""
    same = [other for other in rivals if other.source == move.source]
    promotion = "成" if move.promotion else "不成" if any(other.promotion for other in same) else ""
    return f"{sign}{to}{japanese.PIECES[piece - 1]}{words}{promotion}"


def _words(rivals: list[Move], move: Move, turn: Color, piece: PieceType) -> str:
    """Words that tell a move apart from others of the same piece type to the same cell."""
    big = piece % PROMOTED in (PieceType.BISHOP, PieceType.ROOK)
    ahead = _ahead(move, turn)
    way = ("行" if big else "上") if ahead > 0 else "引" if ahead < 0 else "寄"
    alike = [other for other in rivals if _comes(other, turn, way)]
    if len(alike) == 1:
        return way
    if not big and _is_straight(move, turn):
        return "直"
    for prefix, group in (("", rivals), (way, alike)):
        files = sorted(_from_right(other, turn) for other in group)
        mine = _from_right(move, turn)
        if files.count(mine) == 1 and mine in (files[0], files[-1]):
            return ("右" if mine == files[0] else "左") + prefix
    return way  # no two words tell it apart: more than three pieces, as in no game
