"""When a run is saved, and when what was saved is put back."""

from pathlib import Path
from typing import Protocol

from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.callbacks.due import Due
from keisei_agent.learning import distributed
from keisei_agent.learning.ppo import SelfPlayPPO


class Saver(Protocol):
    """Writes and restores the state of a run."""

    @property
    def resumed(self) -> bool:
        """Whether there is a state to restore."""

    def save(self) -> Path:
        """Write a checkpoint and return its path; processes that learn together do it together."""

    def save_final(self) -> None:
        """Write the network of a run that has reached its target."""

    def restore_callbacks(self) -> None:
        """Put the callbacks' states back."""

    def restore_generators(self) -> None:
        """Put the random generators back."""


class CheckpointCallback(BaseCallback):
    """Saves at the first boundary of a run, at each after a multiple of `every`, when asked, and at the last.

    A boundary is the one moment at which nothing is half done.  This has to be the last of all callbacks:
    what it saves is then what all others have done there.  `model.save_requested` asks for a checkpoint
    at the next boundary.  Where the target is reached, the final network is saved too.

    Args:
        every: decisions between checkpoints.
        saver: writes them.
    """

    fatal = True  # a run that cannot be saved is lost work

    def __init__(self, every: int, saver: Saver) -> None:
        super().__init__()
        self._saver = saver
        self._due = Due(every)
        self._saved_at: int | None = None

    def _on_training_start(self) -> None:
        self._due.steps = self.model.num_timesteps
        self._restoring = self._saver.resumed
        if self._restoring:
            self._saver.restore_callbacks()
            self._saved_at = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        if self._restoring:  # last of all: others may draw when they are told that a rollout starts
            self._saver.restore_generators()
            self._restoring = False
        steps = self.model.num_timesteps
        last = self.model.stop_requested or steps >= self.model._total_timesteps
        due = self._due.crossed(steps)
        wanted = due or last or self._saved_at is None or self.model.save_requested
        self._save(wanted=wanted)
        if last and self.model.done >= 1:
            self._saver.save_final()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._save(wanted=True)

    def _save(self, *, wanted: bool) -> None:
        """Write a checkpoint if any of the processes wants one of a state that it has not saved yet.

        All take part: the first one tries again what it could not write, and needs the others' states.
        """
        assert isinstance(self.model, SelfPlayPPO)
        missing = wanted and self._saved_at != self.model.num_timesteps
        agreed, _ = distributed.agree(missing, 0.0)
        if agreed:
            self._saver.save()
            self._saved_at = self.model.num_timesteps
        self.model.save_requested = False
