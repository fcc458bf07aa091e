import logging
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from fakes import RandomPlanes
from learners import SMALL, planes_model

from keisei_agent.config import NetworkConfig
from keisei_agent.networks import DTYPES, build, names, resolve_precision
from keisei_agent.networks.compiled import compile_trunk
from keisei_agent.networks.network import Network

NAMES = ["mlp", "resnet", "se_resnet"]
SHAPES = [(name, head) for name in NAMES for head in ("scalar", "wdl")]


def make(
    name: str = "resnet", planes: int = 136, dtype: th.dtype = th.float32, seed: int = 0, **shape: Any
) -> Network:
    """A small network whose heads are not zero."""
    th.manual_seed(seed)
    network = build(SMALL.model_copy(update={"name": name} | shape), planes=planes, dtype=dtype)
    for head in (network.policy_head, network.value_head):
        th.nn.init.normal_(head.weight)
    return network


def positions(count: int, planes: int = 136) -> th.Tensor:
    generator = th.Generator().manual_seed(1)
    return th.randint(0, 2, (count, planes, 9, 9), dtype=th.uint8, generator=generator)


def test_what_there_is() -> None:
    assert names() == NAMES


@pytest.mark.parametrize(("name", "head"), SHAPES)
@pytest.mark.parametrize("dtype", [th.float32, th.bfloat16])
def test_a_fresh_network_knows_nothing(name: str, head: str, dtype: th.dtype) -> None:
    config = SMALL.model_copy(update={"name": name, "value_head": head})
    logits, values = build(config, planes=136, dtype=dtype)(positions(3))
    assert logits.dtype == values.dtype == th.float32
    assert logits.shape == (3, 2187)
    assert values.shape == (3, 1)
    assert not logits.any()
    assert not values.any()


@pytest.mark.parametrize(("name", "head"), SHAPES)
@pytest.mark.parametrize("dtype", [th.float32, th.bfloat16, th.float16])
def test_the_three_forwards_agree_in_training_and_evaluation_mode(
    name: str, head: str, dtype: th.dtype
) -> None:
    network = make(name, dtype=dtype, value_head=head)
    planes = positions(5)
    logits, values = network.train()(planes)
    assert logits.std() > 0.01
    assert 0 < values.abs().max() <= 1
    network.eval()
    assert th.equal(network(planes)[0], logits)
    assert th.equal(network.forward_actor(planes), logits)
    assert th.equal(network.forward_critic(planes), values)
    assert th.equal(network.forward_actor(planes.float()), logits)
    assert th.equal(network.forward_actor(planes.contiguous(memory_format=th.channels_last)), logits)


