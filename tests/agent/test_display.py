import io
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from written import ROLLOUT, learn, learner, run

from keisei_agent.callbacks.display import COST, DisplayCallback, Lines, Tape, make_display
from keisei_agent.callbacks.games import GamesCallback
from keisei_agent.callbacks.metrics import MetricsCallback
from keisei_agent.callbacks.progress import Pace, ProgressCallback, clock, describe
from keisei_agent.callbacks.view import MEDIUM, TALL, WIDE, Scene, draw, plain_board, trend
from keisei_agent.config import Config, parse_config
from shogi_env import Board
from shogi_env.adapters.sb3 import make_vec_env

CONFIG = parse_config({"max_time": 600.0, "total_timesteps": 1024, "log": {"display_every": 0.1}})
SCENE = Scene(
    name="first",
    doing="playing",
    done=0.25,
    progress="25 %",
    latest={"train/value_loss": 0.5, "games/draws": 0.125, "evaluation/minimax:1/score": 0.75},
    trends={"train/value_loss": [0.1, float("nan"), 0.5]},
    lines=["one", "two"],
)


def console(width: int = 120, height: int = 50, file: Any = None) -> Console:
    return Console(
        file=file or io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system=None,
        legacy_windows=False,
    )


def games() -> Any:
    return make_vec_env(4, seed=1, opponent=None, max_plies=10)


def text_of(scene: Scene, width: int, height: int, encoding: str, picture: str | None = None) -> str:
    page = Console(file=io.StringIO(), width=width, height=height)
    page.print(draw(scene, width, height, encoding, picture))
    assert isinstance(page.file, io.StringIO)
    return page.file.getvalue()


@pytest.mark.parametrize(("width", "height"), [(20, 10), (40, 24), (MEDIUM, 24), (WIDE, TALL), (250, 80)])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "cp932", "ascii"])
def test_the_view_fits_and_can_be_shown(width: int, height: int, encoding: str) -> None:
    text = text_of(
        SCENE, width, height, encoding, str(Board()) if encoding == "utf-8" else plain_board(Board().sfen())
    )
    assert all(len(line) <= width for line in text.splitlines()), "kanji count for two, and are fewer"
    for line in draw_lines(SCENE, encoding):
        line.encode(encoding)


def draw_lines(scene: Scene, encoding: str) -> list[str]:
    """The view without rich's frame, which rich itself adapts to the console."""
    return [line.strip("╭─╮│╰╯━╸╺ ") for line in text_of(scene, WIDE, TALL, encoding).splitlines()]


def test_what_was_not_recorded_is_a_dash() -> None:
    text = text_of(SCENE, WIDE, TALL, "utf-8")
    rows = {line.split("  ")[0].strip("│ "): line for line in text.splitlines()}
    assert "0.5000" in rows["value loss"]
    assert " - " in rows["policy loss"]
    assert "12.5%" in text
    assert "against minimax:1  75.0%  - .. -" in text
    empty = Scene("first", "starting", 0.0, "", {}, {}, [])
    assert "25 % " in text.splitlines()[2], "on a line of its own, under the bar"
    assert "evaluation  -" in text_of(empty, WIDE, TALL, "utf-8")
    assert "acting -, environment -, learning -" in text_of(empty, WIDE, TALL, "utf-8")


@pytest.mark.parametrize("name", ["runs/[old]/x", "runs/[/x]"])
def test_a_name_is_no_markup(name: str) -> None:
    scene = Scene("r", "playing", 0.1, "x", {f"evaluation/{name}/score": 0.5}, {}, [])
    assert f"against {name}  50.0%" in text_of(scene, 100, 40, "utf-8")


def test_what_has_no_room_is_left_out() -> None:
    picture = str(Board())
    assert "先手" in text_of(SCENE, WIDE, TALL, "utf-8", picture)
    assert "先手" not in text_of(SCENE, WIDE - 1, TALL, "utf-8", picture)
    assert "先手" not in text_of(SCENE, WIDE, TALL - 1, "utf-8", picture)
    assert "two" in text_of(SCENE, WIDE, 24, "utf-8")
    assert "two" not in text_of(SCENE, WIDE, 12, "utf-8")


