import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keisei_agent.commands import rate

NET = "checkpoint:runs/{run}/checkpoints/{steps:012d};temperature=0"


def write_match(path: Path, first: tuple[str, str], second: tuple[str, str], results: str) -> None:
    """Append games of players (name, spec) to a log; results are the first player's: w, d, l or v."""
    players = [
        {"name": name, "spec": spec, "version": "1", "digest": "ab12" if ":" in spec else ""}
        for name, spec in (first, second)
    ]
    lines = []
    for number, letter in enumerate(results):
        pair, swapped = divmod(number, 2)
        sides = ("white", "black") if swapped else ("black", "white")
        game = {
            "id": f"{pair}.{swapped}",
            "event": f"{first[0]}-{second[0]}",
            "black": players[swapped],
            "white": players[1 - swapped],
            "start": "sfen",
            "moves": "7g7f 3c3d",
            "opening_plies": 0,
            "result": {"w": sides[0], "l": sides[1], "d": "draw", "v": "void"}[letter],
            "reason": "checkmate",
            "seed": number,
        }
        lines.append(json.dumps(game) + "\n")
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)


RANDOM, GREEDY = ("random", "random"), ("greedy", "greedy")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two checkpoints of a run, greedy and random; another that nobody else met, one that won all games."""
    path = tmp_path / "games.jsonl"
    early, late = ((f"net-{steps}", NET.format(run="a", steps=steps)) for steps in (10_000, 20_000))
    write_match(path, GREEDY, RANDOM, "wwlw" * 10 + "vv")
    write_match(path, early, RANDOM, "wwld" * 10)
    write_match(path, late, early, "wdlw" * 10)
    write_match(path, ("star", "star"), GREEDY, "w" * 20)
    write_match(path, ("x", "x"), ("y", "y"), "wl")
    return path


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert rate.main(arguments) == 0
    return capsys.readouterr().out


def refuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        rate.main(arguments)
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("keisei-rate: ") and text.count("\n") == 1
    return text


def test_table_and_cross_table(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Path(__file__).parent / "golden" / "ratings.txt"
    text = run([str(log), "--cross"], capsys)
    assert text == golden.read_text(encoding="utf-8")
    twice = run([str(log), str(log), "--cross"], capsys)
    assert twice.replace("144 records of games that were already read\n", "") == text


def test_another_anchor(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run([str(log), "--anchor", "greedy"], capsys).splitlines()
    row = next(line for line in lines if " greedy " in line)
    assert row.split() == ["2", "greedy", "0", "-", "60", "50.0", "%"]
    assert "Elo above greedy" in lines[-4]


def test_csv(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ratings.csv"
    assert f"CSV: {path}" in run([str(log), "--csv", str(path)], capsys)
    with path.open(encoding="utf-8", newline="") as file:
        rows = {row["player"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["star", "greedy", "net-20000", "net-10000", "random", "x", "y"]
    assert (rows["random"]["elo"], rows["random"]["void"]) == ("0.0", "2")
    assert (rows["star"]["high"], rows["x"]["elo"], rows["x"]["rank"], rows["x"]["score"]) == (
        "",
        "",
        "",
        "0.5000",
    )
    late = rows["net-20000"]
    assert (late["steps"], late["digest"], late["spec"]) == (
        "20000",
        "ab12",
        NET.format(run="a", steps=20_000),
    )
    assert float(late["low"]) < float(late["elo"]) < float(late["high"])


def test_plot(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "ratings.png"
    assert "not on the plot: x, y\n" in run([str(log), "--plot", str(path)], capsys)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_plot_against_time(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    arguments = [str(log), "--plot", "ratings.png", "--x", "time"]
    assert "no rated player is a checkpoint whose time is known" in refuse(arguments, capsys)
    folder = tmp_path / "runs" / "a" / "checkpoints"
    folder.mkdir(parents=True)
    for name, seconds in (("../about.json", 1000), ("000000010000", 8200)):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (seconds, seconds))
    assert "not on the plot: net-20000, x, y\n" in run(arguments, capsys)
    point = rate.point_of(NET.format(run="a", steps=10_000))
    assert point is not None and point.hours == 2


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        (NET.format(run="a", steps=512), ("runs/a temperature=0", 512)),
        ("checkpoint:/x/000000000007.safetensors", ("/x", 7)),
        ("checkpoint:r/checkpoints/000000000007/weights.safetensors", ("r", 7)),
        ("checkpoint:r/pool/000000000007.safetensors", ("r", 7)),
        ("checkpoint:runs/a", None),
        ("checkpoint:runs/a/best.safetensors", None),
        ("minimax:2", None),
        ("usi:000000000007", None),
    ],
)
def test_where_a_checkpoint_stands(spec: str, place: tuple[str, int] | None) -> None:
    point = rate.point_of(spec)
    assert (point and (point.run, point.steps)) == place


def test_bad_files_are_named(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write("nonsense\n")
    assert f"{log}:145: not a line of JSON" in refuse([str(log)], capsys)
    assert "no.jsonl" in refuse([str(tmp_path / "no.jsonl")], capsys)
    assert tmp_path.name in refuse([str(tmp_path)], capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: FILE"),
        (["LOG", "--anchor", "randm"], "no player is called 'randm'; there are: greedy, net-10000"),
        (["LOG", "--x", "time"], "--x is the axis of --plot"),
        (["LOG", "--x", "plies", "--plot", "p.png"], "invalid choice: 'plies'"),
        (["LOG", "--csv", "no/such/ratings.csv"], "ratings.csv"),
        (["LOG", "--color"], "unrecognized arguments: --color"),
    ],
)
def test_nonsense_is_refused(
    arguments: list[str], message: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refuse([str(log) if word == "LOG" else word for word in arguments], capsys)


def test_without_checkpoints_there_is_nothing_to_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    write_match(tmp_path / "log", GREEDY, RANDOM, "wl")
    message = refuse([str(tmp_path / "log"), "--plot", str(tmp_path / "p.png")], capsys)
    assert "nothing to plot" in message and not (tmp_path / "p.png").exists()


def test_it_works_without_the_extra(log: Path, tmp_path: Path) -> None:
    extra = "torch stable_baselines3 sb3_contrib tensorboard pydantic safetensors rich matplotlib".split()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    code = f"""
import sys
sys.modules.update(dict.fromkeys({extra!r}))
from keisei_agent.commands import rate
sys.exit(rate.main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(log)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("#  player")
    done = subprocess.run(
        [*done.args, "--plot", "p.png"], capture_output=True, text=True, env=environment, timeout=300
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert 'matplotlib missing, install the extra: pip install "keisei[agent]"' in done.stderr
