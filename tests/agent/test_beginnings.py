"""A run that cannot begin: the cause is told, what was begun is closed, and the run may begin anew."""

import errno
import logging
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from keisei_agent.commands import train as cli
from keisei_agent.config import Config, to_yaml, with_changes
from keisei_agent.files.storage import locked
from keisei_agent.league.pool import Pool
from keisei_agent.runs import build, training
from shogi_env.adapters.sb3 import SubprocVecEnv


class Tracker(ModuleType):
    """Stands where `wandb` would be imported, and notes when runs begin and end."""

    url = "https://example.org/run"
    id = "new"

    def __init__(self) -> None:
        super().__init__("wandb")
        self.__spec__ = ModuleSpec("wandb", None)
        self.calls: list[str] = []

    def init(self, **settings: Any) -> "Tracker":
        self.calls.append("init")
        return self

    def finish(self, exit_code: int) -> None:
        self.calls.append(f"finish {exit_code}")

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        pass

    def log(self, values: dict[str, Any]) -> None:
        pass


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Tracker:
    found = Tracker()
    monkeypatch.setitem(sys.modules, "wandb", found)
    return found


@pytest.fixture
def config(small: Config) -> Config:
    """A tracked run with two worker processes."""
    changes = {"eval_games": 0, "env.vec_env": "subproc", "env.num_workers": 2, "log.track": "wandb"}
    return with_changes(small, changes)


def command(config: Config, folder: Path) -> int:
    """Run `keisei-train` with these settings; return its exit code."""
    path = folder.with_suffix(".yaml")
    path.write_text(to_yaml(config), encoding="utf-8")
    return cli.main(["--config", str(path), "--run-dir", str(folder)])


def started() -> set[str]:
    """Processes that play games, and threads that track, whoever has started them."""
    processes, threads = multiprocessing.active_children(), threading.enumerate()
    found = [process for process in processes if process.name.startswith("shogi-games")]
    return {str(process.pid) for process in found} | {str(t) for t in threads if t.name == "tracking"}


def open_files(folder: Path) -> Iterator[str]:
    """Files below a folder that this process holds open; none where the system does not tell."""
    numbers = Path("/proc/self/fd")
    for number in numbers.iterdir() if numbers.exists() else []:
        try:
            name = os.readlink(number)
        except OSError:  # the one that lists them
            continue
        if name.startswith(str(folder)):
            yield name


def second_worker_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    start = BaseProcess.start

    def refuse(self: BaseProcess) -> None:
        if self.name == "shogi-games-1":
            raise OSError(errno.EAGAIN, "no more processes")
        start(self)

    monkeypatch.setattr(BaseProcess, "start", refuse)


def no_room_for_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        assert len(started()) >= 2, "the games are there by then"
        raise MemoryError("no room for the network")

    monkeypatch.setitem(build.LEARNERS, "maskable_ppo", full)


def no_room_for_the_callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise MemoryError("no room for the callbacks")

    monkeypatch.setattr(training, "build_callbacks", full)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (second_worker_cannot_start, f"BlockingIOError: [Errno {errno.EAGAIN}] no more processes"),
        (no_room_for_the_network, "MemoryError: no room for the network"),
        (no_room_for_the_callbacks, "MemoryError: no room for the callbacks"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_run_that_cannot_be_built_leaves_nothing_open(
    config: Config,
    tmp_path: Path,
    tracker: Tracker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    break_it: Callable[[pytest.MonkeyPatch], None],
    said: str,
) -> None:
    folder, package = tmp_path / "run", logging.getLogger("keisei_agent")
    handlers, before = list(package.handlers), started()
    with monkeypatch.context() as patch:
        break_it(patch)
        assert command(config, folder) == 1
    assert f"keisei-train: {said}" in capsys.readouterr().err
    log = (folder / "log.txt").read_text("utf-8")
    assert "Training failed after 0 decisions; nothing was saved before" in log
    assert said.partition(": ")[2] in log
    assert "Traceback" in log
    assert started() == before
    assert package.handlers == handlers
    assert list(open_files(folder)) == []
    with locked(folder / "lock"):
        pass
    assert tracker.calls == []


def test_it_begins_anew_once_it_can(config: Config, tmp_path: Path, tracker: Tracker) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="no more processes"):
        second_worker_cannot_start(patch)
        training.train(config, tmp_path)
    run = training.resume(tmp_path)
    assert run.reached_target
    assert tracker.calls == ["init", "finish 0"]
    assert (tmp_path / "set_aside" / "1" / "crash.json").exists()


def test_games_that_cannot_be_made_close_the_pool(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> Any:
        raise MemoryError("no room for the games")

    closed: list[Pool] = []
    close = Pool.close
    monkeypatch.setattr(Pool, "close", lambda self: (closed.append(self), close(self)))
    monkeypatch.setattr(training, "build_env", full)
    with pytest.raises(MemoryError, match="no room for the games"):
        training.train(with_changes(small, {"league": {"share": 0.5, "players": ["random"]}}), tmp_path)
    assert len(closed) == 1


def test_games_that_cannot_start_close_what_was_begun(
    config: Config, tmp_path: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: SubprocVecEnv) -> Any:
        raise RuntimeError("the first positions are wrong")

    before = started()
    monkeypatch.setattr(SubprocVecEnv, "reset", broken)
    assert command(config, tmp_path / "run") == 1
    log = (tmp_path / "run" / "log.txt").read_text("utf-8")
    assert "RuntimeError: the first positions are wrong" in log
    assert "close failed" not in log
    assert started() == before
    assert tracker.calls == []
