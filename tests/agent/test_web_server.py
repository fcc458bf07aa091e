"""The page's server: what it says is what run folders hold."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from runs import curves, lines_of

from keisei_agent.config import Config, load_config
from shogi_env import Board, kifu
from shogi_env.arena.games import read_log
from shogi_env.arena.lock import hold
from shogi_env.arena.rating import rate
from shogi_env.arena.records import read_games

pytest.importorskip("starlette")

from web_runs import asking, first_news, make_run

from keisei_agent.config import parse_config


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs."""
    folder = tmp_path_factory.mktemp("runs")
    small = parse_config(
        {
            "device": "cpu",
            "precision": "float32",
            "total_timesteps": 96,
            "max_time": None,
            "checkpoint": {"every": 32},
            "log": {"boards_every": None, "mates_every": None, "display": "off"},
            "env": {"n_envs": 4, "max_plies": 24},
            "network": {"channels": 8, "blocks": 1, "value_hidden": 8},
            "ppo": {"n_steps": 8, "batch_size": 16},
        }
    )
    make_run(folder, "first", small)
    make_run(folder, "second", small, **{"seed": 1, "total_timesteps": 32})
    return folder


def test_the_list_of_runs(root: Path) -> None:
    with asking(root) as client:
        runs = client.get("/api/runs").json()["runs"]
        assert [run["name"] for run in runs] == ["first", "second"]
        assert [run["state"] for run in runs] == ["finished", "finished"]
        results = json.loads((root / "first/results.json").read_text())
        evaluations = lines_of(root / "first/evaluations.jsonl")
        first = runs[0]
        assert first["steps"] == results["num_timesteps"] == 96
        assert first["target"] == 96 and first["max_time"] is None
        assert first["seconds"] == pytest.approx(results["seconds"], abs=1e-3)
        assert first["evaluation"] == max(evaluations, key=lambda line: line["steps"])
        assert first["speed"] == curves(root / "first")["speed/decisions"][-1][1]
        assert (first["done"], first["left"], first["alarms"], first["crash"]) == (1.0, None, [], None)


def test_curves_are_those_of_the_event_files(root: Path) -> None:
    recorded = curves(root / "first")
    with asking(root) as client:
        found = client.get("/api/runs/first/curves").json()
        assert set(found) == set(recorded)
        for key, points in recorded.items():
            assert found[key]["steps"] == [step for step, _ in points], key
            values = [value if math.isfinite(value) else None for _, value in points]
            assert found[key]["values"] == values, key
        few = client.get("/api/runs/first/curves", params={"key": ["train/loss", "nothing"]}).json()
        assert list(few) == ["train/loss"]


def test_settings_and_log(root: Path, tmp_path: Path) -> None:
    with asking(root) as client:
        run = client.get("/api/runs/first").json()
    (tmp_path / "again.yaml").write_text(run["config"], "utf-8")
    assert load_config(file=tmp_path / "again.yaml") == load_config(file=root / "first/config.yaml")
    assert run["log"] == (root / "first/log.txt").read_text("utf-8").splitlines()[-200:]
    assert run["evaluations"] == lines_of(root / "first/evaluations.jsonl")
    assert run["networks"][0] == "latest" and "final" in run["networks"]


def test_games_and_their_records(root: Path) -> None:
    records = read_games(root / "first/games.jsonl")
    with asking(root) as client:
        page = client.get("/api/runs/first/games").json()
        assert page["total"] == len(records) == 24
        assert [game["number"] for game in page["games"]] == list(range(len(records)))[::-1]
        for game in page["games"]:
            record = records[game["number"]]
            assert (game["black"], game["white"]) == (record.black.name, record.white.name)
            assert (game["result"], game["reason"]) == (record.result, record.reason)
            assert game["plies"] == len(record.moves)
        for number, record in enumerate(records[:6]):
            shown = client.get(f"/api/runs/first/games/{number}").json()
            assert shown["moves"] == list(record.moves)
            board = Board(record.start, max_plies=None, declaration="off")
            for move, sfen in zip(record.moves, shown["sfens"], strict=False):
                assert board.sfen() == sfen
                board.push_usi(move)
            assert shown["sfens"][-1] == board.sfen()
            for suffix in ("csa", "kif", "usi"):
                text = client.get(f"/api/runs/first/games/{number}.{suffix}")
                assert "attachment" in text.headers["content-disposition"]
                (again,) = kifu.loads(text.text, suffix)
                assert again.moves == read_log(root / "first/games.jsonl")[number].moves
        assert client.get("/api/runs/first/games/999").status_code == 404
        assert client.get("/api/runs/first/games/0.exe").status_code == 404


