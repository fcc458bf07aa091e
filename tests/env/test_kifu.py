"""Records: what is written is read again, and what is wrong is named with its line."""

import codecs
import random

import pytest

from shogi_env import Board, Color, Move, RecordError, kifu
from shogi_env.kifu import csa, japanese, ki2, kif
from shogi_env.kifu.text import decode
from shogi_env.kifu.tree import End, Ending, Kifu, Node

KIF = """#KIF version=2.0 encoding=UTF-8
# ---- a program ----
開始日時：2026/11/21 10:00:00
手合割：平手　　
先手：Sente
後手：Gote
手数----指手---------消費時間--
*the beginning
   1 ７六歩(77)   ( 0:02/00:00:02)+
*first comment
*second line
&mark
   2 ３四歩(33)   ( 1:01/00:01:01)+
   3 ２二角成(88) ( 0:01/00:00:03)
   4 同　銀(31)   ( 0:00/00:01:01)
   5 ４五角打     ( 0:05/00:00:08)
   6 投了         ( 0:09/00:01:10)
まで5手で先手の勝ち

変化：3手
   3 ２六歩(27)   ( 0:01/00:00:03)
   4 中断         ( 0:00/00:01:01)
まで3手で中断

変化：4手
   4 ４四歩(43)

変化：2手
   2 ８四歩(83)
   3 千日手
"""
KI2 = """開始日時：2026/11/21
手合割：六枚落ち
下手：Shitate
上手：Uwate

△４二玉 ▲７六歩    △７二金
▲６六角
まで4手で下手の勝ち

変化：3手
△３二金 ▲３三角成
△同　金
"""
CSA = """V2.2
N+Sente
N-Gote
$EVENT:Some event
'a remark that is not kept
PI82HI22KA
-
-5142OU
T5
'*a comment
+7776FU,T3
%TORYO
T1
"""


def test_kif_with_times_comments_and_variations():
    game = kifu.loads(KIF)[0]
    assert [str(move) for move in game.moves] == ["7g7f", "3c3d", "8h2b+", "3a2b", "B*4e"]
    assert game.headers == {"started": "2026/11/21 10:00:00", "black": "Sente", "white": "Gote"}
    assert game.end == End(Ending.RESIGNATION, Color.BLACK, 9)
    assert game.root.comments == ["the beginning"]
    first, second = list(game.main_line())[:2]
    assert first.comments == ["first comment", "second line"] and first.bookmark == "mark"
    assert (first.seconds, second.seconds) == (2, 61)
    assert [str(node.move) for node in first.next] == ["3c3d", "8c8d"]
    third = first.next[0].next[1]
    assert str(third.move) == "2g2f" and [str(node.move) for node in third.next] == ["4c4d"]
    assert third.end == End(Ending.INTERRUPTED, None, 0)
    assert first.next[1].next == [] and first.next[1].end is not None


def test_a_variation_branches_from_the_line_before_it():
    """After "variation: move 3" another "move 4" belongs to that variation, not to the main line."""
    game = kifu.loads(KIF)[0]
    first = game.root.next[0]
    assert len(first.next[0].next[0].next) == 1


def test_ki2_finds_the_moves_that_words_leave_open():
    game = kifu.loads(KI2)[0]
    assert [str(move) for move in game.moves] == ["5a4b", "7g7f", "6a7b", "8h6f"]
    assert game.end == End(Ending.RESIGNATION, Color.BLACK)
    assert game.start.startswith("2sgkgs2/9/") and game.headers["white"] == "Uwate"
    assert [str(node.move) for node in game.root.next[0].next[0].next] == ["6a7b", "4a3b"]


def test_csa_with_a_handicap_and_times():
    game = kifu.loads(CSA)[0]
    assert game.start == "lnsgkgsnl/9/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"
    first, second = game.main_line()
    assert (str(first.move), first.seconds, first.comments) == ("5a4b", 5, ["a comment"])
    assert second.end == End(Ending.RESIGNATION, Color.BLACK, 1)
    assert game.headers == {"black": "Sente", "white": "Gote", "event": "Some event"}


def test_csa_positions_piece_by_piece():
    text = "P-11OU21FU\nP+00HI00KY\nP-00AL\n+\n+0012KY\n"
    start = kifu.loads(text)[0].start
    assert start == "7pk/9/9/9/9/9/9/9/9 b RLr2b4g4s4n3l17p 1"


def test_several_games_in_a_csa_file():
    games = kifu.loads("PI\n+\n+7776FU\n/\nPI\n+\n+2726FU\n%CHUDAN\n/\n")
    assert [str(game.moves[0]) for game in games] == ["7g7f", "2g2f"]


def test_usi_lines_and_positions():
    games = kifu.loads(
        "startpos moves 7g7f\n# no game\nposition sfen 4k4/9/9/9/9/9/9/9/4K4 b G 1 moves G*5b\n"
    )
    assert [len(game.moves) for game in games] == [1, 1]
    assert kifu.loads("4k4/9/9/9/9/9/9/9/4K4 b G 1")[0].moves == ()


