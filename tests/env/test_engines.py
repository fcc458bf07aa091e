"""USI engines as players, with a fake one that misbehaves in every way."""

import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from shogi_env import Board, Positions, opponents
from shogi_env.arena import process
from shogi_env.arena.process import EngineError, find_engine
from shogi_env.arena.usi import MATE_SCORE, UsiEngine, UsiOption, UsiPlayer, parse_go
from shogi_env.notation.sfen import HANDICAPS, START_SFEN
from shogi_env.notation.usi import Move

STARTPOS = f"position sfen {START_SFEN}"
FAKE = Path(__file__).with_name("fake_usi.py")


def fake(*args: object) -> list[str]:
    return [sys.executable, str(FAKE), *map(str, args)]


def heard(folder: Path) -> list[list[str]]:
    """What each process read, by the time of its start."""
    files = sorted(folder.glob("*.txt"), key=lambda path: path.stat().st_mtime_ns)
    return [path.read_text(encoding="utf-8").splitlines() for path in files]


# --- the USI engine ---


@pytest.mark.parametrize(
    ("says", "score"),
    [
        (["depth 1 score cp 9", "depth 2 score cp -31 nodes 7 pv 7g7f"], -31),
        (["depth 1 score cp 9", "depth 2 score cp 40 lowerbound nodes 7", "nodes 8"], 9),
        (["score mate 3 pv 7g7f"], MATE_SCORE),
        (["score mate -"], -MATE_SCORE),
        (["score cp 12 upperbound"], None),
        ([], None),
    ],
)
def test_what_an_engine_thinks_of_a_position(says, score) -> None:
    with UsiEngine(fake("--says", *says)) as engine:
        assert engine.judge(START_SFEN, []) == ("7g7f", score)


def test_what_is_said_and_what_is_learned(tmp_path) -> None:
    options = {"Skill Level": "-10", "Style": "very wild", "Clear Hash": "", "USI_Hash": "16"}
    with UsiEngine(fake("--log", tmp_path, "--answers", "7g7f", "resign"), options) as engine:
        assert (engine.name, engine.author) == ("Fake 1.0", "Nobody Known")
        assert engine.options["Skill Level"] == UsiOption("Skill Level", "spin", -20, 20)
        assert engine.choose(START_SFEN, [], "nodes 5") == "7g7f"
        assert engine.choose(HANDICAPS["bishop"], ["3a3b", "7g7f"], "byoyomi 100") == "resign"
        engine.new_game()
        assert engine.choose(START_SFEN, [], "movetime 7") == "resign"
    assert heard(tmp_path) == [
        [
            "usi",
            "setoption name Skill Level value -10",
            "setoption name Style value very wild",
            "setoption name Clear Hash",
            "setoption name USI_Hash value 16",
            "isready",
            "usinewgame",
            STARTPOS,
            "go nodes 5",
            f"position sfen {HANDICAPS['bishop']} moves 3a3b 7g7f",
            "go btime 0 wtime 0 byoyomi 100",
            "usinewgame",
            STARTPOS,
            "go movetime 7",
            "quit",
            "ended",
        ]
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"Skil Levl": "1"}, "Fake 1.0 has no option 'Skil Levl'; the nearest is 'Skill Level'"),
        ({"Skill Level": "21"}, "'Skill Level' is an integer -20..20, not '21'"),
        ({"Skill Level": "high"}, "is an integer -20..20"),
        ({"Style": "mild"}, "is one of solid, very wild"),
        ({"Ponder": "yes"}, "is true or false"),
        ({"EvalFile": "a\nquit"}, "is one line"),
    ],
)
def test_an_option_that_the_engine_would_ignore_is_refused(options, said) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        UsiEngine(fake(), options)


@pytest.mark.parametrize(
    "go", ["", "depth", "depth 0", "depth -1", "depth 2\nquit", "infinite", "depth 1 nodes 2"]
)
def test_an_unknown_go_is_refused(go) -> None:
    with pytest.raises(ValueError, match=r"go is \"depth N\""):
        parse_go(go)


def test_thinking_time_comes_on_top_of_the_timeout() -> None:
    assert parse_go("movetime 1500") == ("go movetime 1500", 1.5)
    assert parse_go("depth 3") == ("go depth 3", 0.0)


