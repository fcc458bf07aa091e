"""Game logs: lines that round-trip, and what is refused."""

import json
import lzma

import pytest

from shogi_env.arena.records import GameLog, GameRecord, Seat, from_line, read_games, to_line
from shogi_env.errors import RecordError
from shogi_env.notation.sfen import START_SFEN

ANNA, BERT = Seat("anna", "random", "1", ""), Seat("王将", "usi:x", "2", "ab12")


def a_game(**changes: object) -> GameRecord:
    values: dict[str, object] = {
        "id": "3.0",
        "event": "e",
        "black": ANNA,
        "white": BERT,
        "start": START_SFEN,
        "moves": ("7g7f", "3c3d"),
        "opening_plies": 1,
        "result": "white",
        "reason": "resignation",
        "seed": 2**63,
    }
    return GameRecord(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "game", [a_game(), a_game(moves=(), opening_plies=0, result="void", reason='a "b"\nc')]
)
def test_a_line_round_trips(game: GameRecord) -> None:
    line = to_line(game)
    assert "\n" not in line
    assert from_line(line) == game


@pytest.mark.parametrize(
    ("result", "anna", "bert"),
    [("black", 1.0, 0.0), ("white", 0.0, 1.0), ("draw", 0.5, 0.5), ("void", None, None)],
)
def test_scores(result: str, anna: float | None, bert: float | None) -> None:
    game = a_game(result=result)
    assert (game.score("anna"), game.score("王将"), game.score("carl")) == (anna, bert, None)
    assert (game.pair, game.opening) == ("3", (START_SFEN, ("7g7f",)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"result": "1-0"}, "result is one of"),
        ({"opening_plies": 3}, "opening_plies is 0..2"),
        ({"seed": "1"}, "seed is a int"),
        ({"seed": True}, "seed is a int"),
        ({"black": "anna"}, "black is a dict"),
        ({"black": {"name": "anna"}}, "black has the fields"),
        ({"extra": 1}, "found: "),
    ],
)
def test_a_wrong_line_is_refused_with_the_reason(change: dict[str, object], said: str) -> None:
    with pytest.raises(RecordError, match=said):
        from_line(json.dumps(json.loads(to_line(a_game())) | change))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "{}"])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        from_line(text)


def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path) -> None:
    path = tmp_path / "folder" / "games.jsonl"
    with GameLog(path) as log:
        log.write([a_game(), a_game(id="3.1")])
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert read_games(path) == [a_game()]
    with GameLog(path) as log:
        log.write([a_game(id="3.1")])
    assert path.read_bytes() == whole


def test_a_packed_log_is_read(tmp_path) -> None:
    path = tmp_path / "games.jsonl.xz"
    path.write_bytes(lzma.compress((to_line(a_game()) + "\n").encode()))
    assert read_games(path) == [a_game()]
    path.write_bytes(b"nonsense")
    with pytest.raises(RecordError, match=r"games\.jsonl\.xz: cannot be decoded"):
        read_games(path)


def test_a_bad_line_is_named_by_file_and_number(tmp_path) -> None:
    path = tmp_path / "games.jsonl"
    path.write_text(to_line(a_game()) + "\nnonsense\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"games\.jsonl:2: not a line of JSON"):
        read_games(path)
