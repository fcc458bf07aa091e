"""The minimax player: equal to plain exhaustive search, finds mates, draws from the game's stream alone."""

import numpy as np
import pytest
from data_files import few, flip_sfen, read_rows, rules
from numba import njit
from reference import Game

from shogi_env import Board, Positions
from shogi_env.core.evaluate import GRAIN, evaluate
from shogi_env.core.greedy import PIECE_VALUE
from shogi_env.core.minimax import MATE, QUIET_PLIES, choose_minimax
from shogi_env.initial import first_row
from shogi_env.notation.usi import Move

MATES = read_rows("mates.jsonl")
# Repetition, perpetual check, declaration and the ply limit, one ply before they decide the game.
ENDS = [
    row for kind in ("repetition", "end") for row in rules(kind) if row["moves"] and row["verdict"] != "none"
]
pytestmark = pytest.mark.nojit


@njit
def evaluate_first(rows):
    """A row has to be taken inside compiled code: as an argument from Python it crashes Numba."""
    return evaluate(rows[0])


def think(games, depth, quiet=QUIET_PLIES):
    """Actions and values of all games."""
    actions, values = np.empty((2, len(games)), np.int64)
    choose_minimax(
        games.rows, games._history, games._legal, games.everyone, depth, quiet, actions, values, 0, len(games)
    )
    return actions, values


def plain_value(board, depth, quiet, level=0):
    """Minimax without pruning, by the rules of `Board`, for the side to move.

    Args:
        board: the position.
        depth: plies to go in full.
        quiet: plies of captures, promotions and answers to check to go below.
        level: plies from the root.
    """
    if outcome := board.outcome():
        return 0 if outcome.winner is None else (MATE - level) * (1 if outcome.winner == board.turn else -1)
    values, moves = [], list(board.legal_moves)
    if depth == 0 and (quiet == 0 or not board.is_check()):
        values.append(evaluate_first(board._rows))
        moves = [move for move in moves if gains(board, move)] if quiet else []
    for move in moves:
        board.push(move)
        values.append(-plain_value(board, max(depth - 1, 0), quiet - (depth == 0), level + 1))
        board.pop()
    return max(values)


def gains(board, move):
    """Whether a move captures or promotes and its piece, if worth more than the victim, cannot be taken."""
    if move.source is None:
        return False
    cells = board.setup().board
    victim = cells[move.to] & 15
    if not (victim or move.promotion):
        return False
    if PIECE_VALUE[victim] >= PIECE_VALUE[cells[move.source] & 15]:
        return True
    game = Game(board.sfen())
    to = 80 - move.to if board.turn else move.to
    square = to // 9 + 1, to % 9 + 1
    return not any(square in game.reach(where) for where, (_, ours) in game.board.items() if not ours)


def played(n, plies, seed):
    """Games after some random plies, or ended before."""
    games = Positions(n)
    games.seed(np.arange(1, n + 1, dtype=np.uint64) * np.uint64(seed))
    for _ in range(plies):
        games.apply(games.random_actions(running(games)), running(games))
    return games


def running(games):
    """int64[k], the games that have not ended."""
    return np.flatnonzero(games.outcomes()[0] == 0)


def assert_plain(sfen, moves, depth, quiet, **options):
    """The search has the value of the plain one, and its action has that value too."""
    games, board = Positions(1, sfens=sfen, **options), Board(sfen, **options)
    for usi in moves:
        games.apply([board.action(Move.from_usi(usi))])
        board.push_usi(usi)
    (action,), (value,) = think(games, depth, quiet)
    where = f"{sfen} {' '.join(moves)}: depth {depth}, quiet {quiet}"
    assert value == plain_value(board, depth, quiet), where
    board.push(board.move(int(action)))
    assert -plain_value(board, depth - 1, quiet, 1) == value, f"{where}: {board.moves[-1]}"


@pytest.mark.parametrize(("depth", "quiet", "n"), [(1, 0, 100), (1, 2, 8), (2, 0, 6), (2, 1, 1)])
@pytest.mark.parametrize("plies", [12, 61])
def test_equals_plain_search(depth, quiet, n, plies):
    if few(n) < n and (depth, quiet) != (1, 0):
        pytest.skip("too slow in plain Python")
    games = played(few(n), plies, 11 * plies + depth)
    for i in running(games).tolist():
        assert_plain(games.sfen(i), [], depth, quiet)


@pytest.mark.parametrize("row", ENDS, ids=lambda row: row["id"])
@pytest.mark.parametrize("plies", [1, 2])
def test_ends_of_games_count_exactly(row, plies):
    """One and two plies before a rule ends the game, the search sees what the rules will say."""
    moves = row["moves"].split()
    if len(moves) < plies:
        pytest.skip("the game is shorter")
    if few(2) < 2 and (plies > 1 or len(moves) > 12):
        pytest.skip("too slow in plain Python")
    options = {key: row[key] for key in ("max_plies", "declaration") if key in row}
    assert_plain(row["sfen"], moves[:-plies], plies, 0, **options)


def test_takes_or_avoids_the_fourth_repetition():
    """White is a rook down or up, and the position would repeat for the fourth time."""
    cycle = ["5i4i", "5a4a", "4i5i", "4a5a"]
    for sfen, repeats in (("4k4/9/9/9/9/9/9/9/R3K4 b - 1", True), ("4k3r/9/9/9/9/9/9/9/4K4 b - 1", False)):
        games = Positions(1, sfens=sfen)
        for usi in (cycle * 3)[:-1]:
            games.apply([games.action(0, Move.from_usi(usi))])
        (action,), (value,) = think(games, 1)
        assert (action == games.action(0, Move.from_usi("4a5a"))) == repeats
        assert (value == 0) == repeats


