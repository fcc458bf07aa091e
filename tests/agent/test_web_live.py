"""What a run writes for the page, and the page's process beside it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import assert_same
from written import learner

from keisei_agent.callbacks.display import COST
from keisei_agent.callbacks.live import LiveCallback
from keisei_agent.commands import page
from keisei_agent.commands import train as command
from keisei_agent.config import Config, ConfigError, parse_config, with_changes
from keisei_agent.config.sections import WebConfig
from keisei_agent.runs.training import train
from shogi_env import Board, Termination
from shogi_env.adapters.sb3 import make_vec_env
from shogi_env.arena.lock import hold, is_held


class Frames(LiveCallback):
    """Keeps everything that is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Config())
        self.frames: list[dict[str, Any]] = []

    def _write(self) -> None:
        super()._write()
        self.frames.append(json.loads(self.path.read_bytes()))

    def _is_due(self, every: float) -> bool:
        return True


@pytest.mark.parametrize("opponent", [None, "greedy"])
def test_the_game_that_is_written_is_the_one_that_is_played(tmp_path: Path, opponent: str | None) -> None:
    env = make_vec_env(4, seed=1, opponent=opponent, max_plies=20)
    model, _ = learner(env)
    callback = Frames(tmp_path / "live.json")
    model.learn(256, callback=callback)
    games = [frame["game"] for frame in callback.frames if frame["game"]]
    assert any(len(game["moves"]) > 8 for game in games)
    for frame in callback.frames:
        game, policy = frame["game"], frame["policy"]
        if not game:
            continue
        board = Board(game["start"], max_plies=None)
        for move in game["moves"]:
            board.push_usi(move)
        assert all(-1 <= value <= 1 for _, value in game["values"])
        assert [ply for ply, _ in game["values"]] == sorted({ply for ply, _ in game["values"]})
        if policy:
            assert policy["ply"] == len(game["moves"])
            shares = [share for _, share in policy["best"]]
            assert shares == sorted(shares, reverse=True) and sum(shares) <= 1 + 1e-6
            assert {move for move, _ in policy["best"]} <= {str(move) for move in board.legal_moves}
            assert sum(policy["heat"]) == pytest.approx(1, abs=1e-3)
    ended = callback.frames[-1]["ended"]
    assert 0 < len(ended) <= 12
    for game in ended:
        assert game["result"] in ("black", "white", "draw")
        assert game["reason"] in {reason.name.lower() for reason in Termination}
        assert 0 < game["plies"] <= 20
    assert callback.path.stat().st_size < 20_000


def test_the_policy_that_is_written_is_the_networks(tmp_path: Path) -> None:
    model, _ = learner(make_vec_env(4, seed=1, opponent=None, max_plies=20))
    callback = Frames(tmp_path / "live.json")
    model.learn(64, callback=callback)
    frame = callback.frames[-1]
    board = Board(frame["game"]["start"], max_plies=20)
    for move in frame["game"]["moves"]:
        board.push_usi(move)
    (best, share) = frame["policy"]["best"][0]
    actions = list(board.legal_moves.by_action)
    assert best in {str(board.move(action)) for action in actions}
    assert 1 / len(actions) <= share <= 1
    assert np.isfinite(frame["policy"]["value"])


def test_telling_takes_less_than_a_hundredth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(LiveCallback):
        def _on_step(self) -> bool:
            now[0] += 0.05
            return super()._on_step()

        def _look(self) -> None:
            looks.append(now[0])
            now[0] += 0.02
            super()._look()

    now, looks = [100.0], list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    model, _ = learner(make_vec_env(4, seed=1, opponent=None, max_plies=20))
    model.learn(1024, callback=Slow(tmp_path / "live.json", parse_config({"web": {"every": 0.1}})))
    assert len(looks) > 4
    assert all(later - look >= COST * 0.02 for look, later in pairwise(looks)), "counted with what was asked"


def test_watching_changes_nothing_that_is_learned(tmp_path: Path, small: Config) -> None:
    train(with_changes(small, {"web.enabled": True, "web.every": 0.1}), tmp_path / "watched")
    assert (tmp_path / "watched/live.json").exists()
    train(small, tmp_path / "alone")
    assert not (tmp_path / "alone/live.json").exists()
    assert_same(tmp_path / "watched", tmp_path / "alone")


