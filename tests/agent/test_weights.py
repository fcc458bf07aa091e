import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch as th
from safetensors import safe_open

from keisei_agent.config import Config, parse_config, with_changes
from keisei_agent.files import weights
from keisei_agent.files.storage import CheckpointError, write_folder
from keisei_agent.files.weights import (
    LATEST,
    WEIGHTS,
    find_weights,
    load_weights,
    save_weights,
    weights_to_bytes,
)
from keisei_agent.networks import DTYPES, build
from keisei_agent.networks.network import Network
from keisei_agent.players import PLANES, load_player


def a_network(config: Config) -> Network:
    """A network that prefers something."""
    dtype = DTYPES["float32" if config.precision == "auto" else config.precision]
    th.manual_seed(1)
    network = build(config.network, planes=PLANES[config.env.observation], dtype=dtype)
    for weight in network.parameters():
        th.nn.init.normal_(weight, std=0.1)
    return network


def test_round_trip(tmp_path: Path, small: Config) -> None:
    network, path = a_network(small), tmp_path / "pool" / "x.safetensors"
    save_weights(path, network, small, 32)
    loaded = load_weights(path)
    assert loaded.network == small.network
    assert (loaded.observation, loaded.precision, loaded.num_timesteps) == ("full", "float32", 32)
    assert loaded.tensors.keys() == network.state_dict().keys()
    assert all(th.equal(loaded.tensors[name], weight) for name, weight in network.state_dict().items())
    assert [file.name for file in path.parent.iterdir()] == ["x.safetensors"]


def test_a_file_says_what_run_it_is_from(tmp_path: Path, small: Config) -> None:
    save_weights(tmp_path / "x.safetensors", a_network(small), small, 32)
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["keisei"])
    assert parse_config(about["config"]) == small


def test_a_file_holds_no_secrets_of_the_run(tmp_path: Path, small: Config) -> None:
    players = ("usi:engine;option.Login Password=swordfish;go=depth 1",)
    config = with_changes(small, {"league": {"share": 0.5, "players": players}})
    data = weights_to_bytes(a_network(small), config, 32)
    assert b"swordfish" not in data
    assert b"option.Login Password=[hidden];go=depth 1" in data


def test_a_network_of_an_architecture_that_is_not_here_is_named(tmp_path: Path, small: Config) -> None:
    path, elsewhere = tmp_path / "x.safetensors", with_changes(small, {"network": {"name": "someones.own"}})
    save_weights(path, a_network(small), elsewhere, 32)
    with pytest.raises(CheckpointError, match=r"x\.safetensors: unknown network\.name 'someones\.own'"):
        load_player(path)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bfloat16"},
        {"env": {"observation": "pieces"}},
        {"network": {"name": "se_resnet", "channels": 8, "blocks": 1, "value_head": "wdl"}},
        {"network": {"name": "mlp", "channels": 8, "blocks": 1}},
    ],
)
def test_a_player_computes_the_same(tmp_path: Path, small: Config, changes: dict[str, Any]) -> None:
    config = with_changes(small, changes)
    network, path = a_network(config), tmp_path / "x.safetensors"
    save_weights(path, network, config, 32)
    planes = th.randint(0, 2, (3, network.planes, 9, 9), dtype=th.uint8)
    player = load_player(path)
    assert player.network.dtype == network.dtype
    assert all(th.equal(*pair) for pair in zip(player.network(planes), network(planes), strict=True))


def test_a_file_outlives_changes_of_other_settings(tmp_path: Path, small: Config) -> None:
    path = tmp_path / "x.safetensors"
    save_weights(path, a_network(small), small, 32)
    tensors = safetensors.torch.load_file(path)
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["keisei"])
    about["config"] = {"a setting that there is no more": 1}
    about["something new"] = 2
    safetensors.torch.save_file(tensors, path, {"keisei": json.dumps(about)})
    assert load_player(path).network.planes == 136


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 64, b"\x02" + bytes(7) + b"[]", None])
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.safetensors is not a readable checkpoint"):
        load_weights(path)


def test_a_cut_off_file_is_refused(tmp_path: Path, small: Config) -> None:
    path = tmp_path / "x.safetensors"
    save_weights(path, a_network(small), small, 32)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_weights(path)


def test_weights_of_another_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": th.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        load_weights(path)


@pytest.mark.parametrize(
    ("number", "advice"), [(weights.FORMAT + 1, "install a newer keisei"), (1, "before keisei was released")]
)
def test_another_format_is_refused(tmp_path: Path, number: int, advice: str) -> None:
    path = tmp_path / "x.safetensors"
    about = {"format": number, "num_timesteps": 0, "config": {}}
    safetensors.torch.save_file({"a": th.zeros(1)}, path, {"keisei": json.dumps(about)})
    with pytest.raises(CheckpointError, match=advice):
        load_weights(path)


def test_weights_that_do_not_fit_their_shape_are_refused(tmp_path: Path, small: Config) -> None:
    path = tmp_path / "x.safetensors"
    wrong = small.model_copy(update={"network": small.network.model_copy(update={"channels": 16})})
    save_weights(path, a_network(small), wrong, 32)
    with pytest.raises(CheckpointError, match=r"x\.safetensors.*size mismatch"):
        load_player(path)


def test_a_checkpoints_weights_are_compared_with_its_manifest(tmp_path: Path, small: Config) -> None:
    folder = tmp_path / "checkpoints" / "000000000064"
    data = weights.weights_to_bytes(a_network(small), small, 64)
    write_folder(folder, {WEIGHTS: data}, {})
    assert load_weights(folder / WEIGHTS).num_timesteps == 64
    (folder / WEIGHTS).write_bytes(data[:-4] + b"\0\0\0\0")  # still a network file
    with pytest.raises(CheckpointError, match=r"weights\.safetensors is damaged"):
        load_weights(folder / WEIGHTS)


def test_a_run_stands_for_its_newest_checkpoint(tmp_path: Path, small: Config) -> None:
    for name in ("000000000032", "000000000064"):
        save_weights(tmp_path / "checkpoints" / name / WEIGHTS, a_network(small), small, int(name))
    latest = tmp_path / "checkpoints" / LATEST
    latest.write_text("000000000032\n")  # it decides, not the number
    older, newer = (tmp_path / "checkpoints" / name for name in ("000000000032", "000000000064"))
    assert find_weights(tmp_path) == find_weights(latest) == older / WEIGHTS
    assert find_weights(newer) == find_weights(newer / WEIGHTS) == newer / WEIGHTS
    assert load_player(str(tmp_path)).network.planes == 136


@pytest.mark.parametrize("content", [b"", b"../../etc", b"\xff\xfe"])
def test_a_damaged_latest_is_named(tmp_path: Path, content: bytes) -> None:
    latest = tmp_path / "checkpoints" / LATEST
    latest.parent.mkdir()
    latest.write_bytes(content)
    with pytest.raises(CheckpointError, match="latest is damaged"):
        find_weights(tmp_path)


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        find_weights(tmp_path)
    with pytest.raises(CheckpointError, match=r"none\.safetensors"):
        load_player(tmp_path / "none.safetensors")
