"""How well does a preset play after so many CPU seconds?

    python benchmarks/learn.py [--preset cpu] [--seconds 1200] [--seeds 0 1 2] [--jobs 2]
                               [--opponents random greedy] [--games 400] [--rating 0]
                               [--folder runs/learn] [--set NAME=VALUE ...]

Each seed trains in a process of its own on one pinned core until it has used its CPU seconds, `--jobs` of
them side by side, and then plays its games at `--temperature`; `--rating N` adds its rating from N games on
the scale.  How flat its memory stayed, and the mates that it found last, are read from the run's curves.  A
folder that holds a run is gone on with: more seconds train on, fewer train no more.  `--set` tries settings,
their values as in JSON: `--set ppo.gae_lambda=0.8 network.name='"se_resnet"'`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from common import machine, pin, save, show, single_threaded, usable_cores

single_threaded()

from stable_baselines3.common.callbacks import BaseCallback  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

from keisei_agent import resume, train  # noqa: E402
from keisei_agent.config import load_config  # noqa: E402
from keisei_agent.players import MAKERS  # noqa: E402
from shogi_env.arena.openings import load_openings  # noqa: E402
from shogi_env.arena.players import Player, make_player  # noqa: E402
from shogi_env.arena.scale import evaluate  # noqa: E402
from shogi_env.arena.schedules import head_to_head  # noqa: E402
from shogi_env.arena.statistics import tally  # noqa: E402

SETTLED = 50
"""Updates after which all that comes now and then (checkpoints, boards, mates) has come once."""


class CPUClock(BaseCallback):
    """Makes the time of a run that of its process on the CPU, for its end and for its schedules."""

    def _on_training_start(self) -> None:
        self.before = self.model.seconds - time.process_time()

    def _on_rollout_start(self) -> None:
        self.model.seconds = self.before + time.process_time()

    def _on_step(self) -> bool:
        return True


def learn(folder: Path, preset: str, seed: int, seconds: float, settings: dict[str, Any]) -> dict[str, Any]:
    """Train, or go on, on one core; return decisions and CPU seconds."""
    limits = {"max_time": seconds, "total_timesteps": None}
    if (folder / "checkpoints" / "latest").exists():
        run = resume(folder, limits, callbacks=[CPUClock()])
    else:
        fixed = {"seed": seed, "eval_games": 0, "log.display": "off"} | limits
        run = train(load_config(preset=preset, settings=fixed | settings), folder, callbacks=[CPUClock()])
    return {"decisions": run.model.num_timesteps, "cpu_seconds": round(run.model.seconds, 1)}


def read_curves(folder: Path) -> dict[str, Any]:
    """How flat resident memory stayed over 200 rollouts once it had settled, and the mates found last.

    `growth`: the most megabytes over the least; `drift`: the mean of the last 50 over that of the first 50.
    """
    curves = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    curves.Reload()
    resident = [event.value for event in curves.Scalars("memory/resident")][SETTLED : SETTLED + 200]
    found: dict[str, Any] = {"updates": len(resident)}
    if len(resident) == 200:
        low, high = min(resident), max(resident)
        drift = statistics.mean(resident[-50:]) / statistics.mean(resident[:50]) - 1
        found |= {"least": low, "most": high, "growth": high / low - 1, "drift": drift}
    mates = [key for key in curves.Tags()["scalars"] if key.startswith("mates/")]
    return {"memory": found} | {key: curves.Scalars(key)[-1].value for key in mates}


def play(player: Player, spec: str, games: int) -> dict[str, Any]:
    """Both colors of each opening against one opponent."""
    with make_player(spec, makers=MAKERS) as other:
        found = tally(head_to_head(player, other, games, openings=load_openings(), slots=64), player.name)
    endings = {f"{outcome} by {reason}": number for (outcome, reason), number in found.reasons.items()}
    show(f"{player.name} against {spec}: {found}; {found.plies:.0f} plies; {endings}")
    counts = {"games": found.games, "score": found.score, "plies": found.plies}
    return found.results._asdict() | counts | {"endings": endings}


def measure(core: int, folder: Path, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One seed: learning and games."""
    pin(core)
    settings = {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in args.set)}
    row: dict[str, Any] = {"seed": seed} | learn(folder, args.preset, seed, args.seconds, settings)
    row |= read_curves(folder)
    show(f"seed {seed}: {row}")
    with make_player(
        f"seed{seed}=checkpoint:{folder};temperature={args.temperature}", makers=MAKERS
    ) as player:
        row["results"] = {spec: play(player, spec, args.games) for spec in args.opponents}
        if args.rating:
            found = evaluate(player, args.rating)
            show(f"seed {seed}: {found.rating}")
            row["rating"] = found.rating._asdict()
    return row


def main() -> None:
    """Train and play, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--seconds", type=float, default=1200.0, help="CPU seconds of a run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=len(usable_cores()), help="runs side by side")
    parser.add_argument("--opponents", nargs="*", default=["random", "greedy"])
    parser.add_argument("--games", type=int, default=400, help="against each of them")
    parser.add_argument("--temperature", type=float, default=0.25, help="0: the most probable move")
    parser.add_argument("--rating", type=int, default=0, help="games on the scale, 0 for none")
    parser.add_argument("--folder", type=Path, default=Path("runs/learn"))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings to try")
    parser.add_argument("--name", default="learn", help="of the results' file")
    args = parser.parse_args()
    cores = usable_cores()
    context = multiprocessing.get_context("spawn")
    rows = []
    with ProcessPoolExecutor(args.jobs, mp_context=context, max_tasks_per_child=1) as workers:
        tasks = [
            workers.submit(measure, cores[k % args.jobs], args.folder / f"seed{seed}", seed, args)
            for k, seed in enumerate(args.seeds)
        ]
        rows = [task.result() for task in as_completed(tasks)]
    rows.sort(key=lambda row: int(row["seed"]))
    for spec in args.opponents:
        scores = [row["results"][spec]["score"] for row in rows]
        show(f"against {spec}: mean {statistics.mean(scores):.1%}, worst {min(scores):.1%}")
    how = {"preset": args.preset, "seconds": args.seconds, "set": args.set, "temperature": args.temperature}
    save(args.name, {"machine": machine()} | how | {"runs": rows})


if __name__ == "__main__":
    main()
