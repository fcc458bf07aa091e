import doctest
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch as th
from talks import write_run

from keisei_agent.commands import export
from keisei_agent.config import Config, with_changes
from keisei_agent.files.weights import save_weights
from keisei_agent.networks import build
from keisei_agent.players import MAKERS, PLANES, load_player
from shogi_env import Positions
from shogi_env.arena.onnx import OnnxNetwork
from shogi_env.arena.openings import load_openings
from shogi_env.arena.players import make_player
from shogi_env.arena.schedules import head_to_head
from shogi_env.arena.statistics import tally
from shogi_env.core.planes import PLANES_OF
from shogi_env.levels import path_of_level
from shogi_env.levels.network import read_weights

ELSEWHERE = """
import json, sys
import numpy as np
from sb3_contrib import MaskablePPO
import shogi_env
from shogi_env.adapters.sb3 import make_vec_env

model = MaskablePPO.load(sys.argv[1], device="cpu")
env = make_vec_env(3, seed=1, opponent=None, observation=sys.argv[2], max_plies=60)
observations, played = env.reset(), []
for _ in range(40):
    masks = env.action_masks()
    actions, _ = model.predict(observations, action_masks=masks, deterministic=True)
    assert masks[np.arange(3), actions].all()
    played.append(actions.tolist())
    observations, *_ = env.step(actions)
print(json.dumps({"steps": model.num_timesteps, "played": played, "ours": "keisei_agent" in sys.modules}))
"""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"env.observation": "pieces", "network": {"name": "se_resnet", "value_head": "wdl"}},
    ],
)
def test_a_stock_maskable_ppo_plays_it_in_another_process(
    tmp_path: Path, small: Config, changes: dict[str, object]
) -> None:
    config = with_changes(small, changes)
    run, out = write_run(tmp_path / "run", config), tmp_path / "player.zip"
    assert export.main([str(run), "--format", "sb3", str(out)]) == 0
    command = [sys.executable, "-c", ELSEWHERE, str(out), config.env.observation]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["steps"] == 64

    player, games = load_player(run, temperature=0), Positions(3, max_plies=60)
    games.seed(np.array([1, 2, 3], np.uint64))
    for actions in found["played"]:
        assert player(games, games.everyone).tolist() == actions
        games.apply(np.array(actions))
        if games.outcomes()[0].any():
            break


def test_nothing_of_ours_in_it_is_code(tmp_path: Path, small: Config) -> None:
    run, out = write_run(tmp_path / "run", small), tmp_path / "player.zip"
    export.export_sb3(run, out)
    with zipfile.ZipFile(out) as content:
        data = json.loads(content.read("data"))
    assert data["policy_kwargs"]["network"]["channels"] == 8  # JSON, no pickle
    assert data["policy_class"]["__module__"] == "keisei_agent.learning.policy"


def test_bfloat16_players_are_exported_for_every_machine(tmp_path: Path, small: Config) -> None:
    run, out = write_run(tmp_path / "run", with_changes(small, {"precision": "bfloat16"})), tmp_path / "x.zip"
    export.export_sb3(run, out)
    with zipfile.ZipFile(out) as content:
        assert json.loads(content.read("data"))["policy_kwargs"]["precision"] == "float32"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none", "x.zip"], "none is not a readable checkpoint"),
        ([], "the following arguments are required"),
        (["run", "x.zip", "--format", "gguf"], "invalid choice: 'gguf'"),
    ],
)
def test_bad_arguments_are_refused_in_a_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        export.main(arguments)
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(("kind", "name"), [("sb3", "first.zip"), ("onnx", "first.onnx")])
def test_a_file_has_its_runs_name_where_none_is_given(
    kind: str, name: str, tmp_path: Path, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "runs" / "first", small)
    monkeypatch.chdir(tmp_path)
    assert export.main(["runs/first", "--format", kind]) == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]


