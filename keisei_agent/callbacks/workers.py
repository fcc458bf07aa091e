"""How the workers do."""

from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.learning.ppo import SelfPlayPPO


class WorkersCallback(BaseCallback):
    """Records after each rollout who plays and what was lost: `workers/...`, see docs/METRICS.md."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        workers = self.model.workers
        self.logger.record("workers/alive", 0 if workers is None else workers.alive)
        if workers is not None:
            self.logger.record("workers/restarts", workers.restarts)
            self.logger.record("workers/refused", workers.refused)
            self.logger.record("workers/staleness", workers.staleness)
