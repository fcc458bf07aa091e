"""Periodic and final checkpoints."""

import logging
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.checkpoint import save_checkpoint
from keisei_agent.config import TrainConfig
from keisei_agent.policy import NetworkPolicy

logger = logging.getLogger(__name__)


class CheckpointCallback(BaseCallback):
    """Saves at the first start of a rollout after each multiple of `config.checkpoint_every`, and at the end.

    The start of a rollout is the one moment at which nothing is half done. A rollout that
    crosses several multiples is saved once.
    """

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.last_saved: Path | None = None
        """The newest file, None before the first."""

    def _on_training_start(self) -> None:
        self._multiple = self.model.num_timesteps // self.config.checkpoint_every

    def _on_rollout_start(self) -> None:
        multiple = self.model.num_timesteps // self.config.checkpoint_every
        if multiple > self._multiple:
            self._multiple = multiple
            self._save()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._save()

    def _save(self) -> None:
        policy = self.model.policy
        assert isinstance(policy, NetworkPolicy)
        steps = self.model.num_timesteps
        path = self.folder / f"{steps:012d}.safetensors"
        save_checkpoint(path, policy.network, policy.optimizer, self.config, steps)
        self.last_saved = path
        logger.debug("saved %s", path)
