"""Stopping after a time."""

import time

from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.ppo import SelfPlayPPO


class MaxTimeCallback(BaseCallback):
    """Asks the model to stop once `seconds` of learning have passed; the running rollout is finished."""

    fatal = True  # without it the run might never end

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def _on_training_start(self) -> None:
        self._end = time.monotonic() + self.seconds

    def _on_step(self) -> bool:
        if time.monotonic() >= self._end:
            assert isinstance(self.model, SelfPlayPPO)
            self.model.stop_requested = True
        return True
