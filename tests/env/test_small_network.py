"""The network in the box: what torch computes, without torch."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from shogi_env import Positions
from shogi_env.levels.network import SmallNetwork, read_weights

pytestmark = pytest.mark.nojit
th = pytest.importorskip("torch")


def torch_network(channels=16, blocks=2):
    from keisei_agent.config import NetworkConfig
    from keisei_agent.networks import build

    th.manual_seed(1)
    config = NetworkConfig(channels=channels, blocks=blocks, value_hidden=12)
    network = build(config, planes=136, dtype=th.float32)
    for weight in network.parameters():
        th.nn.init.normal_(weight, std=0.2)
    return network


def some_planes(n):
    games = Positions(n)
    games.seed(np.arange(1, n + 1, dtype=np.uint64))
    for _ in range(60):
        games.apply(games.random_actions(), illegal="lose")
    return games.planes()


@pytest.mark.parametrize(("channels", "blocks"), [(16, 2), (8, 0), (48, 1)])
def test_it_computes_what_torch_does(channels, blocks):
    network = torch_network(channels, blocks)
    ours = SmallNetwork({name: weight.detach().numpy() for name, weight in network.state_dict().items()})
    planes = some_planes(5)
    with th.no_grad():
        logits, values = network(th.as_tensor(planes))
    found, worth = ours(planes)
    assert found.shape == (5, 2187) and worth.shape == (5,) and found.dtype == worth.dtype == np.float32
    assert np.allclose(found, logits.numpy(), atol=2e-4 * float(logits.abs().max()))
    assert np.allclose(worth, values[:, 0].numpy(), atol=1e-4)


def write(path: Path, tensors, dtype="F32"):
    header, data, at = {"__metadata__": {"keisei": "{}"}}, b"", 0
    for name, array in tensors.items():
        raw = array.astype({"F32": np.float32, "F16": np.float16, "I64": np.int64}[dtype]).tobytes()
        header[f"network.{name}"] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [at, at + len(raw)],
        }
        data, at = data + raw, at + len(raw)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize("dtype", ["F32", "F16"])
def test_weights_are_read_from_a_file(dtype, tmp_path):
    tensors = {name: weight.detach().numpy() for name, weight in torch_network().state_dict().items()}
    write(tmp_path / "x.safetensors", tensors, dtype)
    found = read_weights(tmp_path / "x.safetensors")
    for name, weight in tensors.items():
        assert found[name].dtype == np.float32 and np.allclose(found[name], weight, atol=2e-3)
    SmallNetwork(found)


def test_other_files_and_networks_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nonsense" * 9)
    with pytest.raises(ValueError, match="no safetensors file"):
        read_weights(path)
    write(path, {"a": np.zeros(3)}, "I64")
    with pytest.raises(ValueError, match="no safetensors file of F32 or F16"):
        read_weights(path)
    with pytest.raises(ValueError, match=r"stem\.weight is missing"):
        SmallNetwork({})
    weights = {name: weight.detach().numpy() for name, weight in torch_network().state_dict().items()}
    with pytest.raises(ValueError, match="another network: extra"):
        SmallNetwork({**weights, "extra": np.zeros(1, np.float32)})
