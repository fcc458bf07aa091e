import itertools
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import RandomPlanes
from stable_baselines3.common.callbacks import BaseCallback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from written import METRICS, ROLLOUT, Written, learn

from keisei_agent.callbacks import metrics
from keisei_agent.callbacks.metrics import (
    MetricsCallback,
    calibration_error,
    find_results,
    resident_bytes,
)
from keisei_agent.callbacks.view import LEARNING, PLAYING, SHARES
from keisei_agent.config import parse_config
from keisei_agent.pretrain import learn as learn_from_games
from keisei_agent.pretrain.records import Filter
from keisei_agent.pretrain.run import pretrain
from keisei_agent.runs import training
from shogi_env.adapters.sb3 import make_vec_env

SELDOM = {
    "alarms/text": "tests/agent/test_alarms.py",
    "memory/device": "on a GPU",
    "memory/resident": "where there is a /proc",
    **dict.fromkeys(
        (*(f"workers/{name}" for name in ("alive", "refused", "restarts", "staleness")), "speed/waiting"),
        "tests/agent/test_workers.py",
    ),
    "train/explained_variance": "left out where all returns are equal",
    "train/loss_scale": "in float16",
    "train/skipped_steps": "in float16",
    "evaluation/rating/value": "left out where all games have one result",
    "evaluation/rating/low": "left out where it is open",
    "evaluation/rating/high": "left out where it is open",
}
"""Keys that a run need not record, and why or where they are."""


def documented() -> list[str]:
    return re.findall(r"^\| `([^`]+)` \| \S", METRICS.read_text("utf-8"), re.MULTILINE)


def pattern(key: str) -> str:
    return "".join(".+" if part.startswith("<") else re.escape(part) for part in re.split(r"(<\w+>)", key))


def test_results_reach_back_to_the_first_decision() -> None:
    n = np.nan
    # the columns: both seats; an opponent in the environment; both seats, a game that goes on; two games
    rewards = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [1, -1, 0, 0]], np.float32)
    starts = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], np.float32)
    found = find_results(
        rewards, starts, np.array([True, True, False, False]), np.array([-1, 1, -1, -1], np.float32)
    )
    expected = [[-1, -1, n, -1], [1, -1, n, 1], [-1, -1, n, n], [1, -1, n, n]]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_results_are_discounted_as_values_are() -> None:
    rewards, starts = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    rewards[2] = 1
    found = find_results(rewards, starts, np.array([True, True]), np.array([-0.5, 0.25], np.float32))
    np.testing.assert_array_equal(found, np.float32([[0.25, 0.0625], [-0.5, 0.25], [1, 1]]))


def test_calibration() -> None:
    results = np.array([1, 1, 1, -1], np.float32)
    assert calibration_error(np.full(4, 0.5, np.float32), results) == 0
    assert calibration_error(np.array([1, 1, 1, -1], np.float32), results) == 0
    assert calibration_error(np.full(4, -0.5, np.float32), results) == pytest.approx(1)
    assert calibration_error(np.array([3, -3], np.float32), np.array([1, -1], np.float32)) == pytest.approx(2)


def test_values_are_compared_with_what_came_of_them() -> None:
    written = learn([MetricsCallback()], 3 * ROLLOUT, RandomPlanes(4, plies=7))
    assert len(written.series("value/bias")) == 3
    for positions in written.series("value/positions").values():
        assert 4 <= positions <= ROLLOUT
    assert all(0 <= error <= 2 for error in written.series("value/calibration_error").values())
    assert len(written.series("value/start")) == 3


def test_unfinished_games_say_nothing_about_values() -> None:
    written = learn([MetricsCallback()], ROLLOUT, RandomPlanes(4, plies=100))
    assert written.series("value/positions") == {ROLLOUT: 0}
    assert not written.series("value/bias")


def test_the_parts_of_the_time_are_the_whole() -> None:
    written = learn([MetricsCallback()], 2 * ROLLOUT)
    parts = ("acting", "environment", "callbacks", "learning", "other")
    for step in (ROLLOUT, 2 * ROLLOUT):
        shares = [written.series(f"speed/{name}")[step] for name in parts]
        assert sum(shares) == pytest.approx(1, abs=1e-3)
        assert min(shares[:4]) >= 0
        assert written.series("speed/plies")[step] == written.series("speed/decisions")[step] > 0