def test_trends() -> None:
    assert trend([0, 1, 2, 3], "abcd") == "abcd"
    assert trend([5, 5], "abcd") == "aa"
    assert trend([1], "abcd") == trend([], "abcd") == trend([1, 2], "") == ""
    assert trend([float("nan"), 0, float("inf"), 1], "ab") == "ab"
    assert len(trend(range(100), "ab")) == 16


def test_a_board_of_letters() -> None:
    lines = plain_board("lnsgkgsnl/1r5+b1/9/9/9/9/9/9/LNSGKGSNL w 2Pp 3").splitlines()
    assert lines[0] == "  l  n  s  g  k  g  s  n  l"
    assert lines[1] == "  .  r  .  .  .  .  . +b  ."
    assert lines[-1] == "hands 2Pp, White to move"


def test_a_run_in_the_view(tmp_path: Path) -> None:
    screen = console()
    callback = DisplayCallback(CONFIG, tmp_path / "first", screen)
    written = learn([GamesCallback(), MetricsCallback(), Eager(callback), callback], 4 * ROLLOUT, games())
    logging.getLogger("keisei_agent").warning("not shown: the view takes part only until it is closed")
    callback.close()
    saved = (tmp_path / "first" / "display.txt").read_text("utf-8")
    assert "first: done" in saved
    assert "128 of 1,024 decisions" in saved
    assert f"{written.series('train/value_loss')[4 * ROLLOUT]:.4f}" in saved
    assert f"{written.series('games/draws')[4 * ROLLOUT]:.1%}" in saved
    assert isinstance(screen.file, io.StringIO)
    assert "\x1b[?25h" in screen.file.getvalue(), "the cursor is shown again"
    assert "first: playing" in screen.file.getvalue()
    assert "first: finishing" in screen.file.getvalue()


def test_the_view_holds_the_log_and_gives_it_back(tmp_path: Path) -> None:
    package, handler = logging.getLogger("keisei_agent"), logging.NullHandler()
    handler.on_terminal = True  # type: ignore[attr-defined]
    package.addHandler(handler)
    callback = DisplayCallback(CONFIG, tmp_path, console())
    model, _ = learner(games())
    callback.init_callback(model)
    model._total_timesteps = 100
    callback.on_training_start({}, {})
    assert handler not in package.handlers
    package.warning("look\nhere")
    callback.close()
    assert handler in package.handlers
    package.removeHandler(handler)
    assert "WARNING: look" in (tmp_path / "display.txt").read_text("utf-8")
    assert callback._lines not in package.handlers
    assert callback._tape not in model.logger.output_formats


class Broken(io.StringIO):
    """A terminal that is gone after some writes."""

    left = 5

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise OSError("the terminal is gone")
        return super().write(text)


def test_a_view_that_fails_gives_way_to_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    callback = DisplayCallback(CONFIG, tmp_path, console(file=Broken()))
    with caplog.at_level(logging.INFO, "keisei_agent"):
        model, _ = learner(games())
        callback._next = 0.0
        run(model, [Eager(callback), callback], 3 * ROLLOUT)
    callback.close()
    assert model.num_timesteps == 3 * ROLLOUT
    assert "the live view failed; training goes on, with lines instead" in caplog.text
    assert callback._lines not in logging.getLogger("keisei_agent").handlers


class Eager(ProgressCallback):
    """Lets a display draw at every step."""

    def __init__(self, display: DisplayCallback) -> None:
        super().__init__(CONFIG)
        self.display = display

    def _on_step(self) -> bool:
        self.display._next = 0.0
        return True


