from pathlib import Path

import numpy as np
import pytest
import torch as th
from talks import Talk, write_run

import shogi_env
from keisei_agent.config import Config
from keisei_agent.usi.engine import Engine, EngineError
from keisei_agent.usi.options import LEVELS
from keisei_agent.usi.thinking import Thinker, Thought

START = shogi_env.Board().planes()[None]


@pytest.fixture
def run(tmp_path: Path, small: Config) -> Path:
    """A run folder with two checkpoints of networks that prefer something."""
    return write_run(tmp_path / "run", small)


def test_options_as_the_gui_sees_them() -> None:
    lines: list[str] = []
    Engine(lines.append, "/runs/a b").obey("usi")
    assert lines[2:] == [
        "option name Model type filename default /runs/a b",
        f"option name Level type spin default 0 min 0 max {LEVELS}",
        "option name Search type check default true",
        "option name MultiPV type spin default 1 min 1 max 100",
        "option name USI_Hash type spin default 256 min 16 max 65536",
        "option name USI_Ponder type check default false",
        "option name NetworkDelay type spin default 100 min 0 max 10000",
        "option name Temperature type spin default 0 min 0 max 1000",
        "option name ResignValue type spin default 0 min 0 max 100",
        "option name Device type string default cpu",
        "option name Threads type spin default 1 min 1 max 512",
        "usiok",
    ]


@pytest.mark.parametrize("value", ["", " value", " value <empty>"])
def test_a_default_that_is_not_ascii_survives_any_encoding(value: str) -> None:
    lines: list[str] = []
    engine = Engine(lines.append, "/将棋/run")
    engine.obey("usi")
    assert "option name Model type filename default <empty>" in lines
    assert "".join(lines).isascii()
    engine.obey(f"setoption name Model{value}")
    assert engine.values["Model"] == "/将棋/run"


@pytest.mark.parametrize(
    "line",
    [
        "setoption name Temperature value warm",
        "setoption name Temperature value 1001",
        "setoption name Temperature value -1",
        "setoption name Temperature value " + "9" * 5000,
        "setoption name ResignValue value 101",
        "setoption name Threads value 0",
        "setoption name Threads value 1.5",
        "setoption name Device value tpu",
        "setoption name Device value cuda:x",
        "setoption name Modle value x",
        "setoption name",
        "setoption",
        "setoption value 3",
    ],
)
def test_a_bad_option_is_named_and_changes_nothing(line: str) -> None:
    lines: list[str] = []
    engine = Engine(lines.append)
    before = dict(engine.values)
    engine.obey(line)
    assert len(lines) == 1 and lines[0].startswith("info string error: ") and len(lines[0]) < 250
    assert engine.values == before


def test_option_model(run: Path) -> None:
    older = run / "checkpoints" / "000000000032"
    talk = Talk(run)
    newest = talk.thinker
    assert talk("isready") == ["readyok"] and talk.thinker is newest  # nothing changed
    assert talk(f"setoption name model value {older}", "isready") == ["readyok"]
    assert talk.thinker.about == f"{older} on cpu"
    assert not np.array_equal(talk.thinker.evaluate(START)[0], newest.evaluate(START)[0])
    assert talk("setoption name Model value <empty>", "isready") == ["readyok"]
    assert np.array_equal(talk.thinker.evaluate(START)[0], newest.evaluate(START)[0])


def test_option_temperature(run: Path) -> None:
    talk = Talk(run)
    first = talk.best("position startpos", "go")
    assert {talk.best("go") for _ in range(5)} == {first}
    talk("setoption name Temperature value 1000")
    drawn = {talk.best("go") for _ in range(20)}
    assert len(drawn) > 5
    assert drawn <= {str(move) for move in shogi_env.Board().legal_moves}
    other = Talk(run, Temperature=1000)  # not the same game again in a new process
    talk.thinker._random, other.thinker._random = np.random.default_rng(1), np.random.default_rng(2)
    assert [talk.best("go") for _ in range(10)] != [other.best("go") for _ in range(10)]
    talk("setoption name Temperature value 1")
    assert {talk.best("go") for _ in range(5)} == {first}


@pytest.mark.parametrize(
    ("percent", "chance", "resigns"), [(0, 0.0, 0), (10, 0.1, 0), (10, 0.09, 2), (100, 0.99, 2)]
)
def test_option_resign_value(
    run: Path, percent: int, chance: float, resigns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Thinker, "think", lambda self, board, _: Thought("1g1f", "cp 0", chance))
    talk = Talk(run, ResignValue=percent)
    game = ["1g1f", "1c1d", "9g9f", "9c9d", "5g5f", "5c5d"]
    answers = [
        talk.best(f"position startpos moves {' '.join(game[: 2 * k])}", "go byoyomi 10") for k in range(4)
    ]
    assert answers == ["1g1f"] * (4 - resigns) + ["resign"] * resigns


def test_it_resigns_only_a_game_that_goes_on_and_that_counts(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Thinker, "think", lambda self, board, _: Thought("5i5h", "cp -999", 0.01))
    talk = Talk(run, ResignValue=50)
    moves = "1g1f 1c1d 9g9f 9c9d 5g5f 5c5d 5f5e 5d5e".split()
    at = [f"position startpos moves {' '.join(moves[:k])}" for k in range(len(moves) + 1)]
    assert talk.best(at[0], "go") == talk.best(at[2], "go") == "5i5h"
    assert talk.best(at[4], "go infinite", "stop") == "5i5h"  # an analysis
    assert talk.best(at[5], "go ponder", "stop") == "5i5h"  # a wrong guess
    assert talk.best(at[4], "go ponder", "ponderhit") == "resign"
    assert talk.best(at[6], "go") == "resign"
    assert talk.best(at[2], "go") == "5i5h"  # moves were taken back
    assert talk.best(at[4], "go") == "5i5h"
    talk("usinewgame")
    assert talk.best(at[6], "go") == talk.best(at[8], "go") == "5i5h"


def test_option_device(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Talk(run, Device="auto").thinker.about.rpartition(" on ")[2] in ("cpu", "cuda", "mps")
    with pytest.raises(EngineError, match="device cuda:999: "):
        Talk(run, Device="cuda:999")


def test_option_threads(run: Path) -> None:
    Talk(run, Threads=2)
    assert th.get_num_threads() == 2
    Talk(run)
    assert th.get_num_threads() == 1
