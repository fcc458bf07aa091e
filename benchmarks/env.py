"""Environment steps per CPU second against other shogi environments.

    python benchmarks/env.py [--only batch scalar sb3 snapshots cores workers] [--pairs 15] [--seconds 0.3]

A full step is a random legal action, its move, the end of the game with reset, the legal mask and all
planes.  Peers differ in what they do: cshogi has 119 planes and here no repetition rule, OpenSpiel 45
and 13689 actions, envpool and pgx 119 and no repetition rule; ours are 136 planes and every rule.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from common import (
    NotInstalled,
    Task,
    compare,
    cpu_seconds_with,
    load,
    machine,
    pin,
    save,
    show,
    show_comparison,
    single_threaded,
    usable_cores,
)

single_threaded()

import ours  # noqa: E402
import peers  # noqa: E402

import shogi_env  # noqa: E402

SB3_GAMES, SB3_WORKERS = 256, 16
SCALAR_GAMES = 20
KILLS, KILL_SECONDS = 5, 5.0
SNAPSHOT_GAMES, SNAPSHOT_MICROSECONDS, SNAPSHOT_ROUNDS = (64, 1024), 3.0, 500

Pairs = Iterable[tuple[Callable[[], Task], Callable[[], Task]]]


def cshogi_batch(games: int) -> Task:
    """The mask and features step of cshogi in a batch loop."""
    batch = peers.load("cshogi_engine").Batch(games)
    for _ in range(ours.WARM_UP_STEPS):
        batch.step()
    return Task(f"cshogi mask + features, {games} games", ours.repeated(batch.step))


def openspiel() -> Task:
    """OpenSpiel from Python."""
    return Task("OpenSpiel shogi", ours.repeated(peers.load("openspiel").Game().step, 256))


def envpool(games: int) -> Task:
    """Shogi of envpool on one thread."""
    return Task(
        f"envpool Shogi-v1, {games} games", ours.repeated(peers.load("envpool_shogi").Batch(games).step, 64)
    )


def pgx(games: int) -> Task:
    """Shogi of pgx on the CPU."""
    return Task(f"pgx, {games} games", peers.load("pgx_shogi").Batch(games).step)


def batch_pairs() -> Pairs:
    """Batches of 1, 64 and 1024 games against cshogi at the same size and at its best, then the others."""
    for games in (1, 64, 1024):
        for packed in (False, True):
            for theirs in dict.fromkeys((games, 1)):
                yield partial(ours.positions_task, games, packed=packed), partial(cshogi_batch, theirs)
        yield partial(ours.vector_task, games), partial(cshogi_batch, games)
    yield partial(ours.vector_task, 1024), openspiel
    for games in (1, 64):
        yield partial(ours.vector_task, games), partial(envpool, games)
    yield partial(ours.vector_task, 64), partial(pgx, 64)


def recorded_games(count: int) -> list[list[int]]:
    """Actions of random games, to be replayed by both sides: choosing costs nothing, labels are equal."""
    batch = shogi_env.Positions(count)
    games: list[list[int]] = [[] for _ in range(count)]
    while len(running := (batch.outcomes()[0] == 0).nonzero()[0]):
        actions = batch.random_actions(running)
        for i, action in zip(running, actions, strict=True):
            games[i].append(int(action))
        batch.apply(actions, running)
    return games


def replay(name: str, env: Any, games: list[list[int]]) -> Task:
    """Replay games in a scalar environment; a unit is one `step`."""

    def run() -> int:
        steps = 0
        for actions in games:
            env.reset()
            for action in actions:
                steps += 1
                if env.step(action)[2]:
                    break
        return steps

    return Task(name, run)


def scalar_pairs() -> Pairs:
    """`step` of one environment, on the same games."""
    games = recorded_games(SCALAR_GAMES)
    env = shogi_env.ShogiEnv(opponent=None)
    yield (
        lambda: replay("ShogiEnv(opponent=None).step", env, games),
        lambda: replay("cshogi-backed gymnasium.Env.step", peers.load("cshogi_gym").CshogiEnv(), games),
    )


def sb3_peer(kind: str, games: int) -> Task:
    """SB3's own vector environments over the cshogi-backed environment, masks the way MaskablePPO asks."""
    from sb3_contrib.common.maskable.utils import get_action_masks
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

    make = peers.load("cshogi_gym").make_for_sb3
    env = (DummyVecEnv if kind == "dummy" else SubprocVecEnv)([make] * games)
    env.reset()
    choose = ours.Picker(games)

    def step() -> int:
        env.step(choose(get_action_masks(env)))
        return games

    clock = time.process_time if kind == "dummy" else cpu_seconds_with(ours.worker_pids)
    name = "DummyVecEnv" if kind == "dummy" else "SubprocVecEnv"
    return Task(f"SB3 {name} over cshogi, {games} games", ours.repeated(step), clock, env.close)


