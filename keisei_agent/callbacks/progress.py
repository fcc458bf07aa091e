"""How far a run has come: a line now and then, for logs and for terminals without a live view."""

import logging
import time
from collections import deque

from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.config import Config
from keisei_agent.learning.ppo import SelfPlayPPO

logger = logging.getLogger(__name__)

_WINDOW = 30.0
"""Seconds that the speed is an average of."""
_SAMPLES = 120


class Pace:
    """How fast a run has been lately, and how long it still takes.

    Args:
        steps: decisions so far.
        done: share of the run, 0..1.
    """

    def __init__(self, steps: int, done: float) -> None:
        now = time.monotonic()
        self._first = now, done
        self._samples = deque([(now, steps)], maxlen=_SAMPLES)
        self.steps = steps
        self.done = done

    def update(self, steps: int, done: float) -> None:
        """Note how far the run is."""
        now = time.monotonic()
        self.steps, self.done = steps, done
        if now - self._samples[-1][0] >= _WINDOW / _SAMPLES:
            self._samples.append((now, steps))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW:
            self._samples.popleft()

    @property
    def speed(self) -> float | None:
        """Decisions a second over the last half minute, pauses for learning included; None at first."""
        then, steps = self._samples[0]
        elapsed = time.monotonic() - then
        return (self.steps - steps) / elapsed if self.steps > steps and elapsed > 0 else None

    @property
    def left(self) -> float | None:
        """Seconds to go if it goes on as since training started; None as long as nobody can know."""
        then, done = self._first
        elapsed = time.monotonic() - then
        return (1 - self.done) * elapsed / (self.done - done) if self.done > done else None


class ProgressCallback(BaseCallback):
    """Logs every so often how far the run is, how fast it goes and how long it still takes.

    Args:
        config: of the run.
        line_every: seconds between lines.
    """

    def __init__(self, config: Config, *, line_every: float = 30.0) -> None:
        super().__init__()
        self.config = config
        self.line_every = line_every

    def _on_training_start(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        self._pace = Pace(self.model.num_timesteps, self.model.done)
        self._last_line = time.monotonic()

    def _on_step(self) -> bool:
        now = time.monotonic()
        if now - self._last_line >= self.line_every:
            self._last_line = now
            assert isinstance(self.model, SelfPlayPPO)
            self._pace.update(self.model.num_timesteps, self.model.done)
            logger.info("%s", describe(self._pace, self.model.seconds, self.config))
        return True


def describe(pace: Pace, seconds: float, config: Config) -> str:
    """One line: share done, time, decisions, speed, time left; what is not known is a dash."""
    time_limit = "" if config.max_time is None else f" of {clock(config.max_time)}"
    step_limit = "" if config.total_timesteps is None else f" of {config.total_timesteps:,}"
    speed = "-" if pace.speed is None else f"{pace.speed:,.0f}"
    left = "-" if pace.left is None else clock(pace.left)
    return (
        f"{100 * min(pace.done, 1):3.0f} %  {clock(seconds)}{time_limit}, "
        f"{pace.steps:,}{step_limit} decisions, {speed} a second, {left} left"
    )


def clock(seconds: float) -> str:
    """Format seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
