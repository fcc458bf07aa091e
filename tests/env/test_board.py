"""`Board`: what a person types; it checks, explains, shows."""

import pytest

import shogi_env
from shogi_env import Board, Color, IllegalMoveError, Move, SfenError, Termination, UsiError

pytestmark = pytest.mark.nojit

WHY = [
    ("9/9/9/9/4k4/9/9/9/4K4 b - 1", "7g7f", "no piece on 7g"),
    (None, "3c3d", "Black has no piece on 3c"),
    (None, "7g7e", "does not reach 7e"),
    (None, "8h2b+", "does not reach 2b"),
    (None, "9i9g", "Black's own pawn is on 9g"),
    (None, "P*5e", "no pawn in hand"),
    ("4k4/9/9/9/9/9/9/9/4K4 b P 1", "P*5i", "5i is not empty"),
    ("4k4/9/9/9/9/9/9/9/4K4 b P 1", "P*1a", "could never move"),
    ("4k4/9/9/9/9/9/9/9/4K4 b N 1", "N*1b", "could never move"),
    ("4k4/9/9/9/4P4/9/9/9/4K4 b P 1", "P*5d", "nifu"),
    ("7lk/9/8S/9/9/9/9/7L1/8K b P 1", "P*1b", "uchifuzume"),
    ("4k4/9/9/9/4P4/9/9/9/4K4 b - 1", "5e5d+", "promotes only"),
    ("4k4/9/4G4/9/9/9/9/9/4K4 b - 1", "5c4b+", "cannot promote"),
    ("k8/8P/9/9/9/9/9/9/4K4 b - 1", "1b1a", "must promote"),
    ("kn7/9/G8/9/9/9/9/9/9 b P 1", "P*9b", "uchifuzume"),
    ("4k4/4r4/9/9/9/9/9/4G4/4K4 b - 1", "5h4h", "would be in check from 5b"),
]


@pytest.mark.parametrize(("sfen", "usi", "reason"), WHY, ids=lambda v: str(v)[:30])
def test_illegal_moves_are_explained(sfen, usi, reason):
    board = Board(sfen)
    before = board.sfen(), board.key, len(board.legal_moves)
    with pytest.raises(IllegalMoveError) as error:
        board.push_usi(usi)
    assert reason in str(error.value) and usi in str(error.value) and board.sfen() in str(error.value)
    assert before == (board.sfen(), board.key, len(board.legal_moves))
    with pytest.raises(IllegalMoveError):
        board.action(Move.from_usi(usi))


@pytest.mark.parametrize("text", ["", "7g", "7g7f++", "K*5e", "0a1b", None, 7, b"7g7f"])
def test_malformed_moves(text):
    with pytest.raises(UsiError):
        Board().push_usi(text)


@pytest.mark.parametrize("text", ["", "9", "startpos", 7, b"", "2-pieces"])
def test_malformed_positions(text):
    with pytest.raises(SfenError):
        Board(text)


def test_actions_and_moves():
    board = Board()
    for move in board.legal_moves:
        assert board.move(board.action(move)) == move
        assert move in board.legal_moves
    assert board.action_masks().sum() == len(board.legal_moves) == 30
    for action in (0, -1, 2187, "7g7f", None):
        with pytest.raises(IllegalMoveError):
            board.move(action)


def test_shows_itself():
    board = Board("2-piece")
    board.push(next(iter(board.legal_moves)))
    assert repr(board) == f"Board({board.sfen()!r})"
    assert eval(repr(board), {"Board": Board}).sfen() == board.sfen()
    assert "玉" in str(board)
    assert board.svg().startswith("<svg") and board._repr_svg_() == board.svg()
    assert board.rgb().shape == (540, 720, 3)
    assert board.rgb(size=90).shape == (90, 120, 3)


def test_pop_and_copy():
    board = Board()
    with pytest.raises(IndexError):
        board.pop()
    board.push_usi("7g7f")
    twin = board.copy()
    board.push_usi("3c3d")
    assert twin.ply == 1 and board.ply == 2
    assert str(board.pop()) == "3c3d" and board.sfen() == twin.sfen() and board.key == twin.key
    assert board.moves == twin.moves == (Move.from_usi("7g7f"),)


def test_a_copy_remembers_repetition():
    board = Board()
    for usi in ["2h3h", "8b7b", "3h2h", "7b8b"] * 2:
        board.push_usi(usi)
    twin = board.copy()
    for usi in ["2h3h", "8b7b", "3h2h", "7b8b"]:
        twin.push_usi(usi)
    assert twin.outcome() == (Termination.REPETITION, None)
    assert board.outcome() is None and board.repetitions() == 2


def test_outcomes():
    board = Board("7k1/9/7P1/9/9/9/9/9/K8 b G 1")
    assert board.outcome() is None
    board.push_usi("G*2b")
    outcome = board.outcome()
    assert outcome.termination is Termination.CHECKMATE and outcome.winner is Color.BLACK
    assert outcome.winner.name == "BLACK" and len(board.legal_moves) == 0 and board.is_check()


def test_ply_limit():
    board = Board(max_plies=2)
    board.push_usi("7g7f")
    board.push_usi("3c3d")
    assert board.outcome() == (Termination.MAX_PLIES, None)
    board.push_usi("2g2f")  # an analysis may go on
    endless = Board(max_plies=None)
    for usi in ["2h3h", "8b7b", "3h2h", "7b8b"] * 150:
        endless.push_usi(usi)
    assert endless.ply == 600 and endless.outcome().termination is Termination.REPETITION
    for limit in (0, -1, 10**6):
        with pytest.raises(ValueError, match="max_plies"):
            Board(max_plies=limit)


def test_declaration_can_be_off():
    sfen = "K1GGG4/SSSS5/NNN6/9/9/9/9/9/8k b 2R2BG2L9Pnl9p 1"
    on, off = Board(sfen), Board(sfen, declaration="off")
    assert on.can_declare() and off.can_declare()
    assert on.outcome() == (Termination.DECLARATION, Color.BLACK) and off.outcome() is None


@pytest.mark.parametrize(
    ("handicap", "points"), [("2-piece", 10), ("6-piece", 14), ("10-piece", 18), ("even", 0)]
)
def test_white_is_credited_with_the_pieces_it_gave(handicap, points):
    from shogi_env.initial import first_row

    assert first_row(handicap)["handicap_points"][0] == points


def test_public_names():
    for name in shogi_env.__all__:
        assert getattr(shogi_env, name) is not None
    with pytest.raises(AttributeError):
        shogi_env.nonsense  # noqa: B018
