import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fakes import Quiet
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image
from written import METRICS, ROLLOUT, learn, learner, run

from keisei_agent.callbacks import tracking
from keisei_agent.callbacks.games import GamesCallback
from keisei_agent.callbacks.tracking import Sender, TrackingCallback
from keisei_agent.config import Config, ConfigError, parse_config, setting_names, with_changes
from keisei_agent.runs import build
from keisei_agent.runs.training import train

KEY = "0123456789abcdef0123456789abcdef01234567"


class FakeArtifact:
    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind, self.folders = name, kind, list[str]()

    def add_dir(self, path: str) -> None:
        self.folders.append(path)

    def wait(self) -> None:
        pass


class FakeRun:
    url = "https://example.org/run"
    offline = False

    def __init__(self, client: "FakeWandb") -> None:
        self.client, self.id = client, client.settings.get("id", "new")

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.client.calls.append(f"define {name} over {step_metric}")

    def log(self, values: dict[str, Any]) -> None:
        self.client.fail("log")
        self.client.logged.append(values)

    def log_artifact(self, artifact: FakeArtifact, aliases: list[str]) -> FakeArtifact:
        self.client.fail("artifact")
        self.client.artifacts.append((artifact, aliases))
        return artifact

    def finish(self, exit_code: int) -> None:
        self.client.fail("finish")
        self.client.calls.append(f"finish {exit_code}")


class FakeWandb:
    """Keeps what it is told; `failures` says how often each call fails first."""

    def __init__(self, **failures: int) -> None:
        self.failures = failures
        self.calls: list[str] = []
        self.logged: list[dict[str, Any]] = []
        self.artifacts: list[tuple[FakeArtifact, list[str]]] = []
        self.settings: dict[str, Any] = {}
        self.threads: set[str] = set()

    def fail(self, what: str) -> None:
        self.threads.add(threading.current_thread().name)
        if self.failures.get(what, 0) > 0:
            self.failures[what] -= 1
            raise ConnectionError(f"{what} with key {KEY}\nwent wrong")

    def init(self, **settings: Any) -> FakeRun:
        self.fail("init")
        self.settings = settings
        return FakeRun(self)

    def Image(self, data: Any) -> str:
        return f"picture {data.shape}"

    def Artifact(self, name: str, type: str) -> FakeArtifact:
        return FakeArtifact(name, type)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_API_KEY", KEY)


def tracked(folder: Path, client: FakeWandb, **log: Any) -> TrackingCallback:
    opponents = ["usi:engine;option.Password=swordfish"]
    config = parse_config({"log": {"track": "wandb", **log}, "evaluation": {"opponents": opponents}})
    return TrackingCallback(folder, config, client, delays=(0.0, 0.0), patience=20.0)


def checkpoint(folder: Path, name: str) -> Path:
    path = folder / "checkpoints" / name
    path.mkdir(parents=True)
    path.with_name("latest").write_text(name + "\n", "utf-8")
    return path


def wait_for(callback: TrackingCallback) -> None:
    """Wait until everything that was asked for before is done."""
    done = threading.Event()
    callback._sender.put(done.set)
    assert done.wait(20)


