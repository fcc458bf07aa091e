"""A list of callbacks in which a broken one does not stop training."""

import logging
from collections import Counter
from collections.abc import Sequence

from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from keisei_agent.learning.ppo import SelfPlayPPO

logger = logging.getLogger(__name__)


class Guard(CallbackList):
    """Calls its callbacks in order; an exception in one is logged once per hook, and training goes on.

    `sys.exit` in a callback is a failure like any other: who calls it there would end the run unsaved.
    An exception in a callback class with `fatal = True` ends the run tidily: the rollout and its update
    are finished, all callbacks are told of the end, and `failure` holds it for the caller to raise.  In
    `init_callback` and `on_training_start` it is raised at once, as nothing has begun.  A callback whose
    `on_step` returns False ends the run in the same way, without a failure.

    A boundary is the start of a rollout, and the end of the last one: `on_rollout_start` is called there
    too, so that what is due at a boundary does not depend on whether the run ends with it.  A resumed run
    begins at the boundary at which it was saved, and calls `on_rollout_start` there a second time, with
    the same `num_timesteps`: what a callback draws or counts there belongs into its state, see `state`.

    Args:
        callbacks: in calling order.
    """

    def __init__(self, callbacks: Sequence[BaseCallback]) -> None:
        super().__init__(list(callbacks))
        self.failure: Exception | SystemExit | None = None
        """The first exception of a fatal callback."""
        self.ended = False
        """Whether all were told of the last boundary, and what follows learning has begun."""
        self._failures: Counter[tuple[BaseCallback, str]] = Counter()

    def close(self, *, at_once: bool = False) -> None:
        """Say how often callbacks failed, and close those that can be closed, also after an exception.

        Args:
            at_once: whether to call their `close_at_once` instead where they have one.
        """
        for (callback, hook), times in self._failures.items():
            if times > 1:
                logger.warning("%s.%s failed %d times", type(callback).__name__, hook, times)
        for callback in reversed(self.callbacks):
            close = getattr(callback, "close", None)
            if at_once:
                close = getattr(callback, "close_at_once", close)
            try:
                if close is not None:
                    close()
            except (Exception, SystemExit):
                logger.exception("%s.close failed", type(callback).__name__)

    def _init_callback(self) -> None:
        self._begin("init_callback", self.model)

    def _on_training_start(self) -> None:
        self._begin("on_training_start", self.locals, self.globals)

    def _begin(self, hook: str, *args: object) -> None:
        for callback in self.callbacks:
            self._call(callback, hook, *args)
            if self.failure is not None:
                raise self.failure

    def _on_rollout_start(self) -> None:
        self._call_all("on_rollout_start")

    def _on_step(self) -> bool:
        if not self._call_all("on_step"):
            self._stop()
        return True

    def _on_rollout_end(self) -> None:
        self._call_all("on_rollout_end")

    def _on_training_end(self) -> None:
        self._call_all("on_rollout_start")
        self.ended = True
        self._call_all("on_training_end")

    def _call_all(self, hook: str) -> bool:
        """Return False if any of the hooks did."""
        answers = [self._call(callback, hook) for callback in self.callbacks]
        return all(answers)

    def _call(self, callback: BaseCallback, hook: str, *args: object) -> bool:
        try:
            return getattr(callback, hook)(*args) is not False
        except (Exception, SystemExit) as error:
            fatal = getattr(callback, "fatal", False)
            self._report(callback, hook, fatal)
            if fatal:
                self.failure = self.failure or error
                self._stop()
            return True

    def _report(self, callback: BaseCallback, hook: str, fatal: bool) -> None:
        """Log the exception in hand, the first time."""
        self._failures[callback, hook] += 1
        if self._failures[callback, hook] > 1:
            return
        goes_on = "training goes on, further failures there are only counted"
        ends = "the run ends after this rollout"
        logger.exception("%s.%s failed; %s", type(callback).__name__, hook, ends if fatal else goes_on)

    def _stop(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        self.model.stop_requested = True
