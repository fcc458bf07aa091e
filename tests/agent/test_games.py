import pytest
from fakes import RandomPlanes
from written import ROLLOUT, learn

from keisei_agent.callbacks.games import GamesCallback
from shogi_env.adapters.sb3 import make_vec_env


def test_games_are_counted_once() -> None:
    callback = GamesCallback()
    written = learn([callback], 3 * ROLLOUT, RandomPlanes(4, plies=7))
    # columns start at ply 0, 1, 2, 3 and end whenever a multiple of 7 is reached
    finished = sum((start + 24) // 7 for start in range(4))
    assert callback.total == finished
    assert written.series("games/total")[3 * ROLLOUT] == finished
    assert sum(written.series("games/finished").values()) == finished
    draws = written.series("games/draws")
    assert list(draws) == [ROLLOUT, 2 * ROLLOUT, 3 * ROLLOUT]
    for step, share in draws.items():
        others = (written.series(f"games/{color}_wins")[step] for color in ("black", "white"))
        assert share + sum(others) == pytest.approx(1)
        assert written.series("games/plies")[step] == 7
    assert set(draws.values()) != {0}


def test_reasons_add_up_and_none_is_left_out() -> None:
    written = learn([GamesCallback()], 2 * ROLLOUT, RandomPlanes(4, plies=7))
    for _, row in written.rows:
        shares = {key: value for key, value in row.items() if key.startswith("termination/")}
        assert len(shares) == 8
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["termination/checkmate"] + shares["termination/max_plies"] == pytest.approx(1)
        assert shares["termination/repetition"] == shares["termination/declaration"] == 0


def test_nothing_is_invented_when_no_game_ended() -> None:
    ((_, row),) = learn([GamesCallback()], ROLLOUT, RandomPlanes(4, plies=100)).rows
    assert row["games/finished"] == 0
    assert not [key for key in row if key.startswith("termination/") or key in ("games/draws", "games/plies")]


def test_real_games() -> None:
    written = learn([GamesCallback()], 4 * ROLLOUT, make_vec_env(4, seed=1, opponent=None, max_plies=10))
    assert sum(written.series("games/finished").values()) >= 4
    assert set(written.series("games/plies_longest").values()) == {10}
    assert min(written.series("termination/max_plies").values()) > 0


def test_a_resumed_run_counts_on() -> None:
    first, second = GamesCallback(), GamesCallback()
    learn([first], ROLLOUT, RandomPlanes(4, plies=3))
    second.restore(first.state())
    written = learn([second], ROLLOUT, RandomPlanes(4, plies=3))
    assert written.series("games/total")[ROLLOUT] == 2 * first.total
