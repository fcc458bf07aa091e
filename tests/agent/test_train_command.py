import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keisei_agent.runs import checkpoint


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-u", "-m", "keisei_agent.commands.train", *arguments]


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
    about = json.loads((folder / "about.json").read_text("utf-8"))
    assert "--algo maskable_ppo --total-timesteps 300" in about["command"]
    for text in (
        "Learned from 512 decisions.",
        "Against random, before: ",
        "Against random, after:  ",
        "of 2 games",
        f"Run folder:   {Path('runs', folder.name)}",
        "000000000512",
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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("presses", [1, 2])
def test_a_signal(
    tmp_path: Path, started: Callable[..., subprocess.Popen[str]], presses: int, number: signal.Signals
) -> None:
    games = "4" if presses == 1 else "64"  # a rollout must be long enough to press twice in
    process = started("--max-time", "1h", "--n-envs", games, "--eval-games", "0", "--run-dir", "run")
    assert process.stdout is not None
    wait_for_curves(tmp_path / "run" / "tensorboard")
    process.send_signal(number)
    if presses == 2:
        wait_for(process.stdout, "finishing this rollout")
        process.send_signal(number)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    saved = checkpoint.numbered(tmp_path / "run" / "checkpoints")
    assert checkpoint.read(tmp_path / "run").path.name == saved[-1].name
    if presses == 1:
        assert len(saved) == 2  # at the start, and now
        assert "stopped by Ctrl-C or SIGTERM" in out
        assert "Against random, after:   -" in out
    else:
        assert len(saved) == 1
        assert "Stopped at once" in err
    assert not (tmp_path / "run" / "final.safetensors").exists()
    assert not (tmp_path / "run" / "crash.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there SIGTERM ends a process unheard")
def test_sigterm_before_learning(tmp_path: Path, started: Callable[..., subprocess.Popen[str]]) -> None:
    process = started("--eval-games", "100000", "--run-dir", "run")
    assert process.stdout is not None
    wait_for(process.stdout, "Learning starts")  # the last line before the games against random
    process.terminate()
    _, err = process.communicate(timeout=60)
    said = "Stopped at once; nothing more was saved. --resume RUN goes on from what was."
    assert (process.returncode, err.splitlines()) == (130, [said])
    assert "Stopped at once. The last checkpoint is -." in (tmp_path / "run" / "log.txt").read_text()
    assert not (tmp_path / "run" / "crash.json").exists()


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
