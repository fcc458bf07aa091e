"""A run ends when told: a callback's wish, the time limit, signals."""

import logging
import os
import signal
import sys
import threading
from typing import Any

import pytest
from fakes import Quiet, RandomPlanes
from learners import planes_model
from written import ROLLOUT, learner, run

from keisei_agent.callbacks import stop
from keisei_agent.callbacks.stop import MaxTimeCallback, stopping_on_signals


def test_a_wish_to_stop_is_met_at_the_end_of_the_rollout_and_its_update() -> None:
    class Stopping(Quiet):
        def _on_step(self) -> bool:
            return self.model.num_timesteps != 8

    model, written = learner()
    run(model, [Stopping()], 10**6)
    assert model.num_timesteps == ROLLOUT
    assert model._n_updates == 1
    assert list(written.series("train/loss")) == [ROLLOUT]


def test_time_limit_ends_after_a_whole_rollout() -> None:
    model, _ = learner()
    run(model, [MaxTimeCallback(1e-9)], 10**9)
    assert model.num_timesteps == ROLLOUT
    assert model._n_updates == 1


def test_the_time_of_earlier_sessions_counts() -> None:
    model, _ = learner()
    model.seconds = 60.0
    run(model, [MaxTimeCallback(60.0)], 10**9)
    assert model.num_timesteps == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself signals there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_and_a_second_one_ends_at_once(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    model, before = planes_model(RandomPlanes(4)), signal.getsignal(number)
    with caplog.at_level(logging.INFO, "keisei_agent"), stopping_on_signals(model, lambda: False) as stopped:
        assert not stopped.is_set()
        os.kill(os.getpid(), number)
        assert stopped.is_set()
        assert model.stop_requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert "finishing this rollout, then saving" in caplog.text
    assert signal.getsignal(number) is before


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself signals there")
def test_a_signal_after_the_last_save_ends_at_once() -> None:
    model = planes_model(RandomPlanes(4))
    with stopping_on_signals(model, lambda: True), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself signals there")
def test_a_signal_while_another_is_noted_is_the_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Event.set` holds a lock that a handler within the handler would wait for without end."""

    class Slow(threading.Event):
        def set(self) -> None:
            if not signalled:
                signalled.append(True)
                os.kill(os.getpid(), signal.SIGINT)
            super().set()

    signalled: list[bool] = []
    monkeypatch.setattr(stop.threading, "Event", Slow)
    model = planes_model(RandomPlanes(4))
    with stopping_on_signals(model, lambda: False), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_signals_are_left_alone_outside_the_main_thread() -> None:
    model, before = planes_model(RandomPlanes(4)), signal.getsignal(signal.SIGINT)

    def look() -> None:
        with stopping_on_signals(model, lambda: False):
            found.append(signal.getsignal(signal.SIGINT))

    found: list[Any] = []
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]