@pytest.mark.parametrize(("opponent", "plies"), [(None, 1), ("random", 2)])
@pytest.mark.parametrize("backend", ["native", "subproc"])
def test_speeds_count_every_decision_whoever_plays_the_games(
    monkeypatch: pytest.MonkeyPatch, backend: str, opponent: str | None, plies: int
) -> None:
    workers = {"num_workers": 2} if backend == "subproc" else {}
    env = make_vec_env(4, backend, seed=1, opponent=opponent, max_plies=10, **workers)
    looks = itertools.count()  # a rollout takes a second: a look before it and one after
    monkeypatch.setattr(metrics, "time", SimpleNamespace(perf_counter=lambda: float(next(looks))))
    written = learn([MetricsCallback()], 3 * ROLLOUT, env)
    env.close()
    steps = [ROLLOUT, 2 * ROLLOUT, 3 * ROLLOUT]
    assert written.series("speed/decisions") == dict.fromkeys(steps, ROLLOUT)
    assert written.series("speed/plies") == dict.fromkeys(steps, plies * ROLLOUT)


def test_memory() -> None:
    resident = resident_bytes()
    if Path("/proc/self/statm").exists():
        assert resident is not None
        assert 2**24 < resident < 2**40
    else:
        assert resident is None


def test_every_key_is_documented_and_every_documented_key_recorded(tmp_path: Path) -> None:
    config = parse_config(
        {
            "device": "cpu",
            "precision": "float32",
            "total_timesteps": 384,
            "max_time": None,
            "eval_games": 2,
            "env": {"n_envs": 4, "max_plies": 16},
            "network": {"channels": 8, "blocks": 1, "value_hidden": 8},
            "ppo": {"n_steps": 8, "batch_size": 16, "clip_range_vf": 0.5},
            "league": {"share": 0.5, "players": ["random"], "snapshot_every": 32},
            "evaluation": {"every": 128, "games": 2, "opponents": ["random"], "blocking": True},
            "log": {"boards_every": 32, "mates_every": 128, "layers": True},
        }
    )
    written = Written()
    training.train(config, tmp_path / "run", callbacks=[Listening(written)])
    tags = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload().Tags()
    shown = {
        tag.removesuffix("/text_summary") for kind in ("scalars", "images", "tensors") for tag in tags[kind]
    }
    recorded = {key for _, row in written.rows for key in row} | shown
    known = [key for key in documented() if not key.startswith("pretrain/")]
    assert len(known) == len(set(known))
    unknown = [key for key in recorded if not any(re.fullmatch(pattern(row), key) for row in known)]
    assert not unknown
    silent = [row for row in known if not any(re.fullmatch(pattern(row), key) for key in recorded)]
    assert set(silent) <= set(SELDOM), silent


def test_the_keys_of_supervised_learning_are_those_that_are_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learn_from_games, "_TOLD", 1)
    (tmp_path / "x.csa").write_text("PI\n+\n+7776FU\n-3334FU\n+2726FU\n%TORYO\n", encoding="utf-8")
    config = parse_config({"device": "cpu", "network": {"channels": 8, "blocks": 1, "value_hidden": 8}})
    recipe = learn_from_games.Recipe(batch_size=2, validation=0.5)
    pretrain([tmp_path / "x.csa"], tmp_path / "run", config, recipe, Filter())
    tags = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload().Tags()
    assert set(tags["scalars"]) == {key for key in documented() if key.startswith("pretrain/")}


class Listening(BaseCallback):
    """Adds an output to the logger."""

    def __init__(self, written: Written) -> None:
        super().__init__()
        self.written = written

    def _on_training_start(self) -> None:
        self.logger.output_formats.append(self.written)

    def _on_step(self) -> bool:
        return True


def test_the_view_shows_keys_that_there_are() -> None:
    assert {key for _, key, _ in (*LEARNING, *PLAYING, *SHARES)} <= set(documented())
