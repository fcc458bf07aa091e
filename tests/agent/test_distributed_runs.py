"""Whole runs of two processes, as torchrun starts them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch as th
from runs import steps_of, tensors_of
from test_distributed import free_port

from keisei_agent.config import Config, ConfigError, to_yaml, with_changes
from keisei_agent.runs import checkpoint
from keisei_agent.runs.training import resume


def together(*arguments: str) -> list[subprocess.CompletedProcess[str]]:
    """Run `keisei train` in two processes that learn together."""
    paths = os.pathsep.join(path for path in sys.path if path)
    port = str(free_port())
    processes = []
    for rank in ("0", "1"):
        variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "PYTHONPATH": paths}
        command = [sys.executable, "-m", "keisei_agent", "train", *arguments]
        processes.append(
            subprocess.Popen(
                command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    ended = [process.communicate(timeout=300) for process in processes]
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *texts)
        for process, texts in zip(processes, ended, strict=True)
    ]


@pytest.mark.slow
def test_a_run_of_two_processes_is_saved_and_resumed_bit_for_bit(tmp_path: Path, small: Config) -> None:
    for name, steps in (("straight", 96), ("resumed", 32)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(to_yaml(with_changes(small, {"total_timesteps": steps})), encoding="utf-8")
        first, second = together("--config", str(file), "--run-dir", str(tmp_path / name))
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert "Learned from" in first.stdout
        assert second.stdout == ""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
    command = [
        *torchrun,
        str(free_port()),
        "-m",
        "keisei_agent",
        "train",
        "--resume",
        str(tmp_path / "resumed"),
    ]
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([*command, "-n", "96"], env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, other = tensors_of(tmp_path / "straight"), tensors_of(tmp_path / "resumed")
    assert one.keys() == other.keys()
    assert any(name.startswith("state-1/") for name in one)
    assert all(th.equal(tensor, other[name]) for name, tensor in one.items())
    assert steps_of(tmp_path / "resumed")["train/loss"] == [32, 64, 96]
    first_games, second_games = (one[f"{name}/env.games.0.0"] for name in ("state", "state-1"))
    assert len(first_games) == len(second_games) == 2
    assert not th.equal(first_games, second_games)
    assert len(checkpoint.read(tmp_path / "resumed").states) == 2
    with pytest.raises(ConfigError, match="was written by 2 processes, not by 1"):
        resume(tmp_path / "resumed", inexact=True)
