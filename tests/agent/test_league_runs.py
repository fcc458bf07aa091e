"""Whole runs with a pool, begun and resumed."""

import json
from pathlib import Path
from typing import Any

import pytest
from leagues import ROLLOUT, a_config
from runs import curves

from keisei_agent.config import Config, with_changes
from keisei_agent.files.storage import CheckpointError
from keisei_agent.league.members import OpponentError
from keisei_agent.runs import checkpoint
from keisei_agent.runs.training import resume, train


def a_run(**league: Any) -> Config:
    changes = {
        "total_timesteps": 6 * ROLLOUT,
        "eval_games": 0,
        "checkpoint": {"keep": None},
        "env": {"start": {"random_share": 0.5, "random_plies": 6}},
    }
    return with_changes(a_config(players=("random",), size=2, **league), changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_with_a_pool_resumes_exactly(tmp_path: Path) -> None:
    run = train(a_run(), tmp_path / "run")
    final, pool = (run.folder / "final.safetensors").read_bytes(), contents(run.folder / "pool")
    assert len(pool) == 7, "no checkpoint has gone, so no snapshot has"
    for number in (1, 4):
        again = resume(run.folder / "checkpoints" / f"{number * ROLLOUT:012d}")
        assert (again.folder / "final.safetensors").read_bytes() == final
        assert contents(again.folder / "pool") == pool


@pytest.mark.parametrize(("share", "plies"), [(0.5, 1.5), (1.0, 2.0)])
def test_where_the_pool_answers_a_decision_takes_two_plies(
    tmp_path: Path, share: float, plies: float
) -> None:
    run = train(with_changes(a_run(share=share), {"total_timesteps": 2 * ROLLOUT}), tmp_path / "run")
    found = curves(run.folder)
    decisions, all_plies = (found[f"speed/{name}"] for name in ("decisions", "plies"))
    assert [step for step, _ in decisions] == [step for step, _ in all_plies] == [ROLLOUT, 2 * ROLLOUT]
    for (_, slow), (_, fast) in zip(decisions, all_plies, strict=True):
        assert fast == pytest.approx(plies * slow, rel=1e-5)


def test_snapshots_go_with_the_checkpoints(tmp_path: Path) -> None:
    config = with_changes(a_run(), {"checkpoint": {"keep": 1}, "env": {"max_plies": 8}})
    run = train(config, tmp_path / "run")
    kept = sorted(int(path.stem) // ROLLOUT for path in (run.folder / "pool").iterdir())
    assert 2 <= len(kept) <= 5
    assert kept[-1] == 6
    resume(run.folder, {"total_timesteps": 8 * ROLLOUT})


def test_a_damaged_snapshot_refuses_to_resume(tmp_path: Path) -> None:
    run = train(a_run(), tmp_path / "run")
    (run.folder / "pool" / f"{6 * ROLLOUT:012d}.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=rf"snapshot 0+{6 * ROLLOUT} of the pool: .* is not the file"):
        resume(run.folder, {"total_timesteps": 8 * ROLLOUT})
    resume(run.folder / "checkpoints" / f"{5 * ROLLOUT:012d}")


def test_a_broken_opponent_ends_the_run_and_is_named(tmp_path: Path) -> None:
    config = with_changes(a_run(), {"league": {"players": ("python:leagues.tires",)}})
    with pytest.raises(OpponentError, match=r"python:leagues\.tires of the pool: RuntimeError: no power"):
        train(config, tmp_path / "run")
    crash = json.loads((tmp_path / "run" / "crash.json").read_text("utf-8"))
    assert crash["type"] == "OpponentError"
    assert "python:leagues.tires of the pool" in crash["text"]
    checkpoint.read(Path(crash["checkpoint"]))
