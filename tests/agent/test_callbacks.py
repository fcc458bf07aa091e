import logging
from pathlib import Path
from typing import Any

import pytest
from fakes import RandomPlanes
from learners import planes_model
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from keisei_agent.callbacks.checkpoint import CheckpointCallback
from keisei_agent.callbacks.games import GamesCallback
from keisei_agent.callbacks.guard import Guard
from keisei_agent.callbacks.progress import ProgressCallback, clock
from keisei_agent.callbacks.stop import MaxTimeCallback
from keisei_agent.config import TrainConfig

ROLLOUT = 4 * 8  # plies of one rollout of the model below


class Written(KVWriter):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
        self.rows.append(dict(key_values))

    def close(self) -> None:
        pass


def learn(callback: BaseCallback, steps: int, **env: Any) -> list[dict[str, Any]]:
    model = planes_model(RandomPlanes(4, **env))
    written = Written()
    model.set_logger(Logger(None, [written]))
    model.learn(steps, callback=callback)
    return written.rows


@pytest.mark.parametrize(
    ("every", "saved"),
    [
        (ROLLOUT, [32, 64, 96, 128]),  # 128 is the end
        (50, [64, 128]),  # 50 is crossed at 64, 100 at 128
        (64, [64, 128]),
        (65, [96, 128]),
        (10, [32, 64, 96, 128]),  # several multiples in one rollout are saved once
        (1000, [128]),
    ],
)
def test_checkpoints_at_each_multiple_once(
    tmp_path: Path, small: TrainConfig, every: int, saved: list[int]
) -> None:
    callback = CheckpointCallback(tmp_path, small.model_copy(update={"checkpoint_every": every}))
    learn(callback, 4 * ROLLOUT)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{steps:012d}.safetensors" for steps in saved
    ]
    assert callback.last_saved == tmp_path / f"{saved[-1]:012d}.safetensors"


def test_games_are_counted_once() -> None:
    callback = GamesCallback()
    rows = learn(callback, 3 * ROLLOUT, plies=7)
    # columns start at ply 0, 1, 2, 3 and end whenever a multiple of 7 is reached
    finished = sum((start + 24) // 7 for start in range(4))
    assert callback.total == finished == rows[-1]["games/total"]
    assert sum(row["games/finished"] for row in rows) == finished
    for row in rows:
        assert row["games/black_wins"] + row["games/white_wins"] + row["games/draws"] == pytest.approx(1)
        assert row["termination/checkmate"] + row["termination/max_plies"] == pytest.approx(1)
        assert row["games/plies"] == 7
    assert {row["games/draws"] for row in rows} != {0}


def test_nothing_is_invented_when_no_game_ended() -> None:
    (row,) = learn(GamesCallback(), ROLLOUT, plies=100)
    assert row["games/finished"] == 0
    assert not [key for key in row if key.startswith("termination/") or key in ("games/draws", "games/plies")]


def test_time_limit_ends_after_a_whole_rollout() -> None:
    model = planes_model(RandomPlanes(4))
    model.learn(10**9, callback=MaxTimeCallback(1e-9))
    assert model.num_timesteps == ROLLOUT
    assert model._n_updates == 1


class Broken(BaseCallback):
    def _on_step(self) -> bool:
        raise ZeroDivisionError("a bug")


class Counting(BaseCallback):
    def _on_step(self) -> bool:
        return True


def test_a_broken_callback_is_logged_once_and_training_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    counting = Counting()
    with caplog.at_level(logging.ERROR, "keisei_agent"):
        learn(Guard([Broken(), counting]), 2 * ROLLOUT)
    assert counting.n_calls == 16
    (record,) = caplog.records
    assert "Broken.on_step failed; training goes on" in record.message
    assert record.exc_info


def test_a_fatal_callback_stops_training() -> None:
    class Fatal(Broken):
        fatal = True

    with pytest.raises(ZeroDivisionError):
        learn(Guard([Fatal()]), ROLLOUT)


def test_progress_without_a_terminal_writes_lines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "keisei_agent"):
        learn(ProgressCallback(2 * ROLLOUT, None, line_every=0), 2 * ROLLOUT)
    assert len(caplog.records) == 16
    assert caplog.records[7].getMessage().startswith(" 50 %  0:0")
    assert " 32 plies, " in caplog.records[7].getMessage()
    assert caplog.records[15].getMessage().startswith("100 %")


def test_progress_on_a_terminal_is_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    learn(ProgressCallback(2 * ROLLOUT, 60.0), 2 * ROLLOUT)
    assert "learning" in capsys.readouterr().out


def test_clock() -> None:
    assert [clock(5), clock(600), clock(3725.9)] == ["0:05", "10:00", "1:02:05"]
