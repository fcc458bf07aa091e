"""What KIF and KI2 have in common: words, headers, the diagram of a first position, the last line.

KIF is described at http://kakinoki.o.oo7.jp/kif_format.html, by the author of Kifu for Windows.
"""

import re

import numpy as np

from shogi_env.core.constants import NUM_CELLS, PROMOTED, WHITE_PIECE
from shogi_env.errors import SfenError
from shogi_env.kifu.tree import End, Ending, fail
from shogi_env.notation.sfen import HANDICAPS, START_SFEN, Setup, format_sfen, parse_sfen
from shogi_env.types import Color, PieceType

DIGITS = "１２３４５６７８９"
KANJI = "一二三四五六七八九"
PIECES = ("歩", "香", "桂", "銀", "角", "飛", "金", "玉", "と", "成香", "成桂", "成銀", "馬", "龍")
"""Names of the piece types, in their order."""
_DIAGRAM = ("歩", "香", "桂", "銀", "角", "飛", "金", "玉", "と", "杏", "圭", "全", "馬", "龍")
TYPES = {name: PieceType(k + 1) for names in (PIECES, _DIAGRAM) for k, name in enumerate(names)} | {
    "王": PieceType.KING,
    "竜": PieceType.DRAGON,
}
PIECE_PATTERN = "成香|成桂|成銀|[" + "".join(name for name in TYPES if len(name) == 1) + "]"
_HAND_ORDER = (PieceType.ROOK, PieceType.BISHOP, PieceType.GOLD, PieceType.SILVER,
               PieceType.KNIGHT, PieceType.LANCE, PieceType.PAWN)  # fmt: skip

HANDICAP_NAMES = {
    "平手": "even",
    "香落ち": "lance",
    "右香落ち": "right-lance",
    "角落ち": "bishop",
    "飛車落ち": "rook",
    "飛香落ち": "rook-lance",
    "二枚落ち": "2-piece",
    "三枚落ち": "3-piece",
    "四枚落ち": "4-piece",
    "五枚落ち": "5-piece",
    "左五枚落ち": "left-5-piece",
    "六枚落ち": "6-piece",
    "左七枚落ち": "left-7-piece",
    "右七枚落ち": "right-7-piece",
    "八枚落ち": "8-piece",
    "十枚落ち": "10-piece",
}
_SIDES = {"先手": Color.BLACK, "下手": Color.BLACK, "後手": Color.WHITE, "上手": Color.WHITE}
_HEADERS = {
    "先手": "black",
    "下手": "black",
    "後手": "white",
    "上手": "white",
    "棋戦": "event",
    "場所": "site",
    "開始日時": "started",
    "終了日時": "ended",
    "持ち時間": "time control",
}
_MOVER, _OTHER, _NOBODY = range(3)
ENDS = {
    "投了": (Ending.RESIGNATION, _OTHER),
    "中断": (Ending.INTERRUPTED, _NOBODY),
    "千日手": (Ending.REPETITION, _NOBODY),
    "持将棋": (Ending.IMPASSE, _NOBODY),
    "切れ負け": (Ending.TIMEOUT, _OTHER),
    "反則負け": (Ending.ILLEGAL_MOVE, _OTHER),
    "反則勝ち": (Ending.ILLEGAL_MOVE, _MOVER),
    "入玉勝ち": (Ending.DECLARATION, _MOVER),
    "詰み": (Ending.CHECKMATE, _OTHER),
    "不詰": (Ending.NO_MATE, _NOBODY),
    "不戦敗": (Ending.FORFEIT, _OTHER),
    "不戦勝": (Ending.FORFEIT, _MOVER),
    "最大手数": (Ending.MAX_PLIES, _NOBODY),
    "エラー": (Ending.ERROR, _NOBODY),
}
"""What stands in a move's place at the end: the ending, and who wins."""
_SAID = {
    "千日手": Ending.REPETITION,
    "持将棋": Ending.IMPASSE,
    "中断": Ending.INTERRUPTED,
    "不詰": Ending.NO_MATE,
    "詰": Ending.CHECKMATE,
}
"""Words of a last line that names no winner, the longer of two alike first."""
_SUMMARY = re.compile(r"まで(?:(\d+)手で)?(.*)")


