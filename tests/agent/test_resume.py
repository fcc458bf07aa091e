import gc
import json
import logging
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch as th
from runs import EvaluatorHere, assert_same, curves, evaluations_of, game_ids, steps_of, tensors_of
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.callbacks import evaluation
from keisei_agent.config import Config, ConfigError, parse_config, read_settings_file, with_changes
from keisei_agent.files.storage import CheckpointError, locked
from keisei_agent.runs import checkpoint, training
from keisei_agent.runs.training import resume, train

DYING = Path(__file__).with_name("dying.py")
EVERYTHING: dict[str, Any] = {
    "total_timesteps": 192,
    "evaluation": {"every": 64, "games": 2, "opponents": ["random", "greedy"], "blocking": True},
    "league": {"share": 0.5, "size": 2, "snapshot_every": 64, "players": ["greedy"]},
    "env": {"n_envs": 4, "max_plies": 16, "start": {"random_share": 0.5, "random_plies": 6}},
    "log": {"boards_every": 64, "mates_every": 128, "layers": True},
    "ppo": {"learning_rate_schedule": "linear", "ent_coef_schedule": "cosine", "weight_decay": 0.01},
}
"""Settings under which everything happens that a checkpoint has to know of."""


class Died(BaseException):
    """Ends a run like a death, where the process has to live on."""


class Dying(BaseCallback):
    """Dies at some step of the environment."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def _on_step(self) -> bool:
        if self.model.num_timesteps >= self.step:
            raise Died
        return True


def die(config: Config, folder: Path, step: int) -> None:
    """Train up to some step, and die there."""
    with pytest.raises(Died):
        train(config, folder, callbacks=[Dying(step)])


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rich run that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    threads = th.get_num_threads()
    th.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "Evaluator", EvaluatorHere)
        train(parse_config(json.loads(SETTINGS)), folder)
    th.set_num_threads(threads)
    return folder


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have evaluations played in this process."""
    monkeypatch.setattr(evaluation, "Evaluator", EvaluatorHere)


SMALL: dict[str, Any] = {
    "device": "cpu",
    "precision": "float32",
    "max_time": None,
    "eval_games": 2,
    "checkpoint": {"every": 32},
    "network": {"channels": 8, "blocks": 1, "value_hidden": 8},
}
SETTINGS = json.dumps({**SMALL, **EVERYTHING, "ppo": {**EVERYTHING["ppo"], "n_steps": 8, "batch_size": 16}})


def test_the_run_has_everything_in_it(straight: Path) -> None:
    """What follows would prove nothing of what did not happen."""
    steps = steps_of(straight)
    for tag in ("train/loss", "games/total", "league/members", "layers/stem.weight", "speed/decisions"):
        assert steps[tag] == [32, 64, 96, 128, 160, 192], tag
    assert steps["mates/in_1"] == [128]
    assert steps["random/wins"] == [0, 192]
    assert steps["evaluation/greedy/score"] == [64, 128, 192]
    assert len(game_ids(straight)) == 3 * 2 * 2
    assert len(list((straight / "boards").iterdir())) >= 1
    assert len(list((straight / "pool").iterdir())) >= 2
    assert [line["steps"] for line in evaluations_of(straight)] == [64, 128, 192]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("step", [1, 33, 64, 100, 191])
def test_a_run_that_died_goes_on_bit_for_bit(straight: Path, tmp_path: Path, step: int) -> None:
    folder = tmp_path / "run"
    die(parse_config(json.loads(SETTINGS)), folder, step)
    run = resume(folder)
    assert run.resumed_from == folder / "checkpoints" / f"{(step - 1) // 32 * 32:012d}"
    assert run.before is not None
    assert_same(straight, folder)


