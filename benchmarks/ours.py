"""Our side of `env.py`: the same full step in every form the package offers it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numba
import numpy as np
from common import Task, cpu_seconds_with, pin, usable_cores

import shogi_env
from shogi_env.core.constants import MASK_WORDS, PLANE_WORDS

WARM_UP_STEPS = 300
"""Steps before anything is timed: the games of a batch are then spread over all stages of play."""
CHUNK_STEPS = 50
"""Steps that independent processes take without meeting; at 1024 games about a tenth of a second."""


@numba.njit(cache=False)
def pick(masks: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The first legal action of each row of masks (bool[N, A]) at or after a starting point, cyclically.

    Not uniform, but legal, and so cheap that the step alone is measured; all sides use it.
    """
    actions = np.zeros(len(masks), np.int64)
    for i in range(len(masks)):
        a = starts[i]
        for _ in range(masks.shape[1]):
            if masks[i, a]:
                break
            a = a + 1 if a + 1 < masks.shape[1] else 0
        actions[i] = a
    return actions


class Picker:
    """Random legal actions from masks, at next to no cost."""

    def __init__(self, games: int, seed: int = 0) -> None:
        self.starts = np.random.default_rng(seed).integers(0, 2187, (997, games))
        self.turn = 0

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """int64[N] for bool[N, A]."""
        self.turn = (self.turn + 1) % len(self.starts)
        return pick(masks, self.starts[self.turn])


