"""A person's game: every command, both sides' wins, records that are read again."""

from pathlib import Path

import numpy as np
import pytest

from keisei_agent.commands import play as command
from keisei_agent.play import Game
from shogi_env import Color, Positions, kifu
from shogi_env.arena.players import Player, make_player
from shogi_env.opponents import RESIGN
from shogi_env.types import Int64Array

CAN_DECLARE = "K1GGG4/SSSS5/NNN6/9/9/9/9/9/8k b 2R2BG2L9Pnl9p 1"
NEAR_MATE = "4k4/9/4P4/9/9/9/9/9/4K4 b G 1"


def first_move(positions: Positions, idx: Int64Array) -> Int64Array:
    """A player without imagination."""
    return positions.masks(where=idx).argmax(1)


def gives_up(positions: Positions, idx: Int64Array) -> Int64Array:
    return np.full(len(idx), RESIGN)


def game(choose=first_move, color: Color = Color.BLACK, start: str | None = None) -> Game:  # type: ignore[no-untyped-def]
    return Game(Player("Other", "other", "1", "", choose), color, start, seed=1)


def say(found: Game, *texts: str) -> str:
    """Everything that is said to some inputs, the other side's answers included."""
    lines: list[str] = []
    for text in texts:
        lines += found.answer(text)
        lines += found.reply()
    return "\n".join(lines)


def test_moves_are_played_and_answered() -> None:
    found = game()
    text = say(found, "7g7f")
    assert "You play 7g7f ▲７六歩" in text and "Other plays" in text
    assert found.board.ply == 2 and found.board.turn == Color.BLACK


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("7g7e", "7g7e is not legal: a pawn on 7g does not reach 7e. Type moves"),
        ("7g7", "USI length: a move has 4 characters"),
        ("P*5e", "P*5e is not legal: Black has no pawn in hand"),
    ],
)
def test_what_is_no_move_is_explained(text: str, reason: str) -> None:
    found = game()
    assert reason in say(found, text) and found.board.ply == 0


def test_moves_are_listed_in_both_notations() -> None:
    found = game()
    assert len(list(found.answer("moves"))) == 30
    assert next(found.answer("moves 2h")).split() == ["2h3h", "▲３八飛"]
    assert list(found.answer("moves P*")) == ["No legal move begins with P*."]


def test_hint_undo_board_sfen_help() -> None:
    found = game()
    start = found.board.sfen()
    assert say(found, "hint").startswith("Perhaps ")
    assert "no move of yours" in say(found, "undo")
    say(found, "7g7f", "2g2f")
    say(found, "undo", "undo")
    assert found.board.sfen() == start == say(found, "sfen")
    assert "後手" in say(found, "board") and "resign" in say(found, "help")
    assert say(found, "") == ""


def test_a_mate_ends_it_and_undo_goes_on() -> None:
    found = game(start=NEAR_MATE)
    assert "You win by checkmate." in say(found, "G*5b")
    assert found.is_over and "The game is over" in say(found, "G*5b") and "over" in say(found, "hint")
    say(found, "undo")
    assert not found.is_over and found.board.ply == 0


def test_resigning() -> None:
    assert "Other wins by resignation." in say(game(), "resign")
    assert "You win by resignation." in say(game(gives_up), "7g7f")


def test_declaring() -> None:
    assert "You win by declaration." in say(game(start=CAN_DECLARE), "declare")
    assert "cannot declare" in say(game(), "declare")
    found = game(color=Color.WHITE, start=CAN_DECLARE)
    assert "Other wins by declaration." in "\n".join(found.reply())


def test_the_other_side_begins_as_black() -> None:
    found = game(color=Color.WHITE)
    assert "You are White" in "\n".join(found.begin())
    assert "Other plays" in "\n".join(found.reply())


@pytest.mark.parametrize("suffix", [".kif", ".csa", ".usi"])
def test_saved_games_are_read_again(suffix: str, tmp_path: Path) -> None:
    found = game()
    path = tmp_path / f"game{suffix}"
    assert f"Saved {path}" in say(found, "7g7f", "resign", f"save {path}")
    (again,) = kifu.load(path)
    assert again.moves == found.board.moves
    if suffix != ".usi":
        assert again.end == found.end and again.headers["white"] == "Other"
    assert "Not saved" in say(found, f"save {tmp_path}/game.ki2") and "Say where" in say(found, "save")


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter(["7g7f", "moves", "quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    path = tmp_path / "game.kif"
    assert command.main(["greedy", "--color", "black", "--seed", "1", "--save", str(path)]) == 0
    out = capsys.readouterr().out
    assert "You play 7g7f" in out and f"Saved {path}" in out
    assert kifu.load(path)[0].end is not None


def test_the_end_of_input_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", ends)
    assert command.main(["random", "--handicap", "6-piece"]) == 0


@pytest.mark.parametrize(
    "arguments", [["nobody"], ["greedy", "--sfen", "x y"], ["greedy", "--handicap", "7"]]
)
def test_bad_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2 and capsys.readouterr().err.startswith("keisei-play: ")


def test_players_of_matches_play_here_too() -> None:
    with make_player("greedy") as player:
        found = Game(player, Color.BLACK, seed=1)
        assert "greedy plays" in say(found, "7g7f")