def test_a_console_of_another_encoding(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = io.BytesIO()
    screen = console(file=io.TextIOWrapper(raw, encoding="cp1252", errors="strict", write_through=True))
    callback = DisplayCallback(CONFIG, tmp_path, screen)
    with caplog.at_level(logging.ERROR, "keisei_agent"):
        learn([GamesCallback(), Eager(callback), callback], 2 * ROLLOUT, games())
        callback.close()
    assert not caplog.records
    assert "hands" in raw.getvalue().decode("cp1252"), "the board of letters"


class Slow(io.StringIO):
    def flush(self) -> None:
        time.sleep(0.005)


def test_drawing_takes_less_than_a_hundredth_of_the_time(tmp_path: Path) -> None:
    callback = DisplayCallback(CONFIG, tmp_path, console(file=Slow()))
    model, _ = learner(games())
    callback.init_callback(model)
    model._total_timesteps = 100
    callback.on_training_start({}, {})
    assert callback._next - time.monotonic() > 0.9 * COST * 0.005, "by the time that the last drawing took"
    callback.close()


@pytest.mark.parametrize("every", [1.0, 5.0, 20.0])
def test_the_settings_bound_how_often_it_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: float
) -> None:
    class Timed(DisplayCallback):
        def _refresh(self) -> None:
            drawn.append(now[0])
            super()._refresh()

    now, drawn = [100.0], list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])  # drawing takes no time
    config = parse_config({"log": {"display_every": every}})
    callback = Timed(config, tmp_path, console())
    model, _ = learner(games())
    callback.init_callback(model)
    model._total_timesteps = 100
    model.env.reset()
    callback.on_training_start({}, {})
    for step in range(240):
        now[0] += 0.25
        callback.on_step()
        if step % 8 == 7:
            callback.on_rollout_end()
    assert drawn == [100.0 + every * k for k in range(int(60 / every) + 1)]
    callback.close()


def test_a_mistake_in_a_log_message_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)  # as in programs; pytest turns it on
    lines = Lines()
    lines.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    assert lines.last() == []


def test_the_tape_keeps_a_bounded_past() -> None:
    tape = Tape()
    for step in range(1000):
        tape.write({"a": step, "text": "no number"}, {}, step)
    assert tape.latest == {"a": 999.0}
    assert len(tape.trends["a"]) == 64
    lines = Lines()
    for step in range(1000):
        lines.handle(logging.makeLogRecord({"msg": f"line {step}", "levelno": logging.INFO}))
    assert len(lines.last()) == 64
    assert lines.last()[-1] == "line 999"


@pytest.mark.parametrize(
    ("display", "terminal", "kind"),
    [
        ("auto", True, DisplayCallback),
        ("auto", False, ProgressCallback),
        ("rich", False, DisplayCallback),
        ("plain", True, ProgressCallback),
        ("off", True, type(None)),
    ],
)
def test_which_display(tmp_path: Path, display: str, terminal: bool, kind: type) -> None:
    config = parse_config({"log": {"display": display}})
    screen = Console(file=io.StringIO(), force_terminal=terminal, _environ={"TERM": "xterm"})
    assert type(make_display(config, tmp_path, screen)) is kind


def test_a_dumb_terminal_gets_lines(tmp_path: Path) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(make_display(parse_config({}), tmp_path, screen), ProgressCallback)


def test_lines(caplog: pytest.LogCaptureFixture) -> None:
    config = Config(total_timesteps=2 * ROLLOUT, max_time=None)
    with caplog.at_level(logging.INFO, "keisei_agent"):
        learn([ProgressCallback(config, line_every=0)], 2 * ROLLOUT)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 16
    assert texts[7].startswith(" 50 %  0:0")
    assert " 32 of 64 decisions, " in texts[7]
    assert texts[15].startswith("100 %")
    with caplog.at_level(logging.INFO, "keisei_agent"):
        caplog.clear()
        learn([ProgressCallback(config)], 2 * ROLLOUT)
    assert not caplog.records, "one every half minute"


def test_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace(1000, 0.5)
    assert pace.speed is None
    assert pace.left is None
    assert "- a second, - left" in describe(pace, 0.0, CONFIG)
    now[0] = 110.0
    pace.update(2000, 0.6)
    assert pace.speed == pytest.approx(100)
    assert pace.left == pytest.approx(40)
    for _ in range(100):
        now[0] += 1
        pace.update(pace.steps + 10, 0.7)
    assert pace.speed == pytest.approx(10, rel=0.1), "what was long ago does not count"
    assert describe(pace, 75.0, CONFIG).startswith(" 70 %  1:15 of 10:00, 3,000 of 1,024 decisions, ")


def test_clock() -> None:
    assert [clock(5), clock(600), clock(3725.9)] == ["0:05", "10:00", "1:02:05"]
