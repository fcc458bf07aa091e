"""The run on the terminal, live."""

import io
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter

from keisei_agent.callbacks.progress import Pace, ProgressCallback, describe
from keisei_agent.callbacks.view import Scene, can_show, draw, plain_board
from keisei_agent.config import Config
from keisei_agent.files.storage import write_atomically
from keisei_agent.learning.ppo import SelfPlayPPO
from shogi_env import Board

logger = logging.getLogger(__name__)

COST = 100
"""Time between two drawings, in drawings: the view takes less than a hundredth of the time."""
SAVED_WIDTH, SAVED_HEIGHT = 100, 48
"""Columns and lines of the view in ``display.txt``."""
_KEPT = 64
"""Values and log lines that are remembered."""


def make_display(config: Config, folder: Path, console: Console | None = None) -> BaseCallback | None:
    """What tells the terminal how the run goes, as `log.display` says; None for nothing.

    Args:
        config: of the run.
        folder: of the run.
        console: where to; that of stdout if None.
    """
    console = Console() if console is None else console
    kind = config.log.display
    if kind == "auto":
        kind = "rich" if console.is_terminal and not console.is_dumb_terminal else "plain"
    if kind == "rich":
        return DisplayCallback(config, folder, console)
    return ProgressCallback(config) if kind == "plain" else None


class Tape(KVWriter):
    """An output of the logger that remembers the last values of each key."""

    def __init__(self) -> None:
        self.latest: dict[str, float] = {}
        self.trends: dict[str, deque[float]] = {}

    def write(self, key_values: dict[str, Any], key_excluded: Mapping[str, Any], step: int = 0) -> None:
        """Take the numbers among what is written."""
        for key, value in key_values.items():
            if isinstance(value, int | float | np.number):
                self.latest[key] = float(value)
                self.trends.setdefault(key, deque(maxlen=_KEPT)).append(float(value))

    def close(self) -> None:
        """Do nothing: what was written may still be asked for."""


class Lines(logging.Handler):
    """Remembers the last lines of the log."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: deque[str] = deque(maxlen=_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first line of a record: traces are in the log file."""
        try:
            text = record.getMessage().partition("\n")[0]
        except Exception:  # its text and its arguments do not fit together
            self.handleError(record)
            return
        self._kept.append(text if record.levelno <= logging.INFO else f"{record.levelname}: {text}")

    def last(self) -> list[str]:
        """The lines, the newest last."""
        self.acquire()  # other threads log too
        try:
            return list(self._kept)
        finally:
            self.release()


class DisplayCallback(BaseCallback):
    """Shows progress, speed, losses, games, a board, evaluations and log lines while the run goes on.

    Everything on it was recorded; what was not is a dash.  It is drawn anew at most every
    `log.display_every` seconds, and seldom enough to take less than a hundredth of the time.  When drawing
    fails, it gives the terminal back, says so, and goes on with lines.  At the end it is saved as
    ``display.txt``.

    Handlers of the package's log that write to the terminal, which have an attribute `on_terminal` that is
    true, pause meanwhile: the view shows the lines.

    Args:
        config: of the run.
        folder: of the run.
        console: where to draw.
    """

    def __init__(self, config: Config, folder: Path, console: Console) -> None:
        super().__init__()
        self.config = config
        self.folder = folder
        self.console = console
        self._tape = Tape()
        self._lines = Lines()
        self._live: Live | None = None
        self._instead: ProgressCallback | None = None
        self._paused: list[logging.Handler] = []
        self._doing = "starting"
        self._next = 0.0
        self._sfen: str | None = None

    def _on_training_start(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        self._pace = Pace(self.model.num_timesteps, self.model.done)
        self.logger.output_formats.append(self._tape)
        self._take_log()
        self._live = Live(console=self.console, auto_refresh=False)
        self._guarded(self._live.start)
        self._draw()

    def _on_rollout_start(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        if self.model.stop_requested or self.model.done >= 1:  # evaluations may still be waited for
            self._doing = "finishing"
            self._draw()

    def _on_step(self) -> bool:
        if self._live is not None and time.monotonic() >= self._next:
            self._doing = "playing"
            self._draw(look=True)
        elif self._instead is not None:
            self._instead.on_step()
        return True

    def _on_rollout_end(self) -> None:
        self._doing = "learning"
        if time.monotonic() >= self._next:
            self._draw()

    def _on_training_end(self) -> None:
        self._doing = "done"

    def close(self) -> None:
        """Draw once more, give the terminal back and save the view; also after an exception in training."""
        if self._live is None:
            return
        if self._doing != "done":
            self._doing = "stopped"
        self._draw()
        self._stop()
        try:
            self._save()
        except Exception:
            logger.exception("the view was not saved")

    def _draw(self, *, look: bool = False) -> None:
        """Draw now, perhaps after a look at the games, and decide when next."""
        start = time.monotonic()
        if look:
            self._guarded(self._look)
        self._guarded(self._refresh)
        end = time.monotonic()
        self._next = end + max(self.config.log.display_every, COST * (end - start))

    def _refresh(self) -> None:
        if self._live is not None:
            size, encoding = self.console.size, self.console.encoding
            view = draw(self._scene(), size.width, size.height, encoding, self._picture(encoding))
            self._live.update(view, refresh=True)

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do something; if it fails, go on with lines instead of the view."""
        try:
            act()
        except Exception:
            self._stop()
            logger.exception("the live view failed; training goes on, with lines instead")
            self._instead = ProgressCallback(self.config)
            self._instead.init_callback(self.model)
            self._instead.on_training_start(self.locals, self.globals)

    def _scene(self) -> Scene:
        assert isinstance(self.model, SelfPlayPPO)
        self._pace.update(self.model.num_timesteps, self.model.done)
        return Scene(
            name=self.folder.name,
            doing=self._doing,
            done=self._pace.done,
            progress=describe(self._pace, self.model.seconds, self.config),
            latest=self._tape.latest,
            trends=self._tape.trends,
            lines=self._lines.last(),
        )

    def _look(self) -> None:
        """Look at the board of the first game."""
        self._sfen = self.training_env.env_method("sfen", indices=[0])[0]

    def _picture(self, encoding: str) -> str | None:
        """The board that was seen last; None before the first look."""
        if self._sfen is None:
            return None
        text = str(Board(self._sfen))
        return text if can_show(text, encoding) else plain_board(self._sfen)

    def _save(self) -> None:
        page = Console(file=io.StringIO(), width=SAVED_WIDTH, height=SAVED_HEIGHT, force_terminal=False)
        page.print(draw(self._scene(), SAVED_WIDTH, SAVED_HEIGHT, "utf-8", self._picture("utf-8")))
        assert isinstance(page.file, io.StringIO)
        write_atomically(self.folder / "display.txt", page.file.getvalue().encode())

    def _take_log(self) -> None:
        package = logging.getLogger("keisei_agent")
        self._paused = [handler for handler in package.handlers if getattr(handler, "on_terminal", False)]
        for handler in self._paused:
            package.removeHandler(handler)
        package.addHandler(self._lines)

    def _give_log_back(self) -> None:
        package = logging.getLogger("keisei_agent")
        package.removeHandler(self._lines)
        for handler in self._paused:
            package.addHandler(handler)
        self._paused = []

    def _stop(self) -> None:
        """Give back what was taken: the terminal, the log, and the logger's values."""
        live, self._live = self._live, None
        if live is not None:
            with suppress(Exception):  # a terminal that is gone cannot be put in order
                live.stop()
        self._give_log_back()
        with suppress(ValueError):
            self.logger.output_formats.remove(self._tape)