def random_tree(seed):
    """A record with variations from random legal moves."""
    rng = random.Random(seed)
    start = rng.choice([None, "6-piece", "4k4/9/4P4/9/9/9/9/9/4K4 b 2G2r2b2g4s4n4l17p 1", "rook-lance"])
    board = Board(start, max_plies=None, declaration="off")
    game = Kifu(board.sfen(), {"black": "A", "white": "B", "event": "a match", "備考": "x"})

    def grow(node, depth):
        if depth == 0 or board.outcome():
            return
        taken = []
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            move = rng.choice([move for move in board.legal_moves if move not in taken] or [None])
            if move is None:
                break
            taken.append(move)
            child = Node(move, rng.choice([None, rng.randrange(4000)]), ["a", "b"][: rng.randrange(3)])
            node.next.append(child)
            board.push(move)
            grow(child, depth - 1)
            if not child.next:
                child.end = rng.choice(
                    [None, End(Ending.INTERRUPTED), End(Ending.RESIGNATION, board.turn.other, 3)]
                )
            board.pop()

    grow(game.root, rng.choice([3, 6, 9]))
    return game


@pytest.mark.parametrize("seed", range(30))
def test_kif_keeps_the_whole_tree(seed):
    game = random_tree(seed)
    assert kifu.loads(kifu.dumps(game, "kif"), "kif") == [game]


@pytest.mark.parametrize("seed", range(30))
def test_csa_and_usi_keep_the_main_line(seed):
    game = random_tree(seed)
    again = kifu.loads(kifu.dumps(game, "csa"), "csa")[0]
    assert (again.start, again.moves, again.end) == (game.start, game.moves, game.end)
    assert [node.seconds for node in again.main_line()] == [node.seconds for node in game.main_line()]
    again = kifu.loads(kifu.dumps(game, "usi"), "usi")[0]
    assert (again.start, again.moves) == (game.start, game.moves)


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("format", ["csa", "kif"])
def test_every_ending_is_written_and_read(ending, format):
    loses = (Ending.RESIGNATION, Ending.CHECKMATE, Ending.TIMEOUT, Ending.ILLEGAL_MOVE, Ending.FORFEIT)
    winner = Color.BLACK if ending in loses else Color.WHITE if ending is Ending.DECLARATION else None
    game = kifu.loads("startpos moves 7g7f")[0]
    next(game.main_line()).end = End(ending, winner)
    if format == "csa" and ending is Ending.FORFEIT:
        with pytest.raises(RecordError, match="no word for: forfeit"):
            kifu.dumps(game, format)
        return
    assert kifu.loads(kifu.dumps(game, format), format)[0].end == End(ending, winner)


def test_illegal_actions_tell_who_has_won():
    for text, winner in (("%+ILLEGAL_ACTION", Color.WHITE), ("%-ILLEGAL_ACTION", Color.BLACK)):
        game = kifu.loads(f"PI\n+\n+7776FU\n{text}\n")[0]
        assert game.end == End(Ending.ILLEGAL_MOVE, winner)
        assert kifu.loads(kifu.dumps(game, "csa"))[0].end == game.end


@pytest.mark.parametrize("seed", range(12))
def test_ki2_words_tell_every_legal_move_apart(seed):
    """All legal moves of random positions, written as people do and found again."""
    rng = random.Random(seed)
    board, before = Board(max_plies=None, declaration="off"), None
    while board.ply < 150 and not board.outcome():
        if board.ply % 10 == 0:
            texts = {}
            for move in board.legal_moves:
                text = ki2.format_move(board, move, before)
                assert texts.setdefault(text, move) == move, (board.sfen(), text)
                assert find(board, before, text) == move, (board.sfen(), text)
        before = rng.choice(list(board.legal_moves))
        board.push(before)


def find(board, before, text):
    builder = kifu.tree.Builder(board.sfen())
    builder.node.move = before
    found = ki2._MOVE.fullmatch(text)
    return ki2._find_move(builder, 1, found)


