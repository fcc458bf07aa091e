"""Workers that play the games in other processes: what they are asked for, what they bring, who is left.

The games are divided into parts, as many as workers.  An order says everything that the play of a part
depends on: where its games stand, the weights, a seed.  So whatever a worker was doing when it died is
ordered again, from whoever is free, and comes out as it would have: nothing is lost, nothing counted twice.
"""

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch as th

from keisei_agent.learning.parts import Order, Rollout, Stand
from keisei_agent.learning.update import TrainingError

logger = logging.getLogger(__name__)

TRIES = 5
"""Failures in a row, without a rollout between, after which a worker is given up."""
_LOOK = 1.0
"""Seconds between two looks at who is late."""


class NoWorkersError(RuntimeError):
    """No worker can be started."""


class Ready(NamedTuple):
    """A worker has started."""

    number: int
    where: str
    """Its process and machine, for people."""


class Brought(NamedTuple):
    """A worker has played what it was asked for."""

    number: int
    rollout: Rollout


class Failed(NamedTuple):
    """A worker has died, or raised an exception."""

    number: int
    error: Exception


class Crew(Protocol):
    """Starts workers by number and passes on what they are told; what happens to them is asked for."""

    def publish(self, weights: Mapping[str, np.ndarray]) -> None:
        """Let orders from now on be played with these weights, by name."""

    def start(self, number: int) -> None:
        """Begin to start a worker; a `Ready` or a `Failed` tells what came of it."""

    def ask(self, number: int, order: Order) -> None:
        """Give an order to a worker that is ready; a `Brought` or a `Failed` tells what came of it."""

    def wait(self, seconds: float) -> Sequence[Ready | Brought | Failed]:
        """Return what has happened, after so many seconds if nothing does."""

    def stop(self, number: int) -> None:
        """End a worker, which may be dead already; nothing more is heard of it."""

    def close(self) -> None:
        """End all workers; a second call does nothing."""


@dataclass
class _Worker:
    """What is known of one."""

    since: float
    """When it was started, or given its order."""
    ready: bool = False
    order: Order | None = None
    failures: int = 0
    """In a row."""