def test_a_file_that_cannot_be_written_is_an_error(
    tmp_path: Path, small: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", small)
    (tmp_path / "file").write_text("in the way")
    assert export.main([str(run), str(tmp_path / "file" / "x.zip")]) == 1
    assert "keisei-export: " in capsys.readouterr().err


def test_its_values_are_the_networks(tmp_path: Path, small: Config) -> None:
    from sb3_contrib import MaskablePPO

    run, out = write_run(tmp_path / "run", small), tmp_path / "player.zip"
    export.export_sb3(run, out)
    planes = th.as_tensor(Positions(2).planes())
    model = MaskablePPO.load(out, device="cpu")
    with th.no_grad():
        assert th.equal(model.policy.predict_values(planes), load_player(run).network(planes)[1])


def spread(games: int) -> Positions:
    """Running games at all stages of play."""
    positions = Positions(games)
    positions.seed(np.arange(1, games + 1, dtype=np.uint64))
    for ply in range(80):
        idx = np.flatnonzero(np.arange(games) % 80 >= ply)
        positions.apply(positions.random_actions(idx), idx)
    return positions


NETWORKS = [
    {"name": "resnet"},
    {"name": "se_resnet", "value_head": "wdl", "activation": "mish"},
    {"name": "mlp", "activation": "silu"},
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network["name"])
@pytest.mark.parametrize(
    ("layout", "observation"),
    [("onnx", "full"), ("onnx", "pieces"), ("onnx", "dlshogi"), ("dlshogi", "dlshogi")],
)
def test_an_onnx_file_computes_what_the_network_does(
    tmp_path: Path, small: Config, network: dict[str, str], layout: str, observation: str
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    config = with_changes(small, {"env.observation": observation, "network": network})
    run, out = write_run(tmp_path / "run", config), tmp_path / "player.onnx"
    assert export.main([str(run), str(out), "--format", layout]) == 0

    ours, theirs = load_player(run).network, OnnxNetwork(out)
    assert theirs.planes == ((62, 57) if layout == "dlshogi" else (PLANES[observation],))
    for games in (1, 80):
        positions = spread(games)
        with th.no_grad():
            logits, values = ours(th.as_tensor(positions.planes()[:, PLANES_OF[observation]]))
        found = theirs(positions.planes())
        np.testing.assert_allclose(found[0], logits.numpy(), atol=1e-4)
        np.testing.assert_allclose(found[1], values[:, 0].numpy(), atol=1e-4)
    assert np.ptp(found[0], axis=1).min() > 0.1 and np.ptp(found[1]) > 1e-3, "it is no constant"


def write_level(path: Path, config: Config, observation: str) -> None:
    """Write the weights of a level of the package, which plays well, as a network file."""
    weights = read_weights(path_of_level(2))
    weights["stem.weight"] = weights["stem.weight"][:, PLANES_OF[observation]]
    shape = {
        "channels": len(weights["stem.weight"]),
        "blocks": sum(name.endswith(".conv1.weight") for name in weights),
        "value_hidden": len(weights["value_hidden.weight"]),
    }
    config = with_changes(config, {"env.observation": observation, "network": shape})
    network = build(config.network, planes=PLANES[observation], dtype=th.float32)
    network.load_state_dict({name: th.as_tensor(weight) for name, weight in weights.items()})
    save_weights(path, network, config, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "observation"), [("onnx", "full"), ("dlshogi", "dlshogi")])
def test_an_exported_player_is_as_strong_as_the_original(
    tmp_path: Path, small: Config, layout: str, observation: str
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    original, out = tmp_path / "original.safetensors", tmp_path / "exported.onnx"
    write_level(original, small, observation)
    export.export_onnx(original, out, layout=layout)
    exported = make_player(f"exported=onnx:{out};temperature=0.5")
    first = make_player(f"original=checkpoint:{original};temperature=0.5", makers=MAKERS)
    openings = load_openings("balanced")
    equals = tally(head_to_head(exported, first, 200, openings=openings), "exported")
    weak = tally(head_to_head(exported, make_player("random"), 20, openings=openings), "exported")
    low, high = equals.interval
    assert high - low < 0.2
    assert abs(equals.score - 0.5) < high - low, "twice the 95 % interval: chance alone fails in 1 of 10,000"
    assert weak.score > 0.6, "only one that plays well shows anything"


def test_dlshogis_layout_is_for_its_planes_alone(
    tmp_path: Path, small: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    run = write_run(tmp_path / "run", small)
    with pytest.raises(SystemExit) as caught:
        export.main([str(run), str(tmp_path / "x.onnx"), "--format", "dlshogi"])
    assert caught.value.code == 2
    assert "119 planes, this network sees 136" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()


def test_a_missing_extra_is_said_in_a_line(
    tmp_path: Path, small: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", small)
    for name in ("onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit):
        export.main([str(run), str(tmp_path / "x.onnx"), "--format", "onnx"])
    assert "keisei[onnx]" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"keisei\[onnx\]"):
        make_player(f"onnx:{tmp_path / 'x.onnx'}")


def test_bfloat16_networks_are_exported_in_float32(tmp_path: Path, small: Config) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    run, out = (
        write_run(tmp_path / "run", with_changes(small, {"precision": "bfloat16"})),
        tmp_path / "x.onnx",
    )
    export.export_onnx(run, out, layout="onnx")
    network, planes = load_player(run).network, spread(20).planes()
    network.dtype = th.float32
    with th.no_grad():
        logits, _ = network(th.as_tensor(planes))
    np.testing.assert_allclose(OnnxNetwork(out)(planes)[0], logits.numpy(), atol=1e-4)


def test_the_page_on_onnx_runs(tmp_path: Path, small: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    train, converted, match = (
        line.split() for line in page.split("```console\n")[1].split("```")[0].splitlines()
    )
    assert train[:1] + train[3:] == ["keisei-train", *"--env.observation dlshogi --run-name first".split()]
    write_run(tmp_path / "runs" / "first", with_changes(small, {"env.observation": "dlshogi"}))
    assert export.main(converted[1:]) == 0
    for player in match[1:3]:
        make_player(player.strip('"'))
    example = doctest.DocTestParser().get_doctest(page, {}, "onnx.md", "docs/onnx.md", 0)
    report: list[str] = []
    assert doctest.DocTestRunner().run(example, out=report.append).failed == 0, "".join(report)
