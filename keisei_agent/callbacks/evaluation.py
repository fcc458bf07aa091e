"""How strong the learner is, measured by matches while it goes on learning."""

import logging
import os
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import TensorBoardOutputFormat

from keisei_agent.checkpoint import save_checkpoint
from keisei_agent.config import TrainConfig
from keisei_agent.evaluation import Evaluation, EvaluationError, Evaluator, Task
from keisei_agent.policy import NetworkPolicy

logger = logging.getLogger(__name__)

_MOST_WAITING = 2


class EvaluationCallback(BaseCallback):
    """Plays matches with a copy of the weights each `config.evaluation.every` plies, and keeps the best.

    Due at the first start of a rollout after each multiple.  The games go to ``games.jsonl``, the results
    to ``evaluations.jsonl`` and to TensorBoard as ``evaluation/...``, at the step of the weights that
    played.  ``best.safetensors`` is the checkpoint with the highest mean score over all opponents.  An
    evaluation that fails is logged; the next one is due as ever.

    Args:
        folder: of the run.
        config: of the run.
        evaluator: plays; made if None.
    """

    def __init__(self, folder: Path, config: TrainConfig, evaluator: Evaluator | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.best: Evaluation | None = None
        """The evaluation of what ``best.safetensors`` holds."""
        self._evaluator = evaluator or Evaluator()
        self._every = config.evaluation.every

    @property
    def best_path(self) -> Path:
        """The best checkpoint; there is none before the first evaluation."""
        return self.folder / "best.safetensors"

    def _on_training_start(self) -> None:
        self._multiple = self.model.num_timesteps // self._every if self._every else 0

    def _on_rollout_start(self) -> None:
        self._collect(wait=False)
        if not self._every or self.model.num_timesteps // self._every <= self._multiple:
            return
        self._multiple = self.model.num_timesteps // self._every
        if self._evaluator.waiting >= _MOST_WAITING:
            logger.warning(
                "no evaluation at %s plies: %d before it are not finished; play fewer games or set "
                "evaluation.every higher",
                f"{self.model.num_timesteps:,}",
                self._evaluator.waiting,
            )
            return
        self._submit()
        if self.config.evaluation.blocking:
            self._collect(wait=True)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if self._evaluator.waiting:
            logger.info("Waiting for %d evaluations; Ctrl-C ends at once.", self._evaluator.waiting)
        self._collect(wait=True)
        self.close()

    def close(self) -> None:
        """End the process that plays; also after an exception in training."""
        self._evaluator.close()

    def _submit(self) -> None:
        policy = self.model.policy
        assert isinstance(policy, NetworkPolicy)
        steps, evaluation = self.model.num_timesteps, self.config.evaluation
        path = self._weights(steps)
        save_checkpoint(path, policy.network, policy.optimizer, self.config, steps)
        self._evaluator.submit(
            Task(
                path,
                steps,
                evaluation.opponents,
                evaluation.games,
                evaluation.temperature,
                self.config.seed + steps,
                self.config.env.max_plies,
                self.folder / "games.jsonl",
            )
        )

    def _weights(self, steps: int) -> Path:
        return self.folder / "evaluation" / f"{steps:012d}.safetensors"

    def _collect(self, *, wait: bool) -> None:
        """Take what is done, or wait for all of it."""
        while self._evaluator.waiting:
            try:
                done = self._evaluator.result(None if wait else 0.0)
            except EvaluationError as error:
                logger.error("evaluation failed: %s", error)
                continue
            if done is None:
                return
            self._record(done)

    def _record(self, done: Evaluation) -> None:
        with (self.folder / "evaluations.jsonl").open("a", encoding="utf-8", newline="\n") as file:
            file.write(done.to_line() + "\n")
        for result in done.results:
            logger.info("After %s plies against %s: %s", f"{done.steps:,}", result.opponent, result)
            for name in ("score", "low", "high"):
                value = getattr(result, name)
                if value is not None:
                    self._scalar(f"evaluation/{result.opponent}/{name}", value, done.steps)
        if done.rating is not None:
            logger.info("After %s plies rating %s.", f"{done.steps:,}", done.rating)
            for name, value in done.rating._asdict().items():
                if value is not None:
                    self._scalar(f"evaluation/rating/{name}", value, done.steps)
        weights = self._weights(done.steps)
        if done.score is not None and (
            self.best is None or self.best.score is None or done.score > self.best.score
        ):
            self.best = done
            os.replace(weights, self.best_path)
        else:
            weights.unlink(missing_ok=True)

    def _scalar(self, name: str, value: float, steps: int) -> None:
        """To TensorBoard, at the step of the weights rather than of the learner."""
        for output in self.logger.output_formats:
            if isinstance(output, TensorBoardOutputFormat):
                output.writer.add_scalar(name, value, steps)
