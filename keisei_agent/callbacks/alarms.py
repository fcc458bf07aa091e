"""Signs that learning goes wrong."""

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.callbacks.output import write_at
from keisei_agent.learning.buffer import PackedRolloutBuffer
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.learning.update import NotFiniteError, Update
from shogi_env.types import Termination

logger = logging.getLogger(__name__)

PATIENCE = 10
"""Rollouts in a row that show a sign before it is told; what is not finite is told at once."""
LEAST_VALUE_LOSS = 1e-4
"""Results are 1, 0 and -1: values that foretell decided games so well know nothing but one result."""
LEAST_ENTROPY = 0.05
"""Over that of playing at random; with less, one move is as good as certain everywhere."""
LEAST_SPREAD = 1e-6
"""Standard deviation of the advantages."""
WINDOW = 500
"""Games that the share of those at the ply limit is taken over."""
RISE = 0.1
"""How far above its lowest value that share is told."""


@dataclass
class Rollout:
    """What is known of the last rollout."""

    games: int
    """That ended."""
    at_limit: int
    """Of them, by the ply limit."""
    spread: float
    """Standard deviation of the advantages; not finite where a value was not."""


class AlarmsCallback(BaseCallback):
    """Watches for values that learn nothing, for a policy that stops exploring, and for games without an end.

    Each of `SIGNS` that stands is recorded as 1, else as 0: `alarms/<sign>`. When one begins to stand, a
    sentence goes to the log and to `alarms/text`. Rollouts in which no game ended say nothing about values
    and advantages, and are passed over.
    """

    SIGNS = ("value_loss", "entropy", "advantages", "max_plies", "nan")

    def __init__(self, *, patience: int = PATIENCE) -> None:
        """Prepare it.

        Args:
            patience: rollouts in a row that show a sign before it is told.
        """
        super().__init__()
        self._needed = dict.fromkeys(self.SIGNS, patience) | {"max_plies": 2, "nan": 1}
        self._streaks = dict.fromkeys(self.SIGNS, 0)
        self._rollout: Rollout | None = None
        self._games = self._at_limit = 0  # in this rollout
        self._window = [0, 0]  # games since the share was last taken, and those of them at the limit
        self._lowest = 1.0  # share of games at the limit so far

    @property
    def standing(self) -> list[str]:
        """The signs that stand."""
        return [sign for sign, streak in self._streaks.items() if streak >= self._needed[sign]]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        return {"streaks": self._streaks, "window": self._window, "lowest": self._lowest}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._streaks |= state["streaks"]
        self._window, self._lowest = list(state["window"]), state["lowest"]

    def _on_step(self) -> bool:
        for idx in np.flatnonzero(self.locals["dones"]):
            self._games += 1
            self._at_limit += self.locals["infos"][idx]["termination"] == Termination.MAX_PLIES
        return True

    def _on_rollout_end(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        buffer = self.model.rollout_buffer
        assert isinstance(buffer, PackedRolloutBuffer)
        spread = float(buffer.advantages.std(dtype=np.float64))
        self._rollout = Rollout(self._games, int(self._at_limit), spread)
        self._games = self._at_limit = 0
        if not math.isfinite(spread):
            logger.error("values or advantages are not finite; the update will not survive it")

    def _on_rollout_start(self) -> None:
        assert isinstance(self.model, SelfPlayPPO)
        rollout, update = self._rollout, self.model.update
        self._rollout = None
        if rollout is None or update is None:
            return
        told = [self._judge("nan", find_nan(rollout, update)), self._judge("entropy", find_entropy(update))]
        if rollout.games:
            told.append(self._judge("value_loss", find_value_loss(update)))
            told.append(self._judge("advantages", find_advantages(rollout)))
        told.append(self._count(rollout))
        for sign in self.SIGNS:
            self.logger.record(f"alarms/{sign}", float(sign in self.standing))
        if any(told):
            self.logger.record("alarms/text", "\n\n".join(filter(None, told)))

    def _judge(self, sign: str, problem: str | None) -> str | None:
        """Note whether a rollout shows a sign; return the sentence if the sign begins to stand."""
        streak, needed = self._streaks[sign], self._needed[sign]
        self._streaks[sign] = 0 if problem is None else streak + 1
        if problem is None and streak >= needed:
            logger.info("the alarm about %s is over", sign)
        if problem is None or streak + 1 != needed:
            return None
        logger.warning("alarm: %s", problem)
        return problem

    def _count(self, rollout: Rollout) -> str | None:
        """Add a rollout's games to the window, and judge the window once it is full."""
        self._window[0] += rollout.games
        self._window[1] += rollout.at_limit
        if self._window[0] < WINDOW:
            return None
        share = self._window[1] / self._window[0]
        self._window = [0, 0]
        lowest = self._lowest = min(self._lowest, share)
        text = f"{share:.0%} of the games end at the ply limit; it was {lowest:.0%} before"
        return self._judge("max_plies", text if share >= lowest + RISE else None)


def tell_failure(model: SelfPlayPPO, error: BaseException) -> None:
    """Write to the outputs of a model's logger what ends its run, as `alarms/text`; a failure is logged."""
    told: dict[str, str | float] = {"alarms/text": f"the run ended: {type(error).__name__}: {error}"}
    if isinstance(error, NotFiniteError):
        told["alarms/nan"] = 1.0
    write_at(model.logger, told, model.num_timesteps)


def find_value_loss(update: Update) -> str | None:
    """Say that values foretell every result, if they do."""
    if update.value_loss >= LEAST_VALUE_LOSS:
        return None
    return f"the value loss is {update.value_loss:.1e} although games end: do all of them end alike?"


def find_entropy(update: Update) -> str | None:
    """Say that the policy has all but one move given up, if it has."""
    if update.relative_entropy is None or update.relative_entropy >= LEAST_ENTROPY:
        return None
    share = f"{update.relative_entropy:.1%}"
    return f"the policy's entropy is {share} of that of random play; a higher ppo.ent_coef keeps it trying"


def find_advantages(rollout: Rollout) -> str | None:
    """Say that no action was better than another, if none was."""
    if rollout.spread >= LEAST_SPREAD:
        return None
    return "all advantages are equal: nothing is learned from them"


def find_nan(rollout: Rollout, update: Update) -> str | None:
    """Name what is not finite, if anything is."""
    values = {"advantages": rollout.spread} | dict(update.metrics())
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    return f"not finite: {', '.join(broken)}" if broken else None
