"""Networks as players, and the command `keisei-match`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch as th

from keisei_agent.commands import match
from keisei_agent.commands.results import show_progress
from keisei_agent.config import Config
from keisei_agent.files.weights import LATEST, WEIGHTS, find_weights, save_weights
from keisei_agent.networks import build
from keisei_agent.players import MAKERS, PLANES, NetworkPlayer, play_random
from shogi_env import Positions
from shogi_env.arena.openings import load_openings
from shogi_env.arena.players import make_player
from shogi_env.arena.records import read_games
from shogi_env.arena.schedules import head_to_head
from shogi_env.arena.statistics import tally


@pytest.fixture
def run_folder(tmp_path: Path, small: Config) -> Path:
    """A run with two checkpoints of networks that prefer some moves to others."""
    checkpoints = tmp_path / "run" / "checkpoints"
    for steps in (32, 1024):
        th.manual_seed(steps)
        network = build(small.network, planes=PLANES["full"], dtype=th.float32)
        th.nn.init.normal_(network.policy_head.weight)
        save_weights(checkpoints / f"{steps:012d}" / WEIGHTS, network, small, steps)
    (checkpoints / LATEST).write_text(f"{1024:012d}\n", encoding="utf-8")
    return tmp_path / "run"


# ---------------------------------------------------------------------------------- network players


def test_a_run_stands_for_its_newest_checkpoint(run_folder: Path, tmp_path: Path) -> None:
    newest = run_folder / "checkpoints" / "000000001024"
    assert find_weights(run_folder) == find_weights(newest) == newest / WEIGHTS
    player = make_player(f"checkpoint:{run_folder}", makers=MAKERS)
    assert player.digest == make_player(f"checkpoint:{newest}", makers=MAKERS).digest
    assert player.deterministic
    assert not make_player(f"checkpoint:{run_folder};temperature=1", makers=MAKERS).deterministic
    with pytest.raises(ValueError, match="holds no checkpoint"):
        find_weights(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (";temperatur=1", "no setting 'temperatur', did you mean 'temperature'"),
        (";temperature=warm", "'warm' is no float"),
        (";temperature=-1", "temperature is 0, or 0.01..100"),
        (";temperature=nan", "temperature is 0, or 0.01..100"),
        (";device=tpu", "device: "),
        (";device=cuda:77", "device: "),
        ("/none", "is not a readable checkpoint"),
    ],
)
def test_a_wrong_checkpoint_spec_is_refused(run_folder: Path, settings: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_player(f"checkpoint:{run_folder}{settings}", makers=MAKERS)


def test_draws_come_from_the_games_streams(run_folder: Path) -> None:
    player = make_player(f"checkpoint:{run_folder};temperature=1", makers=MAKERS)
    state = th.random.get_rng_state()
    # one game at a time and all at once differ in rounding alone, which may show in a rare draw
    games = [
        {
            game.id: game.moves
            for game in head_to_head(player, player, 8, openings=load_openings(), max_plies=24, slots=slots)
        }
        for slots in (8, 8, 1)
    ]
    assert games[0] == games[1]
    assert sum(games[0][id] == games[2][id] for id in games[0]) >= 6
    assert len(set(games[0].values())) == 8
    assert th.equal(th.random.get_rng_state(), state)


def test_temperature_sharpens(run_folder: Path) -> None:
    network = make_player(f"checkpoint:{run_folder}", makers=MAKERS).choose.network  # type: ignore[attr-defined]
    positions = Positions(400)
    positions.seed(np.arange(1, 401, dtype=np.uint64))
    best = NetworkPlayer(network, temperature=0)(positions, positions.everyone)
    assert len(set(best.tolist())) == 1
    shares = []
    for temperature in (100.0, 1.0, 0.1):
        drawn = NetworkPlayer(network, temperature=temperature)(positions, positions.everyone)
        assert positions.masks()[np.arange(400), drawn].all()
        shares.append(float((drawn == best).mean()))
    assert shares == sorted(shares)
    assert shares[0] < 0.15
    assert shares[2] > shares[1] + 0.05


def test_a_player_that_fails_against_random_is_an_error() -> None:
    def broken(positions: Positions, idx: np.ndarray) -> np.ndarray:
        raise OSError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        play_random(broken, 2, seed=0)
    with pytest.raises(RuntimeError, match="illegal_move"):
        play_random(lambda positions, idx: np.zeros(len(idx), np.int64), 2, seed=0)


# -------------------------------------------------------------------------------------- the command


def run(*arguments: str, code: int = 0) -> None:
    assert match.main(arguments) == code


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return tmp_path


def test_a_match(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("greedy", "me=random", "--games", "8", "--openings", "random:4", "--seed", "3", "--out", "a.jsonl")
    text = capsys.readouterr().out
    games = read_games(folder / "a.jsonl")
    assert len(games) == 8
    assert text.startswith("greedy against me: 8 wins, 0 draws, 0 losses of 8 games: 100.0 %, Elo > +")
    for line in ("as Black: 4 wins", "as White: 4 wins", "endings:  ", "plies:    ", "Games: a.jsonl"):
        assert f"\n{line}" in text
    before = (folder / "a.jsonl").read_bytes()
    run("greedy", "me=random", "--games", "8", "--openings", "random:4", "--seed", "3", "--out", "a.jsonl")
    assert (folder / "a.jsonl").read_bytes() == before
    assert capsys.readouterr().out == text
    run("greedy", "me=random", "--games", "8", "--openings", "random:4", "--seed", "3", "--out", "b.jsonl")
    assert (folder / "b.jsonl").read_bytes() == before


def test_without_a_place_games_go_to_matches(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("random", "random", "--games", "2", "--max-plies", "30")
    (log,) = (folder / "matches").iterdir()
    assert f"Games: {log.relative_to(folder)}" in capsys.readouterr().out
    assert len(read_games(log)) == 2


def test_schedules(folder: Path, run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = f"net=checkpoint:{run_folder}"
    (folder / "players.txt").write_text(f"# two\nrandom\n{network}\n", encoding="utf-8")
    (folder / "bench.toml").write_text(
        '[[opponent]]\nplayer = "greedy"\nscore = 0.0\n[[opponent]]\nplayer = "a=random"\nscore = 0.99\n',
        encoding="utf-8",
    )
    few = ("--games", "4", "--max-plies", "60", "--out", "log.jsonl")
    run("--round-robin", "@players.txt", "greedy", *few)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines[:3]) == ["greedy", "net", "random"]
    run(network, "--gauntlet", "random", "--gauntlet", "greedy", *few)
    text = capsys.readouterr().out
    games = [game for game in read_games(folder / "log.jsonl") if "net" in (game.black.name, game.white.name)]
    assert len(games) == 8  # those of the round robin
    assert text.startswith("net against\n")
    for other in ("random", "greedy"):
        met = [game for game in games if other in (game.black.name, game.white.name)]
        assert f"\n  {other}  {tally(met, 'net')}\n" in text
    run("--ladder", "greedy", "--ladder", "random", "random", *few)
    run("random", "--benchmark", "bench.toml", *few)
    text = capsys.readouterr().out
    assert "; expected 0.0 %: as expected" in text or "; expected 0.0 %: more" in text
    assert "; expected 99.0 %: less" in text
    assert len({game.event for game in read_games(folder / "log.jsonl")}) == 4
    run("greedy", "random", "--sprt", "0", "300", "--out", "sprt.jsonl")
    assert "H1 accepted" in capsys.readouterr().out
    assert len(read_games(folder / "sprt.jsonl")) < 200


def test_players_of_the_folder_and_void_games(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine_to_test.py").write_text(
        "def broken(positions, idx):\n    raise OSError('no\\nanswer')\n", encoding="utf-8"
    )
    run("python:mine_to_test.broken", "random", "--games", "4", "--out", "a.jsonl", code=1)
    text = capsys.readouterr().out
    assert "void:     4 x python:mine_to_test.broken: OSError: no answer\n" in text
    assert "0 wins, 0 draws, 0 losses; 4 void" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name two players, or a schedule (see --help); 0 are named"),
        (["random"], "name two players"),
        (["random", "greedy", "random"], "name two players"),
        (["random", "greedy", "--games", "3"], "--games 3: an even number"),
        (["random", "greedy", "--games", "0"], "'0' is not a whole number of at least 1"),
        (["random", "gredy"], "no player is called 'gredy', did you mean 'greedy'?"),
        (["random", "a=random", "--openings", "none"], "openings 'none' are none of"),
        (["random", "greedy", "--gauntlet", "random"], "name one player to play these; 2 are named"),
        (["--gauntlet", "random"], "name one player to play these; 0 are named"),
        (["random", "--ladder", "gredy"], "no player is called 'gredy'"),
        (["random", "--benchmark", "none.toml"], "none.toml"),
        (["--round-robin", "random", "random"], "two players are called 'random'"),
        (["--round-robin"], "--round-robin needs the players"),
        (["--round-robin", "@none.txt"], "none.txt"),
        (["random", "greedy", "--sprt", "5", "0"], "elo0 < elo1"),
        (["random", "greedy", "--sprt", "0", "x"], "invalid float value: 'x'"),
        (["random", "greedy", "--max-plies", "40000"], "max_plies is 1..32767"),
        (["random", "greedy", "--max-plies", "2"], "the opening ends the game"),
        (["checkpoint:none", "greedy"], "none is not a readable checkpoint"),
        (["random", "greedy", "--out", "."], "."),
        (["random", "greedy", "--colour", "red"], "unrecognized arguments: --colour red"),
    ],
)
def test_nonsense_is_refused_in_one_line(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        match.main(arguments)
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert message in text
    assert text.startswith("keisei-match: ")
    assert text.count("\n") == 1
    assert not list(folder.rglob("*.jsonl"))


def test_a_log_that_is_none_is_refused_and_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.jsonl").write_text("my notes\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        match.main(["random", "greedy", "--out", "a.jsonl"])
    assert "a.jsonl:1: not a line of JSON" in capsys.readouterr().err
    assert (folder / "a.jsonl").read_text("utf-8") == "my notes\n"


HOLDING = """
import sys
from shogi_env.arena.archive import Archive
with Archive("a.jsonl"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_log_is_written_by_one_match_at_a_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["greedy", "random", "--games", "2", "--out", "a.jsonl"]
    run(*arguments)
    before = (folder / "a.jsonl").read_bytes()
    (folder / "a.jsonl").write_bytes(b"")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDING], env=environment, text=True, **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        (folder / "a.jsonl").write_bytes(before[:-5])  # it is in the middle of a line
        with pytest.raises(SystemExit) as caught:
            match.main(arguments)
        assert caught.value.code == 2
        assert capsys.readouterr().err == "keisei-match: a.jsonl is being written by another match\n"
        assert (folder / "a.jsonl").read_bytes() == before[:-5]
        other.kill()
    run(*arguments)
    assert (folder / "a.jsonl").read_bytes() == before


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from keisei_agent.commands.match import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'stable_baselines3', 'gymnasium', 'numba', 'pydantic', 'rich'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for option in ("games", "openings", "seed", "max-plies", "out", "slots", "sprt", "ladder", "gauntlet"):
        assert f"--{option}" in done.stdout


