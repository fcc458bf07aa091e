"""Repetition, perpetual check, declaration, pawn-drop mate, single moves and how games end."""

import numpy as np
import pytest
from data_files import flip_color, flip_sfen, flip_usi, read_rows, rules
from numba import njit

import shogi_env
from shogi_env import Board, Move, Positions
from shogi_env.core.rules import record
from shogi_env.initial import first_row

REPETITION = {
    "none": None,
    "draw": ("REPETITION", None),
    "win_black": ("PERPETUAL_CHECK", "BLACK"),
    "win_white": ("PERPETUAL_CHECK", "WHITE"),
}
by_id = {"ids": lambda row: row["id"]}
pytestmark = pytest.mark.nojit


def described(outcome):
    """(termination, winner) by name, or None while running."""
    if outcome is None:
        return None
    return outcome.termination.name, outcome.winner.name if outcome.winner is not None else None


def flipped(row):
    """The row with colors exchanged."""
    moves = " ".join(flip_usi(usi) for usi in row["moves"].split())
    verdict = {"win_black": "win_white", "win_white": "win_black"}.get(row["verdict"], row["verdict"])
    winner = flip_color(row.get("winner"))
    return row | {"sfen": flip_sfen(row["sfen"]), "moves": moves, "verdict": verdict, "winner": winner}


@pytest.mark.parametrize("turn", [lambda row: row, flipped], ids=["", "turned"])
@pytest.mark.parametrize("row", rules("repetition"), **by_id)
def test_repetition(row, turn):
    row = turn(row)
    board = Board(row["sfen"])
    for usi in row["moves"].split():
        assert board.outcome() is None, f"{row['sfen']}: over before {usi}"
        board.push_usi(usi)
    said = described(board.outcome())
    assert said == REPETITION[row["verdict"]], f"{row['sfen']} {row['moves']}: {row['note']}"


@pytest.mark.parametrize("row", rules("declaration"), **by_id)
def test_declaration(row):
    board = Board(row["sfen"])
    assert board.can_declare() == (row["verdict"] == "win"), f"{row['sfen']}: {row['note']}"


@pytest.mark.parametrize("turn", [False, True], ids=["", "turned"])
@pytest.mark.parametrize("row", rules("move"), **by_id)
def test_move(row, turn):
    sfen, usi = row["sfen"], row["move"]
    if turn:
        sfen, usi = flip_sfen(sfen), flip_usi(usi)
    legal = Move.from_usi(usi) in Board(sfen).legal_moves
    assert legal == (row["verdict"] == "legal"), f"{sfen} {usi}: {row['note']}"


@pytest.mark.parametrize("verdict", sorted({row["verdict"] for row in read_rows("drop_mates.jsonl")}))
def test_checking_pawn_drops(verdict):
    """Forbidden exactly if it is mate; a defender that is pinned cannot take the pawn."""
    rows = [row for row in read_rows("drop_mates.jsonl") if row["verdict"] == verdict]
    cases = [(row["sfen"], row["move"]) for row in rows]
    cases += [(flip_sfen(sfen), flip_usi(usi)) for sfen, usi in cases]
    wrong = [
        f"{sfen} {usi}"
        for sfen, usi in cases
        if (Move.from_usi(usi) in Board(sfen).legal_moves) != verdict.startswith("legal")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("turn", [False, True], ids=["", "turned"])
@pytest.mark.parametrize("row", rules("end"), **by_id)
def test_end(row, turn):
    """Termination, winner and their precedence, in a batch of one."""
    if turn and row["verdict"] == "DECLARATION":
        pytest.skip("the two sides need different points")
    row = flipped(row) if turn else row
    options = {key: row[key] for key in ("max_plies", "declaration") if key in row}
    games = Positions(1, sfens=[row["sfen"]], **options)
    for usi in row["moves"].split():
        assert games.outcomes()[0][0] == 0, f"{row['sfen']}: over before {usi}"
        games.apply([Board(games.sfen(0)).action(Move.from_usi(usi))])
    termination, winner = (int(column[0]) for column in games.outcomes())
    assert shogi_env.Termination(termination).name == row["verdict"], f"{row['sfen']}: {row['note']}"
    expected = -1 if row["winner"] is None else shogi_env.Color[row["winner"]]
    assert winner == expected, f"{row['sfen']}: {row['note']}"


@njit
def record_first(rows, history):
    """A row has to be taken inside compiled code: as an argument from Python it crashes Numba."""
    record(rows[0], history)


@pytest.mark.parametrize(
    ("black", "white", "verdict"),
    [
        (6, 6, ("REPETITION", -1)),  # both gave nothing but check: a draw
        (5, 6, ("PERPETUAL_CHECK", 0)),
        (6, 5, ("PERPETUAL_CHECK", 1)),
        (5, 5, ("REPETITION", -1)),
        (60, 6, ("REPETITION", -1)),  # checks before the first occurrence do not matter
    ],
)
def test_checks_of_both_sides(black, white, verdict):
    """The rule alone, on made-up counters: no game is known in which both sides check throughout."""
    rows = first_row(None)
    rows["ply"], rows["in_check"], rows["checks"] = 12, 1, (black, white - 1)  # White has just checked again
    history = np.arange(20, dtype=np.uint64)
    history[[0, 4, 8]] = rows["key"][0]
    record_first(rows, history)
    assert (shogi_env.Termination(int(rows["termination"][0])).name, int(rows["winner"][0])) == verdict
