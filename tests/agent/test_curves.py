from pathlib import Path

import numpy as np
import pytest
import torch as th
from stable_baselines3.common.logger import Image, Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

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
    curves = EventAccumulator(str(tmp_path)).Reload()
    for key, value in numbers.items():
        assert [(each.step, each.value) for each in curves.Scalars(key)] == [(10, value), (20, value)]


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
