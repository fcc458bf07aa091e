import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch as th
from fakes import RandomPlanes
from learners import planes_model

from keisei_agent import checkpoint
from keisei_agent.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, write_atomically
from keisei_agent.config import TrainConfig
from keisei_agent.networks.resnet import ResNet
from keisei_agent.players import load_player


@pytest.fixture
def saved(tmp_path: Path, small: TrainConfig) -> tuple[Path, ResNet]:
    model = planes_model(RandomPlanes(4))
    model.learn(4 * 8)
    path = tmp_path / "checkpoints" / "32.safetensors"
    save_checkpoint(path, model.policy.network, model.policy.optimizer, small, 32)
    return path, model.policy.network


def test_round_trip(saved: tuple[Path, ResNet], small: TrainConfig) -> None:
    path, network = saved
    loaded = load_checkpoint(path)
    assert loaded.config == small
    assert loaded.num_timesteps == 32
    assert loaded.network.keys() == network.state_dict().keys()
    assert all(th.equal(loaded.network[name], weight) for name, weight in network.state_dict().items())
    names = {name for name, _ in network.named_parameters()}
    assert {key.rpartition(".")[0] for key in loaded.optimizer} == names
    assert loaded.optimizer["stem.weight.exp_avg"].shape == network.stem.weight.shape
    assert os.listdir(path.parent) == [path.name]


def test_player_from_a_checkpoint_computes_the_same(saved: tuple[Path, ResNet]) -> None:
    path, network = saved
    planes = th.randint(0, 2, (3, 136, 9, 9), dtype=th.uint8)
    assert th.equal(load_player(path).network(planes)[0], network(planes)[0])


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 64, None])
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.safetensors is not a readable checkpoint"):
        load_checkpoint(path)


def test_a_cut_off_file_is_refused(saved: tuple[Path, ResNet]) -> None:
    path, _ = saved
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_checkpoint(path)


def test_weights_of_another_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": th.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_checkpoint(path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    about = {"format": checkpoint.FORMAT + 1, "num_timesteps": 0, "config": {}}
    safetensors.torch.save_file({"a": th.zeros(1)}, path, {"keisei": json.dumps(about)})
    with pytest.raises(CheckpointError, match="install a newer keisei"):
        load_checkpoint(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def refuse(source: Path, target: Path) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="on fire"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_busy_target_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, calls = os.replace, []

    def busy_twice(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) < 3:
            raise PermissionError
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy_twice)
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(calls) == 3
