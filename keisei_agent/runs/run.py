"""What a training run leaves in the hands of whoever started it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keisei_agent.config import ConfigError
from keisei_agent.files.storage import locked
from keisei_agent.files.weights import LATEST
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.players import Score
from keisei_agent.runs.saving import RunSaver


@dataclass
class Run:
    """A run that has learned, and where everything is."""

    folder: Path
    """config.yaml, about.json, results.json, log.txt, checkpoints, tensorboard; with evaluations also
    games.jsonl, evaluations.jsonl and best.safetensors; final.safetensors if the target was reached."""
    model: SelfPlayPPO
    """It saves and plays; and it learns on, unless processes that have ended played its games: those of
    `env.vec_env = "subproc"`, or engines of the pool."""
    saver: RunSaver
    """Writes its checkpoints."""
    before: Score | None = None
    """Against random before learning, None if no games were asked for."""
    after: Score | None = None
    """Against random after learning, None likewise or after Ctrl-C."""
    interrupted: bool = False
    """Whether Ctrl-C or SIGTERM ended it."""

    @property
    def checkpoint(self) -> Path | None:
        """The newest checkpoint."""
        return self.saver.last

    @property
    def resumed_from(self) -> Path | None:
        """The checkpoint that this session went on from, None for a new run."""
        return self.saver.resumed_from

    @property
    def reached_target(self) -> bool:
        """Whether it has learned for as long as it was asked to."""
        return self.model.done >= 1

    def save(self) -> Path:
        """Write a checkpoint of the model as it is now, unless there is one of it, and return its path.

        While a run goes on, a callback asks for one at the next boundary by `model.save_requested = True`.

        Raises:
            ConfigError: the run goes on elsewhere, or did.
        """
        last, folder = self.saver.last, self.saver.folder
        if last and int(last.name) == self.model.num_timesteps:
            return last
        try:
            with locked(folder.lock):
                latest = folder.checkpoints / LATEST
                if last and latest.exists() and latest.read_text("utf-8").strip() != last.name:
                    raise ConfigError(f"{folder.path} went on in the meantime; resume it instead")
                return self.saver.save()
        except BlockingIOError as error:
            raise ConfigError(f"{error}; this model was not saved") from None

    def stats(self) -> dict[str, Any]:
        """What is known of the run, as JSON."""
        return {
            "name": self.folder.name,
            "folder": str(self.folder),
            "num_timesteps": self.model.num_timesteps,
            "seconds": round(self.model.seconds, 3),
            "updates": self.model._n_updates,
            "reached_target": self.reached_target,
            "interrupted": self.interrupted,
            "resumed_from": self.resumed_from and str(self.resumed_from),
            "checkpoint": self.checkpoint and str(self.checkpoint),
            "against_random": {
                "before": self.before and self.before.as_dict(),
                "after": self.after and self.after.as_dict(),
            },
        }