def end_of(word: str, turn: Color) -> End | None:
    """The end that a word in a move's place stands for, with that side to move; None for other words."""
    if word not in ENDS:
        return None
    ending, who = ENDS[word]
    return End(ending, (turn, turn.other, None)[who])


def word_of(end: End, turn: Color) -> str | None:
    """The word for an end with that side to move; None if there is none."""
    for word, (ending, who) in ENDS.items():
        if ending is end.ending and end.winner == (turn, turn.other, None)[who]:
            return word
    return None


def end_of_summary(text: str) -> End | None:
    """The end that a last line tells, such as ``まで3手で先手の勝ち``; None if it tells none."""
    found = _SUMMARY.match(text)
    said = found[2] if found else ""
    side = next((color for word, color in _SIDES.items() if word in said), None)
    if side is not None and "反則負け" in said:
        return End(Ending.ILLEGAL_MOVE, side.other)
    if side is not None and "反則" in said:
        return End(Ending.ILLEGAL_MOVE, side)
    if side is not None and "入玉" in said:
        return End(Ending.DECLARATION, side)
    if side is not None and "切れ" in said:
        return End(Ending.TIMEOUT, side)
    if side is not None and "勝" in said:
        return End(Ending.RESIGNATION, side)
    return next((End(ending) for word, ending in _SAID.items() if word in said), None)


