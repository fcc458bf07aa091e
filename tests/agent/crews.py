"""Workers that live in this process, and what goes wrong with them."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch as th

from keisei_agent.config import Config
from keisei_agent.learning.parts import Order
from keisei_agent.learning.workers import Brought, Failed, Ready, Workers
from keisei_agent.runs.remote.player import Player


class CrewHere:
    """Plays orders when it is asked what has happened, the last one first.

    Args:
        config: of the run.
        deaths: numbers of the orders, from 1, at which their worker dies.
        silences: numbers of the orders that nothing is heard of.
        stale: numbers of the orders that come with weights of two updates before.
        starts: whether a worker starts, from its number.
        error: what workers die of.
    """

    def __init__(
        self,
        config: Config,
        *,
        deaths: Collection[int] = (),
        silences: Collection[int] = (),
        stale: Collection[int] = (),
        starts: Callable[[int], bool] = lambda number: True,
        error: Exception | None = None,
    ) -> None:
        self.deaths, self.silences, self.stale, self.starts = deaths, silences, stale, starts
        self.error = error or RuntimeError("its process died")
        self.orders: list[Order] = []
        self.closed = False
        self._config = config
        self._players: dict[int, Player] = {}
        self._events: list[tuple[int, Any]] = []
        self._weights: Mapping[str, np.ndarray] = {}

    def publish(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights = {name: weight.copy() for name, weight in weights.items()}

    def start(self, number: int) -> None:
        assert number not in self._players
        with th.random.fork_rng(devices=[]):
            self._players[number] = Player(self._config)
        self._events.append((number, None))

    def ask(self, number: int, order: Order) -> None:
        assert number in self._players
        self.orders.append(order)
        self._events.append((number, (len(self.orders), order, self._weights)))

    def wait(self, seconds: float) -> list[Ready | Brought | Failed]:
        events, self._events = self._events[::-1], []
        found = [event for number, what in events if (event := self._happen(number, what)) is not None]
        if not found:
            time.sleep(0.01)
        return found

    def _happen(self, number: int, what: Any) -> Ready | Brought | Failed | None:
        if what is None:
            where = self._players[number].about()
            return Ready(number, where) if self.starts(number) else Failed(number, self.error)
        count, order, weights = what
        if count in self.silences:
            return None
        if count in self.deaths:
            return Failed(number, self.error)
        with th.random.fork_rng(devices=[]):
            rollout = self._players[number].play(order, weights)
        age = 2 if count in self.stale else 0
        return Brought(number, rollout._replace(version=rollout.version - age))

    def stop(self, number: int) -> None:
        del self._players[number]
        self._events = [event for event in self._events if event[0] != number]

    def close(self) -> None:
        self.closed = True
        self._players.clear()


class Builder:
    """Builds workers in this process, in place of `build_workers`, and keeps their crews."""

    def __init__(self, **troubles: Any) -> None:
        self.troubles = troubles
        self.crews: list[CrewHere] = []
        self.workers: list[Workers] = []

    def __call__(self, config: Config, at: int) -> Workers:
        self.crews.append(CrewHere(config, **self.troubles))
        settings = config.workers
        self.workers.append(
            Workers(
                self.crews[-1],
                settings.count,
                seed=config.seed,
                required=settings.required,
                max_staleness=settings.max_staleness,
                patience=settings.patience,
            )
        )
        return self.workers[-1]
