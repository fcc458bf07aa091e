"""What is due, what fails, what is written when; stopping and what callbacks tell are tested elsewhere."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import Quiet, RandomPlanes
from learners import planes_model
from stable_baselines3.common.callbacks import BaseCallback
from written import ROLLOUT, Written, learner, run

from keisei_agent.callbacks import checkpoint
from keisei_agent.callbacks.checkpoint import CheckpointCallback
from keisei_agent.callbacks.due import Due
from keisei_agent.callbacks.guard import Guard
from keisei_agent.callbacks.plugins import make_callbacks
from keisei_agent.config import ConfigError
from keisei_agent.learning.ppo import SelfPlayPPO


class Saver:
    """Notes what it is asked to do, and at which step."""

    def __init__(self, *, resumed: bool = False) -> None:
        self.resumed = resumed
        self.model: SelfPlayPPO | None = None
        self.saved: list[int] = []
        self.did: list[str] = []

    def save(self) -> Path:
        assert self.model is not None
        self.saved.append(self.model.num_timesteps)
        return Path(str(self.saved[-1]))

    def save_final(self) -> None:
        self.did.append("final")

    def restore_callbacks(self) -> None:
        self.did.append("callbacks")

    def restore_generators(self) -> None:
        self.did.append("generators")


def learn(saver: Saver, steps: int, every: int, *callbacks: BaseCallback) -> SelfPlayPPO:
    saver.model = model = planes_model(RandomPlanes(4))
    model.learn(steps, callback=Guard([*callbacks, CheckpointCallback(every, saver)]), log_interval=None)
    return model


# ---------------------------------------------------------------------------------- when things are due


@pytest.mark.parametrize("rollout", [1, 32, 100, 333])
@pytest.mark.parametrize("every", [1, 50, 333, 1000])
def test_each_boundary_behind_a_multiple_is_due_once(rollout: int, every: int) -> None:
    due = Due(every)
    boundaries = range(0, 5000, rollout)
    found = [steps for steps in boundaries if due.crossed(steps)]
    expected = {next((steps for steps in boundaries if steps >= k), None) for k in range(every, 5000, every)}
    assert found == sorted(expected - {None})  # type: ignore[type-var]


def test_a_second_look_at_the_same_step_is_not_due() -> None:
    due = Due(10)
    assert due.crossed(20)
    assert not due.crossed(20)
    assert not Due(10, steps=20).crossed(29)
    assert not Due(None).crossed(10**9)


@pytest.mark.parametrize(
    ("every", "saved"),
    [
        (ROLLOUT, [0, 32, 64, 96, 128]),
        (50, [0, 64, 128]),  # 50 is crossed at 64, 100 at 128
        (65, [0, 96, 128]),
        (10, [0, 32, 64, 96, 128]),  # several multiples in one rollout are saved once
        (1000, [0, 128]),  # 128 is the end
    ],
)
def test_checkpoints_at_the_start_at_each_multiple_and_at_the_end(every: int, saved: list[int]) -> None:
    saver = Saver()
    learn(saver, 4 * ROLLOUT, every)
    assert saver.saved == saved
    assert saver.did == ["final"]


def test_who_has_saved_takes_part_when_another_process_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def agree(wish: bool, seconds: float) -> tuple[bool, float]:
        asked.append(wish)
        return wish or len(asked) == 4, seconds  # in the end, the first process could not write its own

    saver = Saver()
    monkeypatch.setattr(checkpoint, "distributed", SimpleNamespace(agree=agree))
    learn(saver, 2 * ROLLOUT, ROLLOUT)
    assert asked == [True, True, True, False]
    assert saver.saved == [0, 32, 64, 64]


def test_a_checkpoint_on_request() -> None:
    class Asking(Quiet):
        def _on_step(self) -> bool:
            assert isinstance(self.model, SelfPlayPPO)
            self.model.save_requested |= self.model.num_timesteps == 40
            return True

    saver = Saver()
    model = learn(saver, 4 * ROLLOUT, 1000, Asking())
    assert saver.saved == [0, 64, 128]
    assert not model.save_requested


def test_what_is_saved_is_what_all_others_have_done() -> None:
    class Drawing(Quiet):
        drawn: list[int]

        def _on_rollout_start(self) -> None:
            drawn.append(self.model.num_timesteps)

    class Watching(Saver):
        def save(self) -> Path:
            assert self.model is not None
            assert drawn[-1] == self.model.num_timesteps
            return super().save()

    drawn: list[int] = []
    learn(Watching(), 2 * ROLLOUT, ROLLOUT, Drawing())
    assert drawn == [0, 32, 64]  # the last one without a rollout behind it


def test_a_run_without_its_target_has_no_final_network() -> None:
    class Stopping(Quiet):
        def _on_step(self) -> bool:
            return self.model.num_timesteps < 40

    saver = Saver()
    learn(saver, 4 * ROLLOUT, 1000, Stopping())
    assert saver.saved == [0, 64]
    assert saver.did == []


def test_a_resumed_run_is_restored_and_not_saved_again() -> None:
    saver = Saver(resumed=True)
    saver.model = model = planes_model(RandomPlanes(4))
    model.num_timesteps = ROLLOUT
    assert model.env is not None
    model._last_obs = model.env.reset()
    model._last_episode_starts = np.ones(4, bool)
    order: list[str] = saver.did

    class Starting(Quiet):
        def _on_rollout_start(self) -> None:
            order.append("start")

    guard = Guard([Starting(), CheckpointCallback(ROLLOUT, saver)])
    model.learn(ROLLOUT, callback=guard, log_interval=None, reset_num_timesteps=False)
    assert order == ["callbacks", "start", "generators", "start", "final"]
    assert saver.saved == [2 * ROLLOUT]


# ---------------------------------------------------------------------------------- failing callbacks


class Broken(Quiet):
    def _on_step(self) -> bool:
        raise ZeroDivisionError("a bug")


class Counting(Quiet):
    pass


def test_a_broken_callback_is_logged_once_and_training_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    counting, (model, _) = Counting(), learner()
    with caplog.at_level(logging.ERROR, "keisei_agent"):
        run(model, [Broken(), counting], 2 * ROLLOUT)
    assert counting.n_calls == 16
    (record,) = caplog.records
    assert "Broken.on_step failed; training goes on" in record.message
    assert record.exc_info


def test_how_often_a_callback_failed_is_said_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    class BrokenOnce(Quiet):
        def _on_training_start(self) -> None:
            raise ZeroDivisionError("a bug")

    guard = Guard([Broken(), BrokenOnce(), Quiet()])
    planes_model(RandomPlanes(4)).learn(2 * ROLLOUT, callback=guard, log_interval=None)
    caplog.clear()
    guard.close()
    assert [record.getMessage() for record in caplog.records] == ["Broken.on_step failed 16 times"]


def test_a_callback_that_exits_is_one_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Leaving(Quiet):
        def _on_step(self) -> bool:
            sys.exit(0)

        def close(self) -> None:
            sys.exit(0)

    guard = Guard([Leaving(), Quiet()])
    model = planes_model(RandomPlanes(4))
    model.learn(ROLLOUT, callback=guard, log_interval=None)
    guard.close()
    assert model.num_timesteps == ROLLOUT
    assert "Leaving.on_step failed; training goes on" in caplog.text
    assert "Leaving.close failed" in caplog.text


@pytest.mark.parametrize("hook", ["_on_rollout_start", "_on_step", "_on_rollout_end"])
def test_a_fatal_callback_ends_the_run_tidily(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(self: BaseCallback) -> bool:
        raise ZeroDivisionError("a bug")

    fatal = type("Fatal", (Quiet,), {"fatal": True, hook: fail})
    saver = Saver()
    saver.model = model = planes_model(RandomPlanes(4))
    guard = Guard([fatal(), CheckpointCallback(1000, saver)])
    with caplog.at_level(logging.ERROR, "keisei_agent"):
        model.learn(4 * ROLLOUT, callback=guard, log_interval=None)
    assert isinstance(guard.failure, ZeroDivisionError)
    assert saver.saved[-1] == model.num_timesteps == ROLLOUT
    assert model._n_updates == 1
    assert f"Fatal.{hook.removeprefix('_')} failed; the run ends after this rollout" in caplog.text
    assert saver.did == []


def test_a_callback_that_cannot_be_set_up_is_logged_and_training_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Homeless(Quiet):
        def _init_callback(self) -> None:
            raise ZeroDivisionError("a bug")

    counting, (model, _) = Counting(), learner()
    with caplog.at_level(logging.ERROR, "keisei_agent"):
        run(model, [Homeless(), counting], ROLLOUT)
    assert counting.n_calls == 8
    assert "Homeless.init_callback failed; training goes on" in caplog.text
    fatal = type("Fatal", (Homeless,), {"fatal": True})
    with pytest.raises(ZeroDivisionError):
        planes_model(RandomPlanes(4)).learn(ROLLOUT, callback=Guard([fatal(), Quiet()]))


def test_a_fatal_callback_that_cannot_start_ends_the_run_at_once() -> None:
    class Fatal(Quiet):
        fatal = True

        def _on_training_start(self) -> None:
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        planes_model(RandomPlanes(4)).learn(ROLLOUT, callback=Guard([Fatal(), Quiet()]))


def test_a_callback_that_cannot_be_closed_keeps_no_other_open(caplog: pytest.LogCaptureFixture) -> None:
    class Closing(Quiet):
        def close(self) -> None:
            closed.append(self)
            raise ZeroDivisionError("a bug")

    closed: list[Closing] = []
    callbacks = [Closing(), Counting(), Closing()]
    Guard(callbacks).close()
    assert closed == [callbacks[2], callbacks[0]]
    assert caplog.text.count("Closing.close failed") == 2


def test_what_is_closed_at_once() -> None:
    class Patient(Quiet):
        def close(self) -> None:
            done.append("close")

    class Hasty(Patient):
        def close_at_once(self) -> None:
            done.append("at once")

    done: list[str] = []
    guard = Guard([Hasty(), Patient(), Quiet()])
    guard.close(at_once=True)
    guard.close()
    assert done == ["close", "at once", "close", "close"]


# ---------------------------------------------------------------------------------- what is written when


def test_an_update_is_written_once_at_its_own_step() -> None:
    model, written = learner()
    run(model, [], 3 * ROLLOUT)
    for key in ("train/loss", "time/fps"):
        assert [step for step, row in written.rows if key in row] == [32, 64, 96]


def test_what_is_recorded_at_the_end_is_written() -> None:
    class Saying(Quiet):
        def _on_training_end(self) -> None:
            self.logger.record("said/last", 1.0)

    model, written = learner()
    run(model, [Saying()], ROLLOUT)
    assert written.series("said/last") == {ROLLOUT: 1.0}


def test_nothing_is_written_before_anything_was_learned() -> None:
    model, written = learner()
    model.stop_requested = True
    run(model, [], ROLLOUT)
    assert isinstance(written, Written)
    assert written.rows == []


# ---------------------------------------------------------------------------------- the user's own


def test_callbacks_by_dotted_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_callbacks.py").write_text(
        "from stable_baselines3.common.callbacks import BaseCallback\n"
        "class Mine(BaseCallback):\n    def _on_step(self):\n        return True\n"
        "class NoCallback:\n    pass\n"
        "def broken():\n    raise RuntimeError('out of order')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (made,) = make_callbacks(["my_callbacks.Mine"])
    assert isinstance(made, BaseCallback)
    assert type(made).__name__ == "Mine"
    for name, said in (
        ("Mine", "write MODULE.CLASS"),
        ("my_callback.Mine", "ModuleNotFoundError: No module named 'my_callback'"),
        ("my_callbacks.Yours", "AttributeError"),
        ("my_callbacks.NoCallback", "makes a NoCallback, which is no BaseCallback"),
        ("my_callbacks.broken", "RuntimeError: out of order"),
    ):
        with pytest.raises(ConfigError, match=f"callbacks: '{name}'.*{said}"):
            make_callbacks([name])
    with pytest.raises(ConfigError, match=r"callbacks: 'my_callbacks\.Mine' is given twice"):
        make_callbacks(["my_callbacks.Mine", "my_callbacks.NoCallback", "my_callbacks.Mine"])
