import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from runs import curves as curves_of
from runs import no_room
from stable_baselines3.common.logger import Image, KVWriter, Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from keisei_agent.callbacks.output import Outputs, write_at
from keisei_agent.runs import curves
from keisei_agent.runs.curves import EventWriter


@pytest.fixture
def logger(tmp_path: Path) -> Logger:
    return Logger(None, [EventWriter(str(tmp_path))])


def events(folder: Path) -> list[list[str]]:
    """The keys of each event but the file's first."""
    (path,) = folder.glob("events.*")
    return [[value.tag for value in event.summary.value] for event in EventFileLoader(str(path)).Load()][1:]


def test_all_numbers_of_a_step_are_one_event(logger: Logger, tmp_path: Path) -> None:
    numbers = {
        "b/int": 3,
        "a/float": 0.5,
        "c/numpy": np.float32(0.25),
        "d/bool": True,
        "e/int64": np.int64(7),
    }
    for step in (10, 20):
        for key, value in numbers.items():
            logger.record(key, value)
        logger.record("f/screen only", 1.0, exclude=("stdout", "tensorboard"))
        logger.dump(step)
    logger.close()
    assert events(tmp_path) == 2 * [sorted(numbers)]
    read = EventAccumulator(str(tmp_path)).Reload()
    for key, value in numbers.items():
        assert [(each.step, each.value) for each in read.Scalars(key)] == [(10, value), (20, value)]


def test_what_is_no_number_is_written_as_ever(logger: Logger, tmp_path: Path) -> None:
    logger.record("number", 1.0)
    logger.record("text", "a word")
    logger.record("spread", th.arange(9.0))
    logger.record("board", Image(np.zeros((2, 2, 3), np.uint8), "HWC"))
    logger.dump(5)
    logger.close()
    assert events(tmp_path)[0] == ["number"]
    tags = EventAccumulator(str(tmp_path)).Reload().Tags()
    found = {kind: tags[kind] for kind in ("scalars", "images", "histograms", "tensors")}
    assert found == {
        "scalars": ["number"],
        "images": ["board"],
        "histograms": ["spread"],
        "tensors": ["text/text_summary"],
    }


def test_a_step_without_numbers_has_no_event_of_them(logger: Logger, tmp_path: Path) -> None:
    logger.record("text", "a word")
    logger.dump(5)
    logger.close()
    assert events(tmp_path) == [["text/text_summary"]]


def write(writer: EventWriter, step: int) -> None:
    writer.write({"value": 0.5, "text": "a word"}, {"value": (), "text": ()}, step)


def steps(folder: Path) -> list[int]:
    return [step for step, _ in curves_of(folder)["value"]]


@pytest.mark.parametrize("room", [0, 10])
def test_what_a_full_disk_did_not_take_is_made_up_for(tmp_path: Path, room: int) -> None:
    """Also where half a record was written: what stands behind that cannot be read."""
    writer = EventWriter(str(tmp_path / "tensorboard"))
    write(writer, 10)
    (file,) = (tmp_path / "tensorboard").iterdir()
    length = file.stat().st_size
    for step in (20, 30):
        with no_room(length + room), pytest.raises(OSError, match="File too large"):
            write(writer, step)
        assert file.stat().st_size == length
    write(writer, 40)
    assert steps(tmp_path) == [10, 20, 30, 40]
    writer.close()
    assert steps(tmp_path) == [10, 20, 30, 40]


def test_of_what_waits_the_newest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_MOST_WAITING", 4)
    writer = EventWriter(str(tmp_path / "tensorboard"))
    for step in (10, 20, 30):
        with no_room(0), pytest.raises(OSError, match="File too large"):
            write(writer, step)
    writer.close()
    assert steps(tmp_path) == [20, 30]


def test_a_file_that_was_taken_away_is_followed_by_another(tmp_path: Path) -> None:
    """Under its name, what a checkpoint notes of its length would say where to cut the new one."""
    writer = EventWriter(str(tmp_path / "tensorboard"))
    write(writer, 10)
    (old,) = (tmp_path / "tensorboard").iterdir()
    (tmp_path / "tensorboard").rename(tmp_path / "taken")
    write(writer, 20)
    writer.close()
    (new,) = (tmp_path / "tensorboard").iterdir()
    assert new.name != old.name
    assert steps(tmp_path) == [20]


class Broken(KVWriter):
    """An output that fails, as long as it has something to fail with."""

    def __init__(self) -> None:
        self.errors: list[Exception] = [OSError(28, "full"), OSError(28, "full"), OSError(5, "gone")]

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        raise self.errors.pop(0)

    def close(self) -> None:
        raise OSError(28, "full")


def test_an_output_that_fails_costs_the_others_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = Outputs([Broken(), EventWriter(str(tmp_path / "tensorboard"))])
    with caplog.at_level(logging.ERROR, "keisei_agent"):
        for step in (10, 20):
            outputs.record("value", 0.5)
            outputs.dump(step)
        write_at(outputs, {"value": 0.5}, 30)
        outputs.close()
    assert steps(tmp_path) == [10, 20, 30]
    told = [line for line in caplog.text.splitlines() if "Broken" in line and "failed" in line]
    assert [line.partition(" failed")[0].rpartition(".")[2] for line in told] == ["write", "write", "close"]
    with caplog.at_level(logging.ERROR, "keisei_agent"):
        write_at(Logger(None, [Broken()]), {"value": 0.5}, 40)  # any logger will do
