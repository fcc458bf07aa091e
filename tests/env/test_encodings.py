"""Actions are dlshogi's labels and the first 119 planes dlshogi's features, bit for bit."""

import random

import numpy as np
import pytest
from data_files import DATA, PLAIN_PYTHON, START, few, flip_sfen, flip_usi

from shogi_env import Board, Move

CHUNK = 50
DLSHOGI_PLANES = 119


def load():
    """Rows (sfen, {usi: label}, features bool[119, 9, 9])."""
    file = np.load(DATA / "encodings.npz")
    features = np.unpackbits(file["features"], axis=1, count=DLSHOGI_PLANES * 81).astype(bool)
    ends = np.cumsum(file["counts"])
    for k, sfen in enumerate(file["sfens"]):
        part = slice(ends[k] - file["counts"][k], ends[k])
        moves, actions = file["moves"][part].astype(str), file["labels"][part]
        labels = dict(zip(moves.tolist(), actions.tolist(), strict=True))
        yield str(sfen), labels, features[k].reshape(DLSHOGI_PLANES, 9, 9)


ROWS = list(load())
CHUNKS = [ROWS[k : k + CHUNK] for k in range(0, len(ROWS), CHUNK)]


@pytest.mark.nojit
@pytest.mark.parametrize("rows", CHUNKS[:1] if PLAIN_PYTHON else CHUNKS, ids=lambda rows: rows[0][0])
def test_labels(rows):
    for sfen, labels, _ in rows:
        board = Board(sfen)
        found = {str(move): board.action(move) for move in board.legal_moves}
        assert found == labels, sfen
        assert {str(board.move(action)): action for action in labels.values()} == labels, sfen
        assert sorted(labels.values()) == np.flatnonzero(board.action_masks()).tolist(), sfen
        turned = Board(flip_sfen(sfen))
        found = {str(move): turned.action(move) for move in turned.legal_moves}
        assert found == {flip_usi(usi): label for usi, label in labels.items()}, f"turned from {sfen}"


@pytest.mark.nojit
@pytest.mark.parametrize("rows", CHUNKS[:1] if PLAIN_PYTHON else CHUNKS, ids=lambda rows: rows[0][0])
def test_planes(rows):
    for sfen, _, features in rows:
        planes = Board(sfen).planes()
        assert planes.shape == (136, 9, 9) and planes.dtype == np.uint8 and planes.max() <= 1
        wrong = np.flatnonzero((planes[:DLSHOGI_PLANES] != features).any((1, 2)))
        assert not len(wrong), f"{sfen}: planes {wrong}"
        turned = Board(flip_sfen(sfen)).planes()
        assert (turned[:DLSHOGI_PLANES] == features).all(), f"turned from {sfen}"


@pytest.mark.nojit
@pytest.mark.parametrize(
    ("sfen", "usi", "action"),
    [
        (START, "7g7f", 59),  # plane 0 (up), file 7 rank f: 9 * 6 + 5
        (START, "1i1h", 7),
        (START, "2h7h", 3 * 81 + 61),  # plane 3: to the left
        (START.replace(" b ", " w "), "3c3d", 59),  # the same action for White
        ("4k4/9/9/9/9/9/9/9/4K4 b P 1", "P*5e", 20 * 81 + 40),
        ("4k4/9/9/9/9/9/9/9/4K4 b G 1", "G*9i", 26 * 81 + 80),
        ("4k4/9/9/8N/9/9/9/9/4K4 b - 1", "1d2b+", None),
        ("4k4/9/8P/9/9/9/9/9/4K4 b - 1", "1c1b+", 10 * 81 + 1),
    ],
)
def test_pinned_actions(sfen, usi, action):
    """Checkpoints depend on these numbers."""
    board = Board(sfen)
    move = Move.from_usi(usi)
    if action is not None:
        assert board.action(move) == action
    assert board.move(board.action(move)) == move


@pytest.mark.nojit
@pytest.mark.parametrize("seed", range(4))
def test_planes_of_a_game(seed):
    """Planes 119.. follow the game; a legal drop's cell is empty in the planes."""
    rng = random.Random(seed)
    board = Board()
    seen = {}
    checks = [0, 0]
    for ply in range(few(400)):
        if board.outcome():
            break
        sfen, planes = board.sfen(), board.planes()
        mover = int(board.turn)
        position = sfen.rsplit(" ", 1)[0]
        before = seen.get(position, 0)
        seen[position] = before + 1
        left = 512 - ply
        flags = [mover == 1, before >= 1, before >= 2]
        flags += [left <= threshold for threshold in (256, 128, 64, 32, 16, 8, 4, 2)]
        flags += [checks[mover] >= n for n in (1, 3, 5)] + [checks[1 - mover] >= n for n in (1, 3, 5)]
        for plane, flag in enumerate(flags, start=DLSHOGI_PLANES):
            assert (planes[plane] == flag).all(), f"{sfen}: plane {plane} is not all {int(flag)}"
        occupied = planes[:14].sum(0) + planes[31:45].sum(0)
        drops = [action % 81 for action in np.flatnonzero(board.action_masks()) if action >= 20 * 81]
        assert not occupied.reshape(81)[drops].any(), f"{sfen}: a drop on an occupied cell"
        board.push(rng.choice(list(board.legal_moves)))
        checks[mover] = checks[mover] + 1 if board.is_check() else 0
