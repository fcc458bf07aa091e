import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.logger import Image
from written import ROLLOUT, Written, learn, learner, run

from keisei_agent.callbacks.boards import BoardsCallback
from shogi_env import Board, Termination
from shogi_env.adapters.sb3 import make_vec_env


def games_of(folder: Path) -> list[tuple[str, Board]]:
    """What the files say of the ends, and the boards that their moves lead to."""
    found = []
    for path in sorted((folder / "boards").iterdir()):
        ending, _, position = path.read_text("utf-8").strip().split("\n")
        start, _, moves = position.removeprefix("position sfen ").partition(" moves ")
        board = Board(start, max_plies=None)
        for usi in moves.split():
            board.push_usi(usi)
        found.append((ending, board))
    return found


def test_a_finished_game_now_and_then(tmp_path: Path) -> None:
    env = make_vec_env(4, seed=1, opponent=None, max_plies=12)
    written = learn([BoardsCallback(tmp_path, 2 * ROLLOUT)], 10 * ROLLOUT, env)
    games = games_of(tmp_path)
    assert len(games) >= 2
    for ending, board in games:
        assert ending == "a draw by max plies after 12 plies"
        assert board.ply == 12
    pictures = written.series("boards/positions")
    assert [f"{step:012d}.txt" for step in pictures] == sorted(
        path.name for path in (tmp_path / "boards").iterdir()
    )
    for picture in pictures.values():
        assert isinstance(picture, Image)
        assert picture.image.shape == (640, 2 * 427, 3)  # type: ignore[union-attr]
        assert picture.image.std() > 0  # type: ignore[union-attr]
    assert list(written.series("boards/game")) == list(pictures)


@pytest.mark.parametrize("observation", ["full", "pieces", "dlshogi"])
def test_answers_of_an_opponent_are_found(tmp_path: Path, observation: str) -> None:
    env = make_vec_env(4, seed=3, opponent="greedy", side="random", max_plies=30, observation=observation)
    learn([BoardsCallback(tmp_path, ROLLOUT)], 16 * ROLLOUT, env)
    games = games_of(tmp_path)
    assert len(games) >= 3
    for ending, board in games:
        outcome = board.outcome()
        if outcome is None:  # the limit; where the opponent began, its first move is part of the start
            assert ending.startswith("a draw by max plies")
            assert board.ply in (29, 30)
        else:
            assert outcome.termination is Termination.CHECKMATE
            assert outcome.winner is not None
            assert ending.startswith(f"{outcome.winner.name.title()} wins by checkmate")


def test_following_goes_on_after_a_resume(tmp_path: Path) -> None:
    def start(folder: Path) -> tuple[Any, Written, BoardsCallback]:
        model, written = learner(make_vec_env(4, seed=5, opponent=None, max_plies=20))
        return model, written, BoardsCallback(folder, ROLLOUT)

    model, _, callback = start(tmp_path / "whole")
    run(model, [callback], 7 * ROLLOUT)
    model, _, callback = start(tmp_path / "parts")
    run(model, [callback], 3 * ROLLOUT)
    assert callback.state()["game"], "a game is being followed"
    again = BoardsCallback(tmp_path / "parts", ROLLOUT)
    again.restore(json.loads(json.dumps(callback.state())))
    model.learn(4 * ROLLOUT, callback=again, reset_num_timesteps=False, log_interval=None)
    again._on_rollout_start()
    whole, parts = (sorted((tmp_path / name / "boards").iterdir()) for name in ("whole", "parts"))
    assert [path.read_text("utf-8") for path in whole] == [path.read_text("utf-8") for path in parts]


def test_an_environment_that_shows_something_else_is_said_once_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Lying(BoardsCallback):
        def _on_step(self) -> bool:
            self.locals["new_obs"] = np.zeros_like(self.locals["new_obs"])
            return super()._on_step()

    env = make_vec_env(4, seed=1, opponent=None, max_plies=12)
    callback = Lying(tmp_path, ROLLOUT)
    with caplog.at_level(logging.ERROR, "keisei_agent"):
        learn([callback], 4 * ROLLOUT, env)
    assert "lost track of the game in column" in caplog.records[0].getMessage()
    assert not (tmp_path / "boards").exists()


def test_none_if_none_are_wanted(tmp_path: Path) -> None:
    env = make_vec_env(4, seed=1, opponent=None, max_plies=8)
    written = learn([BoardsCallback(tmp_path, None)], 4 * ROLLOUT, env)
    assert not written.series("boards/game")
    assert not list(tmp_path.iterdir())
