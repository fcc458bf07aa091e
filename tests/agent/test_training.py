import json
import logging
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import Quiet, RandomPlanes
from runs import steps_of, values_of

from keisei_agent.commands import train as cli
from keisei_agent.config import Config, ConfigError, parse_config, read_settings_file, with_changes
from keisei_agent.files.storage import locked
from keisei_agent.files.weights import load_weights
from keisei_agent.learning import distributed
from keisei_agent.players import load_player, play_random
from keisei_agent.runs import checkpoint, training
from keisei_agent.runs.run import Run
from keisei_agent.runs.training import train


def test_a_run_end_to_end(tmp_path: Path, small: Config) -> None:
    run = train(small, tmp_path / "run")
    assert run.model.num_timesteps == 64
    assert not run.interrupted
    assert run.reached_target
    assert run.before is not None
    assert run.after is not None
    assert run.before.games == run.after.games == 4
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "about.json",
        "checkpoints",
        "config.yaml",
        "final.safetensors",
        "lock",
        "log.txt",
        "results.json",
        "tensorboard",
    ]
    assert run.checkpoint == run.folder / "checkpoints" / "000000000064"
    assert sorted(path.name for path in run.checkpoint.parent.iterdir()) == [
        "000000000000",
        "000000000032",
        "000000000064",
        "latest",
    ]
    assert load_weights(run.checkpoint / "weights.safetensors").num_timesteps == 64
    assert load_weights(run.folder / "final.safetensors").num_timesteps == 64


def test_what_a_run_writes_down(tmp_path: Path, small: Config) -> None:
    run = train(small, tmp_path / "run")
    results = json.loads((run.folder / "results.json").read_text("utf-8"))
    assert results == run.stats()
    assert (results["num_timesteps"], results["reached_target"]) == (64, True)
    assert run.after is not None
    assert results["against_random"]["after"]["wins"] == run.after.wins
    assert parse_config(read_settings_file(run.folder / "config.yaml").settings) == small
    assert json.loads((run.folder / "about.json").read_text("utf-8"))["versions"]["torch"]
    scalars = steps_of(run.folder)
    assert scalars["train/loss"] == [32, 64]
    assert scalars["games/finished"] == [32, 64]
    assert scalars["random/wins"] == [0, 64]


def test_the_log_says_what_runs_and_how_it_went(tmp_path: Path, small: Config) -> None:
    run = train(small.model_copy(update={"total_timesteps": 50}), tmp_path / "first")
    log = (run.folder / "log.txt").read_text("utf-8")
    for text in (
        f"Run first, seed 0, in {run.folder}",
        "Device cpu in float32, 1 threads; torch ",
        "Network resnet 8x1, ",
        "planes 136x9x9, 2,187 actions",
        "Games 4 at once (native), 8 decisions each: rollouts of 32, minibatches of 16",
        "Target 64 decisions, 50 rounded up to whole rollouts",
        "New run",
        "Learning starts at decision 0",
        "Against random before learning: ",
        "Learning ended at decision 64: the target is reached.",
        "Against random after learning: ",
    ):
        assert text in log, log


def test_the_log_says_how_large_minibatches_really_are(tmp_path: Path, small: Config) -> None:
    settings = {"ppo.batch_size": 512, "total_timesteps": 32, "eval_games": 0}
    run = train(with_changes(small, settings), tmp_path)
    assert "rollouts of 32, minibatches of 32\n" in (run.folder / "log.txt").read_text("utf-8")


def test_the_checkpoint_plays(tmp_path: Path, small: Config) -> None:
    run = train(small.model_copy(update={"eval_games": 0}), tmp_path)
    assert run.before is None
    assert run.after is None
    assert run.checkpoint is not None
    score = play_random(load_player(run.checkpoint), 6, seed=1, max_plies=30)
    assert score.games == 6
    assert 0 < score.plies <= 30
    assert score == play_random(load_player(run.folder), 6, seed=1, max_plies=30)


def test_same_settings_same_run(tmp_path: Path, small: Config) -> None:
    runs = [train(small, tmp_path / name) for name in ("first", "second")]
    assert runs[0].before == runs[1].before
    assert runs[0].after == runs[1].after
    files = ("weights.safetensors", "optimizer.safetensors", "state.safetensors")
    for name in files:
        first, second = ((run.checkpoint / name).read_bytes() for run in runs if run.checkpoint)
        assert first == second
    assert values_of(runs[0].folder) == values_of(runs[1].folder)


