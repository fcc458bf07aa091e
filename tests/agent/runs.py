"""What two runs have in common, and where they may differ."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import (
    STORE_EVERYTHING_SIZE_GUIDANCE,
    EventAccumulator,
)

from keisei_agent.evaluation import Evaluation, Evaluator, Task, evaluate
from keisei_agent.runs import checkpoint
from shogi_env.core.state import STATE

TIMED = ("speed/", "time/", "memory/")
"""Metrics that depend on how busy the machine is."""


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of every metric in a run's folder, by step.

    Files of one second and one process are named by a count: the tenth is read before the ninth.
    """
    events = EventAccumulator(str(folder / "tensorboard"), STORE_EVERYTHING_SIZE_GUIDANCE).Reload()
    found = defaultdict(list)
    for tag in events.Tags()["scalars"]:
        found[tag] = sorted((event.step, event.value) for event in events.Scalars(tag))
    return found


def steps_of(folder: Path) -> dict[str, list[int]]:
    """Steps of every metric."""
    return defaultdict(list, {tag: [step for step, _ in points] for tag, points in curves(folder).items()})


def values_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of the metrics that do not depend on time."""
    return {tag: points for tag, points in curves(folder).items() if not tag.startswith(TIMED)}


def lines_of(path: Path) -> list[Any]:
    """A file of JSON lines; none where there is no file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def game_ids(folder: Path) -> list[str]:
    """Of the games that were played to evaluate, in order."""
    return [game["id"] for game in lines_of(folder / "games.jsonl")]


def evaluations_of(folder: Path) -> list[dict[str, Any]]:
    """Results of the evaluations, without the time they took, by the steps they are of."""
    found = [{**line, "seconds": None} for line in lines_of(folder / "evaluations.jsonl")]
    return sorted(found, key=lambda line: int(line["steps"]))


def tensors_of(folder: Path) -> dict[str, th.Tensor]:
    """Weights, optimizer, games and generators of a run's newest checkpoint."""
    path = checkpoint.read(folder).path
    found = {
        f"{file.stem}/{name}": tensor
        for file in path.glob("*.safetensors")
        for name, tensor in load_file(file).items()
        if not name.startswith("callbacks.")  # an evaluation that waits is there or is not
    }
    for name in [name for name in found if name.endswith("/env.games.0.1")]:
        rows = found[name.removesuffix("1") + "0"].numpy().view(STATE)[:, 0]
        history = found[name].numpy()[:, : rows["ply"].max() + 1].copy()
        # behind a game's last ply stands what the games before it have left there
        history[np.arange(history.shape[1]) > rows["ply"][:, None]] = 0
        found[name] = th.from_numpy(history)
    return found


def assert_same(left: Path, right: Path) -> None:
    """Check that two runs have learned, recorded and played the same, bit for bit."""
    one, other = tensors_of(left), tensors_of(right)
    assert one.keys() == other.keys()
    differing = [name for name, tensor in one.items() if not th.equal(tensor, other[name])]
    assert not differing, differing
    assert steps_of(left) == steps_of(right)
    assert values_of(left) == values_of(right)
    assert sorted(game_ids(left)) == sorted(game_ids(right))
    assert evaluations_of(left) == evaluations_of(right)


class EvaluatorHere(Evaluator):
    """Plays in this process, when it is asked for a result: no other process has to start."""

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def result(self, timeout: float | None = 0.0) -> Evaluation | None:
        with th.random.fork_rng(devices=[]):
            return evaluate(self._tasks.pop(0))

    def close(self) -> None:
        self._tasks.clear()


@contextmanager
def no_room(length: int) -> Iterator[None]:
    """Have the system refuse what would make a file longer, as a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
