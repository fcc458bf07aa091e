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
from keisei_agent.players import load_player
from shogi_env import Positions

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
        (["run", "x.zip", "--format", "onnx"], "invalid choice: 'onnx'"),
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
