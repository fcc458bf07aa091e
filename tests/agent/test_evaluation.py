import json
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import RandomPlanes
from learners import planes_model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keisei_agent import train
from keisei_agent.callbacks.evaluation import EvaluationCallback
from keisei_agent.checkpoint import load_checkpoint
from keisei_agent.config import ConfigError, TrainConfig, parse_config
from keisei_agent.evaluation import Evaluation, EvaluationError, Evaluator, Result, Task, evaluate
from shogi_env.arena.records import read_games

KILLED = getattr(signal, "SIGKILL", signal.SIGTERM)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small_run()
    run = train.train(config, tmp_path_factory.mktemp("run"))
    assert run.checkpoint is not None
    return run.checkpoint


def small_run(**evaluation: object) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "device": "cpu",
            "precision": "float32",
            "total_timesteps": 64,
            "max_time": None,
            "eval_games": 0,
            "env": {"n_envs": 4, "max_plies": 24},
            "network": {"channels": 8, "blocks": 1, "value_hidden": 8},
            "ppo": {"n_steps": 8, "batch_size": 16},
            "evaluation": {"games": 4, "opponents": ("random", "greedy"), **evaluation},
        }
    )


def a_task(checkpoint: Path, log: Path, **changes: object) -> Task:
    values = {
        "opponents": ("random", "greedy"),
        "games": 4,
        "temperature": 1.0,
        "seed": 1,
        "max_plies": 30,
    } | changes
    return Task(checkpoint, 64, log=log, **values)  # type: ignore[arg-type]


@pytest.fixture
def evaluator() -> Iterator[Evaluator]:
    evaluator = Evaluator()
    yield evaluator
    evaluator.close()


def test_an_evaluation_plays_both_colors_and_logs_its_games(checkpoint: Path, tmp_path: Path) -> None:
    task = a_task(checkpoint, tmp_path / "games.jsonl")
    done = evaluate(task)
    games, name = read_games(task.log), f"{tmp_path.name}-64"
    assert [result.opponent for result in done.results] == ["random", "greedy"]
    for result in done.results:
        own = [game for game in games if result.opponent in (game.black.name, game.white.name)]
        assert len(own) == 4 == result.wins + result.draws + result.losses
        blacks = [game.black.name for game in sorted(own, key=lambda game: game.id)]
        assert blacks == sorted([name, result.opponent]) * 2
        scores = [game.score(name) for game in own]
        assert result.score == sum(scores) / 4  # type: ignore[arg-type]
    assert done.score == sum(result.score for result in done.results) / 2  # type: ignore[misc]
    line = json.loads(done.to_line())
    assert line["results"][1]["opponent"] == "greedy"
    assert line["rating"] == list(done.rating or ())


def test_a_process_of_its_own_gives_the_same_result(
    checkpoint: Path, tmp_path: Path, evaluator: Evaluator
) -> None:
    evaluator.submit(a_task(checkpoint, tmp_path / "there.jsonl"))
    there = evaluator.result(None)
    here = evaluate(a_task(checkpoint, tmp_path / "here.jsonl"))
    assert there is not None
    assert there.results == here.results
    assert (tmp_path / "there.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()
    assert evaluator.waiting == 0


def test_a_failing_task_is_an_error_and_the_next_one_is_played(
    checkpoint: Path, tmp_path: Path, evaluator: Evaluator
) -> None:
    evaluator.submit(a_task(tmp_path / "none.safetensors", tmp_path / "games.jsonl"))
    evaluator.submit(a_task(checkpoint, tmp_path / "games.jsonl", opponents=("random",)))
    with pytest.raises(EvaluationError, match=r"none\.safetensors"):
        evaluator.result(None)
    done = evaluator.result(None)
    assert done is not None
    assert done.results[0].opponent == "random"


def test_a_killed_process_is_named_and_started_again(
    checkpoint: Path, tmp_path: Path, evaluator: Evaluator
) -> None:
    evaluator.submit(a_task(checkpoint, tmp_path / "games.jsonl", games=1000))
    assert evaluator.pid is not None
    os.kill(evaluator.pid, KILLED)
    with pytest.raises(EvaluationError, match="died"):
        evaluator.result(None)
    assert evaluator.waiting == 0
    evaluator.submit(a_task(checkpoint, tmp_path / "games.jsonl"))
    assert evaluator.result(None) is not None
    first = evaluator.pid
    assert first is not None
    os.kill(first, KILLED)
    while evaluator.alive:
        time.sleep(0.01)
    evaluator.submit(a_task(checkpoint, tmp_path / "games.jsonl"))
    assert evaluator.result(None) is not None, "also if it died with nothing to do"
    assert evaluator.pid != first


@pytest.mark.parametrize("blocking", [True, False])
def test_a_run_evaluates_itself_and_keeps_the_best(tmp_path: Path, blocking: bool) -> None:
    run = train.train(small_run(every=20, blocking=blocking), tmp_path / "run")
    lines = [json.loads(line) for line in (run.folder / "evaluations.jsonl").read_text("utf-8").splitlines()]
    if blocking:
        assert [line["steps"] for line in lines] == [32]  # rollouts of 32 plies, none starts at 64
    assert len(read_games(run.folder / "games.jsonl")) == 8 * len(lines)
    best = max(lines, key=lambda line: line["score"])
    assert load_checkpoint(run.folder / "best.safetensors").num_timesteps == best["steps"]
    assert list((run.folder / "evaluation").iterdir()) == []
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    low_or_high = {"evaluation/rating/low", "evaluation/rating/high"}
    assert low_or_high & set(events.Tags()["scalars"])
    points = events.Scalars("evaluation/greedy/score")
    assert [point.step for point in points] == [line["steps"] for line in lines]


class Scripted(Evaluator):
    """Answers at once, with scores that are given; None fails."""

    def __init__(self, scores: list[float | None]) -> None:
        super().__init__()
        self.scores, self.played = scores, []

    def submit(self, task: Task) -> None:
        self._tasks.append(task)
        self.played.append(task.steps)

    def result(self, timeout: float | None = 0.0) -> Evaluation | None:
        task, score = self._tasks.pop(0), self.scores.pop(0)
        if score is None:
            raise EvaluationError("no luck")
        return Evaluation(task.steps, (Result("random", 0, 0, 0, 0, score, score, score),), 0.0)


def test_multiples_are_due_once_failures_are_logged_and_the_best_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    env = RandomPlanes(2)
    model = planes_model(env)  # rollouts of 16 plies
    evaluator = Scripted([0.5, None, 0.75, 0.25])
    callback = EvaluationCallback(tmp_path, small_run(every=30, opponents=("random",)), evaluator)
    with caplog.at_level(logging.INFO, "keisei_agent"):
        model.learn(160, callback=callback)
    assert evaluator.played == [32, 64, 96, 128]
    assert "evaluation failed: no luck" in caplog.text
    assert callback.best is not None
    assert (callback.best.steps, callback.best.score) == (96, 0.75)
    assert load_checkpoint(callback.best_path).num_timesteps == 96


def test_an_opponent_that_does_not_exist_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.opponents: no player is called 'rndom'"):
        train.check(small_run(every=20, opponents=("rndom",)), tmp_path / "run")


@pytest.mark.parametrize("temperature", [0, 0.01, 1.0, 100])
def test_temperatures_that_a_player_takes(temperature: float) -> None:
    assert small_run(temperature=temperature).evaluation.temperature == temperature


@pytest.mark.parametrize("temperature", [-1, 0.001, 101])
def test_a_temperature_that_no_player_takes_is_refused(temperature: float) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.temperature"):
        parse_config({"evaluation": {"temperature": temperature}})