class Opening:
    """Collects what stands before the moves, then says where the game starts."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self._handicap = ""
        self._hands = [[0] * 7, [0] * 7]
        self._ranks: list[list[int]] = []
        self._turn: Color | None = None
        self._where = 1  # the line of what was read last

    def take(self, number: int, line: str) -> bool:
        """Read a line; False if it is nothing of the kind."""
        text = line.strip()
        if text.startswith("|") and len(self._ranks) < 9:
            self._ranks.append(_read_rank(number, line))
        elif text in ("後手番", "上手番", "先手番", "下手番"):
            self._turn = _SIDES[text[:2]]
        elif text.startswith(("+--", "９", "手数＝")) or re.fullmatch("[- ９８７６５４３２１]+", text):
            pass  # the diagram's frame
        else:
            name, colon, value = text.partition("：")
            if not colon or not name:
                return False
            self._header(number, name.strip(), value.strip("　 "), line)
        self._where = number
        return True

    def _header(self, number: int, name: str, value: str, line: str) -> None:
        if name == "手合割":
            self._handicap = value
        elif name[2:] == "の持駒" and name[:2] in _SIDES:
            self._hands[_SIDES[name[:2]]] = _read_hand(number, value, line)
        elif value:
            self.headers[_HEADERS.get(name, name)] = value

    def start(self) -> str:
        """SFEN of the first position.

        Raises:
            RecordError: it cannot be.
        """
        if not self._ranks:
            name = self._handicap or "平手"
            if name not in HANDICAP_NAMES:
                fail(
                    self._where,
                    f"unknown handicap, and no diagram (known: {', '.join(HANDICAP_NAMES)})",
                    name,
                )
            return HANDICAPS[HANDICAP_NAMES[name]]
        if len(self._ranks) < 9:
            fail(self._where, f"the diagram has {len(self._ranks)} ranks, not 9")
        board = [0] * NUM_CELLS
        for rank, pieces in enumerate(self._ranks):
            for column, piece in enumerate(pieces):
                board[9 * (8 - column) + rank] = piece
        turn = self._turn or Color.BLACK
        setup = Setup(np.array(board, np.int8), np.array(self._hands, np.int8), turn, 1)
        try:
            return format_sfen(parse_sfen(format_sfen(setup)))
        except SfenError as error:
            fail(self._where, f"the first position cannot be: {error}")


def _read_rank(number: int, line: str) -> list[int]:
    """The nine pieces of a line such as ``|v香v桂v銀v金v玉v金v銀v桂v香|一``."""
    inner = line.strip()[1:].partition("|")[0]
    items = re.findall(f"([ v^+-]?)({PIECE_PATTERN}|・)", inner)
    if len(items) != 9 or "".join(map("".join, items)) != inner:
        fail(number, "a rank of a diagram has nine squares", line)
    return [
        0 if name == "・" else TYPES[name] + WHITE_PIECE * (sign in "v-" and sign != "")
        for sign, name in items
    ]


def _read_hand(number: int, text: str, line: str) -> list[int]:
    """Counts of pawn..gold of ``飛　角二　歩十八``."""
    hand = [0] * 7
    if text in ("", "なし"):
        return hand
    for item in text.replace("　", " ").split():
        kind, count = TYPES.get(item[0]), _count(item[1:])
        if kind is None or kind > PieceType.GOLD or count is None or hand[kind - 1]:
            fail(number, f"{item!r} is not a piece in hand and how many there are", line)
        hand[kind - 1] = count
    return hand


def _count(text: str) -> int | None:
    """A number 1..18 in kanji, nothing for 1; None if it is none."""
    tens, ten, ones = text.rpartition("十")
    if tens or (ones and ones not in KANJI) or len(ones) > 1:
        return None
    value = 10 * bool(ten) + (KANJI.index(ones) + 1 if ones else 0)
    return value or 1


def write_opening(start: str, headers: dict[str, str]) -> list[str]:
    """The lines before the moves."""
    names = {value: key for key, value in reversed(_HEADERS.items())}
    handicap = next((name for name, key in HANDICAP_NAMES.items() if HANDICAPS[key] == start), None)
    lines = [
        f"{names.get(name, name)}：{value}"
        for name, value in headers.items()
        if name not in ("black", "white")
    ]
    if handicap:
        lines.append(f"手合割：{handicap}")
    else:
        lines += _write_diagram(parse_sfen(start))
    words = ("先手", "後手") if start == START_SFEN or not handicap else ("下手", "上手")
    return lines + [
        f"{word}：{headers.get(name, '')}" for word, name in zip(words, ("black", "white"), strict=True)
    ]


def _write_diagram(setup: Setup) -> list[str]:
    lines = [
        "手合割：その他",
        f"後手の持駒：{_write_hand(setup, Color.WHITE)}",
        "  ９ ８ ７ ６ ５ ４ ３ ２ １",
    ]
    lines.append("+---------------------------+")
    for rank in range(9):
        cells = [int(setup.board[9 * file + rank]) for file in range(8, -1, -1)]
        shown = "".join(
            (" v"[piece >> 4] + _DIAGRAM[(piece & 15) - 1]) if piece else " ・" for piece in cells
        )
        lines.append(f"|{shown}|{KANJI[rank]}")
    lines.append("+---------------------------+")
    lines.append(f"先手の持駒：{_write_hand(setup, Color.BLACK)}")
    return [*lines, "先手番" if setup.turn == Color.BLACK else "後手番"]


def _write_hand(setup: Setup, color: Color) -> str:
    items = []
    for kind in _HAND_ORDER:
        count = int(setup.hands[color, kind - 1])
        number = ("" if count == 1 else KANJI[count - 1]) if count < 10 else "十" + ("", *KANJI)[count - 10]
        if count:
            items.append(PIECES[kind - 1] + number)
    return "　".join(items) or "なし"


def square(cell: int) -> str:
    """A cell as ``７六``."""
    return DIGITS[cell // 9] + KANJI[cell % 9]


def parse_square(text: str) -> int | None:
    """The cell of ``７六`` or ``76``; None if it is none."""
    if len(text) != 2:
        return None
    file = DIGITS.find(text[0]) if text[0] in DIGITS else "123456789".find(text[0])
    rank = next((row.find(text[1]) for row in (KANJI, DIGITS, "123456789") if text[1] in row), -1)
    return 9 * file + rank if file >= 0 and rank >= 0 else None


PROMOTED_FROM = {PieceType(kind + PROMOTED): PieceType(kind) for kind in range(1, 7)}
"""What each promoted type was before."""
