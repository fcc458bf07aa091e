"""Supervised learning: what is read, filtered and learned, and that training goes on from it."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch as th

from keisei_agent.commands import match, train
from keisei_agent.commands import pretrain as command
from keisei_agent.config import Config, parse_config
from keisei_agent.files.weights import WEIGHTS, load_weights
from keisei_agent.networks import build
from keisei_agent.players import load_player
from keisei_agent.pretrain.learn import Data, Pretrainer, Recipe
from keisei_agent.pretrain.records import Filter, RecordSource
from shogi_env import Board, Color, kifu
from shogi_env.kifu import End, Ending, Kifu
from shogi_env.kifu.packed import PackedFile, pack_hcpe
from shogi_env.notation.moves import to_packed

SMALL = [
    *(
        "--device",
        "cpu",
        "--precision",
        "float32",
        "--env.n-envs",
        "4",
        "--ppo.n-steps",
        "8",
        "--ppo.batch-size",
    ),
    *("16", "--network.channels", "8", "--network.blocks", "1", "--network.value-hidden", "8"),
]


def game(
    moves: str, winner: Color | None = Color.BLACK, ending: Ending = Ending.RESIGNATION, **headers: str
) -> Kifu:
    (found,) = kifu.loads(f"startpos moves {moves}")
    [found.root, *found.main_line()][-1].end = End(ending, winner)
    found.headers = {name.replace("_", " "): text for name, text in headers.items()}
    return found


def test_positions_of_records_are_those_of_the_game() -> None:
    moves = "7g7f 3c3d 8h2b+ 3a2b".split()
    source = RecordSource([game(" ".join(moves)), game("2g2f", Color.WHITE)], Filter())
    samples = source.read(np.arange(len(source)))
    assert len(source) == 5 and source.games == 2
    board = Board()
    by_key = {int(key): k for k, key in enumerate(samples.rows["key"]) if samples.plies[k] or k}
    for ply, text in enumerate(moves):
        move = next(move for move in board.legal_moves if str(move) == text)
        if ply:
            k = by_key[board.key]
            assert samples.actions[k] == board.action(move)
            assert samples.results[k] == (1 if board.turn == Color.BLACK else -1)
            assert (samples.legal[k] == board._legal[0]).all()
        board.push(move)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Filter(), 3),
        (Filter(min_plies=2), 2),
        (Filter(max_plies=1), 1),
        (Filter(min_rating=2000), 1),
        (Filter(endings=(Ending.CHECKMATE,)), 1),
    ],
)
def test_filters(wanted: Filter, taken: int) -> None:
    games = [
        game("7g7f 3c3d", black_rating="2100.5", white_rating="2000"),
        game("7g7f 3c3d 2g2f", ending=Ending.CHECKMATE, black_rating="2100"),
        game("7g7f", None, Ending.REPETITION),
        game("7g7f", None, Ending.INTERRUPTED),
        kifu.loads("startpos moves 7g7f")[0],
    ]
    source = RecordSource(games, wanted)
    assert (source.games, source.left_out) == (taken, 5 - taken)


def test_skipped_and_duplicate_positions() -> None:
    games = [game("7g7f 3c3d"), game("7g7f 3c3d"), game("7g7f 8c8d")]
    source = RecordSource(games, Filter())
    assert len(source) == 6
    data = Data([source], validation=0.0, seed=0)
    assert len(data.training) == 3 and len(data.validation) == 0
    assert len(Data([source], validation=0.0, seed=0, duplicates=True).training) == 6
    assert len(RecordSource(games, Filter(skip=1))) == 3


def test_the_moves_of_one_player() -> None:
    games = [
        game("7g7f 3c3d 2g2f", black="Habu", white="Sato"),
        game("7g7f 8c8d", Color.WHITE, black="Sato", white="Habu"),
        game("7g7f 8c8d", black="Sato", white="Kato"),
    ]
    source = RecordSource(games, Filter(player="Habu"))
    samples = source.read(np.arange(len(source)))
    assert (source.games, source.left_out) == (2, 1)
    assert samples.rows["turn"].tolist() == [0, 0, 1]
    assert samples.plies.tolist() == [0, 2, 1] and samples.results.tolist() == [1, 1, 1]
    assert len(RecordSource(games, Filter())) == 7


def test_it_learns_what_it_is_shown(small: Config) -> None:
    lines = ["7g7f 3c3d 2g2f 8c8d", "2g2f 8c8d 2f2e 8d8e", "5g5f 5c5d 2h5h 8b5b"]
    source = RecordSource(
        [game(line, Color.BLACK) for line in lines[1:]] + [game(lines[0], Color.WHITE)], Filter()
    )
    th.manual_seed(0)
    network = build(small.network, planes=136, dtype=th.float32)
    data = Data([source], validation=0.0, seed=0, duplicates=True)
    data.validation = data.training
    teacher = Pretrainer(network, data, Recipe(epochs=150, batch_size=12, learning_rate=0.01))
    before = teacher.measure()
    after = teacher.run()
    assert after.policy_loss < 0.5 < before.policy_loss and after.accuracy > 0.6
    assert after.value_error < 0.3 < before.value_error and after.positions == 12


def test_it_learns_what_a_mirror_shows(small: Config) -> None:
    source = RecordSource([game("7g7f 3c3d 2g2f 8c8d"), game("2g2f 8c8d 2f2e 8d8e")], Filter())
    losses = []
    for mirror in (False, True):
        th.manual_seed(0)
        network = build(small.network, planes=136, dtype=th.float32)
        data = Data([source], validation=0.0, seed=0)
        recipe = Recipe(epochs=200, batch_size=8, learning_rate=0.01, mirror=mirror)
        teacher = Pretrainer(network, data, recipe)
        teacher.run()
        # a random half of eight positions, some dozen times: all of them in both forms
        seen = [teacher._losses(data.read(data.training), mirrored=True)[0].item() for _ in range(16)]
        losses.append(float(np.mean(seen)))
    assert 3 * losses[1] < losses[0]


def test_a_loss_that_is_no_number_ends_it(small: Config) -> None:
    network = build(small.network, planes=136, dtype=th.float32)
    with th.no_grad():
        network.policy_head.bias.fill_(float("nan"))  # type: ignore[union-attr, operator]
    data = Data([RecordSource([game("7g7f 3c3d")], Filter())], validation=0.0, seed=0)
    with pytest.raises(FloatingPointError, match="the loss is nan after 0 positions"):
        Pretrainer(network, data, Recipe()).run()


def test_games_are_set_apart_whole() -> None:
    lines = [f"{first} {second}" for first in ("7g7f", "2g2f", "5g5f") for second in ("3c3d", "8c8d", "5c5d")]
    source = RecordSource([game(f"{line} 9g9f 9c9d") for line in lines] * 300, Filter(skip=1))
    data = Data([source], validation=0.1, seed=0, duplicates=True)
    every = np.sort(np.concatenate([data.training, data.validation]))
    assert every.tolist() == list(range(len(source))) and len(data.validation) == pytest.approx(810, abs=45)
    starts = np.flatnonzero(np.diff(np.sort(data.validation)) > 1)
    assert len(starts) < 21, "neighbours stay together"
    plies = np.bincount(source.read(data.validation).plies)[1:]
    assert np.ptp(plies) <= 21, "game by game, and so as many of each ply"


def test_positions_that_cannot_be_are_left_out(tmp_path: Path) -> None:
    boards = [Board(), Board()]
    boards[1].push_usi("7g7f")
    rows = np.concatenate([board.snapshot().rows for board in boards] * 3)
    moves = [to_packed(next(iter(board.legal_moves))) for board in boards] * 3
    data = pack_hcpe(rows, np.array(moves), np.zeros(6, np.int64), np.zeros(6, np.int64))
    data["move"][2] = data["position"][3, 0] = 0  # of the even game the third, of the other the second
    (tmp_path / "x.hcpe").write_bytes(data.tobytes())
    file = PackedFile(tmp_path / "x.hcpe")
    every = Data([file, file], validation=0.0, seed=0, duplicates=True)
    assert every.bad == 4 and sorted(every.training.tolist()) == [0, 1, 4, 5, 6, 7, 10, 11]
    once = Data([file, file], validation=0.0, seed=0)
    assert once.bad == 4 and sorted(once.training.tolist()) == [0, 1]
    assert sum(len(part.rows) for part in every.read(every.training)) == 8


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Games of greedy against itself."""
    monkeypatch.chdir(tmp_path)
    assert (
        match.main(["greedy", "g2=greedy", "--games", "6", "--out", "games.jsonl", "--max-plies", "60"]) == 0
    )
    return tmp_path / "games.jsonl"


