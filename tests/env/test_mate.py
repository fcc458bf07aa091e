"""The mate solver: it finds mates, proves them against every defence, and finds none where there is none."""

import numpy as np
import pytest
from data_files import few, read_rows, rules

from shogi_env import Board, Positions, Termination
from shogi_env.search.mate import MateSolver

MATES = read_rows("mates.jsonl")


def game(sfen, **rules):
    return Positions(1, sfens=sfen, **rules).snapshot()


def mates(board, solver, plies):
    """Whether the solver's moves mate against every defence within so many plies."""
    found = solver.solve(snapshot(board), nodes=200_000)
    if not found.found or plies < 1:
        return False
    board.push(found.moves[0])
    outcome = board.outcome()
    held = bool(outcome and outcome.termination is Termination.CHECKMATE)
    if not outcome:
        held = True
        for answer in list(board.legal_moves):
            board.push(answer)
            held = held and mates(board, solver, plies - 2)
            board.pop()
    board.pop()
    return held


def snapshot(board):
    return game(board.sfen())


@pytest.mark.parametrize("row", MATES, ids=lambda row: f"{row['plies']}-{row['sfen'][:12]}")
def test_mates_are_found_and_hold_against_every_defence(row):
    solver = MateSolver(megabytes=1)
    found = solver.solve(game(row["sfen"]), nodes=100_000)
    assert found.found and len(found.moves) >= row["plies"]
    board = Board(row["sfen"])
    for move in found.moves:
        board.push(move)
    assert board.outcome().termination is Termination.CHECKMATE
    if row["plies"] <= 3:
        assert mates(Board(row["sfen"]), solver, len(found.moves))


def test_where_the_checks_run_out_there_is_none():
    found = MateSolver(megabytes=1).solve(game(None))
    assert found == (False, (), 1)


def test_mates_in_one_are_those_that_a_search_of_all_moves_finds():
    games = Positions(20, max_plies=300)
    games.seed(np.arange(1, 21, dtype=np.uint64))
    solver, seen = MateSolver(megabytes=1), 0
    for _ in range(few(150)):
        games.apply(games.random_actions(), illegal="lose")
        for i in np.flatnonzero(games.outcomes()[0] == 0)[:4]:
            board = Board(games.sfen(i))
            expected = set()
            for move in list(board.legal_moves):
                board.push(move)
                if board.outcome() and board.outcome().termination is Termination.CHECKMATE:
                    expected.add(move)
                board.pop()
            found = solver.solve(games.snapshot(i), nodes=300)
            if expected:
                seen += 1
                assert found.moves[0] in expected and len(found.moves) == 1
            else:
                assert len(found.moves) != 1
    assert seen or few(150) < 150


@pytest.mark.parametrize("row", [row for row in MATES if row["plies"] == 3][:3], ids=str)
def test_a_mate_behind_the_ply_limit_is_none(row):
    solver = MateSolver(megabytes=1)
    assert solver.solve(game(row["sfen"], max_plies=3)).found
    assert not solver.solve(game(row["sfen"], max_plies=2)).found


def test_a_pawn_drop_is_never_the_mate():
    for row in read_rows("drop_mates.jsonl"):
        found = MateSolver(megabytes=1).solve(game(row["sfen"]), nodes=2000)
        if row["verdict"] == "illegal" and found.moves:
            assert str(found.moves[0]) != row["move"]


def test_a_position_that_comes_again_is_no_mate():
    """The fourth time would lose by perpetual check, the second is no progress."""
    row = next(row for row in rules("repetition") if row["id"] == "perpetual-black")
    games = Positions(1, sfens=row["sfen"])
    for move in row["moves"].split()[:10]:
        games.apply([games.action(0, next(m for m in games.moves(0) if str(m) == move))])
    assert MateSolver(megabytes=1).solve(games.snapshot(), nodes=5000).found is not True


def test_it_stops_when_asked_and_at_its_limits():
    endless = game("4k4/9/9/9/9/9/9/9/4K4 b 2B2N 1")
    solver = MateSolver(megabytes=1)
    assert solver.solve(endless, nodes=300) == (None, (), 300)
    asked = []

    def stop():
        asked.append(True)
        return len(asked) == 2

    found = solver.solve(endless, seconds=60, stop=stop)
    assert found.found is None and len(asked) == 2 and found.nodes > 300
    assert solver.solve(endless, seconds=0).found is None


def test_a_small_table_finds_the_same():
    for row in MATES:
        assert MateSolver(megabytes=1).solve(game(row["sfen"]), nodes=100_000).found