def test_callbacks_of_the_caller_and_of_the_settings(
    tmp_path: Path, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugin.py").write_text(
        "from stable_baselines3.common.callbacks import BaseCallback\n"
        "class Noting(BaseCallback):\n"
        "    def _on_step(self):\n"
        "        self.logger.record('noted/steps', self.num_timesteps)\n"
        "        return True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    class Asking(Quiet):
        def _on_rollout_start(self) -> None:
            seen.append(self.model.num_timesteps)
            self.model.save_requested = True  # type: ignore[attr-defined]

    seen: list[int] = []
    config = with_changes(small, {"callbacks": ["plugin.Noting"], "checkpoint.every": 1000})
    run = train(config, tmp_path / "run", callbacks=[Asking()])
    assert seen == [0, 32, 64]
    assert steps_of(run.folder)["noted/steps"] == [32, 64]
    assert run.checkpoint is not None
    assert len(checkpoint.numbered(run.checkpoint.parent)) == 3


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path, small: Config) -> None:
    run = train(with_changes(small, {"total_timesteps": 160, "checkpoint.keep": 2}), tmp_path)
    found = [path.name for path in checkpoint.numbered(tmp_path / "checkpoints")]
    assert found == ["000000000128", "000000000160"]
    assert run.checkpoint == tmp_path / "checkpoints" / "000000000160"


def test_a_wish_to_stop_ends_the_run_with_everything_saved(tmp_path: Path, small: Config) -> None:
    class Stopping(Quiet):
        def _on_step(self) -> bool:
            return self.model.num_timesteps < 40

    config = with_changes(small, {"total_timesteps": 1024, "checkpoint.every": 1024})
    run = train(config, tmp_path, callbacks=[Stopping()])
    assert run.checkpoint == tmp_path / "checkpoints" / "000000000064"
    assert not run.reached_target
    assert not (tmp_path / "final.safetensors").exists()
    assert "a callback asked for it" in (tmp_path / "log.txt").read_text("utf-8")


def test_time_is_a_target_too(tmp_path: Path, small: Config) -> None:
    run = train(with_changes(small, {"total_timesteps": None, "max_time": 0.001}), tmp_path)
    assert run.model.num_timesteps == 32
    assert run.reached_target
    assert (tmp_path / "final.safetensors").exists()


def test_saving_after_the_run(tmp_path: Path, small: Config) -> None:
    run = train(small, tmp_path)
    assert run.save() == run.checkpoint == tmp_path / "checkpoints" / "000000000064"
    run.model.learn(32, reset_num_timesteps=False)  # by hand
    assert run.save() == tmp_path / "checkpoints" / "000000000096"
    assert checkpoint.read(tmp_path).states[0].values["model"]["num_timesteps"] == 96


def test_saving_a_run_that_goes_on_elsewhere_is_refused(tmp_path: Path, small: Config) -> None:
    run = train(small, tmp_path)
    run.model.learn(32, reset_num_timesteps=False)
    with locked(tmp_path / "lock"), pytest.raises(ConfigError, match="is in use by another process"):
        run.save()
    newer = training.resume(tmp_path, {"total_timesteps": 128})
    with pytest.raises(ConfigError, match="went on in the meantime"):
        run.save()
    assert checkpoint.find(tmp_path).name == "000000000128"
    assert newer.save() == newer.checkpoint
    assert run.checkpoint == tmp_path / "checkpoints" / "000000000064"


