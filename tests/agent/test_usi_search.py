"""The USI engine when it looks ahead: clocks, stop, ponder, several lines, mates."""

import threading
import time
from pathlib import Path

import pytest
from talks import MATE, Talk, write_run

import shogi_env
from keisei_agent.config import Config
from keisei_agent.usi.limits import NODES, Clock, Limits, parse_limits


@pytest.fixture
def run(tmp_path: Path, small: Config) -> Path:
    return write_run(tmp_path / "run", small)


@pytest.fixture
def talk(run: Path) -> Talk:
    return Talk(run, Search="true")


def field(line: str, name: str) -> str:
    words = line.split()
    return words[words.index(name) + 1]


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", Limits(nodes=NODES)),
        ("depth 5", Limits(nodes=NODES)),
        ("nodes 12", Limits(nodes=12)),
        ("nodes 0", Limits(nodes=1)),
        ("movetime 500", Limits(movetime=0.5)),
        ("btime 1000 wtime 2000 byoyomi 3000", Limits(byoyomi=3.0, times=(1.0, 2.0))),
        ("btime 1000 wtime 2000 binc 10 winc 20", Limits(times=(1.0, 2.0), increments=(0.01, 0.02))),
        ("infinite", Limits(infinite=True)),
        ("ponder btime 0 wtime 0 byoyomi 100", Limits(byoyomi=0.1, ponder=True)),
        ("mate infinite", Limits(infinite=True, mate=float("inf"))),
        ("mate 250", Limits(nodes=NODES, mate=0.25)),
        ("byoyomi much", Limits(nodes=NODES)),
        ("byoyomi", Limits(nodes=NODES)),
        ("movetime ２", Limits(nodes=NODES)),
    ],
)
def test_limits_are_read(text: str, limits: Limits) -> None:
    assert parse_limits(text) == limits


@pytest.mark.parametrize(
    ("text", "color", "seconds"),
    [
        ("nodes 5", 0, None),
        ("movetime 500", 0, 0.4),
        ("btime 0 wtime 0 byoyomi 1000", 1, 0.9),
        ("btime 30000 wtime 60000", 0, 0.9),
        ("btime 30000 wtime 60000", 1, 1.9),
        ("btime 30000 wtime 0 byoyomi 2000", 0, 2.9),
        ("btime 300 wtime 300 binc 5000 winc 5000", 0, 0.2),
        ("btime 10 wtime 10", 0, 0.01),
    ],
)
def test_time_is_kept(text: str, color: int, seconds: float | None) -> None:
    found = parse_limits(text).seconds(color, 0.1)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_a_clock_that_ponders_runs_from_the_hit_on() -> None:
    clock = Clock(parse_limits("ponder byoyomi 100"), 0.05)
    assert clock.is_open and not clock.is_over and clock.left == float("inf")
    clock.ponderhit()
    assert not clock.is_open and 0 < clock.left <= 0.05
    clock.stop()
    assert clock.is_over and clock.is_stopped
    clock.wait()


@pytest.mark.parametrize("limits", ["nodes 50", "movetime 150", "byoyomi 200", "", "btime 3000 wtime 3000"])
def test_it_answers_with_what_it_visited_most(talk: Talk, limits: str) -> None:
    *_, info, best = talk("position startpos moves 7g7f", f"go {limits}")
    assert best.split()[1] == field(info, "pv")
    assert int(field(info, "nodes")) >= 50 or "nodes" not in limits
    board = shogi_env.Board()
    for move in ["7g7f", *info.split(" pv ")[1].split()]:
        board.push_usi(move)  # every move of the line is legal


def test_a_tree_is_kept_from_move_to_move(talk: Talk) -> None:
    *_, info, best = talk("position startpos", "go nodes 400")
    moves = info.split(" pv ")[1].split()[:2]
    *_, again, _ = talk(f"position startpos moves {' '.join(moves)}", "go nodes 1")
    assert int(field(again, "nodes")) > 1
    assert best == f"bestmove {moves[0]}"


def test_several_lines_are_told(run: Path) -> None:
    talk = Talk(run, Search="true", MultiPV=3)
    lines = [line for line in talk("position startpos", "go nodes 200") if "multipv" in line]
    assert [field(line, "multipv") for line in lines[-3:]] == ["1", "2", "3"]
    assert len({field(line, "pv") for line in lines[-3:]}) == 3


@pytest.mark.parametrize("kind", ["infinite", "ponder", "ponder byoyomi 1000"])
def test_it_thinks_until_it_is_stopped(talk: Talk, kind: str) -> None:
    assert talk("position startpos", f"go {kind}") == []
    time.sleep(0.1)
    *_, best = talk("stop")
    assert best.startswith("bestmove ")
    assert talk("stop", "ponderhit") == []


def test_ponderhit_starts_the_clock(talk: Talk) -> None:
    talk("position startpos", "go ponder btime 0 wtime 0 byoyomi 150")
    *_, best = talk("ponderhit")
    assert best.startswith("bestmove ")


def test_mates_are_told_with_their_line(talk: Talk) -> None:
    info, best = talk(f"position {MATE}", "go byoyomi 100")
    assert info.endswith("score mate 1 pv G*5b") and best == "bestmove G*5b"
    assert talk(f"position {MATE}", "go mate 1000") == ["checkmate G*5b"]


def test_a_search_for_a_mate_is_stopped(talk: Talk) -> None:
    assert talk("position sfen 4k4/9/9/9/9/9/9/9/4K4 b 2B2N 1", "go mate infinite") == []
    assert talk("stop") == ["checkmate timeout"]


def test_a_small_hash_ends_a_search(run: Path) -> None:
    talk = Talk(run, Search="true", USI_Hash=16)
    assert talk.engine._make_searcher()._most == 16 * 2**20 // 1500
    assert talk("setoption name USI_Hash value 32", "position startpos", "go nodes 5")[-1].startswith(
        "bestmove"
    )
    assert talk.engine._make_searcher()._most == 32 * 2**20 // 1500


def test_what_fails_while_thinking_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    talk, told = Talk(run, Search="true"), threading.Event()
    failures: list[Exception] = []

    def fail(error: Exception) -> None:
        failures.append(error)
        told.set()

    talk.engine._fail = fail
    monkeypatch.setattr(talk.engine._make_searcher()._search, "evaluate", lambda planes: 1 / 0)
    talk("position startpos moves 7g7f", "go nodes 10")
    assert told.wait(10) and isinstance(failures[0], ZeroDivisionError) and talk.engine.failure is failures[0]


def test_a_game_that_ended_by_rule_goes_on_without_search(talk: Talk) -> None:
    moves = " ".join("2h3h 8b7b 3h2h 7b8b".split() * 3)
    assert talk(f"position startpos moves {moves}", "go nodes 10")[-1].startswith("bestmove ")