def test_filters_of_games(root: Path) -> None:
    records = read_games(root / "first/games.jsonl")
    with asking(root) as client:

        def count(**filters: str) -> int:
            return int(client.get("/api/runs/first/games", params=filters).json()["found"])

        for result, number in Counter(record.result for record in records).items():
            assert count(result=result) == number
        for reason, number in Counter(record.reason for record in records).items():
            assert count(reason=reason) == number
        assert count(player="greedy") == 12
        points = [record.score("greedy") for record in records]
        assert count(player="greedy", result="won") == points.count(1.0)
        assert count(player="greedy", result="lost") == points.count(0.0)
        assert count(player="nobody") == 0
        assert client.get("/api/runs/first/games?offset=-1").status_code == 400


def test_strength_is_that_of_the_games(root: Path) -> None:
    ratings = rate(read_games(root / "first/games.jsonl"), "random")
    with asking(root) as client:
        found = client.get("/api/runs/first/strength").json()
    assert found["anchor"] == "random"
    for shown, player in zip(found["players"], ratings.players, strict=True):
        assert shown["name"] == player.name
        assert shown["rating"] == (player.rating and list(player.rating))
        assert (shown["games"], shown["score"]) == (player.games, player.score)
    names = [player.name for player in ratings.players]
    for row, name in zip(found["cross"], names, strict=True):
        for cell, other in zip(row, names, strict=True):
            assert cell == (list(ratings.cross[name, other]) if (name, other) in ratings.cross else None)
    evaluations = sorted(lines_of(root / "first/evaluations.jsonl"), key=lambda line: line["steps"])
    assert found["curve"] == [{"steps": line["steps"], "rating": line["rating"]} for line in evaluations]


def test_the_live_game_is_the_file(root: Path) -> None:
    with asking(root) as client:
        news = first_news(client, "first")
    assert news["live"] == json.loads((root / "first/live.json").read_text())


def test_weights_are_never_sent(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret-of-the-environment")
    weights = (root / "first/final.safetensors").read_bytes()[-256:]
    run = "/api/runs/first"
    paths = ["/", "/api/about", "/api/runs", run, f"{run}/curves", f"{run}/games", f"{run}/games/0"]
    paths += [
        f"{run}/strength",
        "/api/players",
        "/api/drawing",
        f"{run}/final.safetensors",
        f"{run}/checkpoints",
    ]
    with asking(root) as client:
        for path in paths:
            answer = client.get(path).content
            assert weights not in answer and b"secret-of-the-environment" not in answer, path


def test_states(root: Path, small: Config, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "config.yaml").write_bytes((root / "first/config.yaml").read_bytes())
    with asking(tmp_path) as client:

        def state() -> str:
            return str(client.get("/api/runs/one").json()["summary"]["state"])

        assert state() == "died"
        with hold(folder / "lock", "busy"):
            assert state() == "running"
        (folder / "results.json").write_text('{"interrupted": true, "num_timesteps": 5}')
        assert state() == "stopped"
        (folder / "results.json").write_text('{"interrupted": false}')
        assert state() == "finished"
        (folder / "crash.json").write_text('{"type": "ValueError", "text": "no", "num_timesteps": 5}')
        assert state() == "failed"


def test_what_was_not_recorded_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/config.yaml").write_text("{}")
    with asking(tmp_path) as client:
        run = client.get("/api/runs").json()["runs"][0]
        for name in ("steps", "seconds", "done", "left", "speed", "evaluation", "doing"):
            assert run[name] is None, name
        assert client.get("/api/runs/one/curves").json() == {}
        assert client.get("/api/runs/one/games").json()["total"] == 0
        strength = client.get("/api/runs/one/strength").json()
        assert strength["players"] == [] and strength["curve"] == []


def test_a_run_that_is_cut_back_is_read_anew(root: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    for name in ("config.yaml", "games.jsonl"):
        (tmp_path / "one" / name).write_bytes((root / "first" / name).read_bytes())
    lines = (root / "first/games.jsonl").read_bytes().splitlines(keepends=True)
    with asking(tmp_path) as client:

        def total() -> int:
            return int(client.get("/api/runs/one/games").json()["total"])

        assert total() == len(lines)
        (tmp_path / "one/games.jsonl").write_bytes(b"".join(lines[:4]))
        assert total() == 4
        (tmp_path / "one/games.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:20])
        assert total() == 7  # a line that is being written is not there yet