@pytest.mark.parametrize("turn", [lambda sfen: sfen, flip_sfen], ids=["", "turned"])
def test_value_is_the_same_from_both_sides(turn):
    """Turning the board changes nothing, and what one side gains the other loses."""
    games = played(few(200), 61, 3)
    for sfen in map(games.sfen, range(len(games))):
        value = evaluate_first(first_row(sfen))
        assert value == evaluate_first(first_row(turn(sfen))), sfen
        board, turn_to_move, hands, number = sfen.split()
        other = f"{board} {'w' if turn_to_move == 'b' else 'b'} {hands} {number}"
        if not Board(sfen).is_check():
            assert value == -evaluate_first(first_row(other)), sfen
        assert value % GRAIN == 0


def test_start_position_is_even():
    assert evaluate_first(first_row()) == 0


@pytest.mark.parametrize("row", MATES, ids=[f"{row['plies']}-{k}" for k, row in enumerate(MATES)])
@pytest.mark.parametrize("turn", [False, True], ids=["", "turned"])
def test_finds_the_mate(row, turn):
    """The claimed length, by a move after which every reply is mated in turn."""
    if few(2) < 2 and row["plies"] > 1:
        pytest.skip("too slow in plain Python")
    sfen = flip_sfen(row["sfen"]) if turn else row["sfen"]
    for shorter in range(1, row["plies"], 2):
        assert think(Positions(1, sfens=sfen), shorter)[1][0] < MATE - shorter, "none is shorter"
    assert_mates(Board(sfen), row["plies"])


def assert_mates(board, plies):
    """Minimax finds a mate of at most so many plies, and it works against every defence."""
    (action,), (value,) = think(Positions(1, sfens=board.sfen()), plies)
    assert value >= MATE - plies, board.sfen()
    board.push(board.move(int(action)))
    outcome = board.outcome()
    if plies == 1:
        assert outcome and outcome.winner == board.turn.other, board.sfen()
    for reply in [] if outcome else list(board.legal_moves):
        board.push(reply)
        assert_mates(board, plies - 2)
        board.pop()
    board.pop()


def test_prefers_the_shorter_mate():
    games = Positions(1, sfens=[row["sfen"] for row in MATES if row["plies"] == 1][:1])
    assert think(games, 2 if few(2) < 2 else 3)[1].tolist() == [MATE - 1]


def play_out(games, depth, plies):
    """Play on with minimax on both sides; the actions by ply."""
    trail = []
    for _ in range(plies):
        idx = running(games)
        actions = games.minimax_actions(depth, idx)
        games.apply(actions, idx)
        trail.append(dict(zip(idx.tolist(), actions.tolist(), strict=True)))
    return trail


@pytest.mark.parametrize("threads", [1, 2])
def test_a_game_does_not_depend_on_its_batch(threads):
    n, plies = few(100), few(100)
    streams = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    games = Positions(n, max_plies=60, threads=threads)
    games.seed(streams)
    together = play_out(games, 1, plies)
    for i in {0, n // 3, n - 1}:
        alone = Positions(1, max_plies=60)
        alone.seed(streams[i : i + 1])
        assert [step.get(0) for step in play_out(alone, 1, plies)] == [step.get(i) for step in together]
    if n > 1:
        assert len({games.sfen(i) for i in range(n)}) > n // 2, "games differ"


def test_searching_changes_nothing_but_the_stream():
    games = played(few(50), 30, 5)
    before = games.snapshot()
    games.minimax_actions(1)
    after = games.snapshot()
    assert (before.history == after.history).all() and (before.legal == after.legal).all()
    assert (before.rows["stream"] != after.rows["stream"]).all()
    after.rows["stream"] = before.rows["stream"]
    assert (before.rows == after.rows).all()


def test_ended_games_have_no_action():
    games = Positions(3, max_plies=few(100))
    games.seed(np.array([1, 2, 3], np.uint64))
    for _ in range(few(100) - 1):
        games.apply(games.random_actions())
    games.apply(games.random_actions([0, 2]), [0, 2])
    actions = games.minimax_actions(1)
    assert (actions >= 0).tolist() == [False, True, False]


def test_whole_games_are_legal():
    """`apply` refuses an illegal action; depths 1 and 2 against each other to the end."""
    games = played(few(20), 6, 9)
    for ply in range(few(512)):
        games.apply(games.minimax_actions(1 if few(2) < 2 else 1 + ply % 2, running(games)), running(games))
    if few(2) > 1:
        assert not len(running(games))


@pytest.mark.parametrize("missing", ["white", "both"])
def test_positions_without_a_king(missing):
    sfen = "9/9/9/9/9/9/9/9/R3K3B b - 1" if missing == "white" else "9/4r4/9/9/9/9/9/9/R7B b - 1"
    for depth, quiet in ((1, 0), (1, 1)):
        assert_plain(sfen, [], depth, quiet)


@pytest.mark.parametrize("depth", [0, 7, -1, 1.0, "2", None, True])
def test_other_depths_are_refused(depth):
    with pytest.raises(ValueError, match=r"1\.\.6"):
        Positions(1).minimax_actions(depth)