@pytest.mark.parametrize("vec_env", ["dummy", "subproc"])
def test_other_ways_to_play_the_games_learn_the_same(tmp_path: Path, small: Config, vec_env: str) -> None:
    config = small.model_copy(update={"eval_games": 0})
    runs = [
        train(with_changes(config, {"env.vec_env": kind}), tmp_path / kind) for kind in ("native", vec_env)
    ]
    first, second = (load_weights(run.folder / "final.safetensors").tensors for run in runs)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_run_of_its_own_folder_each(tmp_path: Path, small: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = small.model_copy(update={"eval_games": 0})
    assert train(config, name="named").folder == Path("runs", "named")
    runs = [train(config) for _ in range(2)]
    assert runs[0].folder != runs[1].folder
    assert all("-0" in run.folder.name for run in runs)


def test_a_used_folder_is_refused(tmp_path: Path, small: Config) -> None:
    train(small, tmp_path / "run")
    with pytest.raises(ConfigError, match="run already holds a run; choose another folder, or resume it"):
        train(small, tmp_path / "run")


def test_a_folder_in_use_is_refused(tmp_path: Path, small: Config) -> None:
    with locked(tmp_path / "lock"), pytest.raises(ConfigError, match="in use by another process"):
        train(small, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": "cuda:999"}, "device = 'cuda:999'"),
        ({"network.name": "transformer"}, "unknown network.name 'transformer'"),
        ({"callbacks": ["nowhere.Mine"]}, "callbacks: 'nowhere.Mine'"),
        ({"evaluation": {"every": 32, "opponents": ["rndom"]}}, "evaluation.opponents: no player is called"),
        ({"league": {"share": 0.5, "players": ["grady"]}}, "league.players: no player is called"),
        ({"evaluation": {"every": 32, "opponents": ["random", "random"]}}, "two players are called 'random'"),
        ({"league": {"share": 0.5, "players": ["a=random", "a=greedy"]}}, "league.players: two players are"),
        ({"league": {"share": 0.01}}, "league.share = 0.01 of env.n_envs = 4 games is none"),
        ({"env.start": {"file_share": 1.0, "file": "none.txt"}}, "none.txt"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, small: Config, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        train(with_changes(small, changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_pool_needs_a_single_process(small: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"league\.share = 0\.5: a pool needs a single process"):
        training.check(with_changes(small, {"league.share": 0.5}))


def test_what_several_processes_cannot_share_is_refused_before_anything_starts(
    small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "size", lambda: 3)
    with pytest.raises(ConfigError, match=r"env\.n_envs = 4 cannot be divided evenly among 3 processes"):
        training.check(small)


class Demanding(Quiet):
    def __init__(self, what: str) -> None:
        super().__init__()


def test_a_callback_that_cannot_be_made_costs_nothing(tmp_path: Path, small: Config) -> None:
    config = with_changes(small, {"callbacks": [f"{__name__}.Demanding"]})
    with pytest.raises(ConfigError, match=r"Demanding': TypeError: .*missing 1 required positional argument"):
        train(config, tmp_path)
    train(small, tmp_path)  # no run has begun there
    before = (tmp_path / "log.txt").read_bytes()
    with pytest.raises(ConfigError, match="Demanding"):
        training.resume(tmp_path, {"callbacks": [f"{__name__}.Demanding"]})
    assert (tmp_path / "log.txt").read_bytes() == before


def test_a_run_in_the_current_folder_has_its_name(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    assert train(small, ".").stats()["name"] == "here"
    monkeypatch.chdir(tmp_path / "here" / "below")
    with pytest.raises(ConfigError, match="here already holds a run"):
        train(small, "..")


class Crashing(RandomPlanes):
    def step_wait(self) -> Any:
        if self.ply[0] == 5:
            raise ZeroDivisionError("a worker died")
        return super().step_wait()


def test_a_crash_is_logged_and_raised(tmp_path: Path, small: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()

    class Env(Crashing):
        def close(self) -> None:
            closed.set()

    monkeypatch.setattr(training, "build_env", lambda config, league: Env(4))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError):
        train(small.model_copy(update={"eval_games": 0}), tmp_path)
    assert closed.is_set()
    assert signal.getsignal(signal.SIGINT) is before
    log = (tmp_path / "log.txt").read_text("utf-8")
    assert "Training failed after 20 decisions; the last good checkpoint is " in log
    assert "ZeroDivisionError: a worker died" in log
    crash = json.loads((tmp_path / "crash.json").read_text("utf-8"))
    assert (crash["type"], crash["text"], crash["num_timesteps"]) == (
        "ZeroDivisionError",
        "a worker died",
        20,
    )
    assert "step_wait" in "".join(crash["trace"])
    assert crash["checkpoint"] == str(tmp_path / "checkpoints" / "000000000000")
    assert [path.name for path in checkpoint.numbered(tmp_path / "checkpoints")] == ["000000000000"]
    assert not (tmp_path / "results.json").exists()
    assert not logging.getLogger("keisei_agent").handlers


def test_a_crash_is_a_non_zero_exit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "build_env", lambda config, league: Crashing(config.env.n_envs))
    assert cli.main(["--run-dir", str(tmp_path / "run"), "--eval-games", "0", "--n-envs", "4"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("keisei-train: ZeroDivisionError: a worker died")
    assert "log.txt" in error


def test_training_outside_the_main_thread(tmp_path: Path, small: Config) -> None:
    runs: list[Run] = []
    settings = small.model_copy(update={"eval_games": 0})
    thread = threading.Thread(target=lambda: runs.append(train(settings, tmp_path)))
    thread.start()
    thread.join(120)
    assert [run.model.num_timesteps for run in runs] == [64]
