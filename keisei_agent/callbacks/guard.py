"""A list of callbacks in which a broken one does not stop training."""

import logging

from stable_baselines3.common.callbacks import BaseCallback, CallbackList

logger = logging.getLogger(__name__)


class Guard(CallbackList):
    """Calls its callbacks in order; an exception in one is logged once per hook, and training goes on.

    A callback class with `fatal = True` lets its exceptions through.
    """

    def __init__(self, callbacks: list[BaseCallback]) -> None:
        super().__init__(callbacks)
        self._reported: set[tuple[BaseCallback, str]] = set()

    def _on_training_start(self) -> None:
        self._call("on_training_start", self.locals, self.globals)

    def _on_rollout_start(self) -> None:
        self._call("on_rollout_start")

    def _on_step(self) -> bool:
        return self._call("on_step")

    def _on_rollout_end(self) -> None:
        self._call("on_rollout_end")

    def _on_training_end(self) -> None:
        self._call("on_training_end")

    def _call(self, hook: str, *args: object) -> bool:
        """Return False if any callback's hook did."""
        go_on = True
        for callback in self.callbacks:
            try:
                go_on = getattr(callback, hook)(*args) is not False and go_on
            except Exception:
                if getattr(callback, "fatal", False):
                    raise
                if (callback, hook) not in self._reported:
                    self._reported.add((callback, hook))
                    logger.exception(
                        "%s.%s failed; training goes on, further failures there are not reported",
                        type(callback).__name__,
                        hook,
                    )
        return go_on
