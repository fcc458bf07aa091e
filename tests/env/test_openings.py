"""Openings: the bundled set, files, random ones, and that none comes twice."""

from pathlib import Path

import pytest

from shogi_env import Board
from shogi_env.arena.openings import BUNDLED, Opening, load_openings


def place(opening: Opening) -> str:
    board = Board(opening.start)
    for move in opening.moves:
        board.push_usi(move)
    assert board.outcome() is None
    return board.sfen().rpartition(" ")[0]


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_openings_can_be_played_and_differ(name: str) -> None:
    openings = load_openings(name)
    entries = [openings[k] for k in range(openings.size)]
    assert openings.size >= 400
    assert len({place(opening) for opening in entries}) == openings.size
    assert all(4 <= len(opening.moves) <= 10 for opening in entries)


def test_after_the_last_one_they_get_longer_and_still_differ(tmp_path: Path) -> None:
    path = tmp_path / "openings.txt"
    path.write_text("startpos\nstartpos moves 7g7f  # the usual\n", encoding="utf-8")
    openings = load_openings(str(path), seed=5)
    entries = [openings[k] for k in range(40)]
    assert [len(opening.moves) - 2 * (k // 2) in (0, 1) for k, opening in enumerate(entries)] == [True] * 40
    assert len({place(opening) for opening in entries}) == 40


def test_a_set_is_shuffled_by_the_seed_and_prefixes_agree() -> None:
    first, second, other = load_openings(seed=1), load_openings(seed=1), load_openings(seed=2)
    last = first[30]
    assert [first[k] for k in range(31)] == [second[k] for k in range(31)]
    assert first[30] == last
    assert [first[k] for k in range(31)] != [other[k] for k in range(31)]


def test_random_openings_differ_and_grow_where_nothing_is_new() -> None:
    openings = load_openings("random:1", seed=3)
    entries = [openings[k] for k in range(60)]
    assert len({place(opening) for opening in entries}) == 60  # there are only 30 first moves
    assert {len(opening.moves) for opening in entries} == {1, 3}
    assert {len(load_openings("random:6")[k].moves) for k in range(9)} == {6}


def test_start_is_always_the_start() -> None:
    assert {load_openings("start", 7)[k] for k in range(3)} == {Opening()}


SFEN = "4k4/9/4P4/9/9/9/9/9/4K4 b G 1"


def test_a_file_may_name_positions(tmp_path: Path) -> None:
    path = tmp_path / "openings.txt"
    path.write_text(f"# two of them\n\nsfen {SFEN} moves G*4b\n{SFEN}\n", encoding="utf-8")
    openings = load_openings(str(path))
    assert {openings[0], openings[1]} == {Opening(SFEN, ("G*4b",)), Opening(SFEN)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("startpos\nstartpos moves 7g7e\n", "openings.txt:2: 7g7e is not legal"),
        ("startpos moves nonsense\n", "openings.txt:1: USI"),
        ("nonsense\n", "openings.txt:1: 'nonsense' is not an SFEN"),
        ("rook\n", "openings.txt:1: 'rook' is not an SFEN"),
        (f"sfen {SFEN} moves G*5b\n", "openings.txt:1: the game is over there"),
        ("startpos moves 2g2f 3c3d 7g7f\nstartpos moves 7g7f 3c3d 2g2f\n", ":2: the same position as line 1"),
        ("# nothing\n", "holds no opening"),
    ],
)
def test_a_wrong_file_is_refused_by_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "openings.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        load_openings(str(path))


@pytest.mark.parametrize("name", ["balance", "random:", "random:0", "random:x", "random:101", "", "/"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="openings"):
        load_openings(name)