def repeated(step: Callable[[], int], at_least: int = 2048) -> Callable[[], int]:
    """`step` as often as it takes for that many units, so that reading the clock costs nothing."""
    times = max(1, at_least // step())

    def run() -> int:
        return sum(step() for _ in range(times))

    return run


def positions_task(
    games: int, *, packed: bool, threads: int = 1, clock: Callable[[], float] = time.process_time
) -> Task:
    """Positions: random legal action, apply, outcomes, restart of ended games, masks, all planes."""
    batch = shogi_env.Positions(games, threads=threads)
    start = batch.first_row()
    if packed:
        masks, planes = np.empty((games, MASK_WORDS), np.uint64), np.empty((games, PLANE_WORDS), np.uint64)
    else:
        masks, planes = np.empty((games, 2187), np.int8), np.empty((games, 136, 9, 9), np.uint8)
    new_masks, new_planes = np.empty_like(masks), np.empty_like(planes)

    def step() -> int:
        actions = batch.random_actions()
        if packed:
            batch.apply(actions)
            batch.masks(masks)
            batch.planes(planes)
        else:
            batch.apply_and_observe(actions, batch.everyone, planes, masks)
        ended = np.flatnonzero(batch.outcomes()[0])
        if len(ended):
            batch.set_up(ended, start)
            masks[ended] = batch.masks(new_masks[: len(ended)], ended)
            planes[ended] = batch.planes(new_planes[: len(ended)], ended)
        return games

    for _ in range(WARM_UP_STEPS):
        step()
    kind = "packed bits" if packed else "uint8"
    cores = f", {threads} threads" if threads > 1 else ""
    return Task(f"Positions {kind}, {games} games{cores}", repeated(step), clock)


def snapshot_costs(games: int, rounds: int) -> dict[str, Any]:
    """What copying games out of a batch and back costs, in a shuffled order.

    Args:
        games: in the batch, spread over all stages of play; the longest decides how much history is copied.
        rounds: of which the medians are returned.

    Returns:
        "snapshot" and "restore", CPU microseconds for each game; "longest", plies of the longest game.
    """
    batch = shogi_env.Positions(games)
    batch.seed(np.arange(1, games + 1, dtype=np.uint64))
    start, order = batch.first_row(), np.random.default_rng(0).permutation(games)
    for _ in range(WARM_UP_STEPS):
        batch.set_up(np.flatnonzero(batch.outcomes()[0]), start)
        batch.apply(batch.random_actions())
    times = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        snapshot = batch.snapshot(order)
        between = time.process_time_ns()
        batch.restore(order, snapshot)
        times.append((between - begin, time.process_time_ns() - between))
    out, back = np.median(times, axis=0) / games / 1000
    return {"games": games, "snapshot": out, "restore": back, "longest": int(batch.plies.max())}


def both_seats(games: int, threads: int = 1) -> tuple[shogi_env.ShogiVectorEnv, Callable[[], np.ndarray]]:
    """A started ShogiVectorEnv, both seats ours, uint8 planes and int8 mask; random legal actions for it."""
    env = shogi_env.ShogiVectorEnv(games, opponent=None, copy=False, threads=threads)
    env.reset(seed=0)
    return env, lambda: np.maximum(env.positions.random_actions(), 0)  # -1 where a game is about to restart


def vector_task(games: int) -> Task:
    """Random legal actions and ShogiVectorEnv.step."""
    env, choose = both_seats(games)

    def step() -> int:
        env.step(choose())
        return games

    for _ in range(WARM_UP_STEPS):
        step()
    return Task(f"ShogiVectorEnv uint8, {games} games", repeated(step), time.process_time, env.close)


class Stopwatch:
    """Wall-clock seconds spent inside ``with stopwatch:``; called, it returns them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self.begin = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter() - self.begin

    def __call__(self) -> float:
        """The seconds so far."""
        return self.seconds


def step_only_task(name: str, env: Any, choose: Callable[[], np.ndarray]) -> Task:
    """`env.step` alone by the wall clock; the choice of actions is not timed."""
    stopwatch = Stopwatch()

    def step() -> int:
        actions = choose()
        with stopwatch:
            env.step(actions)
        return len(actions)

    for _ in range(WARM_UP_STEPS):
        step()
    return Task(name, repeated(step), stopwatch, env.close)


def threads_task(games: int, threads: int) -> Task:
    """ShogiVectorEnv with threads."""
    return step_only_task(f"ShogiVectorEnv, {games} games, {threads} threads", *both_seats(games, threads))


def workers_task(games: int, workers: int) -> Task:
    """SB3 subproc with worker processes."""
    from shogi_env.adapters.sb3 import make_vec_env

    env = make_vec_env(games, backend="subproc", seed=0, opponent=None, num_workers=workers)
    env.reset()
    picker = Picker(games)
    name = f"SB3 subproc, {games} games, {workers} workers"
    return step_only_task(name, env, lambda: picker(env.action_masks()))


def independent_task(games: int, processes: int) -> Task:
    """What the cores can give: a process on each, with its share of the games, that waits for no other.

    They meet only every `CHUNK_STEPS` steps; timed are those steps and their choice of actions.
    """
    context = multiprocessing.get_context("spawn")
    each = games // processes
    pipes: list[Connection] = []
    children = []
    for core in usable_cores()[:processes]:
        pipe, theirs = context.Pipe()
        child = context.Process(target=step_when_told, args=(theirs, each, core), daemon=True)
        child.start()
        theirs.close()
        pipes.append(pipe)
        children.append(child)

    def run() -> int:
        for pipe in pipes:
            pipe.send(CHUNK_STEPS)
        return sum(pipe.recv() for pipe in pipes)

    def close() -> None:
        for pipe in pipes:
            pipe.close()
        for child in children:
            child.join()

    name = f"independent processes, {len(pipes)} x {each} games"
    return Task(name, run, time.perf_counter, close)


def step_when_told(pipe: Connection, games: int, core: int) -> None:
    """Play as many steps as the pipe says and answer how many units that was, until it is closed."""
    pin(core)
    env, choose = both_seats(games)
    for _ in range(WARM_UP_STEPS):
        env.step(choose())
    while True:
        try:
            steps = pipe.recv()
        except EOFError:
            return
        for _ in range(steps):
            env.step(choose())
        pipe.send(steps * games)


def sb3_task(games: int, backend: str) -> Task:
    """Our SB3 VecEnv, with masks, as MaskablePPO steps it."""
    from shogi_env.adapters.sb3 import make_vec_env

    env = make_vec_env(games, backend=backend, seed=0, opponent=None)
    env.reset()
    choose = Picker(games)

    def step() -> int:
        env.step(choose(env.action_masks()))
        return games

    for _ in range(WARM_UP_STEPS if backend == "native" else 10):
        step()
    clock = cpu_seconds_with(worker_pids) if backend == "subproc" else time.process_time
    return Task(f"SB3 {backend}, {games} games", repeated(step), clock, env.close)


def worker_pids() -> list[int]:
    """Processes this one has started and not yet collected."""
    return [child.pid for child in multiprocessing.active_children() if child.pid]


def killed_worker(method: str, times: int) -> dict[str, Any]:
    """Wall-clock seconds from the kill of a worker to the error that names it, and processes then left."""
    from shogi_env.adapters.sb3 import WorkerError, make_vec_env

    seconds, left, message = [], set(), ""
    for k in range(times):
        env = make_vec_env(64, "subproc", seed=k, opponent=None, num_workers=2, start_method=method)
        env.reset()
        actions, pids = Picker(64)(env.action_masks()), env.pids
        killed = pids[k % 2]
        began = time.perf_counter()
        os.kill(killed, signal.SIGKILL)
        try:
            while True:
                env.step(actions)
        except WorkerError as error:
            seconds.append(time.perf_counter() - began)
            message = str(error)
        if f"pid {killed}" not in message:
            raise RuntimeError(f"process {killed} was killed, but the error says: {message}")
        left |= {pid for pid in [*pids, *worker_pids()] if exists(pid)}
    median = statistics.median(seconds)
    return {"method": method, "seconds": median, "runs": seconds, "left": sorted(left), "message": message}


def exists(pid: int) -> bool:
    """Whether there is such a process, be it one that has ended and was not collected."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
