"""Opponents that are told which of their games start."""

import numpy as np
import pytest
from data_files import few

from shogi_env import ShogiEnv, ShogiVectorEnv, opponents
from shogi_env.opponents import RESIGN

pytestmark = pytest.mark.nojit

AT_ONCE = "4k4/9/4P4/9/9/9/9/9/4K4 b 2G 1"
"""Black mates in one."""


class Diary:
    """Plays at random, and notes what it hears: ("begin" or "move", games)."""

    def __init__(self):
        self.pages = []

    def begin(self, idx):
        assert idx.dtype == np.int64
        self.pages.append(("begin", idx.tolist()))

    def __call__(self, positions, idx):
        self.pages.append(("move", idx.tolist()))
        return positions.random_actions(idx)


def test_one_game():
    diary = Diary()
    env = ShogiEnv(opponent=diary, side="white")
    env.reset(seed=0)
    assert diary.pages == [("begin", [0]), ("move", [0])]
    env.reset()
    assert diary.pages[2:] == [("begin", [0]), ("move", [0])]
    env.step(int(env.action_masks().argmax()))
    assert diary.pages[4:] == [("move", [0])]


def test_only_of_its_own_games():
    first, second = Diary(), Diary()
    envs = ShogiVectorEnv(5, seats=[None, first, second, opponents.greedy, first], side="black")
    envs.reset(seed=0)
    assert first.pages == [("begin", [1, 4])]
    assert second.pages == [("begin", [2])]
    envs.reset(options={"reset_mask": np.array([True, True, False, True, False])})
    assert first.pages[1:] == [("begin", [1])]
    assert second.pages[1:] == []


def test_before_random_plies_and_after_given_moves():
    class Looks:
        def begin(self, idx):
            self.seen = [envs.positions.sfen(int(i)) for i in idx]

        def __call__(self, positions, idx):
            return positions.random_actions(idx)

    looks = Looks()
    envs = ShogiVectorEnv(2, opponent=looks, side="black", random_plies=6)
    envs.reset(seed=0)
    assert [sfen.split()[-1] for sfen in looks.seen] == ["1", "1"]
    assert envs.positions.plies.tolist() == [6, 6]
    envs.reset(options={"moves": ["7g7f", "3c3d"]})
    assert [sfen.split()[-1] for sfen in looks.seen] == ["3", "3"]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_in_the_step_that_starts_a_game(mode):
    diary = Diary()
    envs = ShogiVectorEnv(3, seats=[diary, None, diary], side="black", max_plies=4, autoreset_mode=mode)
    _, infos = envs.reset(seed=0)
    ends = 0
    for _ in range(few(12)):
        over = envs.positions.rows["termination"] != 0
        del diary.pages[:]
        _, _, terminated, _, infos = envs.step(infos["action_mask"].argmax(1))
        started = terminated if mode == "SameStep" else over
        told = [games for what, games in diary.pages if what == "begin"]
        expected = [i for i in (0, 2) if started[i]]
        assert told == ([expected] if expected else [])
        ends += terminated.any()
    if few(12) == 12:
        assert ends > 2


def test_once_more_when_a_game_ends_before_the_learner_moves():
    class Impatient(Diary):
        def __call__(self, positions, idx):
            super().__call__(positions, idx)
            return np.full(len(idx), RESIGN) if len(self.pages) < 6 else positions.random_actions(idx)

    impatient = Impatient()
    ShogiEnv(opponent=impatient, side="white").reset(seed=0)
    assert impatient.pages == [("begin", [0]), ("move", [0])] * 3


def test_nothing_of_a_start_that_is_refused():
    diary = Diary()
    env = ShogiEnv(opponent=diary)
    env.reset(seed=0)
    told = list(diary.pages)
    with pytest.raises(ValueError, match="Nonsense"):
        env.reset(options={"moves": ["Nonsense"]})
    with pytest.raises(ValueError, match="already decided"):
        env.reset(options={"sfen": AT_ONCE, "moves": ["G*5b"]})
    assert diary.pages == told


def test_nothing_of_games_that_run_already():
    diary = Diary()
    envs = ShogiVectorEnv(2, side="black")
    _, infos = envs.reset(seed=0)
    envs.set_opponent(diary, [1])
    envs.step(infos["action_mask"].argmax(1))
    assert diary.pages == [("move", [1])]
