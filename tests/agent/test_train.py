import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import RandomPlanes
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keisei_agent import cli, train
from keisei_agent.checkpoint import load_checkpoint
from keisei_agent.config import ConfigError, TrainConfig
from keisei_agent.players import load_player, play_random


class Crashing(RandomPlanes):
    def step_wait(self) -> Any:
        if self.ply[0] == 5:
            raise ZeroDivisionError("a worker died")
        return super().step_wait()


def test_a_run_end_to_end(tmp_path: Path, small: TrainConfig) -> None:
    run = train.train(small, tmp_path / "run")
    assert run.model.num_timesteps == 64
    assert not run.interrupted
    assert run.before is not None
    assert run.after is not None
    assert run.before.games == run.after.games == 4
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "checkpoints",
        "config.json",
        "log.txt",
        "results.json",
        "tensorboard",
    ]
    assert run.checkpoint == run.folder / "checkpoints" / "000000000064.safetensors"
    assert len(list(run.checkpoint.parent.iterdir())) == 2  # at 32, and at the end
    assert load_checkpoint(run.checkpoint).num_timesteps == 64
    results = json.loads((run.folder / "results.json").read_text("utf-8"))
    assert results["plies"] == 64
    assert results["against_random"]["after"]["wins"] == run.after.wins
    assert "Against random after learning: " in (run.folder / "log.txt").read_text("utf-8")
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    tags = events.Tags()["scalars"]
    for tag in ("train/value_loss", "train/explained_variance", "games/finished", "time/fps", "random/wins"):
        assert tag in tags, tags
    assert [event.step for event in events.Scalars("train/loss")] == [64, 64]  # SB3 writes an update late
    assert [event.step for event in events.Scalars("random/wins")] == [0, 64]


def test_the_checkpoint_plays(tmp_path: Path, small: TrainConfig) -> None:
    run = train.train(small.model_copy(update={"eval_games": 0}), tmp_path)
    assert run.before is None
    assert run.after is None
    assert run.checkpoint is not None
    score = play_random(load_player(run.checkpoint), 6, seed=1, max_plies=30)
    assert score.games == 6
    assert 0 < score.plies <= 30
    assert score == play_random(load_player(run.checkpoint), 6, seed=1, max_plies=30)


def test_same_settings_same_run(tmp_path: Path, small: TrainConfig) -> None:
    first = train.train(small, tmp_path / "first")
    second = train.train(small, tmp_path / "second")
    assert first.before == second.before
    assert first.after == second.after
    assert first.checkpoint is not None
    assert second.checkpoint is not None
    assert first.checkpoint.read_bytes() == second.checkpoint.read_bytes()


def test_a_crash_is_logged_and_raised(
    tmp_path: Path, small: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = threading.Event()

    class Env(Crashing):
        def close(self) -> None:
            closed.set()

    monkeypatch.setattr(train, "build_env", lambda config: Env(4))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError):
        train.train(small.model_copy(update={"eval_games": 0}), tmp_path)
    assert closed.is_set()
    assert signal.getsignal(signal.SIGINT) is before
    log = (tmp_path / "log.txt").read_text("utf-8")
    assert "Traceback" in log
    assert "ZeroDivisionError: a worker died" in log
    assert not (tmp_path / "checkpoints").exists()
    assert not logging.getLogger("keisei_agent").handlers


def test_a_crash_is_a_non_zero_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "build_env", lambda config: Crashing(config.env.n_envs))
    assert cli.main(["--run-dir", str(tmp_path / "run"), "--eval-games", "0", "--n-envs", "4"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("keisei-train: ZeroDivisionError: a worker died")
    assert "log.txt" in error


def test_an_impossible_device_is_refused(tmp_path: Path, small: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="device = 'cuda:999'"):
        train.train(small.model_copy(update={"device": "cuda:999"}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_training_outside_the_main_thread(tmp_path: Path, small: TrainConfig) -> None:
    runs: list[train.Run] = []
    settings = small.model_copy(update={"eval_games": 0})
    thread = threading.Thread(target=lambda: runs.append(train.train(settings, tmp_path)))
    thread.start()
    thread.join(120)
    assert [run.model.num_timesteps for run in runs] == [64]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-u", "-m", "keisei_agent.cli", *arguments]


def environment(**more: str) -> dict[str, str]:
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **more,
    }


@pytest.mark.parametrize("encoding", ["cp1252", "cp932"])
def test_command_line_on_any_console(tmp_path: Path, encoding: str) -> None:
    done = subprocess.run(
        command("--algo", "maskable_ppo", "--total-timesteps", "300", "--n-envs", "4", "--eval-games", "2"),
        cwd=tmp_path,
        env=environment(PYTHONIOENCODING=encoding),
        capture_output=True,
        text=True,
        encoding=encoding,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-0")
    assert (folder / "command.txt").read_text("utf-8").startswith("keisei-train --algo maskable_ppo --total-")
    for text in (
        "Learned from 512 plies.",
        "Against random, before: ",
        "Against random, after:  ",
        "of 2 games",
        f"Run folder:   {Path('runs', folder.name)}",
        "000000000512.safetensors",
        "tensorboard --logdir ",
    ):
        assert text in done.stdout, done.stdout


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start command lines in `tmp_path`; none outlives its test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        processes.append(
            subprocess.Popen(
                command(*arguments),
                cwd=tmp_path,
                env=environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Ctrl-C cannot be sent to one process there")
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c(tmp_path: Path, started: Callable[..., subprocess.Popen[str]], presses: int) -> None:
    games = "4" if presses == 1 else "64"  # a rollout must be long enough to press twice in
    process = started("--max-time", "1h", "--n-envs", games, "--eval-games", "0", "--run-dir", "run")
    assert process.stdout is not None
    wait_for_curves(tmp_path / "run" / "tensorboard")
    process.send_signal(signal.SIGINT)
    if presses == 2:
        wait_for(process.stdout, "finishing this rollout")
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    saved = list((tmp_path / "run").glob("checkpoints/*.safetensors"))
    if presses == 1:
        assert len(saved) == 1
        assert "stopped by Ctrl-C" in out
        assert "Against random, after:   -" in out
    else:
        assert not saved
        assert "Stopped at once" in err


def wait_for(stream: Any, text: str) -> None:
    for line in stream:
        if text in line:
            return
    raise AssertionError(f"the program ended before it printed {text!r}")


def wait_for_curves(folder: Path) -> None:
    """Wait until a rollout was logged: an event file begins with 88 bytes that say nothing."""
    for _ in range(3000):
        if any(path.stat().st_size > 300 for path in folder.glob("events.*")):
            return
        threading.Event().wait(0.1)
    raise AssertionError(f"no rollout was logged in {folder}")