def sb3_pairs() -> Pairs:
    """Our three backends against SB3's two vector environments."""
    yield partial(ours.sb3_task, SB3_GAMES, "native"), partial(sb3_peer, "dummy", SB3_GAMES)
    yield partial(ours.sb3_task, SB3_GAMES, "dummy"), partial(sb3_peer, "dummy", SB3_GAMES)
    yield partial(ours.sb3_task, SB3_GAMES, "subproc"), partial(sb3_peer, "subproc", SB3_WORKERS)


def core_pairs() -> Pairs:
    """All cores against one, by the wall clock: only meaningful on an idle machine.

    The last row is what the cores give, at that time, to processes that have nothing to do with each other.
    """
    cores = len(usable_cores())
    show(f"wall clock, {cores} cores, load before: {load()}")
    batch = partial(ours.positions_task, 1024, packed=False, clock=time.perf_counter)
    yield partial(batch, threads=cores), batch
    packed = partial(ours.positions_task, 1024, packed=True, clock=time.perf_counter)
    yield partial(packed, threads=cores), packed
    for task in (ours.threads_task, ours.workers_task, ours.independent_task):
        yield partial(task, 1024, cores), partial(task, 1024, 1)


def killed_workers() -> list[dict[str, Any]]:
    """How soon a killed worker process is named, for each way to start processes."""
    rows = []
    for method in multiprocessing.get_all_start_methods():
        row = ours.killed_worker(method, KILLS) | {"bar": KILL_SECONDS}
        rows.append(row)
        show(
            f"SB3 subproc, {method}: a killed worker is named after {row['seconds']:.3f} s "
            f"(longest {max(row['runs']):.3f} of {KILLS}; at most {KILL_SECONDS:g}); "
            f"processes left: {row['left'] or 'none'}"
        )
    return rows


def snapshots() -> list[dict[str, Any]]:
    """What a snapshot and its restoring cost for each game of a batch."""
    rows = []
    for games in SNAPSHOT_GAMES:
        row = ours.snapshot_costs(games, SNAPSHOT_ROUNDS) | {"bar": SNAPSHOT_MICROSECONDS}
        rows.append(row)
        show(
            f"{games} games, the longest of {row['longest']} plies: snapshot {row['snapshot']:.2f}, "
            f"restore {row['restore']:.2f} CPU microseconds a game (each at most {SNAPSHOT_MICROSECONDS:g})"
        )
    return rows


PAIRS: dict[str, Callable[[], Pairs]] = {
    "batch": batch_pairs,
    "scalar": scalar_pairs,
    "sb3": sb3_pairs,
    "cores": core_pairs,
}
ALONE: dict[str, Callable[[], list[dict[str, Any]]]] = {"snapshots": snapshots, "workers": killed_workers}
SECTIONS = [*PAIRS, *ALONE]
ON_ALL_CORES = ("cores", "workers")


def measure(pairs: Pairs, count: int, seconds: float, missing: list[str]) -> list[dict[str, Any]]:
    """Run the pairs one after another; what is not installed goes to `missing`."""
    rows = []
    for make_ours, make_peer in pairs:
        try:
            peer = make_peer()
        except NotInstalled as error:
            missing.append(str(error))
            show(str(error))
            continue
        own = make_ours()
        rows.append(compare(own, peer, "steps/s", pairs=count, seconds=seconds).summary())
        show_comparison(rows[-1])
        own.close()
        peer.close()
    return rows


def run_section(name: str, count: int, seconds: float) -> dict[str, Any]:
    """Measure a section: its rows, the core it was pinned to and what is not installed."""
    show(f"-- {name}")
    missing: list[str] = []
    core = None if name in ON_ALL_CORES else pin()
    rows = ALONE[name]() if name in ALONE else measure(PAIRS[name](), count, seconds, missing)
    return {"rows": rows, "core": core, "missing": missing}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.3, help="CPU seconds per measurement")
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "missing": []}
    for name in args.only:
        # A process for each: a fork server started on one core would keep later workers there.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            section = fresh.submit(run_section, name, args.pairs, args.seconds).result()
        result[name] = section["rows"]
        result["missing"] += section["missing"]
        if name not in ON_ALL_CORES:
            result["core"] = section["core"]
    save("env" if len(args.only) == len(SECTIONS) else f"env-{'-'.join(args.only)}", result)


if __name__ == "__main__":
    main()
