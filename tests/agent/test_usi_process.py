import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from talks import TO_GUI, Process, write_run

import shogi_env
from keisei_agent.commands import usi
from keisei_agent.config import Config


@pytest.fixture
def run(tmp_path: Path, small: Config) -> Path:
    """A run folder with two checkpoints of networks that prefer something."""
    return write_run(tmp_path / "run", small)


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def begin(*arguments: str, code: str = "") -> Process:
        started.append(Process(*arguments, code=code))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.communicate()
        one.reader.join()


def test_usiok_comes_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys\n"
        "from keisei_agent import usi\n"
        "from keisei_agent.usi.engine import Engine\n"
        "lines = []\n"
        "engine = Engine(lines.append, '/some/run')\n"
        "for line in ('usi', 'setoption name Temperature value 5', 'position startpos'): engine.obey(line)\n"
        "assert lines[-1] == 'usiok', lines\n"
        "heavy = {'numpy', 'torch', 'numba', 'gymnasium', 'shogi_env', 'pydantic', 'stable_baselines3'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_game_as_a_gui_plays_it(run: Path, start: Callable[..., Process]) -> None:
    engine = start("--model", str(run))
    engine.send("usi")
    assert engine.until("usiok")[0].startswith("id name Keisei ")
    engine.send("setoption name USI_Ponder value true", "setoption name USI_Hash value 256", "isready")
    assert engine.until("readyok")[-2].endswith("000000000064 on cpu")
    engine.send("usinewgame")
    board = shogi_env.Board()
    while board.ply < 30 and board.outcome() is None:
        played = "".join(f" {move}" for move in board.moves)
        engine.send(f"position startpos{' moves' * bool(played)}{played}", "go btime 0 wtime 0 byoyomi 1000")
        info, best = engine.until("bestmove")
        assert TO_GUI.fullmatch(info)
        board.push_usi(best.split()[1])
    engine.send("gameover draw", "quit")
    assert engine.until(None) == []
    assert engine.end()[0] == 0


def test_stray_output_never_reaches_the_gui(run: Path, start: Callable[..., Process]) -> None:
    code = (
        "import os, sys, warnings\n"
        "from keisei_agent.commands import usi\n"
        "from keisei_agent.usi.engine import Engine\n"
        "load = Engine._load\n"
        "def noisy(self):\n"
        "    print('litter print'); warnings.warn('litter warning')\n"
        "    sys.__stdout__.write('litter text\\n'); sys.__stdout__.flush()\n"
        "    os.write(1, b'litter bytes\\n'); os.system('echo litter child')\n"
        "    load(self)\n"
        "Engine._load = noisy\n"
        "usi.main(sys.argv[1:])\n"
    )
    engine = start("--model", str(run), code=code)
    engine.send("usi", "isready", "go nodes 1", "quite", "\x00\xff\u6f22", "", "stop")
    engine.hang_up()
    lines = engine.until(None)
    assert all(TO_GUI.fullmatch(line) for line in lines), lines
    assert "litter" not in "".join(lines)
    status, errors = engine.end()
    for kind in ("print", "warning", "text", "bytes", "child"):
        assert f"litter {kind}" in errors, errors
    assert status == 0


def test_quit_is_heard_while_it_loads(start: Callable[..., Process]) -> None:
    code = (
        "import sys, time\n"
        "from keisei_agent.commands import usi\n"
        "from keisei_agent.usi import engine\n"
        "engine._SIGN_EVERY = 0.01\n"
        "sys.modules['keisei_agent.usi.thinking'] = type(sys)('thinking')\n"
        "sys.modules['keisei_agent.usi.thinking'].Game = None\n"
        "sys.modules['keisei_agent.usi.thinking'].load = lambda *wanted: time.sleep(1000)\n"
        "usi.main(['--model', 'x'])\n"
    )
    engine = start(code=code)
    engine.send("isready")
    assert engine.until("info string still loading")
    engine.send("quit")
    assert set(engine.until(None)) <= {"info string still loading"}
    assert engine.end() == (0, "")


def test_the_end_of_stdin_ends_it_after_the_last_answer(run: Path, start: Callable[..., Process]) -> None:
    engine = start("--model", str(run))
    engine.send("isready", "go infinite")
    engine.hang_up()
    assert engine.until(None)[-1].startswith("bestmove ")
    assert engine.end()[0] == 0


@pytest.mark.skipif(os.name != "posix", reason="needs a closed pipe as POSIX has it")
def test_a_gui_that_died_ends_the_process(run: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "keisei_agent", "usi"],
        input=b"usi\n",
        stdout=writer,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1


@pytest.mark.parametrize("arguments", [["--foo"], ["model"], ["--install"]])
def test_bad_arguments_are_refused_in_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        usi.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