@pytest.mark.parametrize("name", NAMES)
def test_a_position_does_not_depend_on_its_batch(name: str) -> None:
    network, planes = make(name), positions(6)
    th.testing.assert_close(network(planes)[0][2:4], network(planes[2:4])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_fewer_planes(name: str) -> None:
    network = make(name, planes=102)
    assert network.planes == 102
    assert network(positions(2, 102))[0].shape == (2, 2187)


def test_names_of_the_weights_stay() -> None:
    assert sorted(make().state_dict()) == [
        "blocks.0.conv1.weight",
        "blocks.0.conv2.weight",
        "blocks.0.norm1.bias",
        "blocks.0.norm1.weight",
        "blocks.0.norm2.bias",
        "blocks.0.norm2.weight",
        "policy_head.bias",
        "policy_head.weight",
        "stem.weight",
        "stem_norm.bias",
        "stem_norm.weight",
        "value_conv.bias",
        "value_conv.weight",
        "value_head.bias",
        "value_head.weight",
        "value_hidden.bias",
        "value_hidden.weight",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_changes_the_network(name: str) -> None:
    def outcome(**shape: Any) -> tuple[int, float]:
        network = make(name, **shape)
        return sum(w.numel() for w in network.parameters()), float(network(positions(4))[0].sum().detach())

    plain = outcome()
    changes: list[dict[str, Any]] = [
        {"channels": 12},
        {"blocks": 2},
        {"activation": "silu"},
        {"activation": "mish"},
        {"value_head": "wdl"},
        {"value_hidden": 4},
    ]
    if name == "se_resnet":
        changes.append({"squeeze": 2})
    for change in changes:
        assert outcome(**change) != plain, change


def test_a_logit_sees_the_cell_that_its_action_names() -> None:
    network = build(SMALL.model_copy(update={"blocks": 0}), planes=136, dtype=th.float32)
    th.nn.init.normal_(network.policy_head.weight)
    th.nn.init.zeros_(network.stem.weight)
    network.stem.weight.data[:, 7, 1, 1] = th.arange(8.0)  # the stem sees plane 7 of its own cell only
    planes = th.zeros(1, 136, 9, 9, dtype=th.uint8)
    planes[0, 7, 6, 2] = 1
    logits = network.forward_actor(planes).reshape(27, 81)
    different = (logits != logits[:, :1]).any(0).nonzero().flatten().tolist()
    assert different == [9 * 6 + 2]


def test_win_draw_and_loss_make_the_value() -> None:
    network = make(value_head="wdl")
    th.nn.init.zeros_(network.value_head.weight)
    network.value_head.bias.data = th.log(th.tensor([0.5, 0.3, 0.2]))
    assert network(positions(2))[1].flatten().tolist() == pytest.approx([0.3, 0.3])


def test_another_architecture_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "someones"
    package.mkdir()
    (package / "shallow.py").write_text(
        "from keisei_agent.networks.resnet import ResNet\n"
        "def build(config, *, planes, dtype):\n"
        "    return ResNet(config.model_copy(update={'blocks': 0}), planes, dtype)\n"
    )
    (package / "broken.py").write_text("def build(config, *, planes, dtype):\n    return 3\n")
    (package / "unfinished.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    network = NetworkConfig(name="someones.shallow", channels=8, value_hidden=8)
    model = planes_model(RandomPlanes(4), network=network)
    model.learn(4 * 8)
    assert model.update is not None
    assert len(model.policy.network.blocks) == 0
    with pytest.raises(ValueError, match=r"network.name = 'someones.broken': it needs a function build"):
        build(NetworkConfig(name="someones.broken"), planes=136, dtype=th.float32)
    with pytest.raises(
        ValueError, match=r"network.name = 'someones.unfinished': ModuleNotFoundError: No mod"
    ):
        build(NetworkConfig(name="someones.unfinished"), planes=136, dtype=th.float32)
    (package / "older.py").write_text("def build(config):\n    return 3\n")
    with pytest.raises(ValueError, match=r"network.name = 'someones.older': TypeError: build\(\) got an"):
        build(NetworkConfig(name="someones.older"), planes=136, dtype=th.float32)
    (package / "__init__.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.delitem(sys.modules, "someones")
    with pytest.raises(ValueError, match=r"network.name = 'someones.shallow2': RuntimeError: no licence"):
        build(NetworkConfig(name="someones.shallow2"), planes=136, dtype=th.float32)


@pytest.mark.parametrize(
    "name", ["resnext", "heads", "no.such.thing", "someones.nothing", "", ".", ".resnet"]
)
def test_an_unknown_architecture_is_named(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"unknown network.name '{re.escape(name)}', known: mlp, resnet, se_resnet, and"
    ):
        build(NetworkConfig(name=name), planes=136, dtype=th.float32)


# ----------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_the_trunk_really_computes_in_its_precision_and_the_heads_do_not(name: str, precision: str) -> None:
    network = make(name, dtype=DTYPES[precision])
    seen: dict[str, th.dtype] = {}

    def note(module_name: str) -> Any:
        return lambda module, inputs, output: seen.update({module_name: output.dtype})

    for module_name, module in network.named_modules():
        if isinstance(module, th.nn.Conv2d | th.nn.Linear):
            module.register_forward_hook(note(module_name))
    logits, _ = network(positions(2))
    assert logits.dtype == th.float32
    heads = {"policy_head", "value_conv", "value_hidden", "value_head"}
    assert {seen[n] for n in seen.keys() & heads} == {th.float32}
    assert {seen[n] for n in seen.keys() - heads} == {DTYPES[precision]}
    assert {weight.dtype for weight in network.parameters()} == {th.float32}


def test_what_auto_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for device, has_bfloat16, expected in [
        ("cpu", True, "bfloat16"),
        ("cpu", False, "float32"),
        ("cuda", True, "bfloat16"),
        ("cuda:1", False, "float16"),
        ("mps", False, "float32"),
    ]:
        monkeypatch.setattr("keisei_agent.doctor.has_bfloat16", lambda device, has=has_bfloat16: has)
        assert resolve_precision("auto", device) == expected
        assert resolve_precision("float32", device) == "float32"


# ------------------------------------------------------------------------------------------- compiling


def test_a_compiler_that_fails_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    def compiler(function: Any, **options: Any) -> Any:
        raise RuntimeError("no C++ compiler was found")

    network = make()
    expected = network(positions(3))[0]
    with caplog.at_level(logging.WARNING):
        assert not compile_trunk(network, positions(4), compiler)
    assert "learning goes on without it: RuntimeError: no C++ compiler was found" in caplog.text
    assert network.compiled is None
    assert th.equal(network(positions(3))[0], expected)


def test_a_trunk_without_weights_has_nothing_to_translate(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not compile_trunk(make("mlp", blocks=0), positions(4), lambda function, **options: function)
    assert "torch.compile is not used, learning goes on without it: RuntimeError: " in caplog.text


@pytest.mark.parametrize("kind", ["forward", "backward", "not a number"])
def test_a_wrong_translation_is_not_used(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    def compiler(function: Any, **options: Any) -> Any:
        def wrong(planes: th.Tensor) -> th.Tensor:
            right = function(planes)
            if kind == "forward":
                return right * 1.01
            if kind == "backward":
                return right.detach() + 0.9 * (right - right.detach())
            return right * th.nan

        return wrong

    network = make()
    with caplog.at_level(logging.WARNING):
        assert not compile_trunk(network, positions(4), compiler)
    assert network.compiled is None
    assert ("its gradients are" if kind == "backward" else "its features in acting are") in caplog.text


def test_a_right_translation_is_used_and_leaves_the_weights_alone() -> None:
    calls = []

    def compiler(function: Any, **options: Any) -> Any:
        def same(planes: th.Tensor) -> th.Tensor:
            calls.append(len(planes))
            return function(planes)

        return same

    network = make()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    assert compile_trunk(network, positions(4), compiler)
    calls.clear()
    network(positions(3))
    network.forward_critic(positions(2))
    network.forward_actor(positions(1))  # of a player: not compiled
    assert calls == [3, 2]
    assert network.state_dict().keys() == before.keys()
    assert all(th.equal(weight, before[name]) for name, weight in network.state_dict().items())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_torch_compile_itself(precision: str) -> None:
    model = planes_model(RandomPlanes(4), precision=precision)
    network = model.policy.network
    for head in (network.policy_head, network.value_head):
        th.nn.init.normal_(head.weight)
    planes = positions(6)
    with th.no_grad():
        logits, values = network(planes)
    assert model.policy.compile_network()
    with th.no_grad():
        compiled_logits, compiled_values = network(planes)
    tolerance = 1e-4 if precision == "float32" else 0.1
    np.testing.assert_allclose(compiled_logits, logits, rtol=0, atol=tolerance * float(logits.std()))
    np.testing.assert_allclose(compiled_values, values, rtol=0, atol=tolerance)
    model.learn(4 * 8 * 2)
    assert model.update is not None
