"""Where games start: shares of the even game, of random plies and of a file's positions."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from keisei_agent.config import StartConfig
from keisei_agent.learning.starts import EVEN, Starts, build_starts, play_random_plies, read_positions
from shogi_env import Board
from shogi_env.adapters.sb3 import make_vec_env

ENDING = "8k/9/9/9/9/9/9/9/K8 b 2G 1"
OVER = "4k4/4G4/4P4/9/9/9/9/9/4K4 w - 1"
"""White is mated."""


def written(folder: Path, *lines: str) -> str:
    path = folder / "starts.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_the_shares_are_kept(tmp_path: Path) -> None:
    file = written(tmp_path, "# two of them", ENDING, "", "2-piece  # a handicap")
    config = StartConfig(random_share=0.625, random_plies=4, file_share=0.2, file=file)
    starts, generator = build_starts(config), np.random.default_rng(0)
    assert starts is not None
    drawn = [starts(generator) for _ in range(2000)]
    counts = Counter(drawn)
    assert counts[EVEN] == pytest.approx(600, abs=60)
    assert counts[ENDING] == pytest.approx(200, abs=40)
    assert counts["2-piece"] == pytest.approx(200, abs=40)
    plies = Counter(int(start.split()[-1]) - 1 for start in drawn if start not in (EVEN, ENDING, "2-piece"))
    assert set(plies) == {1, 2, 3, 4}
    assert min(plies.values()) == pytest.approx(250, abs=60)


def test_without_shares_there_is_nothing_to_draw() -> None:
    assert build_starts(StartConfig(random_share=0.0)) is None


def test_the_generator_decides_everything() -> None:
    starts = Starts(0.5, 30, 0.0, ())
    first, second, other = (
        [starts(np.random.default_rng(seed + k)) for k in range(20)] for seed in (0, 0, 9)
    )
    assert first == second != other


def test_random_plies_lead_to_running_games() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        board = Board(play_random_plies(150, generator))
        assert board.outcome() is None
        assert board.sfen().split()[-1] == "151"


def test_they_travel_to_worker_processes(tmp_path: Path) -> None:
    config = StartConfig(random_share=0.5, random_plies=9, file_share=0.5, file=written(tmp_path, ENDING))
    starts = build_starts(config)
    Path(str(config.file)).unlink()
    copy = pickle.loads(pickle.dumps(starts))
    assert copy == starts is not None
    assert copy(np.random.default_rng(1)) == starts(np.random.default_rng(1))


def test_games_start_there(tmp_path: Path) -> None:
    starts = build_starts(StartConfig(file_share=1.0, file=written(tmp_path, ENDING, "rook")))
    env = make_vec_env(8, seed=0, opponent=None, initial=starts)
    env.reset()
    sfens = set(env.env_method("sfen"))
    assert len(sfens) == 2
    assert ENDING in sfens


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["even", "4k4/9/9"], r"starts\.txt:2: .*"),
        (["two-piece"], r"starts\.txt:1: .*two-piece.* is neither an SFEN nor a handicap"),
        (["", OVER], r"starts\.txt:2: the game is over there"),
        (["# nothing"], r"starts\.txt: holds no position"),
    ],
)
def test_a_wrong_file_is_refused_by_line(tmp_path: Path, lines: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_positions(Path(written(tmp_path, *lines)))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.txt"):
        build_starts(StartConfig(file_share=0.1, file=str(tmp_path / "none.txt")))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.txt"):
        read_positions(tmp_path / "binary.txt")
