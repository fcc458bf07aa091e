"""Stopping at a boundary: after a time, or when a signal asks for it."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.learning import distributed
from keisei_agent.learning.ppo import SelfPlayPPO

logger = logging.getLogger(__name__)

_SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_ECHO = 2.0
"""Seconds within which signals are one: torchrun sends its processes a Ctrl-C again, and SIGTERM after it."""


class MaxTimeCallback(BaseCallback):
    """Asks the model to stop once `seconds` of learning have passed; the running rollout is finished.

    Those of all sessions of a run count together.
    """

    fatal = True  # without it the run might never end

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def _on_training_start(self) -> None:
        self._look()

    def _on_step(self) -> bool:
        self._look()
        return True

    def _look(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        if self.model.seconds >= self.seconds:
            self.model.stop_requested = True


@contextmanager
def stopping_on_signals(model: SelfPlayPPO, is_over: Callable[[], bool]) -> Iterator[threading.Event]:
    """Let the first Ctrl-C or SIGTERM finish the rollout, and the second one end the program at once.

    Args:
        model: is asked to stop.
        is_over: whether learning has ended and everything is saved: then the first one ends the program.

    Yields:
        Whether one came.
    """
    interrupted, first = threading.Event(), 0.0  # when the first one came, 0 before
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # only the main thread may set signal handlers
        return

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if first and distributed.size() > 1 and time.monotonic() - first < _ECHO:
            return
        if first or is_over():
            raise KeyboardInterrupt
        first = time.monotonic()  # before the event, whose lock one more signal in `set` would wait for
        interrupted.set()
        model.stop_requested = True
        name = _SIGNALS[signal.Signals(number)]
        logger.info("%s: finishing this rollout, then saving. Once more ends at once.", name)

    previous = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield interrupted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
