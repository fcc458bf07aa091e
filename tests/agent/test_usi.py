import random
import threading
from pathlib import Path

import numpy as np
import pytest
from talks import MATE, Talk, write_run

import shogi_env
from keisei_agent import players
from keisei_agent.config import Config
from keisei_agent.usi import engine as usi_engine
from keisei_agent.usi.engine import serve
from keisei_agent.usi.options import LEVELS
from shogi_env.levels import count_levels


@pytest.fixture
def run(tmp_path: Path, small: Config) -> Path:
    """A run folder with two checkpoints of networks that prefer something."""
    return write_run(tmp_path / "run", small)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("missing", "missing is not a readable checkpoint"),
        ("empty", "empty holds no checkpoint"),
        ("damaged.safetensors", "damaged.safetensors is not a readable checkpoint"),
    ],
)
def test_without_its_model_it_says_so_and_stops(
    model: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged.safetensors").write_bytes(b"nonsense\n" * 10)
    lines: list[str] = []
    commands = ["usi", "isready", "position startpos", "go nodes 1"]
    assert serve(commands, lines.append, str(tmp_path / model)) == 1
    assert reason in lines[-1] and lines[-1].startswith("info string error: ")
    assert "readyok" not in lines and not any(line.startswith("bestmove") for line in lines)
    assert capsys.readouterr().err.count("\n") == 1


def test_levels_play_without_a_model(run: Path) -> None:
    lines: list[str] = []
    one, none = "setoption name Level value 1", "setoption name Level value 0"
    assert LEVELS == count_levels()
    assert serve(["isready", one, "isready", "go nodes 8", none, "isready"], lines.append) == 0
    loaded = [line for line in lines if line.startswith("info string loaded")]
    assert loaded == [f"info string loaded level {k}" for k in (count_levels(), 1, count_levels())]
    assert sum(line.startswith("bestmove ") for line in lines) == 1
    lines.clear()
    assert serve(["isready", one, "isready"], lines.append, str(run)) == 0
    assert "info string loaded level 1" in lines, "a level goes before the model"


def test_a_failure_while_thinking_ends_it_with_a_reason(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = np.full((1, 2187), np.nan, np.float32)
    monkeypatch.setattr(players, "evaluate_with", lambda network: lambda planes: (nothing, np.zeros(1)))
    lines: list[str] = []
    assert serve(["isready"], lines.append, str(run)) == 1
    assert lines[-1] == "info string error: cannot load the model: the network's answer is not a number"
    assert "Traceback" not in capsys.readouterr().err


def test_a_closed_gui_ends_it(run: Path) -> None:
    def say(line: str) -> None:
        raise BrokenPipeError

    assert serve(["usi"], say, str(run)) == 1


@pytest.mark.parametrize(
    "limits",
    [
        "",
        "depth 3",
        "nodes 1000",
        "movetime 100",
        "btime 0 wtime 0 byoyomi 1000",
        "btime 60000 wtime 60000",
        "btime 60000 wtime 60000 binc 1000 winc 1000",
        "byoyomi much",
        "depth",
    ],
)
def test_go_answers_at_once(run: Path, limits: str) -> None:
    info, best = Talk(run)("position startpos moves 7g7f", f"go {limits}")
    board = shogi_env.Board()
    board.push_usi("7g7f")
    move = best.removeprefix("bestmove ")
    assert move in [str(legal) for legal in board.legal_moves]
    assert info.endswith(f" pv {move}")


@pytest.mark.parametrize("release", ["stop", "gameover lose", "usinewgame", "go nodes 1"])
@pytest.mark.parametrize("kind", ["infinite", "ponder", "ponder btime 1000 wtime 1000 byoyomi 0"])
def test_an_endless_go_waits_for_its_end(run: Path, kind: str, release: str) -> None:
    talk = Talk(run)
    talk("position startpos", f"go {kind}")
    talk.hear(1)  # the info line
    assert talk("isready", "position startpos moves 7g7f") == ["readyok"]
    best = talk(release)[0]
    assert best.removeprefix("bestmove ") in [str(legal) for legal in shogi_env.Board().legal_moves]
    assert talk("stop", "ponderhit") == []


def test_ponderhit_lets_it_answer(run: Path) -> None:
    talk = Talk(run)
    expected = talk.best("position startpos moves 7g7f 3c3d", "go byoyomi 100")
    assert talk.best("go ponder btime 0 wtime 0 byoyomi 100", "ponderhit") == expected
    assert talk.best("go ponder", "ponderhit btime 0 wtime 0 byoyomi 100") == expected


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "startposs",
        "startpos 7g7f",
        "startpos moves 7g7e",
        "startpos moves 7g7f 7g7f",
        "startpos moves 7g7f x",
        "startpos moves 7g7f moves",
        "sfen",
        "sfen moves 7g7f",
        "sfen 9/9/9/9/9/9/9/9 b - 1",
        "sfen lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL x - 1",
        "sfen lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1 moves 3c3d",
        "sfen \udc83\udcff b - 1",
    ],
)
def test_a_bad_position_leaves_the_one_before(
    run: Path, bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = Talk(run)
    good = "position startpos moves 7g7f 3c3d"
    before = talk.best(good, "go")
    talk(f"position {bad}")
    assert [line[:42] for line in talk.lines] == ["info string error: position refused, the o"]
    assert capsys.readouterr().err.count("\n") == 1
    assert talk.best("go") == before
    assert talk.lines[0].startswith("info string error: position refused")  # said again with the answer
    assert talk.best(good, "go") == before
    assert not any("refused" in line for line in talk.lines)


def test_a_position_sent_too_early_is_kept(run: Path) -> None:
    talk = Talk(run)
    expected = talk.best(f"position {MATE}", "go")
    lines: list[str] = []
    assert serve([f"position {MATE}", "go"], lines.append, str(run)) == 0  # also without isready
    assert lines[-1] == f"bestmove {expected}"


def test_any_text_is_survived(run: Path) -> None:
    talk, rng = Talk(run), random.Random(0)
    words = (
        "usi isready setoption name value position startpos sfen moves 7g7f 3c3d P*5e resign go ponder mate"
        " infinite stop ponderhit gameover usinewgame Temperature ResignValue 1 -1 lnsgkgsnl/9 b - \t \udcff"
        " 将 %s {} win"
    ).split(" ")
    for _ in range(2000):
        talk(" ".join(rng.choices(words, k=rng.randrange(8))))
    talk("setoption name ResignValue value 0", "stop")
    answer = talk.best("position startpos", "go")
    assert answer in [str(move) for move in shogi_env.Board().legal_moves]


def test_signs_of_life_while_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usi_engine, "_SIGN_EVERY", 0.001)
    heard, spoke = [], threading.Event()

    def inform(text: str) -> None:
        heard.append(text)
        spoke.set()

    with usi_engine._signs_of_life(inform):
        assert spoke.wait(60)
    count = len(heard)
    assert set(heard) == {"still loading"}
    assert len(heard) == count
