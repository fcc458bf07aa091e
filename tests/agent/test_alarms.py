import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import RandomPlanes
from stable_baselines3.common.callbacks import BaseCallback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from written import ROLLOUT, Written, learn, learner, run

from keisei_agent.callbacks import alarms
from keisei_agent.callbacks.alarms import AlarmsCallback, tell_failure
from keisei_agent.config import Config, with_changes
from keisei_agent.learning.update import GradientSteps, TrainingError
from keisei_agent.runs.training import train


class Tampering(BaseCallback):
    """Changes what an update or a rollout was like, before the alarms look at it."""

    def __init__(self, rollout: Callable[[Any], None] | None = None, **update: Any) -> None:
        super().__init__()
        self.rollout, self.update = rollout, update

    def _on_rollout_start(self) -> None:
        if self.model.update is not None:
            self.model.update = replace(self.model.update, **self.update)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.rollout is not None:
            self.rollout(self.model.rollout_buffer)


def sentences(written: Written) -> list[str]:
    return list(written.series("alarms/text").values())


def test_a_run_that_learns_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        written = learn([AlarmsCallback(patience=1)], 4 * ROLLOUT, RandomPlanes(4, plies=7))
    assert not sentences(written)
    assert not caplog.records
    for sign in AlarmsCallback.SIGNS:
        assert set(written.series(f"alarms/{sign}").values()) == {0.0}


@pytest.mark.parametrize(
    ("sign", "update", "sentence"),
    [
        ("value_loss", {"value_loss": 1e-9}, "the value loss is 1.0e-09"),
        ("entropy", {"relative_entropy": 0.01}, "1.0% of that of random play"),
        ("nan", {"loss": float("nan")}, "not finite: loss"),
    ],
)
def test_signs_of_an_update(
    sign: str, update: dict[str, float], sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    callback = AlarmsCallback(patience=3)
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        written = learn([Tampering(**update), callback], 5 * ROLLOUT, RandomPlanes(4, plies=7))
    assert callback.standing == [sign]
    begins = ROLLOUT if sign == "nan" else 3 * ROLLOUT
    assert list(written.series("alarms/text")) == [begins], "told once, when it begins"
    assert sentence in sentences(written)[0]
    assert [sentence in record.getMessage() for record in caplog.records] == [True]
    assert [step for step, value in written.series(f"alarms/{sign}").items() if value] == [
        step for step in range(ROLLOUT, 6 * ROLLOUT, ROLLOUT) if step >= begins
    ]


def test_equal_advantages() -> None:
    callback = AlarmsCallback(patience=2)
    written = learn(
        [Tampering(lambda buffer: buffer.advantages.fill(0.5)), callback],
        3 * ROLLOUT,
        RandomPlanes(4, plies=7),
        normalize_advantage=False,
    )
    assert callback.standing == ["advantages"]
    assert sentences(written) == ["all advantages are equal: nothing is learned from them"]


def test_rollouts_in_which_no_game_ended_say_nothing() -> None:
    callback = AlarmsCallback(patience=1)
    learn([Tampering(value_loss=0.0), callback], 2 * ROLLOUT, RandomPlanes(4, plies=100))
    assert callback.standing == []


class Slowing(RandomPlanes):
    """Every game is decided at first; from some game on, all reach the limit."""

    decided = 60

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = super().step_wait()
        for i in np.flatnonzero(dones):
            late = self.games > self.decided
            infos[i] |= {"termination": 6 if late else 1, "winner": -1 if late else 0}
        return observations, rewards, dones, infos


def test_games_that_reach_the_limit_more_and_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "WINDOW", 20)
    callback = AlarmsCallback()
    written = learn([callback], 10 * ROLLOUT, Slowing(4, plies=2))
    assert callback.standing == ["max_plies"]
    assert sentences(written) == ["100% of the games end at the ply limit; it was 0% before"]


def test_many_games_at_the_limit_from_the_start_are_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "WINDOW", 20)
    env = Slowing(4, plies=2)
    env.decided = 0
    callback = AlarmsCallback()
    learn([callback], 10 * ROLLOUT, env)
    assert callback.standing == []


def test_an_alarm_ends_and_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    callback = AlarmsCallback(patience=1)
    with caplog.at_level(logging.INFO, "keisei_agent"):
        told = [callback._judge("entropy", problem) for problem in ("low", "low", None, "low")]
    assert told == ["low", None, None, "low"]
    assert "the alarm about entropy is over" in caplog.text


def test_values_that_are_not_finite_are_told_before_the_update(caplog: pytest.LogCaptureFixture) -> None:
    def spoil(buffer: Any) -> None:
        buffer.advantages[0, 0] = np.nan

    model, _ = learner(RandomPlanes(4, plies=7))
    with caplog.at_level(logging.ERROR, "keisei_agent"), pytest.raises(RuntimeError, match="not finite"):
        run(model, [Tampering(spoil), AlarmsCallback()], ROLLOUT)
    assert "values or advantages are not finite" in caplog.text


def test_what_ended_the_run_is_written_at_once() -> None:
    model, written = learner()
    tell_failure(model, FloatingPointError("no number"))
    assert written.rows == [(0, {"alarms/text": "the run ended: FloatingPointError: no number"})]


def test_a_resumed_run_goes_on_counting() -> None:
    first, second = AlarmsCallback(patience=4), AlarmsCallback(patience=4)
    learn([Tampering(relative_entropy=0.0), first], 3 * ROLLOUT)
    second.restore(first.state())
    assert second.standing == []
    learn([Tampering(relative_entropy=0.0), second], ROLLOUT)
    assert second.standing == ["entropy"]


def test_a_run_that_breaks_says_so_in_its_curves(
    tmp_path: Path, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = GradientSteps.step

    def poisoned(self: GradientSteps, samples: Any) -> bool:
        return step(self, samples._replace(returns=samples.returns * float("nan")))

    monkeypatch.setattr(GradientSteps, "step", poisoned)
    with pytest.raises(TrainingError):
        train(with_changes(small, {"eval_games": 0}), tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    (event,) = events.Tensors("alarms/text/text_summary")
    assert event.step == ROLLOUT
    assert b"the run ended: NotFiniteError: minibatch 1 of 2" in event.tensor_proto.string_val[0]
    assert events.Scalars("alarms/nan")[-1].value == 1.0
