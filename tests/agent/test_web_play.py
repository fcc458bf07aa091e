"""Games and analyses that the page asks for."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.testclient import TestClient
from web_runs import asking

from keisei_agent.web import play
from shogi_env import Board, kifu, levels

PERSON = {"kind": "person"}
GREEDY = {"kind": "simple", "name": "greedy"}
CAN_DECLARE = "K1GGG4/SSSS5/NNN6/9/9/9/9/9/8k b 2R2BG2L9Pnl9p 1"
NEAR_MATE = "4k4/9/4P4/9/9/9/9/9/4K4 b G 1"


def begin(client: TestClient, black: object, white: object, start: str | None = None) -> dict[str, Any]:
    answer = client.post("/api/tables", json={"black": black, "white": white, "start": start})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def act(client: TestClient, game: dict[str, Any], what: str, **body: object) -> dict[str, Any]:
    answer = client.post(f"/api/tables/{game['id']}/{what}", json=body)
    return {**answer.json(), "status": answer.status_code}


def test_a_game_against_a_player(tmp_path: Path) -> None:
    with asking(tmp_path) as client:
        game = begin(client, PERSON, GREEDY)
        board = Board()
        assert game["legal"] == [str(move) for move in board.legal_moves] and game["turn"] == "black"
        game = act(client, game, "move", move="7g7f")
        assert game["moves"] == ["7g7f"] and game["texts"] == ["▲７六歩"]
        assert act(client, game, "move", move="3c3d")["status"] == 400  # the player's turn
        game = act(client, game, "think", ply=1)
        assert len(game["moves"]) == 2 and game["turn"] == "black"
        assert act(client, game, "think", ply=1)["moves"] == game["moves"]  # asked twice, played once
        assert act(client, game, "move", move="7g7f")["status"] == 400
        hint = act(client, game, "hint", player=GREEDY)["hint"]
        assert hint["move"] in game["legal"]
        back = act(client, game, "take-back")
        assert back["moves"] == [] and back["texts"] == []
        assert act(client, game, "take-back")["status"] == 400
        game = act(client, game, "resign", color="black")
        assert (game["end"], game["winner"], game["legal"]) == ("resignation", "white", [])
        assert act(client, game, "move", move="7g7f")["status"] == 400
        again = client.get(f"/api/tables/{game['id']}").json()
        assert again["end"] == "resignation"


def test_a_mate_ends_the_game_and_is_saved(tmp_path: Path) -> None:
    with asking(tmp_path) as client:
        game = begin(client, PERSON, PERSON, NEAR_MATE)
        game = act(client, game, "move", move="G*5b")
        assert (game["end"], game["winner"]) == ("checkmate", "black")
        for suffix in ("csa", "kif", "usi"):
            text = client.get(f"/api/tables/{game['id']}/record.{suffix}").text
            (found,) = kifu.loads(text, suffix)
            assert [str(move) for move in found.moves] == ["G*5b"]


def test_a_declaration(tmp_path: Path) -> None:
    with asking(tmp_path) as client:
        game = begin(client, PERSON, PERSON, CAN_DECLARE)
        assert game["can_declare"]
        assert act(client, game, "declare")["end"] == "declaration"
        even = begin(client, PERSON, PERSON)
        assert not even["can_declare"] and act(client, even, "declare")["status"] == 400


def test_handicaps_and_bad_starts(tmp_path: Path) -> None:
    with asking(tmp_path) as client:
        names = client.get("/api/drawing").json()["handicaps"]
        for name in names.values():
            game = begin(client, PERSON, PERSON, name)
            assert game["start"] == Board(name).sfen()
        bad = {"black": PERSON, "white": PERSON, "start": "nonsense"}
        assert client.post("/api/tables", json=bad).status_code == 400
        assert client.post("/api/tables", json={"black": PERSON}).status_code == 400
        assert client.get("/api/tables/none").status_code == 404


def test_two_players_play_each_other(tmp_path: Path) -> None:
    with asking(tmp_path) as client:
        game = begin(client, GREEDY, {"kind": "level", "name": "1"})
        for ply in range(6):
            game = act(client, game, "think", ply=ply)
        assert len(game["moves"]) == 6
        assert act(client, game, "take-back")["status"] == 400
        assert act(client, game, "resign", color="black")["status"] == 400
        assert act(client, game, "think", ply="six")["status"] == 400


def test_only_so_many_games_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "MOST_GAMES", 2)
    with asking(tmp_path) as client:
        games = [begin(client, PERSON, PERSON) for _ in range(3)]
        found = [client.get(f"/api/tables/{game['id']}").status_code for game in games]
    assert found == [404, 200, 200]


def test_an_analysis_is_the_networks(tmp_path: Path) -> None:
    board = Board()
    board.push_usi("7g7f")
    logits, values = levels.load_level(1)(board.planes()[None])
    with asking(tmp_path) as client:
        body = {"moves": ["7g7f"], "player": {"kind": "level", "name": "1", "simulations": 32}}
        found = client.post("/api/analysis", json=body).json()
        assert found["sfen"] == board.sfen()
        assert found["value"] == pytest.approx(-float(values[0]), abs=1e-6)  # White is to move
        best = max(board.legal_moves, key=lambda move: logits[0, board.action(move)])
        assert found["policy"][0]["move"] == str(best)
        assert sum(found["heat"]) == pytest.approx(1, abs=1e-3)
        search = found["search"]
        assert search["visits"] >= 32 and search["moves"][0]["line"][0] == search["moves"][0]["move"]
        for wrong in ({"player": GREEDY}, {"moves": ["1a1b"]}, {"start": "x"}, {"moves": 3}, {"player": 3}):
            assert client.post("/api/analysis", json={**body, **wrong}).status_code == 400


def test_a_finished_position_has_no_value(tmp_path: Path) -> None:
    with asking(tmp_path) as client:
        body = {"start": NEAR_MATE, "moves": ["G*5b"], "player": {"kind": "level", "name": "1"}}
        found = client.post("/api/analysis", json=body).json()
        assert (found["end"], found["winner"], found["value"]) == ("checkmate", "black", None)
        assert found["policy"] == [] and found["heat"] is None


def test_values_of_a_game(tmp_path: Path) -> None:
    moves = ["7g7f", "3c3d", "2g2f"]
    board, expected = Board(), []
    for move in [*moves, None]:
        _, values = levels.load_level(1)(board.planes()[None])
        expected.append(float(values[0]) * (1 if board.turn == 0 else -1))
        if move:
            board.push_usi(move)
    with asking(tmp_path) as client:
        body = {"start": Board().sfen(), "moves": moves, "player": {"kind": "level", "name": "1"}}
        found = client.post("/api/values", json=body).json()["values"]
    assert found == pytest.approx(expected, abs=1e-5)


def test_an_uploaded_record(tmp_path: Path) -> None:
    with asking(tmp_path) as client:
        found = client.post("/api/records", content=b"startpos moves 7g7f 3c3d\nstartpos\n").json()
        assert found["total"] == 2 and found["games"][0]["moves"] == ["7g7f", "3c3d"]
        wrong = client.post("/api/records", content=b"\xff\xfe nonsense")
        assert wrong.status_code == 400 and wrong.json()["error"]
