"""Writing what was recorded."""

from stable_baselines3.common.callbacks import BaseCallback


class DumpCallback(BaseCallback):
    """Writes at each boundary what was recorded since the one before, at the step that it belongs to.

    It takes the place of stable-baselines3's own writing (`log_interval=None`), which comes before the
    update: an update's values would appear one rollout late and wait through every checkpoint.  So the
    numbers of a rollout and of the update from it stand at the same step, and at a boundary nothing waits.
    It has to come after all callbacks that record, and before the one that saves.
    """

    def _on_training_start(self) -> None:
        self._written = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps > self._written:
            self._written = self.model.num_timesteps
            self.model.dump_logs()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if self.logger.name_to_value:  # recorded by others at the end
            self.logger.dump(self.model.num_timesteps)
