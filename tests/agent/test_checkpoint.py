import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch as th
from safetensors.torch import load as load_tensors

from keisei_agent.config import Config
from keisei_agent.files import storage, weights
from keisei_agent.files.storage import CheckpointError, write_folder
from keisei_agent.networks import build
from keisei_agent.players import PLANES, load_player
from keisei_agent.runs import checkpoint
from keisei_agent.runs.checkpoint import keep_newest, newest_before, numbered, path_of, read, write
from keisei_agent.runs.state import State


@pytest.fixture
def data(small: Config) -> bytes:
    """The content of a network file."""
    network = build(small.network, planes=PLANES["full"], dtype=th.float32)
    return weights.weights_to_bytes(network, small, 64)


def a_state(number: int = 0) -> State:
    optimizer = {} if number else {"stem.weight.exp_avg": th.arange(3.0)}
    return State(optimizer, {"games": np.arange(number + 2, dtype=np.uint64)}, {"n": number})


def save(folder: Path, steps: int, data: bytes, processes: int = 1) -> Path:
    path = path_of(folder / "checkpoints", steps)
    states = [a_state(number) for number in range(processes)]
    write(path, data, states, {"lengths": {"log.txt": 5}}, {"threads": 1})
    return path


def test_round_trip(tmp_path: Path, data: bytes) -> None:
    path = save(tmp_path, 64, data)
    assert sorted(file.name for file in path.iterdir()) == [
        "manifest.json",
        "optimizer.safetensors",
        "state.json",
        "state.safetensors",
        "weights.safetensors",
    ]
    found = read(path)
    assert found.path == path
    assert found.weights.keys() == weights.weights_from_bytes(data).tensors.keys()
    (state,) = found.states
    assert th.equal(state.optimizer["stem.weight.exp_avg"], th.arange(3.0))
    assert state.arrays["games"].tolist() == [0, 1]
    assert state.arrays["games"].dtype == np.uint64
    assert (state.values, found.run, found.about) == ({"n": 0}, {"lengths": {"log.txt": 5}}, {"threads": 1})


def test_several_processes_have_a_state_each(tmp_path: Path, data: bytes) -> None:
    found = read(save(tmp_path, 64, data, processes=3))
    assert [state.values for state in found.states] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [len(state.arrays["games"]) for state in found.states] == [2, 3, 4]
    assert [len(state.optimizer) for state in found.states] == [1, 0, 0]


def test_nothing_in_it_is_a_pickle(tmp_path: Path, data: bytes) -> None:
    for file in save(tmp_path, 64, data).iterdir():
        content = file.read_bytes()
        if file.suffix == ".json":
            json.loads(content)
        else:
            load_tensors(content)


def test_a_run_and_its_latest_stand_for_the_newest_checkpoint(tmp_path: Path, data: bytes) -> None:
    save(tmp_path, 32, data)
    newest = save(tmp_path, 64, data)
    for path in (tmp_path, tmp_path / "checkpoints" / "latest", newest):
        assert read(path).path == newest
    assert load_player(tmp_path).network.planes == 136


def test_a_relative_path_is_that_of_the_same_checkpoint(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, 64, data)
    monkeypatch.chdir(tmp_path / "checkpoints")
    assert read(Path("000000000064")).path == path
    monkeypatch.chdir(tmp_path)
    assert read(Path(".")).path == path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 64
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [Path.unlink, cut, change])
@pytest.mark.parametrize(
    "name",
    ["weights.safetensors", "optimizer.safetensors", "state.safetensors", "state.json", "manifest.json"],
)
def test_a_damaged_file_is_named_and_the_checkpoint_before_it(
    tmp_path: Path, data: bytes, name: str, harm: Callable[[Path], None]
) -> None:
    before, newest = save(tmp_path, 32, data), save(tmp_path, 64, data)
    harm(newest / name)
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path)
    text = str(caught.value)
    assert text.startswith(str(newest / name))
    assert text.endswith(f"; resume from the one before it: {before}")
    assert read(before).path == before


