"""`keisei-kifu`: show, check, convert."""

from pathlib import Path

import pytest

from keisei_agent.commands import kifu as command
from keisei_agent.commands import match
from shogi_env import kifu

GAME = "startpos moves 7g7f 3c3d 8h2b+ 3a2b"


@pytest.fixture
def game(tmp_path: Path) -> Path:
    path = tmp_path / "game.usi"
    path.write_text(f"{GAME}\n", "utf-8")
    return path


def test_show(game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["show", str(game)]) == 0
    out = capsys.readouterr().out
    assert "   3  8h2b+ ▲２二角成" in out and "   4  3a2b  △同　銀" in out and "end not said" in out
    assert command.main(["show", str(game), "--ply", "1"]) == 0
    out = capsys.readouterr().out
    assert "3c3d" not in out and "end not said" not in out


@pytest.mark.parametrize("suffix", ["csa", "kif"])
def test_convert_and_back(
    game: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other, back = tmp_path / f"game.{suffix}", tmp_path / "back.usi"
    assert command.main(["convert", str(game), str(other)]) == 0
    assert command.main(["convert", str(other), str(back)]) == 0
    assert back.read_text("utf-8") == f"{GAME}\n"
    assert f"1 game in {other}" in capsys.readouterr().out


def test_check_names_the_bad_ones(game: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.csa"
    bad.write_text("PI\n+\n+7775FU\n", "utf-8")
    assert command.main(["check", str(game)]) == 0
    assert command.main(["check", str(game), str(bad), str(tmp_path / "none.kif")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("ok   ") and "4 moves" in lines[1]
    assert lines[2].startswith("BAD  ") and "line 3: move 1 is illegal" in lines[2]
    assert lines[3].startswith("BAD  ") and "none.kif" in lines[3]


def test_games_of_a_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert match.main(["random", "greedy", "--games", "4", "--out", "games.jsonl"]) == 0
    assert command.main(["convert", "games.jsonl", "games.csa"]) == 0
    games = kifu.load("games.csa")
    assert len(games) == 4 and all(game.end and len(game.moves) for game in games)
    assert {game.headers["black"] for game in games} == {"random", "greedy"}
    with pytest.raises(SystemExit):
        command.main(["convert", "games.jsonl", "games.kif"])
    assert "a KIF holds one game, not 4" in capsys.readouterr().err
    assert command.main(["convert", "games.jsonl", "third.kif", "--game", "3"]) == 0
    assert kifu.load("third.kif")[0].moves == games[2].moves


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["show", "{game}", "--game", "2"], "the file has 1 games, not 2"),
        (["show", "{game}", "--ply", "9"], "the game has 4 moves, not 9"),
        (["show", "missing.kif"], "missing.kif"),
        (["convert", "{game}", "out.ki2"], "'ki2' is no format that is written"),
        (["convert", "{game}", "out.txt"], "no format that is written"),
        (["--from", "pgn", "show", "{game}"], "unknown format 'pgn'"),
    ],
)
def test_bad_arguments(
    game: Path,
    arguments: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        command.main([text.format(game=game) for text in arguments])
    assert caught.value.code == 2 and reason in capsys.readouterr().err
