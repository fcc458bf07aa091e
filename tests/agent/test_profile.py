import gzip
import json
import logging
from pathlib import Path

import pytest
from written import ROLLOUT, learn

from keisei_agent.callbacks.profile import ProfileCallback
from keisei_agent.commands import train as cli
from keisei_agent.config import Config, to_yaml, with_changes


def test_one_rollout_and_its_update_are_traced(tmp_path: Path) -> None:
    callback = ProfileCallback(tmp_path / "profile")
    learn([callback], 4 * ROLLOUT)
    with gzip.open(tmp_path / "profile" / "trace.json.gz") as file:
        names = {event.get("name") for event in json.load(file)["traceEvents"]}
    assert "aten::convolution" in names
    assert any("backward" in str(name).lower() for name in names), "the update is part of it"
    assert "aten::" in (tmp_path / "profile" / "operations.txt").read_text("utf-8")


def test_a_run_of_one_rollout_says_that_nothing_was_traced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        learn([ProfileCallback(tmp_path)], ROLLOUT)
    assert "nothing was traced" in caplog.text
    assert not list(tmp_path.iterdir())


def test_an_exception_in_training_stops_the_profiler(tmp_path: Path) -> None:
    callback = ProfileCallback(tmp_path)
    callback._rollouts = 1
    callback._on_rollout_start()
    callback.close()
    callback.close()
    learn([ProfileCallback(tmp_path / "next")], 3 * ROLLOUT)
    assert (tmp_path / "next" / "trace.json.gz").exists()


@pytest.mark.parametrize("wanted", [[], ["--profile"]])
def test_the_command_line_traces_if_one_asks(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: list[str]
) -> None:
    package = logging.getLogger("keisei_agent")
    for name in ("handlers", "propagate"):  # the command line sets them
        monkeypatch.setattr(package, name, getattr(package, name))
    (tmp_path / "all.yaml").write_text(to_yaml(with_changes(small, {"eval_games": 0})), encoding="utf-8")
    folder = tmp_path / "run"
    assert cli.main(["--config", str(tmp_path / "all.yaml"), "--run-dir", str(folder), *wanted]) == 0
    traced = {"operations.txt", "trace.json.gz"} if wanted else set()
    assert {path.name for path in (folder / "profile").glob("*")} == traced