def test_the_command_and_training_that_goes_on(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(records), "--run-name", "first", "--batch-size", "64", "--validation", "0.1", *SMALL]
    arguments += ["--save-every", "100", "--mirror"]
    assert command.main(arguments) == 0
    out = capsys.readouterr().out
    assert "Set apart: policy loss" in out and "keisei-train --init-from runs/first" in out
    folder = Path("runs", "first")
    assert (
        (folder / WEIGHTS).is_file()
        and (folder / "config.yaml").is_file()
        and (folder / "results.json").is_file()
    )
    load_player(folder)
    snapshots = sorted((folder / "snapshots").iterdir())
    assert [int(path.stem) for path in snapshots] == [128, 256][: len(snapshots)] and len(snapshots) == 2
    load_player(snapshots[0])
    given = ["-n", "32", "--eval-games", "0", "--init-from", str(folder), "--run-name", "second", *SMALL]
    assert train.main(given) == 0
    start = load_weights(Path("runs/second/checkpoints/000000000000") / WEIGHTS).tensors
    for name, weight in load_weights(folder / WEIGHTS).tensors.items():
        assert th.equal(start[name], weight), name


def test_other_shapes_are_refused(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(records), *SMALL]) == 0
    with pytest.raises(SystemExit):
        train.main(["--init-from", "runs/pretrained", *SMALL, "--network.channels", "16"])
    error = capsys.readouterr().err
    assert "init_from = 'runs/pretrained': its network has channels 8, not 16" in error
    with pytest.raises(SystemExit):
        train.main(["--init-from", "nowhere", *SMALL])
    assert "init_from: nowhere" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="there SIGTERM ends a process unheard")
def test_sigterm_ends_it_like_ctrl_c(
    records: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        "keisei_agent.pretrain.run.pretrain", lambda *_, **__: signal.raise_signal(signal.SIGTERM)
    )
    assert command.main([str(records), *SMALL]) == 130
    assert "Stopped; what --save-every kept is in the run's folder." in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["missing.csa"], "missing.csa"),
        (["{records}", "--endings", "victory"], "--endings: 'victory' is none of resignation"),
        (["{records}", "--validation", "2"], "--validation is 0..0.9, not 2.0"),
        (["{records}", "--min-plies", "9999"], "there is no position to learn from"),
        (["{records}", "--network.chanels", "8"], "did you mean --network.channels"),
    ],
)
def test_bad_arguments(
    records: Path, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main([text.format(records=records) for text in arguments])
    assert caught.value.code == 2 and reason in capsys.readouterr().err


def test_a_used_folder_is_refused(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(records), *SMALL]) == 0
    with pytest.raises(SystemExit):
        command.main([str(records), *SMALL])
    assert "already holds a run" in capsys.readouterr().err
    assert parse_config({}).init_from is None