def test_built_in_players_need_no_torch(folder: Path) -> None:
    code = (
        "import sys\n"
        "from keisei_agent.commands.match import main\n"
        "assert main(['random', 'greedy', '--games', '2', '--max-plies', '20', '--out', 'a.jsonl']) == 0\n"
        "assert not {'torch', 'stable_baselines3'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_going_on(folder: Path, number: signal.Signals) -> None:
    (folder / "waiting_player.py").write_text(
        "import os, pathlib, time\n"
        "def choose(positions, idx):\n"
        "    log = pathlib.Path('a.jsonl')\n"
        "    if 'WAIT' in os.environ and log.exists() and log.stat().st_size:\n"
        "        time.sleep(240)\n"
        "    return positions.random_actions(idx)\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "keisei_agent.commands.match", "python:waiting_player.choose", "random"]
    command += ["--games", "60", "--max-plies", "120", "--slots", "4", "--out", "a.jsonl"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    waiting = environment | {"WAIT": "after the first game"}
    process = subprocess.Popen(
        command,
        env=waiting,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # ignored in a shell's background jobs
    )
    log = folder / "a.jsonl"
    deadline = time.monotonic() + 240
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped. Finished games are in a.jsonl; the same command with --out a.jsonl goes on." in out
    before = log.read_text("utf-8").splitlines()
    assert 1 <= len(before) < 60
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    after = log.read_text("utf-8").splitlines()
    assert after[: len(before)] == before
    assert len({json.loads(line)["id"] for line in after}) == len(after) == 60


def test_progress_is_shown_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal:
        text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> None:
            self.text += text

        def flush(self) -> None:
            pass

    player = make_player("random")
    games = list(head_to_head(player, player, 2, openings=load_openings(), max_plies=20))
    terminal = Terminal()
    assert list(show_progress(games, 2, terminal)) == games  # type: ignore[arg-type]
    assert "1 of 2 games, the last: draw (max_plies, 20 plies)" in terminal.text
    assert list(show_progress(games, None, sys.stderr)) == games
    assert not capsys.readouterr().err


def test_matches_that_begin_in_one_second_have_a_log_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda how: "20261120-120000")
    for process in (1, 2):
        monkeypatch.setattr("os.getpid", lambda process=process: process)
        assert match.main(["random", "greedy", "--games", "2", "--max-plies", "20"]) == 0
    assert len(list(Path("matches").iterdir())) == 2
