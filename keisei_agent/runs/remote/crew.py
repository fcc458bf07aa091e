"""Workers as actors of Ray, on this machine or on a cluster."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported

import numpy as np
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from keisei_agent.config import Config
from keisei_agent.learning.parts import Order
from keisei_agent.learning.workers import Brought, Failed, NoWorkersError, Ready
from keisei_agent.runs.remote.player import Player, warm_up

logger = logging.getLogger(__name__)

_LEAST_STORE = 128 * 2**20
"""Bytes; Ray itself takes no less than 75 MiB."""
_ROLLOUT_BYTES = 2048
"""For each decision, planes and masks as bits; the last observations of all games are less."""
_REACHED_WITHIN = 20.0
"""Seconds for a connection to a cluster."""


class RayCrew:
    """Implements `learning.workers.Crew` by one actor for each worker, which Ray itself never restarts.

    Ray is started for it and ended with it, unless this process has joined a cluster before.

    Args:
        config: of the run.

    Raises:
        NoWorkersError: Ray cannot be started, or there is no such cluster.
    """

    def __init__(self, config: Config) -> None:
        self._actor_class = ray.remote(Player)
        self._actors: dict[int, Any] = {}
        self._asked: dict[Any, int] = {}  # what is waited for, and whose it is
        self._weights: Any = None
        self._started = not ray.is_initialized()
        if self._started:
            try:
                with _own_signals():
                    _begin(config)
            except (RayError, OSError, ValueError, RuntimeError) as error:  # ConnectionError is an OSError
                raise NoWorkersError(f"ray: {_one_line(error)}") from None
        self._closed = False
        try:
            self._settings = ray.put(config)
            _warm_up_machines(config.workers.patience)
        except RayError as error:
            self.close()
            raise NoWorkersError(f"ray: {_one_line(error)}") from None

    def publish(self, weights: Mapping[str, np.ndarray]) -> None:
        """Put the weights where all machines fetch them from; those before are forgotten."""
        self._weights = ray.put(dict(weights))

    def start(self, number: int) -> None:
        """Begin to start an actor, on one core."""
        options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0}
        self._actors[number] = self._actor_class.options(**options).remote(self._settings)
        self._asked[self._actors[number].about.remote()] = number

    def ask(self, number: int, order: Order) -> None:
        """Have an actor play."""
        self._asked[self._actors[number].play.remote(order, self._weights)] = number

    def wait(self, seconds: float) -> list[Ready | Brought | Failed]:
        """Return what has happened, after so many seconds if nothing does."""
        refs = list(self._asked)
        ray.wait(refs, num_returns=1, timeout=seconds)
        done, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        return [self._read(ref, self._asked.pop(ref)) for ref in done]

    def _read(self, ref: Any, number: int) -> Ready | Brought | Failed:
        try:
            found = ray.get(ref)
        except RayTaskError as error:
            cause = error.cause
            logger.warning("Worker %d raised an exception:\n%s", number, error)
            return Failed(number, cause if isinstance(cause, Exception) else error)
        except RayActorError as error:
            return Failed(number, RuntimeError(_why_it_died(error)))
        except RayError as error:
            return Failed(number, RuntimeError(_one_line(error)))
        return Ready(number, found) if isinstance(found, str) else Brought(number, found)

    def stop(self, number: int) -> None:
        """Kill an actor."""
        self._asked = {ref: whose for ref, whose in self._asked.items() if whose != number}
        ray.kill(self._actors.pop(number))

    def close(self) -> None:
        """Kill all actors, and end what was started."""
        if self._closed or not ray.is_initialized():
            return
        self._closed = True
        for number in list(self._actors):
            self.stop(number)
        if self._started:
            ray.shutdown()


def _begin(config: Config) -> None:
    """Join a cluster, or start one on this machine with as many cores as workers."""
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    address = config.workers.ray_address
    if address is not None:
        if address != "auto":
            _reach(address)
        ray.init(address=address, **quiet)
        return
    ray.init(
        address="local",
        num_cpus=config.workers.count,
        include_dashboard=False,
        object_store_memory=max(_LEAST_STORE, 4 * _ROLLOUT_BYTES * config.rollout),
        **quiet,
    )


def _reach(address: str) -> None:
    """Find out whether anybody listens at HOST:PORT; Ray itself would try for minutes.

    Raises:
        ConnectionError: nobody does.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _REACHED_WITHIN).close()
    except (OSError, OverflowError) as error:  # of a port above 65535
        raise ConnectionError(f"no cluster at {address}: {error}") from None


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's answer to SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _warm_up_machines(patience: float) -> None:
    """Have every machine compile once what all workers on it need; this one does so itself."""
    warm_up()
    here = ray.get_runtime_context().get_node_id()
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]
    task = ray.remote(warm_up)
    refs = {
        task.options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        ).remote(): node
        for node in nodes
    }
    if not refs:
        return
    done, late = ray.wait(list(refs), num_returns=len(refs), timeout=patience)
    for ref in done:
        try:
            ray.get(ref)
        except RayError as error:
            logger.warning("Ray's node %s cannot play: %s", refs[ref], _one_line(error))
    for ref in late:
        logger.warning("Ray's node %s has not compiled in %g seconds", refs[ref], patience)


def _why_it_died(error: RayActorError) -> str:
    """The end of Ray's account of it, which begins with what the actor was."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].partition(" Some common causes")[0] if lines else type(error).__name__


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