def test_only_a_good_checkpoint_is_offered(tmp_path: Path, data: bytes) -> None:
    paths = [save(tmp_path, steps, data) for steps in (32, 64, 96)]
    change(paths[1] / "state.json")
    change(paths[2] / "state.json")
    with pytest.raises(CheckpointError, match=r"000000000096.* before it: .*000000000032$"):
        read(tmp_path)
    change(paths[0] / "state.json")
    with pytest.raises(CheckpointError, match="there is no good one before it"):
        read(tmp_path)
    assert newest_before(paths[0]) is None


def test_a_removed_checkpoint_is_named(tmp_path: Path, data: bytes) -> None:
    save(tmp_path, 32, data)
    os.rename(save(tmp_path, 64, data), tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=r"000000000064.manifest\.json is missing.*000000000032$"):
        read(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "000000000064"
    write_folder(path, {}, {"format": checkpoint.FORMAT + 1})
    with pytest.raises(CheckpointError, match="install a newer keisei"):
        read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"../../etc", r"latest is damaged: it holds '\.\./\.\./etc'"),
        (b"\xff\xfe", "latest is damaged"),
        (b"", "latest is damaged"),
    ],
)
def test_a_damaged_latest_is_refused(tmp_path: Path, data: bytes, content: bytes, said: str) -> None:
    save(tmp_path, 64, data).with_name("latest").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{said}.*; name a checkpoint beside it"):
        read(tmp_path)


def test_a_checkpoint_that_was_not_named_yet_is_found(tmp_path: Path, data: bytes) -> None:
    path = save(tmp_path, 0, data)
    path.with_name("latest").unlink()
    assert read(tmp_path).path == path


@pytest.mark.parametrize("name", ["none", "", "file"])
def test_what_holds_no_checkpoint_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match=r"no checkpoint to resume from|neither a run.s folder"):
        read(tmp_path / name)


def test_the_newest_are_kept(tmp_path: Path, data: bytes) -> None:
    for steps in (0, 32, 64, 96):
        save(tmp_path, steps, data)
    folder = tmp_path / "checkpoints"
    keep_newest(folder, None)
    assert len(numbered(folder)) == 4
    keep_newest(folder, 2)
    assert [path.name for path in numbered(folder)] == ["000000000064", "000000000096"]
    assert sorted(path.name for path in folder.iterdir()) == ["000000000064", "000000000096", "latest"]


def test_a_checkpoint_is_not_overwritten(tmp_path: Path, data: bytes) -> None:
    save(tmp_path, 64, data)
    with pytest.raises(FileExistsError):
        save(tmp_path, 64, data)


def test_a_write_that_fails_leaves_the_one_before_it(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = save(tmp_path, 32, data)

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 64, data)
    assert read(tmp_path).path == before
    assert sorted(path.name for path in before.parent.iterdir()) == ["000000000032", "latest"]


def test_one_that_cannot_be_named_can_be_written_again(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = save(tmp_path, 32, data)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(storage, "write_atomically", full)
        save(tmp_path, 64, data)
    assert numbered(before.parent) == [before]
    newest = save(tmp_path, 64, data)
    assert read(tmp_path).path == newest


def test_arrays_of_every_kind_are_stored(tmp_path: Path, data: bytes) -> None:
    arrays = {kind: np.arange(4).astype(kind) for kind in "bBhHiIqQfd?"} | {
        "empty": np.zeros((2, 0), np.uint8)
    }
    path = path_of(tmp_path / "checkpoints", 1)
    write(path, data, [State({}, arrays, {})], {}, {})
    found = safetensors.numpy.load_file(path / "state.safetensors")
    assert all(np.array_equal(found[kind], array) for kind, array in arrays.items())
    assert all(found[kind].dtype == array.dtype for kind, array in arrays.items())
