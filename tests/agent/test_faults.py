"""Whatever ends a run: the log says what and where, the exit code is not 0, the last checkpoint is good."""

import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes import Quiet
from runs import EvaluatorHere, no_room, steps_of
from stable_baselines3.common.callbacks import BaseCallback
from torch.utils.tensorboard import SummaryWriter
from written import Written

from keisei_agent.callbacks import evaluation
from keisei_agent.commands import train as cli
from keisei_agent.config import Config, to_yaml, with_changes
from keisei_agent.league.members import OpponentError
from keisei_agent.learning import distributed
from keisei_agent.learning.update import GradientSteps, NotFiniteError, TrainingError
from keisei_agent.runs import checkpoint, training
from keisei_agent.runs.curves import EventWriter
from keisei_agent.runs.training import resume, train
from shogi_env.adapters.sb3 import NativeVecEnv, SubprocVecEnv, WorkerError
from shogi_env.types import Int64Array


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Take back what the command line adds to the log."""
    package = logging.getLogger("keisei_agent")
    handlers, propagate = list(package.handlers), package.propagate
    yield
    package.handlers, package.propagate = handlers, propagate


@pytest.fixture
def config(small: Config) -> Config:
    return with_changes(small, {"total_timesteps": 128, "eval_games": 0})


def after(steps: int, act: Callable[[], Any]) -> BaseCallback:
    """A callback that does something in the first step behind some number of decisions."""

    class Then(BaseCallback):
        done = False

        def _on_step(self) -> bool:
            if self.model.num_timesteps > steps and not self.done:
                self.done = True
                act()
            return True

    return Then()


def command(config: Config, folder: Path, *callbacks: BaseCallback) -> int:
    """Run `keisei-train` with these settings, which seem to name these callbacks; return its exit code."""
    path = folder.with_suffix(".yaml")
    path.write_text(to_yaml(config), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_callbacks", lambda names: callbacks)
        return cli.main(["--config", str(path), "--run-dir", str(folder)])


def assert_survived(folder: Path, error: type[BaseException], said: str, steps: int) -> None:
    """Check what a failed run has left, and that it goes on to its end."""
    crash = json.loads((folder / "crash.json").read_text("utf-8"))
    assert crash["type"] == error.__name__
    assert said in crash["text"]
    assert any(line.startswith("Traceback") for line in crash["trace"])
    log = (folder / "log.txt").read_text("utf-8")
    assert "Training failed after " in log
    assert said in log
    found = checkpoint.read(folder).path  # verified
    assert int(found.name) == steps
    assert crash["checkpoint"] == str(found)
    assert f"the last good checkpoint is {found}" in log
    assert not (folder / "final.safetensors").exists()
    run = resume(folder)
    assert run.reached_target
    assert not (folder / "crash.json").exists()
    assert (folder / "set_aside" / "1" / "crash.json").exists()


def test_a_loss_that_is_not_finite(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, steps = GradientSteps.step, []

    def poisoned(self: GradientSteps, samples: Any) -> bool:
        steps.append(1)
        if len(steps) == 4:  # in the second update
            samples = samples._replace(returns=samples.returns * float("nan"))
        return step(self, samples)

    with monkeypatch.context() as patch:
        patch.setattr(GradientSteps, "step", poisoned)
        assert command(config, tmp_path / "run") == 1
    assert "keisei-train: NotFiniteError: " in capsys.readouterr().err
    assert_survived(tmp_path / "run", NotFiniteError, "not finite", 32)


def test_the_saved_view_of_a_run_that_failed_says_so(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(self: GradientSteps, samples: Any) -> bool:
        raise TrainingError("this update cannot be made")

    config = with_changes(config, {"log.display": "rich"})
    with monkeypatch.context() as patch, pytest.raises(TrainingError):
        patch.setattr(GradientSteps, "step", poisoned)
        train(config, tmp_path / "run")
    saved = (tmp_path / "run" / "display.txt").read_text("utf-8")
    assert "run: stopped" in saved
    assert "ERROR: Training failed after 32 decisions" in saved
    assert "run: done" in (resume(tmp_path / "run").folder / "display.txt").read_text("utf-8")


def test_a_full_disk(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fsync = os.fsync

    def full(number: int) -> None:
        if "000000000064" in os.readlink(f"/proc/self/fd/{number}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to tell files by their numbers")
    config = with_changes(config, {"checkpoint.every": 64})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert command(config, tmp_path / "run") == 1
    assert "keisei-train: OSError: [Errno 28] No space left on device" in capsys.readouterr().err
    log = (tmp_path / "run" / "log.txt").read_text("utf-8")
    assert "CheckpointCallback.on_rollout_start failed; the run ends after this rollout" in log
    # the rollout behind the failure was finished, and there was room for it
    assert_survived(tmp_path / "run", OSError, "No space left", 96)


def test_a_disk_that_stays_full(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync
    filled = []

    def full(number: int) -> None:
        if filled:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(os, "fsync", full)
        train(config, tmp_path, callbacks=[after(40, lambda: filled.append(True))])
    assert checkpoint.read(tmp_path).path.name == "000000000032"
    assert "crash.json could not be written: [Errno 28]" in (tmp_path / "log.txt").read_text("utf-8")
    assert not list(tmp_path.rglob("*.tmp"))
    assert resume(tmp_path).reached_target


def test_memory_runs_out(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, calls = NativeVecEnv.step_wait, []

    def scarce(self: NativeVecEnv) -> Any:
        calls.append(1)
        if len(calls) == 13:
            raise MemoryError("cannot allocate 10 GiB")
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(NativeVecEnv, "step_wait", scarce)
        assert command(config, tmp_path / "run") == 1
    assert_survived(tmp_path / "run", MemoryError, "cannot allocate 10 GiB", 32)


def tired(positions: Any, idx: Int64Array) -> Int64Array:
    """A player that fails as soon as a file says so."""
    if Path(os.environ["TIRED"]).exists():
        raise RuntimeError("no power left")
    return positions.random_actions(idx)  # type: ignore[no-any-return]


def leaving(positions: Any, idx: Int64Array) -> Int64Array:
    """One that ends the program instead."""
    if Path(os.environ["TIRED"]).exists():
        sys.exit(0)
    return positions.random_actions(idx)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("player", "said"),
    [(tired, "RuntimeError: no power left"), (leaving, "SystemExit: 0")],
    ids=["error", "exit"],
)
def test_a_broken_opponent(
    player: Any, said: str, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "tired"
    monkeypatch.setenv("TIRED", str(flag))
    players = [f"python:{__name__}.{player.__name__}"]
    config = with_changes(config, {"league": {"share": 0.5, "size": 0, "players": players}})
    assert command(config, tmp_path / "run", after(40, flag.touch)) == 1
    flag.unlink()
    assert_survived(tmp_path / "run", OpponentError, said, 32)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL there")
def test_a_killed_worker(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_changes(config, {"env.vec_env": "subproc", "env.num_workers": 2})
    pids: list[int] = []
    wait = SubprocVecEnv.step_wait

    def look(self: SubprocVecEnv) -> Any:
        pids[:] = self.pids
        return wait(self)

    monkeypatch.setattr(SubprocVecEnv, "step_wait", look)
    assert command(config, tmp_path / "run", after(40, lambda: os.kill(pids[1], signal.SIGKILL))) == 1
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert_survived(tmp_path / "run", WorkerError, "worker", 32)


def fail() -> None:
    raise ZeroDivisionError("a bug of the user's")


@pytest.mark.parametrize(
    ("act", "said"),
    [(fail, "ZeroDivisionError: a bug of the user's"), (partial(sys.exit, 0), "SystemExit: 0")],
    ids=["error", "exit"],
)
def test_a_callback_that_fails(act: Callable[[], Any], said: str, config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert command(config, folder, after(40, act)) == 0
    log = (folder / "log.txt").read_text("utf-8")
    assert "Then.on_step failed; training goes on" in log
    assert said in log
    assert not (folder / "crash.json").exists()
    assert checkpoint.read(folder).path.name == "000000000128"
    assert resume(folder, {"total_timesteps": 160}).reached_target


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [(fail, ZeroDivisionError, "a bug of the user's"), (partial(sys.exit, 0), TrainingError, "sys.exit(0)")],
    ids=["error", "exit"],
)
def test_an_essential_callback_that_fails(
    act: Callable[[], Any], error: type[Exception], said: str, config: Config, tmp_path: Path
) -> None:
    essential = after(40, act)
    essential.fatal = True  # type: ignore[attr-defined]
    assert command(config, tmp_path / "run", essential) == 1
    log = (tmp_path / "run" / "log.txt").read_text("utf-8")
    assert "Then.on_step failed; the run ends after this rollout" in log
    assert "Learning ended at decision 64: a part that it cannot do without has failed." in log
    assert_survived(tmp_path / "run", error, said, 64)  # nothing was lost


def test_a_program_that_is_told_to_exit(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(GradientSteps, "step", lambda *args: sys.exit(0))
        assert command(config, tmp_path / "run") == 1
    assert "keisei-train: TrainingError: sys.exit(0) was called (trace in " in capsys.readouterr().err
    assert_survived(tmp_path / "run", TrainingError, "sys.exit(0) was called", 0)


def test_a_program_that_is_told_to_exit_before_it_learns(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "check", lambda *args: sys.exit(0))
    assert command(config, tmp_path / "run") == 1
    assert "keisei-train: SystemExit: 0\nTraceback" in capsys.readouterr().err


def test_a_process_beside_the_first_has_a_crash_of_its_own(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: GradientSteps, samples: Any) -> bool:
        raise TrainingError("this update cannot be made")

    monkeypatch.setattr(distributed, "rank", lambda: 1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(GradientSteps, "step", broken)
    folder = tmp_path / "run"
    assert command(config, folder) == 1
    error = capsys.readouterr().err
    assert error.startswith("keisei-train, process 1: TrainingError: this update cannot be made (trace in ")
    assert "Traceback" in error
    crash = json.loads((folder / "crash-1.json").read_text("utf-8"))
    assert (crash["type"], crash["num_timesteps"]) == ("TrainingError", 32)
    assert not (folder / "crash.json").exists()
    assert not (folder / "log.txt").exists()


def test_games_that_end_leave_no_process(config: Config, tmp_path: Path) -> None:
    config = with_changes(config, {"env.vec_env": "subproc", "env.num_workers": 2})
    run = train(config, tmp_path)
    assert isinstance(run.model.env, SubprocVecEnv)
    for pid in run.model.env.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


MEASURED = {
    "eval_games": 2,
    "evaluation": {"every": 32, "games": 2, "opponents": ["random"], "blocking": True},
}


def test_curves_that_cannot_be_written_cost_nothing_else(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: SummaryWriter) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "Evaluator", EvaluatorHere)
        patch.setattr(SummaryWriter, "flush", full)
        run = train(with_changes(config, MEASURED), tmp_path)
    assert run.reached_target
    assert checkpoint.read(tmp_path).path.name == "000000000128"
    assert (tmp_path / "results.json").exists()
    assert not (tmp_path / "crash.json").exists()
    assert (tmp_path / "best.safetensors").exists()
    assert not list((tmp_path / "evaluation").iterdir())
    assert (tmp_path / "log.txt").read_text("utf-8").count("EventWriter.write failed; the others go on") == 1


def test_a_disk_that_is_full_for_a_moment_leaves_no_gap_in_the_curves(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = EventWriter.write, Written()

    def scarce(self: EventWriter, values: Any, excluded: Any, step: int) -> None:
        (file,) = (tmp_path / "tensorboard").iterdir()
        with no_room(file.stat().st_size + 10) if step == 64 else nullcontext():
            write(self, values, excluded, step)

    class Listen(Quiet):
        def _on_training_start(self) -> None:
            self.logger.output_formats.append(written)

    monkeypatch.setattr(evaluation, "Evaluator", EvaluatorHere)
    with monkeypatch.context() as patch:
        patch.setattr(EventWriter, "write", scarce)
        train(with_changes(config, MEASURED), tmp_path, callbacks=[Listen()])
    for key in ("train/loss", "evaluation/random/score"):
        assert list(written.series(key)) == [32, 64, 96, 128]
        assert steps_of(tmp_path)[key] == [32, 64, 96, 128]
    resume(tmp_path / "checkpoints" / "000000000064")
    for key in ("train/loss", "evaluation/random/score"):
        assert steps_of(tmp_path)[key] == [32, 64, 96, 128]
    assert steps_of(tmp_path)["random/wins"] == [0, 128]
