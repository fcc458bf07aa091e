import numpy as np
import pytest
from written import METRICS, ROLLOUT, learn

from keisei_agent.callbacks.mates import MatesCallback
from keisei_agent.mates import LENGTHS, Mate, MateTest, find_mates, load_mates
from shogi_env import Board, Positions, Termination
from shogi_env.opponents import greedy, minimax

GOLD_AT_HEAD = "4k4/9/4P4/9/9/9/9/9/4K4 b G 1"
"""Gold to the king's head, or beside it."""


def prove(board: Board, plies: int) -> bool:
    """Whether the side to move mates in so many plies: written out, slow, on one board."""
    for move in list(board.legal_moves):
        board.push(move)
        outcome = board.outcome()
        mated = outcome is not None and outcome.termination is Termination.CHECKMATE
        if not mated and outcome is None and plies > 1:
            mated = all_lose(board, plies - 1)
        board.pop()
        if mated:
            return True
    return False


def all_lose(board: Board, plies: int) -> bool:
    for answer in list(board.legal_moves):
        board.push(answer)
        lost = board.outcome() is None and prove(board, plies - 1)
        board.pop()
        if not lost:
            return False
    return True


def mating(sfen: str, plies: int) -> list[str]:
    """Every first move of a mate, by the slow proof."""
    board, found = Board(sfen), []
    for move in list(board.legal_moves):
        board.push(move)
        outcome = board.outcome()
        mated = outcome is not None and outcome.termination is Termination.CHECKMATE
        if mated or (outcome is None and plies > 1 and all_lose(board, plies - 1)):
            found.append(str(move))
        board.pop()
    return found


def test_a_gold_at_the_kings_head() -> None:
    assert find_mates(GOLD_AT_HEAD, 1) == ["G*5b"]
    assert find_mates("4k4/9/9/9/9/9/9/9/4K4 b G 1", 3) == []
    with pytest.raises(ValueError, match="1 or 3 plies, not 5"):
        find_mates(GOLD_AT_HEAD, 5)


def test_a_mate_that_a_free_square_or_a_capture_spoils() -> None:
    assert find_mates("3k5/9/4P4/9/9/9/9/9/4K4 b G 1", 1) == []
    assert find_mates("4k4/3r5/4P4/9/9/9/9/9/4K4 b G 1", 1) == []


@pytest.mark.parametrize("plies", LENGTHS)
def test_some_of_the_set_by_a_slow_proof(plies: int) -> None:
    mates = sorted(load_mates(plies), key=lambda mate: len(Board(mate.sfen).legal_moves))
    assert len(mates) == 300
    for mate in mates[:1] if plies == 3 else mates[::30]:
        assert mating(mate.sfen, plies) == list(mate.moves)
        assert plies == 1 or not prove(Board(mate.sfen), 1)


@pytest.mark.slow
@pytest.mark.parametrize("plies", LENGTHS)
def test_the_set_is_what_is_found_anew(plies: int) -> None:
    mates = load_mates(plies)
    assert len({mate.sfen for mate in mates}) == len(mates)
    for mate in mates[:: 5 if plies == 3 else 1]:
        assert find_mates(mate.sfen, plies) == list(mate.moves)
        assert plies == 1 or find_mates(mate.sfen, 1) == []


@pytest.mark.parametrize("plies", LENGTHS)
def test_a_search_that_goes_deep_enough_finds_all(plies: int) -> None:
    assert MateTest(load_mates(plies)).share_found(minimax(plies)) == 1


def test_shares() -> None:
    test = MateTest(load_mates(1))
    assert test.share_found(greedy) == 1
    assert test.share_found(lambda positions, idx: positions.masks(where=idx).argmax(1)) < 0.5
    single = MateTest([Mate(1, GOLD_AT_HEAD, ("G*5b",))])
    assert len(single) == 1
    assert single.by_chance == 1 / len(Board(GOLD_AT_HEAD).legal_moves)


@pytest.mark.parametrize("plies", LENGTHS)
def test_chance_is_what_random_moves_find_and_what_the_page_says(plies: int) -> None:
    test = MateTest(load_mates(plies))
    rng = np.random.default_rng(0)

    def choose(positions: Positions, idx: np.ndarray) -> np.ndarray:
        masks = positions.masks(where=idx)
        return (rng.random(masks.shape) * masks).argmax(1)

    found = np.mean([test.share_found(choose) for _ in range(40)])
    assert found == pytest.approx(test.by_chance, abs=0.01)
    (row,) = (line for line in METRICS.read_text("utf-8").splitlines() if f"`mates/in_{plies}`" in line)
    assert f" {100 * test.by_chance:.1f} % |" in row


def test_due_once_per_multiple_and_the_same_for_the_same_weights() -> None:
    written = learn([MatesCallback(50)], 4 * ROLLOUT)
    for plies in LENGTHS:
        shares = written.series(f"mates/in_{plies}")
        assert list(shares) == [2 * ROLLOUT, 4 * ROLLOUT]  # 50 is crossed at 64, 100 at 128
        assert all(0 <= share <= 1 for share in shares.values())
    assert not learn([MatesCallback(None)], 2 * ROLLOUT).series("mates/in_1")


def test_counting_leaves_training_as_it_is() -> None:
    plain = learn([], 2 * ROLLOUT).series("train/loss")
    assert learn([MatesCallback(ROLLOUT)], 2 * ROLLOUT).series("train/loss") == plain
