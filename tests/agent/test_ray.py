"""Workers as actors of Ray: real processes that are killed; `tox -e ray`."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch as th
from crews import Builder
from runs import curves, tensors_of

from keisei_agent.config import Config, to_yaml, with_changes
from keisei_agent.learning.parts import Order
from keisei_agent.learning.update import TrainingError
from keisei_agent.learning.workers import Brought, Failed, Ready
from keisei_agent.runs import training
from keisei_agent.runs.training import train

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to tell processes apart"),
]


@pytest.fixture
def config(small: Config) -> Config:
    # games long enough for a part to take a moment
    settings = {"total_timesteps": 1024, "eval_games": 0, "workers.count": 2, "ppo.n_steps": 16}
    return with_changes(small, {**settings, "env.max_plies": 40, "checkpoint.every": 512})


def parents() -> dict[int, tuple[int, str]]:
    """Parent and start time of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found[int(path.parent.name)] = int(fields[1]), fields[19]
    return found


def descendants(pid: int) -> set[tuple[int, str]]:
    """Process ids and start times of all that a process has started, directly or not."""
    found: set[tuple[int, str]] = set()
    now, below = parents(), {pid}
    while below:
        children = {child for child, (parent, _) in now.items() if parent in below}
        found |= {(child, now[child][1]) for child in children}
        below = children
    return found


def left_of(processes: set[tuple[int, str]], seconds: float = 60.0) -> set[int]:
    """Which of some processes still run after at most so long a time."""
    end = time.monotonic() + seconds
    while True:
        now = parents()
        left = {pid for pid, started in processes if pid in now and now[pid][1] == started}
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.2)


class Hunted:
    """Kills actors of Ray in the middle of what they play, and notes all processes there are.

    Args:
        kills: how many; no actor is killed twice before it has brought a part, unless `ruthless`.
        ruthless: kill whoever is asked from the first kill on, without end.
    """

    def __init__(self, patch: pytest.MonkeyPatch, kills: int = 0, *, ruthless: bool = False) -> None:
        from keisei_agent.runs.remote import crew

        hunted, built = self, []

        class HuntedCrew(crew.RayCrew):
            def __init__(self, config: Config) -> None:
                super().__init__(config)
                built.append(self)

            def ask(self, number: int, order: Order) -> None:
                super().ask(number, order)
                hunted.asked(number)

            def wait(self, seconds: float) -> list[Ready | Brought | Failed]:
                events = super().wait(seconds)
                for event in events:
                    hunted.heard(self, event)
                return events

        patch.setattr(crew, "RayCrew", HuntedCrew)
        self.processes: set[tuple[int, str]] = set()
        self.killed: list[int] = []
        self.brought: list[tuple[int, int]] = []
        self.nodes: set[str] = set()
        self._left, self._ruthless = kills, ruthless
        self._pids: dict[int, int] = {}
        self._fair: set[int] = set()
        self._crews = built

    def heard(self, crew: Any, event: Ready | Brought | Failed) -> None:
        if isinstance(event, Ready):
            self._pids[event.number] = int(event.where.split()[1])
            self.processes |= descendants(os.getpid())
            actor = crew._actors[event.number]
            self.nodes.add(
                ray.get(actor.__ray_call__.remote(lambda self: ray.get_runtime_context().get_node_id()))
            )
        elif isinstance(event, Brought):
            self._fair.add(event.number)
            self.brought.append((event.rollout.at, event.rollout.part))

    def asked(self, number: int) -> None:
        if not self._left or not (number in self._fair or (self._ruthless and self.killed)):
            return
        time.sleep(0.02)  # into the middle of it
        self._left -= 1
        self._fair.discard(number)
        self.killed.append(self._pids[number])
        os.kill(self._pids[number], signal.SIGKILL)


