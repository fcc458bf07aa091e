"""Where the time goes, as torch sees it."""

import logging
from pathlib import Path

import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from torch.profiler import ProfilerActivity, profile

from keisei_agent.files.storage import write_atomically

logger = logging.getLogger(__name__)

_ROWS = 40
"""Operations in the table, the most expensive first."""


class ProfileCallback(BaseCallback):
    """Traces one rollout with its update, the second of the run: the first one compiles and allocates.

    Writes ``trace.json.gz``, for https://ui.perfetto.dev or chrome://tracing, and ``operations.txt``, a
    table.

    Args:
        folder: where to, made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._rollouts = 0
        self._profiler: profile | None = None

    def _on_rollout_start(self) -> None:
        if self._profiler is not None:
            self._write(self._profiler)
            self._profiler = None
        elif self._rollouts == 1:
            self._profiler = profile(activities=_activities(), profile_memory=True)
            self._profiler.start()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self._rollouts += 1

    def _on_training_end(self) -> None:
        if self._profiler is not None or self._rollouts < 2:
            self.close()
            logger.warning("nothing was traced: the run ended before its second rollout did")

    def close(self) -> None:
        """Stop tracing without a trace; also after an exception in training."""
        if self._profiler is not None:
            self._profiler.stop()
            self._profiler = None

    def _write(self, profiler: profile) -> None:
        profiler.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(self.folder / "trace.json.gz"))
        order = "self_device_time_total" if th.cuda.is_available() else "self_cpu_time_total"
        table = profiler.key_averages().table(sort_by=order, row_limit=_ROWS)
        write_atomically(self.folder / "operations.txt", table.encode())
        logger.info("traced one rollout and its update: %s", self.folder)


def _activities() -> list[ProfilerActivity]:
    """What can be traced on this machine."""
    found = [ProfilerActivity.CPU]
    return [*found, ProfilerActivity.CUDA] if th.cuda.is_available() else found
