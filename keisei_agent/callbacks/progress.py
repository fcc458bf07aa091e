"""How far a run has come, on a terminal as a bar, elsewhere as a line now and then."""

import logging
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from stable_baselines3.common.callbacks import BaseCallback

logger = logging.getLogger(__name__)


class ProgressCallback(BaseCallback):
    """Shows the elapsed part of the time limit or of the plies, whichever is further, and the speed."""

    def __init__(
        self, total_timesteps: int | None, max_time: float | None, *, line_every: float = 30.0
    ) -> None:
        """Prepare it.

        Args:
            total_timesteps: plies to learn from, None if there is no limit.
            max_time: seconds to learn for, None if there is no limit.
            line_every: seconds between lines where there is no terminal.
        """
        super().__init__()
        self.total_timesteps = total_timesteps
        self.max_time = max_time
        self.line_every = line_every
        self._bar: Progress | None = None

    def _on_training_start(self) -> None:
        self._start = self._last_line = time.monotonic()
        self._steps_at_start = self.model.num_timesteps
        console = Console()
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("learning"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.description}"),
                console=console,
            )
            self._task = self._bar.add_task("", total=1.0)
            self._bar.start()

    def _on_step(self) -> bool:
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._share(now), description=self._text(now))
        elif now - self._last_line >= self.line_every:
            self._last_line = now
            logger.info("%3.0f %%  %s", 100 * self._share(now), self._text(now))
        return True

    def _on_training_end(self) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back; also after an exception in training."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _share(self, now: float) -> float:
        """Return the part done, 0..1."""
        parts = [0.0]
        if self.max_time is not None:
            parts.append((now - self._start) / self.max_time)
        if self.total_timesteps is not None:
            parts.append(self.model.num_timesteps / self.total_timesteps)
        return min(1.0, max(parts))

    def _text(self, now: float) -> str:
        elapsed = now - self._start
        speed = (self.model.num_timesteps - self._steps_at_start) / elapsed if elapsed > 0 else 0.0
        limit = "" if self.max_time is None else f" of {clock(self.max_time)}"
        return f"{clock(elapsed)}{limit}, {self.model.num_timesteps:,} plies, {speed:,.0f} plies/s"


def clock(seconds: float) -> str:
    """Format seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
