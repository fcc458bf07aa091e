"""Positions in 32 bytes: as cshogi writes them, and never a crash on other bytes."""

import numpy as np
import pytest
from data_files import DATA

from shogi_env import Board, Move, RecordError
from shogi_env.core import packed
from shogi_env.core.state import STATE
from shogi_env.kifu.packed import HCPE, PSV, PackedFile, pack_hcpe
from shogi_env.notation.moves import to_packed

GOLDEN = np.load(DATA / "packed.npz")
SFENS = GOLDEN["sfens"].tolist()
pytestmark = pytest.mark.nojit


def unpack(data, code):
    n = len(data)
    rows, legal = np.zeros(n, STATE), np.zeros((n, 27, 2), np.uint64)
    problems = np.zeros(n, np.int8)
    packed.unpack_positions(data, packed.CODES.index(code), rows, legal, problems, 0, n)
    return rows, legal, problems


@pytest.mark.parametrize("code", packed.CODES)
def test_positions_are_those_of_their_sfen(code):
    rows, legal, problems = unpack(GOLDEN[code], code)
    assert (problems == packed.GOOD).all()
    for row, moves, sfen in zip(rows, legal, SFENS, strict=True):
        board = Board(sfen)
        expected = board._rows[0]
        for field in ("color", "kind", "key", "board", "hands", "king", "turn", "in_check"):
            assert (row[field] == expected[field]).all(), (field, sfen)
        assert (moves == board._legal[0]).all(), sfen


@pytest.mark.parametrize("code", packed.CODES)
def test_written_as_by_cshogi(code):
    rows, _, _ = unpack(GOLDEN[code], code)
    data = np.full((len(rows), 32), 255, np.uint8)
    packed.pack_positions(rows, packed.CODES.index(code), data, 0, len(rows))
    assert (data == GOLDEN[code]).all()


@pytest.mark.parametrize(("code", "dtype"), [("hcp", HCPE), ("psfen", PSV)])
def test_files(code, dtype, tmp_path):
    with_move = GOLDEN["usi"] != b""
    data = np.zeros(with_move.sum(), dtype)
    data["position"], data["score"] = GOLDEN[code][with_move], np.arange(len(data)) - 50
    data["move"] = GOLDEN["moves"][with_move, int(code == "psfen")]
    path = tmp_path / ("games.hcpe" if code == "hcp" else "games.bin")
    path.write_bytes(data.tobytes())
    file = PackedFile(path)
    samples = file.read(slice(None))
    assert len(file) == len(data) == len(samples.rows)
    boards = [Board(sfen) for sfen, good in zip(SFENS, with_move, strict=True) if good]
    moves = [Move.from_usi(usi.decode()) for usi in GOLDEN["usi"][with_move]]
    assert samples.actions.tolist() == [board.action(move) for board, move in zip(boards, moves, strict=True)]
    assert (samples.scores == data["score"]).all() and not samples.results.any()
    assert (file.read(np.array([3, 1])).actions == samples.actions[[3, 1]]).all()


def test_results_are_to_the_side_to_move(tmp_path):
    data = np.zeros(8, HCPE)
    data["position"] = GOLDEN["hcp"][:2].repeat(4, 0)
    data["move"] = GOLDEN["moves"][:2, 0].repeat(4)
    data["result"] = [0, 1, 2, 3] * 2
    (tmp_path / "x.hcpe").write_bytes(data.tobytes())
    samples = PackedFile(tmp_path / "x.hcpe").read(slice(None))
    expected = [0, 1, -1], [0, -1, 1]
    turns = [int(Board(sfen).turn) for sfen in SFENS[:2]]
    assert samples.kept.tolist() == [0, 1, 2, 4, 5, 6]
    assert samples.results.tolist() == expected[turns[0]] + expected[turns[1]]


def test_what_cannot_be_is_left_out(tmp_path):
    rng = np.random.default_rng(0)
    data = np.zeros(3000, HCPE)
    data["position"] = GOLDEN["hcp"][rng.integers(0, len(SFENS), 3000)]
    flips = rng.integers(0, 256, (3000, 2))
    for column in range(2):
        data["position"][np.arange(3000), flips[:, column] // 8] ^= (1 << flips[:, column] % 8).astype(
            np.uint8
        )
    (tmp_path / "x.hcpe").write_bytes(data.tobytes())
    samples = PackedFile(tmp_path / "x.hcpe").read(slice(None))
    rows, _, problems = unpack(np.ascontiguousarray(data["position"]), "hcp")
    assert len(samples.rows) == len(samples.kept) < 3000
    assert (samples.rows["key"] == rows["key"][samples.kept]).all()
    assert set(problems.tolist()) == set(range(6))
    for i in np.flatnonzero(problems == packed.GOOD)[:100]:
        assert (rows[i]["hands"] >= 0).all()
    noise = rng.integers(0, 256, (2000, 32)).astype(np.uint8)
    assert (unpack(noise, "psfen")[2] != packed.GOOD).all()


def test_files_that_are_none(tmp_path):
    (tmp_path / "x.hcpe").write_bytes(b"\0" * 39)
    with pytest.raises(RecordError, match="39 bytes are no whole number of hcpe positions"):
        PackedFile(tmp_path / "x.hcpe")
    (tmp_path / "x.dat").write_bytes(b"")
    with pytest.raises(RecordError, match="say which format"):
        PackedFile(tmp_path / "x.dat")
    assert len(PackedFile(tmp_path / "x.dat", "psv")) == 0


def test_packed_games_are_read_back(tmp_path):
    boards = [Board(sfen) for sfen in SFENS]
    boards = [board for board in boards if board.legal_moves]
    rows = np.concatenate([board.snapshot().rows for board in boards])
    moves = [next(iter(board.legal_moves)) for board in boards]
    winners = np.arange(len(boards)) % 3 - 1
    data = pack_hcpe(rows, np.array([*map(to_packed, moves)]), np.arange(len(boards)) * 9999, winners)
    (tmp_path / "x.hcpe").write_bytes(data.tobytes())
    found = PackedFile(tmp_path / "x.hcpe").read(slice(None))
    assert found.kept.tolist() == list(range(len(boards)))
    assert (found.rows["key"] == rows["key"]).all()
    assert found.actions.tolist() == [board.action(move) for board, move in zip(boards, moves, strict=True)]
    assert found.scores.tolist() == [min(k * 9999, 32_000) for k in range(len(boards))]
    mine = np.where(winners == rows["turn"], 1, -1)
    assert (found.results == np.where(winners < 0, 0, mine)).all()


def test_positions_without_kings_are_refused():
    rows = Board("4k4/9/9/9/9/9/9/9/9 b G 1").snapshot().rows
    with pytest.raises(ValueError, match="without both kings"):
        pack_hcpe(rows, np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64))