@pytest.mark.parametrize(
    "text", ["option", "option name x", "option name x type wheel", "info string option"]
)
def test_what_is_no_option_is_none(text) -> None:
    assert UsiOption.from_line(text) is None


@pytest.mark.parametrize("word", ["usi", "isready", "go"])
def test_a_hanging_engine_is_named_with_the_question(word) -> None:
    with pytest.raises(EngineError, match=rf"did not answer '.*{word}.*' within 1 s"):
        with UsiEngine(fake("--hang", word), timeout=1.0) as engine:
            engine.choose(START_SFEN, ["7g7f"], "depth 2")


def test_no_answer_to_a_depth_gets_advice() -> None:
    with UsiEngine(fake("--hang", "go"), timeout=0.5) as engine:
        with pytest.raises(EngineError, match=r"may know byoyomi only, and not depth"):
            engine.choose(START_SFEN, [], "depth 2")
        with pytest.raises(EngineError, match=r"byoyomi 10' within 0.51 s; its standard error"):
            engine.choose(START_SFEN, [], "byoyomi 10")


def test_after_a_hang_the_next_question_is_answered(tmp_path) -> None:
    once = tmp_path / "once"
    once.touch()
    with UsiEngine(fake("--hang", "go", "--once", once), timeout=1.5) as engine:
        with pytest.raises(
            EngineError, match=r"(?s)Fake 1.0 did not answer .*standard error ends:\nthinking hard"
        ):
            engine.choose(START_SFEN, [])
        assert engine.choose(START_SFEN, []) == "7g7f"


def test_an_engine_that_dies_once_is_started_again_and_told_all(tmp_path) -> None:
    once = tmp_path / "once"
    once.touch()
    with UsiEngine(fake("--crash", "go", "--once", once, "--log", tmp_path), {"Ponder": "false"}) as engine:
        assert engine.choose(START_SFEN, ["7g7f", "3c3d"]) == "7g7f"
    first, second = heard(tmp_path)
    assert second[: len(first)] == first == [
        "usi",
        "setoption name Ponder value false",
        "isready",
        "usinewgame",
        f"{STARTPOS} moves 7g7f 3c3d",
        "go depth 2",
    ]  # fmt: skip


def test_an_engine_that_dies_twice_of_a_question_is_given_up() -> None:
    said = r"(?s)Fake 1.0 died twice of 'position sfen .*; go depth 2': it ended with status 3; .*盤\nout of"
    with UsiEngine(fake("--crash", "go")) as engine:
        for _ in range(2):
            with pytest.raises(EngineError, match=said):
                engine.choose(START_SFEN, [])


@pytest.mark.parametrize("word", ["usi", "isready"])
def test_an_engine_that_dies_at_its_start_is_not_tried_again(word) -> None:
    with pytest.raises(
        EngineError, match=r"(?s)could not be started: it ended with status 3; .*out of pieces"
    ):
        UsiEngine(fake("--crash", word))


def test_what_cannot_be_started_is_named(tmp_path) -> None:
    with pytest.raises(EngineError, match="there is no program 'no-such-engine'"):
        UsiEngine("no-such-engine --fast")
    with pytest.raises(ValueError, match="command is empty"):
        UsiEngine("")
    assert find_engine("no-such-engine") is None


def test_a_closed_engine_stays_closed() -> None:
    engine = UsiEngine(fake())
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="is closed"):
        engine.choose(START_SFEN, [])


def test_a_stubborn_engine_is_killed(monkeypatch) -> None:
    monkeypatch.setattr(process, "_PATIENCE", (0.2, 0.2, 10.0))
    engine = UsiEngine(fake("--stubborn"))
    child = engine._program._child
    engine.close()
    assert child.returncode not in (None, 0)


