"""The examples for JAX; apart from tests that fork, which the threads of JAX do not survive."""

from pathlib import Path

import numpy as np
import pytest

from shogi_env import Board, Positions

FOLDER = Path(__file__).parents[2] / "examples"
MATE_IN_ONE = "7k1/9/7P1/9/9/9/9/9/K8 b G 1"  # G*2b


def mates(actions):
    board = Board(MATE_IN_ONE)
    return {str(board.move(int(action))) for action in actions}


def test_pgx_and_ours_are_equal_in_every_bit(load):
    pytest.importorskip("pgx")
    play_pgx = load("play_pgx")
    assert play_pgx.compare(games=6, plies=60) > 300


def test_a_policy_for_pgx_plays_here(load):
    pytest.importorskip("pgx")
    player = load("play_pgx")
    rook_hangs = Positions(2, sfens="4k4/9/9/9/4r4/4P4/9/9/4K4 b - 1")
    actions = player.opponent_of(player.capture)(rook_hangs, rook_hangs.everyone)
    rook_hangs.apply(actions)
    assert [str(sfen) for sfen in (rook_hangs.sfen(0), rook_hangs.sfen(1))] == [
        "4k4/9/9/9/4P4/9/9/9/4K4 w R 2"
    ] * 2


def test_games_survive_as_bytes(load):
    pytest.importorskip("mctx")
    mctx_search = load("mctx_search", 4, 8, 90)
    games = Positions(40, max_plies=90)
    for ply in range(40):
        idx = np.flatnonzero((games.outcomes()[0] == 0) & (np.arange(40) > ply))
        games.apply(games.random_actions(idx), idx)
    copies = mctx_search.unpack(mctx_search.pack(games))
    while (games.outcomes()[0] == 0).any():
        assert np.array_equal(games.rows, copies.rows)
        assert np.array_equal(games.masks(), copies.masks())
        running = np.flatnonzero(games.outcomes()[0] == 0)
        actions = games.random_actions(running)
        assert np.array_equal(actions, copies.random_actions(running))
        for batch in (games, copies):
            batch.apply(actions, running)


def test_mctx_steps_tell_who_won(load):
    pytest.importorskip("mctx")
    mctx_search = load("mctx_search", 4, 8, 90)
    games, board = Positions(3, sfens=MATE_IN_ONE, max_plies=90), Board(MATE_IN_ONE)
    actions = {str(move): board.action(move) for move in board.legal_moves}
    mate, other = actions["G*2b"], actions["9i9h"]
    states, planes, masks, rewards, over = mctx_search.play(
        mctx_search.pack(games), np.array([mate, other, 0])
    )
    assert rewards.tolist() == [1, 0, -1] and over.tolist() == [True, False, True]
    assert masks[:2].any(1).tolist() == [False, True] and planes.shape == (3, 136, 9, 9)
    *_, rewards, over = mctx_search.play(states, np.array([0, 0, 0]))
    assert rewards.tolist() == [0, -1, 0], "who has lost or won stays so"


@pytest.mark.slow
def test_mctx_finds_a_mate(load):
    pytest.importorskip("mctx")
    import jax

    mctx_search = load("mctx_search", 4, 16, 90)
    games = Positions(4, sfens=[MATE_IN_ONE, "even"] * 2, max_plies=90)
    actions = mctx_search.search(jax.random.key(0), mctx_search.pack(games), games.planes(), games.masks())
    games.check(np.asarray(actions, np.int64), games.everyone)
    assert mates(np.asarray(actions)[::2]) == {"G*2b"}
