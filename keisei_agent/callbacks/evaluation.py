"""How strong the learner is, measured by matches while it goes on learning."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.callbacks.due import Due
from keisei_agent.callbacks.output import write_at
from keisei_agent.config import Config
from keisei_agent.evaluation import Evaluation, EvaluationError, Evaluator, Task
from keisei_agent.files.storage import replace, write_atomically
from keisei_agent.files.weights import save_weights
from keisei_agent.learning.policy import NetworkPolicy
from keisei_agent.learning.ppo import SelfPlayPPO
from shogi_env.arena.records import GameLog
from shogi_env.types import UInt8Array

logger = logging.getLogger(__name__)

_MOST_WAITING = 2


class EvaluationCallback(BaseCallback):
    """Plays matches with a copy of the weights every so many decisions, and keeps the best.

    The games go to ``games.jsonl``, the results to ``evaluations.jsonl`` and, as `evaluation/...`, to the
    logger's outputs, at the step of the weights that played, all of it at boundaries.
    ``best.safetensors`` is the network with the highest mean score over all opponents; it is chosen anew when
    a run is resumed with other opponents or another temperature.  An evaluation that fails is logged; the
    next one is due as ever.  Those that are not finished when a checkpoint is written are part of it, weights
    included, and are played again when the run is resumed.

    Args:
        folder: of the run.
        config: of the run.
        evaluator: plays; made if None.
    """

    def __init__(self, folder: Path, config: Config, evaluator: Evaluator | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.best: tuple[int, float] | None = None
        """Steps and score of what ``best.safetensors`` holds."""
        self._evaluator = evaluator or Evaluator()
        self._due = Due(config.evaluation.every)

    @property
    def best_path(self) -> Path:
        """The best network; none before the first evaluation, nor with `checkpoint.keep_best` off."""
        return self.folder / "best.safetensors"

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, the network files included: those on disk may be of a later time."""
        waiting = {f"{task.steps}": _read(task.weights) for task in self._evaluator.tasks}
        best: dict[str, Any] | None = None
        if self.best is not None and self.best_path.exists():
            best = {"of": self.best, "file": _read(self.best_path), "measured": self._measure()}
        return {"best": best, "waiting": waiting}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned; evaluations that waited are played anew."""
        self.best = None
        best = state["best"]
        if best is not None and best.get("measured", self._measure()) != self._measure():
            logger.warning("The best network is chosen anew: so far it was measured by %s", best["measured"])
        elif best is not None:
            steps, score = best["of"]
            self.best = steps, score
            write_atomically(self.best_path, best["file"].tobytes())
        for steps, file in state["waiting"].items():
            write_atomically(self._weights(int(steps)), file.tobytes())
            self._evaluator.submit(self._task(int(steps)))

    def _measure(self) -> dict[str, Any]:
        """What scores are only comparable under, as JSON."""
        evaluation = self.config.evaluation
        return {"opponents": sorted(evaluation.opponents), "temperature": evaluation.temperature}

    def close(self) -> None:
        """End the process that plays; also after an exception in training."""
        self._evaluator.close()

    def _on_training_start(self) -> None:
        self._due.steps = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        self._collect(wait=False)
        if self._due.crossed(self.model.num_timesteps):
            self._begin()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        waiting = len(self._evaluator.tasks)
        if waiting and self.model.done < 1:
            logger.info("%d evaluations are not finished; they are played when the run is resumed", waiting)
        elif waiting:
            logger.info("Waiting for %d evaluations; Ctrl-C ends at once.", waiting)
            self._collect(wait=True)

    def _begin(self) -> None:
        steps = self.model.num_timesteps
        waiting = len(self._evaluator.tasks)
        assert isinstance(self.model, SelfPlayPPO)
        if waiting >= _MOST_WAITING and self.model.done < 1:  # the last one is waited for anyway
            logger.warning(
                "no evaluation at %s decisions: %d before it are not finished; play fewer games or set "
                "evaluation.every higher",
                f"{steps:,}",
                waiting,
            )
            return
        assert isinstance(self.model.policy, NetworkPolicy)
        save_weights(self._weights(steps), self.model.policy.network, self.config, steps)
        self._evaluator.submit(self._task(steps))
        if self.config.evaluation.blocking:
            self._collect(wait=True)

    def _task(self, steps: int) -> Task:
        evaluation = self.config.evaluation
        return Task(
            weights=self._weights(steps),
            steps=steps,
            name=f"{self.folder.name}-{steps}",
            opponents=evaluation.opponents,
            games=evaluation.games,
            temperature=evaluation.temperature,
            seed=self.config.seed + steps,
            max_plies=self.config.env.max_plies,
        )

    def _weights(self, steps: int) -> Path:
        return self.folder / "evaluation" / f"{steps:012d}.safetensors"

    def _collect(self, *, wait: bool) -> None:
        """Take what is done, or wait for all of it."""
        while self._evaluator.tasks:
            weights = self._evaluator.tasks[0].weights
            try:
                done = self._evaluator.result(None if wait else 0.0)
            except EvaluationError as error:
                logger.error("evaluation failed: %s", error)
                weights.unlink(missing_ok=True)
                continue
            if done is None:
                return
            self._keep_best(done, weights)
            self._record(done)

    def _record(self, done: Evaluation) -> None:
        with GameLog(self.folder / "games.jsonl") as games:
            games.write(done.games)
        with (self.folder / "evaluations.jsonl").open("a", encoding="utf-8", newline="\n") as file:
            file.write(done.to_line() + "\n")
        values: dict[str, float | None] = {}
        for result in done.results:
            logger.info("After %s decisions against %s: %s", f"{done.steps:,}", result.opponent, result)
            for name in ("score", "low", "high"):
                values[f"evaluation/{result.opponent}/{name}"] = getattr(result, name)
        if done.rating is not None:
            logger.info("After %s decisions rating %s.", f"{done.steps:,}", done.rating)
            values |= {f"evaluation/rating/{name}": value for name, value in done.rating._asdict().items()}
        known = {name: value for name, value in values.items() if value is not None}
        write_at(self.logger, known, done.steps)

    def _keep_best(self, done: Evaluation, weights: Path) -> None:
        best = self.best if self.best_path.exists() else None  # its user may have moved it away
        better = done.score is not None and (best is None or done.score > best[1])
        if self.config.checkpoint.keep_best and better and done.score is not None:
            self.best = done.steps, done.score
            replace(weights, self.best_path)
        else:
            weights.unlink(missing_ok=True)


def _read(path: Path) -> UInt8Array:
    """A file as bytes, uint8[N]."""
    return np.frombuffer(path.read_bytes(), np.uint8)