def test_an_engine_does_not_outlive_this_process(tmp_path) -> None:
    script = f"""
        import os
        from shogi_env.arena.usi import UsiEngine
        engine = UsiEngine({fake("--log", tmp_path)!r})
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=100)
    for _ in range(1000):
        if heard(tmp_path)[0][-1] == "ended":
            break
        time.sleep(0.01)
    assert heard(tmp_path) == [["usi", "isready", "ended"]]


# --- the player ---


def test_a_player_tells_each_game_from_its_start(tmp_path) -> None:
    positions = Positions(2, sfens=[START_SFEN, HANDICAPS["lance"]])
    where = np.array([0, 1])
    with UsiPlayer(
        fake("--log", tmp_path, "--answers", "7g7f", "3a3b", "2g2f", "4a3b"), go="depth 1"
    ) as player:
        assert player.version == "Fake 1.0"
        positions.apply(player(positions, where), where)
        for i, reply in enumerate(("3c3d", "2g2f")):
            positions.apply([Board(positions.sfen(i)).action(Move.from_usi(reply))], [i])
        player(positions, where[:1])
    assert [line for line in heard(tmp_path)[0] if line.startswith(("position", "usinewgame"))] == [
        "usinewgame",
        STARTPOS,
        "usinewgame",
        f"position sfen {HANDICAPS['lance']}",
        f"{STARTPOS} moves 7g7f 3c3d",
    ]


def positions_heard(folder: Path) -> list[str]:
    return [line for line in heard(folder)[0] if line.startswith("position")]


def test_a_game_is_new_when_it_is_not_the_old_one_continued(tmp_path) -> None:
    positions = Positions(1)
    game = np.array([0])
    with UsiPlayer(fake("--log", tmp_path), go="depth 1") as player:
        player(positions, game)
        player(positions, game)  # asked again
        positions.apply([Board().action(Move.from_usi("2g2f"))])  # not the move that was answered
        positions.apply([Board(positions.sfen(0)).action(Move.from_usi("3c3d"))])
        sfen = positions.sfen(0)
        player(positions, game)
    assert positions_heard(tmp_path) == [STARTPOS, STARTPOS, f"position sfen {sfen}"]


def test_an_engine_knows_of_repetitions(tmp_path) -> None:
    """All moves since the first position are sent, however often a position came back."""
    ours, theirs = ["2h3h", "3h2h"] * 3, ["8b7b", "7b8b"] * 3
    positions = Positions(1)
    with UsiPlayer(fake("--log", tmp_path, "--answers", *ours), go="depth 1") as player:
        for reply in theirs[:5]:
            positions.apply(player(positions, positions.everyone))
            positions.apply([positions.action(0, Move.from_usi(reply))])
        player(positions, positions.everyone)
    moves = [move for pair in zip(ours, theirs, strict=True) for move in pair][:10]
    assert positions_heard(tmp_path)[-1] == STARTPOS + " moves " + " ".join(moves)


def test_resigning() -> None:
    positions = Positions(3)
    with UsiPlayer(fake("--answers", "resign"), go="depth 1") as player:
        assert player(positions, np.array([0, 2])).tolist() == [opponents.RESIGN] * 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("8h2b+", "is not legal"),
        ("win", "it cannot declare here"),
        ("(none)", "USI "),
        ("7g7f+", "is not legal"),
        ("0000", "USI "),
    ],
)
def test_a_wrong_answer_is_named_with_its_position(answer, reason) -> None:
    positions = Positions(1)
    with UsiPlayer(fake("--answers", answer), go="depth 1") as player:
        with pytest.raises(EngineError) as caught:
            player(positions, positions.everyone)
        assert str(caught.value).startswith(f"Fake 1.0 answered {answer!r} to {START_SFEN}: ")
        assert reason in str(caught.value)


def test_games_are_shared_among_processes(tmp_path) -> None:
    positions = Positions(5)
    with UsiPlayer(fake("--log", tmp_path), go="depth 1", processes=2) as player:
        actions = player(positions, np.array([0, 2, 3, 4]))
    assert actions.tolist() == [Board().action(Move.from_usi("7g7f"))] * 4
    assert sorted(lines.count("go depth 1") for lines in heard(tmp_path)) == [1, 3]


def test_one_failing_process_leaves_the_other_games_askable(tmp_path) -> None:
    once = tmp_path / "once"
    once.touch()
    positions = Positions(2)
    with UsiPlayer(fake("--hang", "go", "--once", once), go="depth 1", processes=2, timeout=2.0) as player:
        with pytest.raises(EngineError, match="did not answer"):
            player(positions, positions.everyone)
        assert len(player(positions, positions.everyone)) == 2


@pytest.mark.parametrize("change", [{"processes": 0}, {"timeout": 0}, {"go": "depth x"}])
def test_wrong_settings_are_refused(change) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        UsiPlayer(fake(), **({"go": "depth 1"} | change))