def test_three_golds_and_two_dragons_are_told_apart():
    board = Board("4k4/9/9/9/4p4/3GGG3/9/9/4K4 b - 1")
    words = {str(move): ki2.format_move(board, move, None) for move in board.legal_moves if move.to == 40}
    assert words == {"6f5e": "▲５五金左", "5f5e": "▲５五金直", "4f5e": "▲５五金右"}
    board = Board("4k4/9/9/2+R3+R2/9/9/9/9/4K4 b - 1")
    words = {
        str(move): ki2.format_move(board, move, None) for move in board.legal_moves if str(move)[2:] == "5d"
    }
    assert words == {"7d5d": "▲５四龍左", "3d5d": "▲５四龍右"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            KIF.replace("３四歩(33)", "３五歩(33)"),
            "line 13: move 2 is illegal: 3c3e is not legal: a pawn on 3c does not",
        ),
        (KIF.replace("   3 ２二角成", "   4 ２二角成"), "line 14: move 3 should stand here"),
        (KIF.replace("   4 同　銀(31)", "   4 同　金(31)"), "line 15: move 4 is illegal: 銀 stands on 31"),
        (
            KIF.replace("変化：2手", "変化：9手"),
            "line 28: a variation from move 9, but the line before it has 4",
        ),
        (KIF.replace("   1 ７六歩(77)", "   1 同　歩(77)"), "line 9: 同 .* without a move before it"),
        (KIF.replace("   2 ３四歩(33)", "   2 what is this"), "line 13: not a move"),
        (KIF.replace("*first comment", "first comment"), "line 10: neither a move nor anything else"),
        (KIF.replace("手合割：平手　　", "手合割：五十枚落ち"), "unknown handicap"),
        (
            KIF.replace("５手で先手", "").replace("   6 投了", "   6 投了\n   7 投了"),
            "line 18: move 6 should stand here",
        ),
        (KI2.replace("▲６六角", "▲６七角"), "line 7: move 4 is illegal: no 角 can go there so"),
        (KI2.replace("▲６六角", "△６六角"), "line 7: it is Black's turn"),
        (KI2.replace("△７二金", "△５一金"), "line 6: move 3 could be any of|line 6: move 3 is illegal"),
        (KI2.replace("▲７六歩", "▲七六歩"), "line 6: not a move"),
        (CSA.replace("-5142OU", "-5152KI"), "line 8: move 1 is illegal: OU stands on its square"),
        (CSA.replace("-5142OU", "+5142OU"), "line 8: it is White's turn"),
        (CSA.replace("+7776FU", "+7775FU"), "line 11: move 2 is illegal: 7g7e is not legal"),
        (CSA.replace("%TORYO", "%TOYRO"), r"line 12: unknown special move \(known: TORYO"),
        (CSA.replace("PI82HI22KA", "PI82KA"), "line 6: no KA stands there at the start"),
        (CSA.replace("$EVENT:Some event", "$EVENT"), r"line 4: a header is written \$NAME:VALUE"),
        ("PI\n", r"line 1: the record ends before its first position does"),
        ("P1-FU-FU\nP2-FU\n+\n", "line 3: the first position cannot be: SFEN board"),
        ("startpos moves 7g7f 7g7f", "line 1: move 2 is illegal"),
        ("startpos moves 7g7", "line 1: move 1: USI length"),
        ("404: Not Found", "line 1: this looks like no record"),
        ("", "this looks like no record"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, message):
    with pytest.raises(RecordError, match=message):
        kifu.loads(text)


def test_a_file_is_named_too(tmp_path):
    path = tmp_path / "game.kif"
    path.write_text(KIF.replace("３四歩(33)", "３五歩(33)"), "utf-8")
    with pytest.raises(RecordError, match=r"game\.kif: line 13"):
        kifu.load(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932", "euc_jp"])
def test_encodings(encoding, tmp_path):
    text = KIF.replace("encoding=UTF-8", "").replace("#KIF version=2.0 \n", "")
    path = tmp_path / "game.kifu"
    path.write_bytes(text.encode(encoding))
    assert kifu.load(path)[0] == kifu.loads(text)[0]


def test_a_declared_encoding_decides_and_broken_bytes_are_named():
    text = "#KIF version=2.0 encoding=Shift_JIS\n手合割：平手\n"
    assert decode(text.encode("cp932")) == text
    with pytest.raises(RecordError, match="line 2: byte 0x81 is no text in cp932"):
        decode(b"first\n\x81\x01")
    with pytest.raises(RecordError, match="line 1: byte 0xff"):
        decode(codecs.BOM_UTF8 + b"\xff")


def test_mutated_records_raise_nothing_else():
    """No text crashes a reader, and what it accepts is legal."""
    rng = random.Random(1)
    letters = "".join(sorted(set(KIF + KI2 + CSA))) + "成不打寄引上右左直龍馬と+-%,()0123456789"
    for source in (KIF, KI2, CSA):
        for _ in range(400):
            text = list(source)
            for _ in range(rng.choice([1, 1, 2, 5])):
                at = rng.randrange(len(text))
                text[at : at + rng.choice([0, 1, 3])] = rng.choice(
                    ["", rng.choice(letters), rng.choice(letters) * 2]
                )
            try:
                games = kifu.loads("".join(text))
            except RecordError:
                continue
            for game in games:
                game.board()


def test_diagrams_are_written_and_read():
    start = "4k4/9/4P4/9/3+r5/9/9/9/4K4 b 2G2S10P2bg2n3l7p 1"
    lines = japanese.write_opening(start, {})
    opening = japanese.Opening()
    assert all(opening.take(number, line) for number, line in enumerate(lines, 1))
    assert opening.start() == start


def test_unknown_formats_and_those_that_are_only_read():
    with pytest.raises(ValueError, match="unknown format 'pgn'"):
        kifu.loads("x", "pgn")
    with pytest.raises(ValueError, match="'ki2' is no format that is written"):
        kifu.dumps(Kifu(), "ki2")


def test_the_board_of_a_record():
    assert kifu.loads(KIF)[0].board().sfen().startswith("lnsgkg1nl/1r5s1/pppppp1pp/6p2/5B3/")
    assert Move.from_usi("7g7f") in kifu.loads(KIF)[0].moves and csa and kif
