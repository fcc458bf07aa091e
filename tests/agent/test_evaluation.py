import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest
from fakes import RandomPlanes
from learners import planes_model
from stable_baselines3.common.callbacks import BaseCallback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from written import ROLLOUT, learner, run

from keisei_agent.callbacks.evaluation import EvaluationCallback
from keisei_agent.callbacks.guard import Guard
from keisei_agent.config import CheckpointConfig, Config, ConfigError, parse_config
from keisei_agent.evaluation import Evaluation, EvaluationError, Evaluator, Result, Task, evaluate
from keisei_agent.files.weights import load_weights, save_weights
from keisei_agent.learning.policy import NetworkPolicy
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.runs import training
from shogi_env.arena.records import GameRecord, Seat, read_games

KILLED = getattr(signal, "SIGKILL", signal.SIGTERM)


def small_run(**evaluation: object) -> Config:
    return Config.model_validate(
        {
            "device": "cpu",
            "precision": "float32",
            "total_timesteps": 64,
            "max_time": None,
            "eval_games": 0,
            "env": {"n_envs": 4, "max_plies": 24},
            "network": {"channels": 8, "blocks": 1, "value_hidden": 8},
            "ppo": {"n_steps": 8, "batch_size": 16},
            "log": {"boards_every": None, "mates_every": None},
            "evaluation": {"games": 4, "opponents": ("random", "greedy"), **evaluation},
        }
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "000000000064.safetensors"
    policy = planes_model(RandomPlanes(2)).policy
    assert isinstance(policy, NetworkPolicy)
    save_weights(path, policy.network, small_run(), 64)
    return path


def a_task(weights: Path, **changes: Any) -> Task:
    values: dict[str, Any] = {
        "weights": weights,
        "steps": 64,
        "name": "first-64",
        "opponents": ("random", "greedy"),
        "games": 4,
        "temperature": 1.0,
        "seed": 1,
        "max_plies": 30,
    }
    return Task(**values | changes)


@pytest.fixture
def evaluator() -> Iterator[Evaluator]:
    evaluator = Evaluator()
    yield evaluator
    evaluator.close()


def test_an_evaluation_plays_both_colors_and_returns_its_games(weights: Path) -> None:
    done = evaluate(a_task(weights))
    assert [result.opponent for result in done.results] == ["random", "greedy"]
    assert len(done.games) == 8
    for result in done.results:
        own = [game for game in done.games if result.opponent in (game.black.name, game.white.name)]
        assert len(own) == 4 == result.wins + result.draws + result.losses
        blacks = [game.black.name for game in sorted(own, key=lambda game: game.id)]
        assert blacks == sorted(["first-64", result.opponent]) * 2
        scores = [game.score("first-64") for game in own]
        assert result.score == sum(scores) / 4  # type: ignore[arg-type]
    assert done.score == sum(result.score for result in done.results) / 2  # type: ignore[misc]
    line = json.loads(done.to_line())
    assert line["results"][1]["opponent"] == "greedy"
    assert line["rating"] == list(done.rating or ())
    assert line.keys() == {"steps", "results", "rating", "score"}


def test_the_same_weights_elsewhere_play_the_same_games(weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "copy; of it.safetensors"
    copy.parent.mkdir()
    copy.write_bytes(weights.read_bytes())
    here, there = evaluate(a_task(weights)), evaluate(a_task(copy))
    assert here.games == there.games
    assert here.to_line() == there.to_line()
    assert here.games != evaluate(a_task(weights, seed=2)).games


def test_a_process_of_its_own_gives_the_same_result(weights: Path, evaluator: Evaluator) -> None:
    evaluator.submit(a_task(weights))
    there = evaluator.result(None)
    here = evaluate(a_task(weights))
    assert there is not None
    assert there.results == here.results
    assert there.games == here.games
    assert evaluator.tasks == ()


def test_a_failing_task_is_an_error_and_the_next_one_is_played(
    weights: Path, tmp_path: Path, evaluator: Evaluator
) -> None:
    evaluator.submit(a_task(tmp_path / "none.safetensors"))
    evaluator.submit(a_task(weights, opponents=("random",)))
    with pytest.raises(EvaluationError, match=r"none\.safetensors") as failed:
        evaluator.result(None)
    first, second, *_ = str(failed.value).splitlines()
    assert first.startswith("FileNotFoundError: ")
    assert second.startswith("Traceback"), "for the log of the process that trains"
    done = evaluator.result(None)
    assert done is not None
    assert done.results[0].opponent == "random"


def test_a_killed_process_is_named_and_what_waited_is_played(weights: Path, evaluator: Evaluator) -> None:
    evaluator.submit(a_task(weights, games=1000))
    evaluator.submit(a_task(weights, steps=128))
    assert evaluator.pid is not None
    os.kill(evaluator.pid, KILLED)
    with pytest.raises(EvaluationError, match="died"):
        evaluator.result(None)
    assert [task.steps for task in evaluator.tasks] == [128]
    done = evaluator.result(None)
    assert done is not None
    assert done.steps == 128
    first = evaluator.pid
    assert first is not None
    os.kill(first, KILLED)
    while evaluator.alive:
        time.sleep(0.01)
    evaluator.submit(a_task(weights))
    assert evaluator.result(None) is not None, "also if it died with nothing to do"
    assert evaluator.pid != first


def test_a_process_that_does_not_start(
    weights: Path, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise OSError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(SpawnProcess, "start", refuse)
        evaluator.submit(a_task(weights))
        with pytest.raises(EvaluationError, match="died"):
            evaluator.result(None)
    evaluator.submit(a_task(weights))
    assert evaluator.result(None) is not None


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals to a group of processes")
def test_a_signal_for_the_whole_group_leaves_it_alone(weights: Path, evaluator: Evaluator) -> None:
    evaluator.submit(a_task(weights))
    assert evaluator.result(None) is not None, "it listens"
    assert evaluator.pid is not None
    os.kill(evaluator.pid, signal.SIGINT)
    os.kill(evaluator.pid, signal.SIGTERM)
    evaluator.submit(a_task(weights))
    assert evaluator.result(None) is not None
    assert evaluator.alive


TRAINER = """
import os, pickle, signal, sys
from dataclasses import replace
from keisei_agent.evaluation import Evaluator

task = pickle.loads(bytes.fromhex(sys.argv[1]))
evaluator = Evaluator()
evaluator.submit(task)
assert evaluator.result(None) is not None
evaluator.submit(replace(task, games=100_000, max_plies=512))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
def test_it_ends_in_the_middle_of_a_game_if_the_process_that_trains_is_killed(weights: Path) -> None:
    command = [sys.executable, "-c", TRAINER, pickle.dumps(a_task(weights)).hex()]
    # waits for the end of both, who write to the same pipe
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("blocking", [True, False])
def test_a_run_evaluates_itself_and_keeps_the_best(tmp_path: Path, blocking: bool) -> None:
    run = training.train(small_run(every=32, blocking=blocking), tmp_path / "run")
    lines = [json.loads(line) for line in (run.folder / "evaluations.jsonl").read_text("utf-8").splitlines()]
    assert [line["steps"] for line in lines] == [32, 64], "at the end of the run too"
    games = read_games(run.folder / "games.jsonl")
    assert len(games) == 8 * len(lines)
    assert {seat.name for game in games for seat in (game.black, game.white)} == {
        "random",
        "greedy",
        "run-32",
        "run-64",
    }
    best = max(lines, key=lambda line: (line["score"], -line["steps"]))
    assert load_weights(run.folder / "best.safetensors").num_timesteps == best["steps"]
    assert list((run.folder / "evaluation").iterdir()) == []
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    low_or_high = {"evaluation/rating/low", "evaluation/rating/high"}
    assert low_or_high & set(events.Tags()["scalars"])
    points = events.Scalars("evaluation/greedy/score")
    assert [point.step for point in points] == [line["steps"] for line in lines]


SEAT = Seat("random", "random", "", "")
GAME = GameRecord("0.0", "", SEAT, SEAT, "", (), 0, "draw", "max_plies", 1)


class Scripted(Evaluator):
    """Answers at once, with scores that are given; None fails, a missing one is not done yet."""

    def __init__(self, scores: list[float | None]) -> None:
        super().__init__()
        self.scores, self.played = scores, list[int]()

    def submit(self, task: Task) -> None:
        assert load_weights(task.weights).num_timesteps == task.steps
        self._tasks.append(task)
        self.played.append(task.steps)

    def result(self, timeout: float | None = 0.0) -> Evaluation | None:
        if not self.scores:
            assert timeout is not None, "nobody waits for what never comes"
            return None
        task, score = self._tasks.pop(0), self.scores.pop(0)
        if score is None:
            raise EvaluationError("no luck")
        return Evaluation(task.steps, (Result("random", 0, 0, 0, 0, score, score, score),), games=(GAME,))


def evaluating(
    folder: Path, evaluator: Evaluator, rollouts: int, *, of: int | None = None, **settings: Any
) -> tuple[EvaluationCallback, SelfPlayPPO, Any]:
    """A learner that is evaluated at each boundary; it is stopped after some of its rollouts."""
    config = small_run(every=ROLLOUT, opponents=("random",)).model_copy(update=settings)
    callback = EvaluationCallback(folder, config, evaluator)
    model, written = learner()
    run(model, [callback, StopAfter(rollouts)], (of or rollouts) * ROLLOUT)
    return callback, model, written


class StopAfter(BaseCallback):
    """Asks for a stop in one of the rollouts, as Ctrl-C does."""

    def __init__(self, rollouts: int) -> None:
        super().__init__()
        self.rollouts = rollouts

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.rollouts -= 1
        if self.rollouts == 0:
            assert isinstance(self.model, SelfPlayPPO)
            self.model.stop_requested = True


def test_multiples_are_due_once_failures_are_logged_and_the_best_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluator = Scripted([0.5, None, 0.75, 0.25, 0.75])
    with caplog.at_level(logging.INFO, "keisei_agent"):
        callback, _, written = evaluating(tmp_path, evaluator, 5)
    assert evaluator.played == [32, 64, 96, 128, 160]
    assert "evaluation failed: no luck" in caplog.text
    assert callback.best == (96, 0.75), "the first of equals"
    assert load_weights(callback.best_path).num_timesteps == 96
    assert written.series("evaluation/random/score") == {32: 0.5, 96: 0.75, 128: 0.25, 160: 0.75}
    assert list((tmp_path / "evaluation").iterdir()) == []


def test_games_are_appended_when_the_evaluation_is_recorded(tmp_path: Path) -> None:
    evaluating(tmp_path, Scripted([0.5, 0.5]), 2)
    assert len(read_games(tmp_path / "games.jsonl")) == 2
    assert len((tmp_path / "evaluations.jsonl").read_text("utf-8").splitlines()) == 2


def test_the_best_is_not_kept_if_nobody_wants_it(tmp_path: Path) -> None:
    checkpoint = CheckpointConfig(keep_best=False)
    callback, _, _ = evaluating(tmp_path, Scripted([0.5]), 1, checkpoint=checkpoint)
    assert callback.best is None
    assert not callback.best_path.exists()
    assert callback.state() == {"best": None, "waiting": {}}


def test_a_slow_evaluation_is_not_waited_for_and_at_most_two_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluator = Scripted([])
    with caplog.at_level(logging.INFO, "keisei_agent"):
        evaluating(tmp_path, evaluator, 4, of=100)
    assert evaluator.played == [32, 64]
    assert caplog.text.count("are not finished; play fewer games") == 2
    assert "2 evaluations are not finished; they are played when the run is resumed" in caplog.text


def test_the_last_evaluation_is_played_however_many_wait(tmp_path: Path) -> None:
    evaluator = Scripted([])
    config = small_run(every=ROLLOUT, opponents=("random",))
    model, _ = learner()
    with pytest.raises(AssertionError, match="nobody waits"):  # it is asked for what it has not played
        model.learn(4 * ROLLOUT, callback=AtEachBoundary(EvaluationCallback(tmp_path, config, evaluator)))
    assert evaluator.played == [32, 64, 128]


class AtEachBoundary(Guard):
    """Lets exceptions through."""

    def __init__(self, callback: BaseCallback) -> None:
        callback.fatal = True  # type: ignore[attr-defined]
        super().__init__([callback])

    def _on_training_end(self) -> None:
        super()._on_training_end()
        assert self.failure is not None
        raise self.failure


def test_what_waits_and_what_is_best_survive_a_resume(tmp_path: Path) -> None:
    first, _, _ = evaluating(tmp_path, Scripted([0.5]), 3, of=100)
    state = first.state()
    assert list(state["waiting"]) == ["64", "96"]
    # after the checkpoint the run went on, and died
    later = load_weights(first._weights(96)).num_timesteps
    os.replace(first._weights(96), first.best_path)
    first._weights(64).unlink()
    assert load_weights(first.best_path).num_timesteps == later == 96

    evaluator = Scripted([0.25, 0.75])
    second = EvaluationCallback(tmp_path, first.config, evaluator)
    second.restore(state)
    assert evaluator.played == [64, 96]
    assert second.best == (32, 0.5)
    assert load_weights(second.best_path).num_timesteps == 32
    model, written = learner()
    second.init_callback(model)
    second._collect(wait=True)
    assert second.best == (96, 0.75)
    assert written.series("evaluation/random/score") == {64: 0.25, 96: 0.75}


@pytest.mark.parametrize("changed", [{"opponents": ("greedy",)}, {"temperature": 0.5}])
def test_the_best_is_chosen_anew_where_it_is_measured_otherwise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changed: dict[str, Any]
) -> None:
    first, _, _ = evaluating(tmp_path, Scripted([1.0]), 1)
    state = first.state()
    settings = {"every": ROLLOUT, "opponents": ("random",), **changed}
    second = EvaluationCallback(tmp_path, small_run(**settings), Scripted([]))
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        second.restore(state)
    assert second.best is None
    assert "The best network is chosen anew: so far it was measured by " in caplog.text
    del state["best"]["measured"]  # as an earlier version wrote it
    second.restore(state)
    assert second.best == (32, 1.0)


def test_a_best_network_that_its_user_moved_away_is_none(tmp_path: Path) -> None:
    callback, _, _ = evaluating(tmp_path, Scripted([1.0]), 2, of=100)
    callback.best_path.rename(tmp_path / "mine.safetensors")
    state = callback.state()
    assert state["best"] is None
    assert list(state["waiting"]) == ["64"]
    evaluator = callback._evaluator
    assert isinstance(evaluator, Scripted)
    evaluator.scores.append(0.25)
    callback._collect(wait=True)
    assert callback.best == (64, 0.25)
    assert load_weights(callback.best_path).num_timesteps == 64


def test_the_best_is_kept_although_its_results_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "evaluations.jsonl").mkdir()
    callback, _, _ = evaluating(tmp_path, Scripted([0.5, 0.75]), 3)
    assert callback.best == (96, 0.75)
    assert list((tmp_path / "evaluation").iterdir()) == []


def test_an_opponent_that_does_not_exist_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.opponents: no player is called 'rndom'"):
        training.check(small_run(every=32, opponents=("rndom",)), tmp_path / "run")


@pytest.mark.parametrize("temperature", [0, 0.01, 1.0, 100])
def test_temperatures_that_a_player_takes(temperature: float) -> None:
    assert small_run(temperature=temperature).evaluation.temperature == temperature


@pytest.mark.parametrize("temperature", [-1, 0.001, 101])
def test_a_temperature_that_no_player_takes_is_refused(temperature: float) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.temperature"):
        parse_config({"evaluation": {"temperature": temperature}})