def test_a_disk_that_is_full_does_not_stop_training(tmp_path: Path, small: Config) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/live.json").mkdir()  # nothing can be written in its place
    run = train(with_changes(small, {"web.enabled": True}), tmp_path / "run")
    assert run.reached_target
    assert "LiveCallback" in (tmp_path / "run/log.txt").read_text()


def test_a_lock_is_seen_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path) and not path.exists()
    with hold(path, "busy"):
        assert is_held(path)
        with pytest.raises(BlockingIOError):
            hold(path, "busy")
    assert not is_held(path)
    hold(path, "busy").close()


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match=r"web\.port"):
        parse_config({"web": {"port": port}})


def test_without_the_libraries_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page, "missing_web", lambda: "starlette missing")
    with page.page_beside(WebConfig(enabled=True), tmp_path) as found:
        assert not found
    assert capsys.readouterr().err == "No page in the browser: starlette missing\n"


def arguments(folder: Path, *more: str) -> list[str]:
    """A training of a second."""
    return [
        *("--device", "cpu", "--eval-games", "0", "--log.display", "off", "--run-dir", str(folder)),
        *("--total-timesteps", "64", "--n-envs", "4", "--ppo.n-steps", "8", "--ppo.batch-size", "16"),
        *("--network.channels", "8", "--network.blocks", "1", "--env.max-plies", "24", *more),
    ]


def test_page_and_feed_start_together_or_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("starlette")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert command.main(arguments(tmp_path / "one", "--web", "--web.port", port)) == 0
    said = capsys.readouterr()
    assert "web.port" in said.err and "Page: http" not in said.out
    assert not (tmp_path / "one/live.json").exists()
    assert (tmp_path / "one/final.safetensors").exists()


def test_the_page_runs_meanwhile_and_the_port_is_free_afterwards(tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    from keisei_agent.web.process import beside

    for error in (None, RuntimeError("training failed")):
        try:
            with beside("127.0.0.1", 0, tmp_path) as link:
                about = json.loads(_get(f"{link}api/about"))
                assert about["runs"] == str(tmp_path)
                port = int(link.rstrip("/").rpartition(":")[2])
                with beside("127.0.0.1", port, tmp_path) as same:  # a second training in the same folder
                    assert same == link
                if error:
                    raise error
        except RuntimeError:
            assert error
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_the_page_outlives_a_training_that_is_killed(tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    program = tmp_path / "killed.py"
    program.write_text(
        "import os, signal, sys, urllib.request\n"
        "from pathlib import Path\n"
        "from keisei_agent.web.process import beside\n"
        "if __name__ == '__main__':\n"
        "    with beside('127.0.0.1', 0, Path(sys.argv[1])) as link:\n"
        "        urllib.request.urlopen(link + 'api/about').read()\n"
        "        print(link, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.Popen([sys.executable, program, tmp_path], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    link = killed.stdout.readline().strip()  # the pipe stays open: the page has it too
    assert killed.wait(timeout=60) < 0 and link
    assert json.loads(_get(f"{link}api/runs"))["runs"] == []
    _end_what_listens_at(int(link.rstrip("/").rpartition(":")[2]))


def _get(address: str) -> bytes:
    """Ask; the server may still be starting, its socket takes the question already."""
    with urllib.request.urlopen(address, timeout=60) as answer:
        return bytes(answer.read())


def _end_what_listens_at(port: int) -> None:
    """End the server that a test has left without its parent."""
    wanted = f"{port:04X}"
    inodes = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(wanted) and line.split()[3] == "0A"
    }
    for found in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(found) in {f"socket:[{inode}]" for inode in inodes}:
                os.kill(int(found.parts[2]), 9)
                time.sleep(0.1)
        except OSError:
            continue


if sys.platform != "linux":  # /proc tells who is left to be ended
    test_the_page_outlives_a_training_that_is_killed = pytest.mark.skip(reason="needs /proc")(
        test_the_page_outlives_a_training_that_is_killed
    )