@pytest.fixture
def no_signal_is_changed() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    yield
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def quiet_run(config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same run with workers in this process, to which nothing happens."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "build_workers", Builder())
        train(config, folder)


def assert_learned_the_same(one: Path, other: Path) -> None:
    left, right = tensors_of(one), tensors_of(other)
    assert left.keys() == right.keys()
    differing = {name for name, tensor in left.items() if not th.equal(tensor, right[name])}
    assert differing <= {"state/generators.python.1"}, "Ray itself draws from it, learning does not"
    assert curves(one)["games/total"] == curves(other)["games/total"]


@pytest.mark.usefixtures("no_signal_is_changed")
def test_ten_killed_actors_cost_nothing_and_leave_nothing(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet_run(config, tmp_path / "quiet", monkeypatch)
    hunted = Hunted(monkeypatch, kills=10)
    run = train(config, tmp_path / "hunted")
    assert len(set(hunted.killed)) == 10
    assert run.model.num_timesteps == 1024
    assert sorted(hunted.brought) == [(at, part) for at in range(0, 1024, 64) for part in (0, 1)]
    assert dict(curves(tmp_path / "hunted")["workers/restarts"])[1024] == 10
    assert dict(curves(tmp_path / "hunted")["workers/alive"])[1024] == 2
    assert_learned_the_same(tmp_path / "quiet", tmp_path / "hunted")
    assert len(hunted.processes) >= 12
    assert left_of(hunted.processes) == set()


def test_when_all_actors_are_lost_the_run_goes_on_alone(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hunted = Hunted(monkeypatch, kills=1000, ruthless=True)
    run = train(config, tmp_path)
    assert run.model.num_timesteps == 1024
    assert dict(curves(tmp_path)["workers/alive"])[1024] == 0
    log = (tmp_path / "log.txt").read_text("utf-8")
    assert log.count("No worker is left; the learning process plays by itself from now on.") == 1
    assert "Worker exit" in log, "it says what Ray knows of it"
    assert left_of(hunted.processes) == set()


def test_actors_on_two_nodes(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    quiet_run(config, tmp_path / "quiet", monkeypatch)
    node = {"num_cpus": 1, "object_store_memory": 2**27}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        hunted = Hunted(monkeypatch, kills=1)
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)  # of which there may be another on this machine
        config = with_changes(config, {"workers.ray_address": "auto"})
        run = train(config, tmp_path / "nodes")
        assert not ray.is_initialized()
    finally:
        cluster.shutdown()
    assert run.model.num_timesteps == 1024
    assert len(hunted.nodes) == 2
    assert len(hunted.killed) == 1
    assert_learned_the_same(tmp_path / "quiet", tmp_path / "nodes")


def test_no_cluster_is_one_line_or_with_required_the_end(config: Config, tmp_path: Path) -> None:
    config = with_changes(config, {"workers.ray_address": "127.0.0.1:1", "total_timesteps": 64})
    assert train(config, tmp_path / "alone").reached_target
    said = "No worker can be started: ray: no cluster at 127.0.0.1:1: "
    assert (tmp_path / "alone" / "log.txt").read_text("utf-8").count(said) == 1
    with pytest.raises(TrainingError, match=r"no worker can be started: ray: no cluster at 127\.0\.0\.1:1"):
        train(with_changes(config, {"workers.required": True}), tmp_path / "required")


COMMAND = [sys.executable, "-m", "keisei_agent", "train"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_leaves_no_process(config: Config, tmp_path: Path, number: int) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(to_yaml(with_changes(config, {"total_timesteps": 10**9})), encoding="utf-8")
    process = subprocess.Popen(
        [*COMMAND, "--config", str(file), "--run-dir", str(tmp_path / "run"), "--workers", "2"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(r"Saved .*000000000[1-9]", line):
            break
    processes = descendants(process.pid)
    assert len(processes) >= 4
    os.killpg(process.pid, number)  # as a terminal does
    process.communicate(timeout=120)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert left_of(processes) == set()