@pytest.mark.usefixtures("here")
def test_dying_again_and_again_changes_nothing(straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    die(parse_config(json.loads(SETTINGS)), folder, 40)
    for step in (41, 70, 71, 150):
        with pytest.raises(Died):
            resume(folder, callbacks=[Dying(step)])
    resume(folder)
    assert_same(straight, folder)
    assert sorted(path.name for path in (folder / "set_aside").iterdir()) == ["1", "2", "3", "4", "5"]


@pytest.mark.usefixtures("here")
def test_stopping_tidily_at_a_boundary_changes_nothing(straight: Path, tmp_path: Path) -> None:
    class Stopping(BaseCallback):
        def _on_step(self) -> bool:
            return self.model.num_timesteps < 120

    folder = tmp_path / "run"
    train(parse_config(json.loads(SETTINGS)), folder, callbacks=[Stopping()])
    assert checkpoint.read(folder).path.name == "000000000128"  # where an evaluation is due
    resume(folder)
    assert_same(straight, folder)


@pytest.mark.usefixtures("here")
def test_an_older_checkpoint_gives_the_same_run_again(straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(parse_config(json.loads(SETTINGS)), folder)
    older = folder / "checkpoints" / "000000000064"
    run = resume(older)
    assert run.resumed_from == older
    assert_same(straight, folder)
    aside = folder / "set_aside" / "1"
    assert len(checkpoint.numbered(aside / "checkpoints")) == 4
    assert (aside / "final.safetensors").exists()
    assert (folder / "final.safetensors").exists()


@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
def test_games_go_on_in_other_processes_too(small: Config, tmp_path: Path, vec_env: str) -> None:
    config = with_changes(small, {"env.vec_env": vec_env, "total_timesteps": 96})
    train(config, tmp_path / "straight")
    die(config, tmp_path / "died", 50)
    resume(tmp_path / "died")
    assert_same(tmp_path / "straight", tmp_path / "died")


def test_evaluations_that_waited_are_played_again(small: Config, tmp_path: Path) -> None:
    settings = {"evaluation": {"every": 32, "games": 2, "opponents": ["random"]}, "total_timesteps": 96}
    config = with_changes(small, settings)
    train(config, tmp_path / "straight")
    die(config, tmp_path / "died", 70)
    resume(tmp_path / "died")
    assert evaluations_of(tmp_path / "straight") == evaluations_of(tmp_path / "died")
    assert sorted(game_ids(tmp_path / "straight")) == sorted(game_ids(tmp_path / "died"))


def test_a_finished_run_learns_on(small: Config, tmp_path: Path) -> None:
    train(with_changes(small, {"total_timesteps": 128}), tmp_path / "straight")
    train(small, tmp_path / "run")
    run = resume(tmp_path / "run", {"total_timesteps": 128})
    assert run.model.num_timesteps == 128
    one, other = tensors_of(tmp_path / "straight"), tensors_of(tmp_path / "run")
    assert all(th.equal(tensor, other[name]) for name, tensor in one.items())
    assert steps_of(tmp_path / "run")["random/wins"] == [0, 128]
    assert steps_of(tmp_path / "run")["train/loss"] == [32, 64, 96, 128]


def test_a_finished_run_that_is_resumed_as_it_is_only_says_so(small: Config, tmp_path: Path) -> None:
    train(small, tmp_path / "run")
    before = tensors_of(tmp_path / "run")
    run = resume(tmp_path / "run")
    assert run.model.num_timesteps == 64
    assert run.after is not None
    assert "the target was reached before" in (tmp_path / "run" / "log.txt").read_text("utf-8")
    after = tensors_of(tmp_path / "run")
    assert all(th.equal(tensor, after[name]) for name, tensor in before.items())
    assert (tmp_path / "run" / "final.safetensors").exists()
    assert steps_of(tmp_path / "run")["random/wins"] == [0, 64]


def test_changed_settings_are_said_and_kept(small: Config, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    die(small, folder, 40)
    resume(folder, {"ppo.learning_rate": 3e-4, "checkpoint": {"keep": 2}})
    log = (folder / "log.txt").read_text("utf-8")
    assert "Changed: ppo.learning_rate is 0.0003, was 0.001" in log
    assert "Changed: checkpoint.keep is 2, was 5" in log
    assert f"Resumed from {folder / 'checkpoints' / '000000000032'}" in log
    assert "Learning starts at decision 32" in log
    config = parse_config(read_settings_file(folder / "config.yaml").settings)
    assert (config.ppo.learning_rate, config.checkpoint.keep) == (3e-4, 2)
    assert parse_config(checkpoint.read(folder).run["config"]) == config
    assert dict(curves(folder)["train/learning_rate"])[64] == pytest.approx(3e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"env.n_envs": 2},
        {"env.max_plies": 100},
        {"env.observation": "pieces"},
        {"network.channels": 16},
        {"network.name": "se_resnet"},
        {"league.share": 0.5},
    ],
)
def test_what_cannot_change_is_refused(small: Config, tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = tmp_path / "run"
    die(small, folder, 40)
    log = (folder / "log.txt").read_bytes()
    with pytest.raises(ConfigError, match=f"{next(iter(changes))} cannot change when a run is resumed"):
        resume(folder, changes)
    assert (folder / "log.txt").read_bytes() == log  # nothing was touched


def test_other_numbers_are_refused_unless_one_wants_them(small: Config, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    die(small, folder, 40)
    with pytest.raises(ConfigError, match="cannot continue exactly: precision is bfloat16, was float32"):
        resume(folder, {"precision": "bfloat16"})
    with pytest.raises(ConfigError, match="compile changes the numbers"):
        resume(folder, {"compile": True})
    th.set_num_threads(2)
    with pytest.raises(
        ConfigError, match=r"threads is 2, was 1 \(set OMP_NUM_THREADS=1\); --inexact goes on"
    ):
        resume(folder)
    assert resume(folder, inexact=True).model.num_timesteps == 64


def test_another_version_of_torch_is_refused(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(small, tmp_path, 40)
    monkeypatch.setattr(th, "__version__", "9.9")
    with pytest.raises(ConfigError, match=r"torch is 9\.9, was "):
        resume(tmp_path)


def test_a_change_outlives_a_session_that_saved_nothing(small: Config, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    die(small, folder, 40)
    with pytest.raises(Died):
        resume(folder, {"ppo.learning_rate": 3e-4, "total_timesteps": 128}, callbacks=[Dying(50)])
    with pytest.raises(Died):
        resume(folder, callbacks=[Dying(50)])
    assert "Changed: ppo.learning_rate is 0.0003, was 0.001" in (folder / "log.txt").read_text("utf-8")
    assert resume(folder).model.num_timesteps == 128
    older = folder / "checkpoints" / "000000000032"
    assert resume(older).model.num_timesteps == 64  # one that is named brings its own settings


def test_what_was_found_is_let_go_of(small: Config, tmp_path: Path) -> None:
    class Looking(BaseCallback):
        def _on_step(self) -> bool:
            gc.collect()
            found.append(sum(type(each) is checkpoint.Checkpoint for each in gc.get_objects()))
            return True

    found: list[int] = []
    die(small, tmp_path, 40)
    resume(tmp_path, callbacks=[Looking()])
    assert set(found) == {0}


def test_a_damaged_checkpoint_is_never_passed_over(small: Config, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    die(small, folder, 40)
    damaged = folder / "checkpoints" / "000000000032" / "state.json"
    damaged.write_bytes(damaged.read_bytes().replace(b"1", b"2"))
    log = (folder / "log.txt").read_bytes()
    with pytest.raises(CheckpointError, match=r"000000000032.state\.json is damaged.*before it: .*0000$"):
        resume(folder)
    assert (folder / "log.txt").read_bytes() == log
    train(small, tmp_path / "straight")
    resume(folder / "checkpoints" / "000000000000")
    assert_same(tmp_path / "straight", folder)


@pytest.mark.usefixtures("here")
def test_a_run_that_died_before_it_had_saved_anything_begins_anew(straight: Path, tmp_path: Path) -> None:
    def die_early(*arguments: Any, **named: Any) -> None:
        raise Died

    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Died):
        patch.setattr(training, "_learn_once", die_early)
        train(parse_config(json.loads(SETTINGS)), folder)
    assert steps_of(folder)["random/wins"] == [0]
    run = resume(folder)
    assert run.resumed_from is None
    assert_same(straight, folder)
    assert "had saved nothing yet and begins anew" in (folder / "log.txt").read_text("utf-8")
    assert (folder / "set_aside" / "1" / "log.txt").exists()


def test_a_run_that_saved_in_the_meantime_does_not_begin_anew(small: Config, tmp_path: Path) -> None:
    def die_early(*arguments: Any, **named: Any) -> None:
        raise Died

    def save_meanwhile(config: Config) -> None:
        checkpoint.path_of(tmp_path / "checkpoints", 64).mkdir(parents=True)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Died):
        patch.setattr(training, "_learn_once", die_early)
        train(small, tmp_path)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ConfigError, match="went on in the meantime"):
        patch.setattr(training, "check", save_meanwhile)
        resume(tmp_path)
    assert not (tmp_path / "set_aside").exists()


def test_a_run_whose_checkpoints_are_gone_does_not_begin_anew(small: Config, tmp_path: Path) -> None:
    train(small, tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(CheckpointError, match="holds no checkpoint to resume from"):
        resume(tmp_path)


def test_a_run_that_goes_on_elsewhere_is_refused(small: Config, tmp_path: Path) -> None:
    die(small, tmp_path, 40)
    with locked(tmp_path / "lock"), pytest.raises(ConfigError, match="in use by another process"):
        resume(tmp_path)


def test_the_state_of_a_callback_that_is_gone_is_named(
    small: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Mine(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def state(self) -> dict[str, Any]:
            return {}

        def restore(self, state: dict[str, Any]) -> None:
            pass

    with pytest.raises(Died):
        train(small, tmp_path, callbacks=[Mine(), Dying(40)])
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        resume(tmp_path)
    assert "Mine takes no part any more" in caplog.text


# ---------------------------------------------------------------------------------- SIGKILL


def live(folder: Path, settings: Path, moment: int) -> int | None:
    """Run the program; return how many moments it counted, None if it was killed."""
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, str(DYING), str(folder), str(settings), str(moment)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode == -9:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_killed_at_random_moments(straight: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(SETTINGS, encoding="utf-8")
    # of about 400, in the first 50 of which nothing is saved yet; benchmarks/resume.py tries more
    for moment in (random.Random(4).randrange(8, 50), *random.Random(5).sample(range(50, 380), 2)):
        folder = tmp_path / f"killed-{moment}" / "run"
        assert live(folder, settings, moment) is None
        assert live(folder, settings, 0) is not None
        assert_same(straight, folder)