class Workers:
    """Has the parts of every rollout played, by whoever is there to play them.

    Args:
        crew: starts and reaches the workers.
        count: how many, and how many parts.
        seed: of the run; with a part's number and the decisions before the rollout it seeds the part.
        required: whether the loss of the last worker is an error of the run.
        max_staleness: updates that the weights of a rollout may lack, 0 or 1; with 1 workers play ahead.
        patience: seconds after which one that has not started or not brought its part is taken for dead.

    Attributes:
        max_staleness: as given.
        restarts: workers that were started again.
        refused: parts of rollouts that were played with older weights than allowed.
        staleness: updates that the weights of the last rollout lacked, mean over its parts.
    """

    def __init__(
        self,
        crew: Crew,
        count: int,
        *,
        seed: int,
        required: bool = False,
        max_staleness: int = 0,
        patience: float = 600.0,
    ) -> None:
        self.max_staleness = max_staleness
        self.restarts = self.refused = 0
        self.staleness = 0.0
        self._crew, self._count, self._seed = crew, count, seed
        self._required, self._patience = required, patience
        self._workers: dict[int, _Worker] = {}
        self._waiting: deque[Order] = deque()
        self._brought: dict[int, Rollout] = {}
        self._at = -1  # decisions before the rollout that is being played
        self._version = 0  # of the weights: how often they were published
        for number in range(count):
            self._start(number, failures=0)

    @property
    def alive(self) -> int:
        """Workers that were not given up."""
        return len(self._workers)

    def wait_for_first(self) -> bool:
        """Wait until a worker has started; return False if none could be.

        Raises:
            TrainingError: none could be, and they are required.
        """
        while self._workers and not any(worker.ready for worker in self._workers.values()):
            self._listen()
        return bool(self._workers)

    def collect(self, weights: Mapping[str, th.Tensor], stand: Stand, at: int) -> list[Rollout] | None:
        """Have all parts of a rollout played and return them in order; None if no worker is left.

        Args:
            weights: of the policy, by name.
            stand: where the games stand.
            at: decisions of the run before the rollout.

        Raises:
            TrainingError: a worker found that learning cannot go on; or none is left and they are required.
        """
        self._version += 1
        self._crew.publish({name: weight.detach().cpu().numpy() for name, weight in weights.items()})
        self._order(stand, at)
        while len(self._brought) < self._count:
            self._hand_out()
            self._listen()
            if not self._workers:
                return None
        rollouts = [self._brought.pop(part) for part in range(self._count)]
        self.staleness = float(np.mean([self._version - rollout.version for rollout in rollouts]))
        return rollouts

    def play_ahead(self, stand: Stand, at: int) -> None:
        """Have the parts of the next rollout begun, with the weights there are; arguments as of `collect`."""
        self._order(stand, at)
        self._hand_out()

    def close(self) -> None:
        """End all workers; a second call does nothing."""
        self._workers.clear()
        self._crew.close()

    def _order(self, stand: Stand, at: int) -> None:
        """Order the parts of a rollout that are not yet; those of another one are not wanted any more."""
        if at == self._at:
            return
        self._at = at
        self._brought.clear()
        self._waiting = deque(stand.orders(self._count, self._seed, at))

    def _hand_out(self) -> None:
        """Give orders to those who have none."""
        for number, worker in self._workers.items():
            if self._waiting and worker.ready and worker.order is None:
                worker.order = self._waiting.popleft()._replace(version=self._version)
                worker.since = time.monotonic()
                self._crew.ask(number, worker.order)

    def _listen(self) -> None:
        """Take in what has happened, or that somebody is late."""
        for event in self._crew.wait(_LOOK):
            if isinstance(event, Ready):
                self._workers[event.number].ready = True
                logger.info("Worker %d has started: %s.", event.number, event.where)
            elif isinstance(event, Brought):
                self._take(event.number, event.rollout)
            else:
                self._bury(event.number, event.error)
        late = time.monotonic() - self._patience
        for number, worker in list(self._workers.items()):
            if worker.since < late and (worker.order is not None or not worker.ready):
                self._bury(number, TimeoutError(f"nothing was heard of it for {self._patience:g} seconds"))

    def _take(self, number: int, rollout: Rollout) -> None:
        """Keep a part if it is wanted and its weights are new enough, else order it again."""
        worker = self._workers[number]
        order, worker.order, worker.failures = worker.order, None, 0
        if order is None or order.at != self._at:
            return  # the games were begun anew in the meantime
        if self._version - rollout.version > self.max_staleness:
            self.refused += 1
            self._waiting.append(order)
            return
        self._brought[rollout.part] = rollout

    def _bury(self, number: int, error: Exception) -> None:
        """Start a worker again, or give it up; what it was doing is ordered again.

        Raises:
            TrainingError: as `collect`.
        """
        worker = self._workers.pop(number)
        if worker.order is not None and worker.order.at == self._at:
            self._waiting.appendleft(worker.order)
        self._crew.stop(number)
        if isinstance(error, TrainingError):
            raise error
        reason = str(error) or type(error).__name__
        if worker.failures + 1 < TRIES:
            logger.warning("Worker %d is started again: %s", number, reason)
            self.restarts += 1
            self._start(number, failures=worker.failures + 1)
            return
        logger.error("Worker %d is given up after %d failures in a row: %s", number, TRIES, reason)
        if not self._workers:
            self.close()
            if self._required:
                raise TrainingError(f"no worker is left of {self._count}: {reason}")
            logger.error("No worker is left; the learning process plays by itself from now on.")

    def _start(self, number: int, *, failures: int) -> None:
        self._workers[number] = _Worker(time.monotonic(), failures=failures)
        self._crew.start(number)