class Waiting(FakeWandb):
    """Begins its run when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def init(self, **settings: Any) -> FakeRun:
        assert self.go.wait(20)
        return super().init(**settings)


def test_everything_recorded_is_sent_at_its_step(tmp_path: Path) -> None:
    client = FakeWandb()
    callback = tracked(tmp_path / "first", client)
    written = learn([GamesCallback(), callback], 2 * ROLLOUT)
    callback.close()
    assert client.calls == ["define steps over None", "define * over steps", "finish 0"]
    assert [values["steps"] for values in client.logged] == [ROLLOUT, 2 * ROLLOUT]
    for (_, row), sent in zip(written.rows, client.logged, strict=True):
        assert sent["train/loss"] == row["train/loss"]
        assert sent["games/total"] == row["games/total"]
    assert client.settings["name"] == "first"
    assert client.settings["project"] == "keisei"
    assert client.settings["config"]["evaluation"]["opponents"] == ["usi:engine;option.Password=[hidden]"]
    assert client.settings["dir"] == str(tmp_path / "first")
    assert Config.model_validate(client.settings["config"]).log.track == "wandb"
    assert KEY not in str(client.settings)
    assert threading.current_thread().name not in client.threads


def test_pictures_go_too(tmp_path: Path) -> None:
    client = FakeWandb()
    callback = tracked(tmp_path, client)
    picture = Image(np.zeros((4, 6, 3), np.uint8), "HWC")
    learn([Recording({"boards/positions": picture, "boards/game": "text"}), callback], ROLLOUT)
    callback.close()
    assert client.logged[0]["boards/positions"] == "picture (4, 6, 3)"
    assert "boards/game" not in client.logged[0]


class Recording(BaseCallback):
    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__()
        self.values = values

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        for key, value in self.values.items():
            self.logger.record(key, value)


@pytest.mark.parametrize("broken", ["init", "log", "finish"])
def test_failures_are_logged_without_secrets_and_training_goes_on(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    callback = tracked(tmp_path, FakeWandb(**{broken: 1000}))
    model, _ = learner()
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        run(model, [callback], 3 * ROLLOUT)
        callback.close()
    assert model.num_timesteps == 3 * ROLLOUT
    (message,) = [record.getMessage() for record in caplog.records]  # once, not at every rollout
    assert f"ConnectionError: {broken} with key [hidden] went wrong; training goes on" in message
    assert KEY not in caplog.text


def test_without_the_package_training_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it fails
    callback = TrackingCallback(tmp_path, Config())
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        learn([callback], ROLLOUT)
        callback.close()
    assert "wandb" in caplog.text


def test_a_package_that_is_not_installed_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    config = parse_config({"device": "cpu", "log": {"track": "wandb"}})
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"log\.track = 'wandb': it is not installed; pip install"):
        build.check(config)


def test_checkpoints_are_uploaded_once_and_again_after_failures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = FakeWandb(artifact=2)
    callback = tracked(tmp_path, client, wandb_upload=True)
    checkpoint(tmp_path, "000000000064")
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        learn([callback], 2 * ROLLOUT)
        wait_for(callback)
        checkpoint(tmp_path, "000000000128")  # saved after the last boundary was told
        callback.close()
    assert caplog.text.count("trying again in 0 s") == 2
    assert [aliases for _, aliases in client.artifacts] == [
        ["latest", "000000000064"],
        ["latest", "000000000128"],
    ]
    artifact = client.artifacts[0][0]
    assert artifact.folders == [str(tmp_path / "checkpoints" / "000000000064")]
    assert (artifact.name, artifact.kind) == (f"{tmp_path.name}-checkpoint", "model")


def test_an_upload_is_given_up_at_last(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = FakeWandb(artifact=1000)
    callback = tracked(tmp_path, client, wandb_upload=True)
    checkpoint(tmp_path, "000000000064")
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        learn([callback], ROLLOUT)
        callback.close()
    assert client.failures["artifact"] == 1000 - 3
    assert not client.artifacts
    assert client.logged, "everything else goes on"
    assert "finish 0" in client.calls


def test_an_upload_that_is_tried_again_holds_nothing_up(tmp_path: Path) -> None:
    client = FakeWandb(artifact=2)
    config = parse_config({"log": {"track": "wandb", "wandb_upload": True}})
    callback = TrackingCallback(tmp_path, config, client, delays=(0.0, 3600.0))
    checkpoint(tmp_path, "000000000064")
    learn([callback], ROLLOUT)
    wait_for(callback)
    assert client.logged
    assert client.failures["artifact"] == 0
    assert not client.artifacts
    callback.close()
    assert [aliases for _, aliases in client.artifacts] == [["latest", "000000000064"]]


def test_of_checkpoints_that_wait_the_newest_is_uploaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = Waiting()
    callback = tracked(tmp_path, client, wandb_upload=True)
    with caplog.at_level(logging.INFO, "keisei_agent"):
        for name in ("000000000064", "000000000128"):
            checkpoint(tmp_path, name)
            callback.on_rollout_start()
        client.go.set()
        callback.close()
    assert [aliases for _, aliases in client.artifacts] == [["latest", "000000000128"]]
    assert caplog.text.count("000000000064 is not uploaded: a newer one waits") == 1


@pytest.mark.parametrize("reading", [False, True])
def test_a_checkpoint_that_is_gone_is_not_uploaded(
    tmp_path: Path, reading: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Late(Waiting):
        def Artifact(self, name: str, type: str) -> FakeArtifact:
            assert reading
            shutil.rmtree(path)
            raise ValueError("Path is not a directory")

    client = Late()
    callback = tracked(tmp_path, client, wandb_upload=True)
    path = checkpoint(tmp_path, "000000000064")
    with caplog.at_level(logging.INFO, "keisei_agent"):
        callback.on_rollout_start()
        if not reading:
            shutil.rmtree(path)
        client.go.set()
        callback.close()
    assert caplog.text.count("000000000064 is not uploaded: it is gone") == 1
    assert "trying again" not in caplog.text


def test_a_second_ctrl_c_waits_for_nothing(
    tmp_path: Path, small: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupting(Quiet):
        def _on_step(self) -> bool:
            if self.model.num_timesteps > ROLLOUT:
                raise KeyboardInterrupt
            return True

    class Hanging(FakeWandb):
        def fail(self, what: str) -> None:
            if what == "finish":
                release.wait(60)

    client, release, made = Hanging(), threading.Event(), list[TrackingCallback]()

    def make(folder: Path, config: Config) -> TrackingCallback:
        made.append(TrackingCallback(folder, config, client))
        return made[0]

    monkeypatch.setattr(build, "TrackingCallback", make)
    monkeypatch.setattr(tracking, "_AT_ONCE", 0.05)
    settings = {"eval_games": 0, "log.track": "wandb", "log.wandb_upload": True}
    with pytest.raises(KeyboardInterrupt):
        train(with_changes(small, settings), tmp_path / "run", callbacks=[Interrupting()])
    assert "did not finish within 0.05 s" in (tmp_path / "run" / "log.txt").read_text("utf-8")
    release.set()
    made[0]._sender.join(20)
    assert "000000000032" not in [aliases[1] for _, aliases in client.artifacts]
    assert client.calls[-1] == "finish 1"


def test_finishing_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(FakeWandb):
        def fail(self, what: str) -> None:
            if what == "finish":
                release.wait(60)

    release = threading.Event()
    callback = TrackingCallback(tmp_path, Config(), Hanging(), patience=0.05)
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        learn([callback], ROLLOUT)
        callback.close()
    assert "did not finish within 0.05 s" in caplog.text
    assert callback._sender.daemon, "nor does it hold the program up"
    release.set()
    callback._sender.join(20)


def test_a_slow_service_costs_messages_and_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keisei_agent.callbacks.tracking._MOST_WAITING", 3)
    sender = Sender()
    for _ in range(5):
        sender.put(lambda: None)
    assert sender.lost == 2


def test_a_failed_run_is_marked_so(tmp_path: Path) -> None:
    client = FakeWandb()
    callback = tracked(tmp_path, client)
    model, _ = learner()
    callback.init_callback(model)
    callback.on_training_start({}, {})
    callback.on_rollout_start()
    callback.close()  # without an end of training
    callback.close()
    assert client.calls[-1] == "finish 1"


def test_a_resumed_run_goes_on_under_its_id(tmp_path: Path) -> None:
    first = tracked(tmp_path, FakeWandb())
    learn([first], ROLLOUT)
    first.close()
    client = FakeWandb()
    second = tracked(tmp_path, client)
    second.restore(first.state() | {"id": "abc"})
    learn([second], ROLLOUT)
    second.close()
    assert client.settings["id"] == "abc"
    assert client.settings["resume"] == "allow"
    assert second.id == "abc"


def test_the_environment_replaces_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROJECT", "ENTITY", "NAME", "DIR"):
        monkeypatch.setenv(f"WANDB_{name}", "mine")
    usual = tracked(tmp_path, FakeWandb())._settings()
    assert not {"project", "entity", "name", "dir"} & usual.keys()
    given = tracked(tmp_path, FakeWandb(), wandb_project="yours", wandb_entity="you")._settings()
    assert (given["project"], given["entity"]) == ("yours", "you")


@pytest.mark.skipif(find_spec("wandb") is None, reason="needs the extra track")
def test_the_real_one_offline(tmp_path: Path) -> None:
    code = f"""
import logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
sys.path.insert(0, {str(Path(__file__).parent)!r})
from written import ROLLOUT, learn
from keisei_agent.callbacks.games import GamesCallback
from keisei_agent.callbacks.tracking import TrackingCallback
from keisei_agent.config import parse_config
folder = Path({str(tmp_path)!r})
(folder / "checkpoints/000000000032").mkdir(parents=True)
(folder / "checkpoints/000000000032/weights.safetensors").write_bytes(b"weights")
(folder / "checkpoints/latest").write_text("000000000032")
callback = TrackingCallback(folder, parse_config({{"log": {{"track": "wandb", "wandb_upload": True}}}}))
learn([GamesCallback(), callback], 2 * ROLLOUT)
callback.close()
print("alive" if callback._sender.is_alive() else "finished", callback.id)
"""
    environment = os.environ | {
        "WANDB_MODE": "offline",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    state, name = done.stdout.split()
    assert state == "finished"
    assert "WARNING" not in done.stderr, done.stderr
    assert "wandb: " not in done.stderr, "it prints nothing itself"
    assert list((tmp_path / "wandb").glob(f"offline-run-*-{name}/run-{name}.wandb"))


def test_the_sweep_sets_settings_that_there_are() -> None:
    page = METRICS.with_name("tracking.md").read_text("utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    sweep = yaml.safe_load(block)
    assert set(sweep["parameters"]) <= set(setting_names())
    assert sweep["command"][0] == "keisei-train"
    assert sweep["command"][-1] == "${args}"
    for name, parameter in sweep["parameters"].items():
        for value in parameter.get("values") or (parameter["min"], parameter["max"]):
            section, _, setting = name.partition(".")
            parse_config({section: {setting: value}})
    opponent = sweep["metric"]["name"].split("/")[1]
    assert opponent in Config().evaluation.opponents
