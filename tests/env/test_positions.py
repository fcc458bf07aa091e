"""`Positions` plays the same game as `Board`, and its keys are those of fresh positions."""

import numpy as np
import pytest
from data_files import few, read_rows

from shogi_env import Board, IllegalMoveError, Positions
from shogi_env.core import jit

SFENS = [row["sfen"] for row in read_rows("legal_sets.jsonl.gz")]
pytestmark = pytest.mark.nojit


def unpack(words, count):
    return np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little", count=count)


def compare(games, boards):
    """Every column of the batch against its board."""
    masks, planes = games.masks(), games.planes()
    termination, winner = games.outcomes()
    for i, board in enumerate(boards):
        sfen = board.sfen()
        assert games.sfen(i) == sfen
        outcome = board.outcome()
        assert termination[i] == (outcome.termination if outcome else 0), sfen
        expected = outcome.winner if outcome and outcome.winner is not None else -1
        assert winner[i] == expected, sfen
        assert games.turns[i] == board.turn, sfen
        assert games.plies[i] == board.ply, sfen
        assert (planes[i] == board.planes()).all(), sfen
        if not outcome:
            assert (masks[i] == board.action_masks()).all(), sfen
            assert sorted(map(str, games.moves(i))) == sorted(map(str, board.legal_moves)), sfen


def seeded(n):
    """Games whose random moves are the same in every run."""
    games = Positions(n)
    games.seed(np.arange(1, n + 1, dtype=np.uint64))
    return games


@pytest.mark.parametrize("n", [1, 7])
def test_equals_boards(n):
    games, boards = seeded(n), [Board() for _ in range(n)]
    for _ in range(few(250)):
        compare(games, boards)
        running = np.flatnonzero(games.outcomes()[0] == 0)
        if not len(running):
            break
        actions = games.random_actions(running)
        for i, action in zip(running, actions, strict=True):
            boards[i].push(boards[i].move(int(action)))
        games.apply(actions, running)


def test_starts_from_positions():
    sfens = SFENS[:: len(SFENS) // few(200)]
    compare(Positions(len(sfens), sfens=sfens), [Board(sfen) for sfen in sfens])


@pytest.mark.parametrize("seed", range(4))
def test_incremental_keys_are_fresh_keys(seed):
    """The key depends on the position alone, whatever way led to it."""
    rng = np.random.default_rng(seed)
    board, keys = Board(), {}
    for _ in range(few(400)):
        if board.outcome():
            break
        sfen = board.sfen()
        assert board.key == Board(sfen).key, sfen
        position = sfen.rsplit(" ", 1)[0]
        assert keys.setdefault(board.key, position) == position, f"two positions with one key: {sfen}"
        moves = list(board.legal_moves)
        board.push(moves[rng.integers(len(moves))])


def test_packed_output():
    games = seeded(few(64))
    masks, planes = np.empty((len(games), 35), np.uint64), np.empty((len(games), 173), np.uint64)
    for _ in range(few(120)):
        running = np.flatnonzero(games.outcomes()[0] == 0)
        games.apply(games.random_actions(running), running)
        masks[...] = planes[...] = ~np.uint64(0)
        games.masks(masks)
        games.planes(planes)
        assert (unpack(masks, 2187) == games.masks()).all()
        assert (unpack(planes, 136 * 81) == games.planes().reshape(len(games), -1)).all()


def test_writes_into_given_arrays():
    games = Positions(3)
    masks, planes = np.ones((3, 2187), np.bool_), np.full((3, 136, 9, 9), 9, np.uint8)
    games.masks(masks)
    games.planes(planes)
    assert (masks == games.masks()).all() and (planes == games.planes()).all()
    assert not np.shares_memory(games.masks(), games.masks())


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.float32])
def test_refuses_arrays_of_another_type(dtype):
    """An element size it does not fill would leave garbage."""
    games = Positions(2)
    with pytest.raises(ValueError, match="out"):
        games.masks(np.zeros((2, 2187), dtype))
    with pytest.raises(ValueError, match="out"):
        games.planes(np.zeros((2, 136, 9, 9), dtype))


def test_apply_some():
    games = seeded(4)
    where = np.array([2, 0])
    games.apply(games.random_actions(where), where)
    assert games.plies.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("action", [0, -1, 2187, 10**12])
def test_illegal_action_raises_and_changes_nothing(action):
    games = seeded(3)
    legal = int(games.random_actions(np.array([0]))[0])
    before = [games.sfen(i) for i in range(3)]
    with pytest.raises(IllegalMoveError):
        games.apply(np.array([legal, action, legal]))
    assert [games.sfen(i) for i in range(3)] == before
    assert not games.outcomes()[0].any()


def test_snapshot_and_restore():
    """A restored game goes on with the same history, keys and random numbers."""
    games = seeded(5)
    everything = np.arange(5)
    for _ in range(few(60)):
        games.apply(games.random_actions(everything))
    assert not games.outcomes()[0].any(), "the seeds are of games that last"
    saved = games.snapshot(everything)

    def play_on():
        trail = []
        for _ in range(few(60)):
            running = np.flatnonzero(games.outcomes()[0] == 0)
            actions = games.random_actions(running)
            games.apply(actions, running)
            trail.append((running.tolist(), actions.tolist(), games.planes().tobytes()))
        return trail

    first = play_on()
    games.restore(everything, saved)
    assert play_on() == first


def test_restored_game_remembers_repetition():
    games = Positions(1)
    cycle = ["2h3h", "8b7b", "3h2h", "7b8b"]

    def play(usis):
        for usi in usis:
            move = next(move for move in games.moves(0) if str(move) == usi)
            games.apply([Board(games.sfen(0)).action(move)])

    play(cycle * 2)
    saved = games.snapshot(np.array([0]))
    play(["7g7f"])
    games.restore(np.array([0]), saved)
    play(cycle)
    assert games.outcomes()[0][0] == 3


def test_games_that_could_outgrow_the_batch_are_refused():
    longer, shorter = Positions(1, max_plies=100), Positions(1, max_plies=50)
    with pytest.raises(ValueError, match="max_plies of these games is 100, more than the 50 here"):
        shorter.restore(None, longer.snapshot())
    with pytest.raises(ValueError, match="more than the 50 here"):
        shorter.set_up(shorter.everyone, longer.first_row())
    longer.restore(None, shorter.snapshot())
    assert longer.rows["max_plies"][0] == 50


def test_strided_arrays_compile_nothing_anew():
    positions = Positions(4)
    every = np.repeat(np.arange(4), 2)[::2]
    positions.apply(np.repeat(positions.random_actions(), 2)[::2], every)
    assert positions.plies.tolist() == [1] * 4
    assert all(len(kernel.signatures) <= 1 for kernel in jit.KERNELS.values())
