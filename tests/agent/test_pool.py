"""The pool of opponents: how often members are met, who joins and leaves, what becomes of the files."""

from pathlib import Path

import numpy as np
import pytest
import torch as th
from leagues import Workshop, a_league, a_network, a_pool, member_of, names, through_json

from keisei_agent.league.members import DECAY, Member, OpponentError, draw, shares
from keisei_agent.players import NetworkPlayer
from shogi_env import Positions, opponents


def test_shares_are_those_of_prioritised_fictitious_self_play() -> None:
    scores = np.array([0.9, 0.5, 0.0])
    assert shares(scores, 2.0) == pytest.approx(np.array([0.01, 0.25, 1.0]) / 1.26)
    assert shares(scores, 1.0) == pytest.approx(np.array([0.1, 0.5, 1.0]) / 1.6)
    assert shares(scores, 0.0) == pytest.approx([1 / 3] * 3)


def test_a_member_counts_as_even_at_first_and_old_results_fade() -> None:
    member = Member(0, "x", "")
    assert member.score == 0.5
    member.credit(1.0, 1)
    assert member.score == 2 / 3
    member.credit(0.5, 2)
    assert member.games == DECAY**2 + 2
    assert member.score == (DECAY**2 + 0.5 + 1) / (DECAY**2 + 2 + 2)


def test_a_member_that_never_wins_is_still_met() -> None:
    members = [Member(0, "easy", ""), Member(1, "hard", "")]
    for _ in range(10_000):
        members[0].credit(10.0, 10)
        members[1].credit(0.0, 10)
    scores = np.array([member.score for member in members])
    assert 0.005 < shares(scores, 1.0)[0] < 0.02
    for hardness in (0.0, 1.0, 10.0):
        assert shares(scores, hardness).min() > 0


def test_draws_keep_the_shares_and_spread_over_the_members() -> None:
    generator, expected = np.random.default_rng(0), np.array([0.7, 0.2, 0.1])
    draws = np.array([draw(expected, 2, generator) for _ in range(20_000)])
    found = np.bincount(draws.ravel()) / draws.size
    assert found == pytest.approx(expected, abs=0.01)
    times = np.array([(draws == member).sum(1) for member in range(3)])
    assert set(times[0]) == {1, 2}, "its share of two draws is 1.4"
    assert times[1:].max() == 1
    assert sorted(draw(np.full(4, 0.25), 4, generator)) == [0, 1, 2, 3]
    assert draw(np.ones(1), 3, generator).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("hardness", "expected"), [(1.0, 0.9 / 1.0), (0.0, 0.5)])
def test_hard_members_are_met_more_often(tmp_path: Path, hardness: float, expected: float) -> None:
    league = a_league(tmp_path, players=("random", "greedy"), size=0, hardness=hardness, opponents=1)
    member_of(league.pool, "random").credit(8.0, 8)  # (8 + 1) / (8 + 2)
    member_of(league.pool, "greedy").credit(0.0, 8)
    met = []
    for _ in range(1000):
        league.draw(0)
        league.begin(np.array([4, 5]))
        met += league.columns[[4, 5]].tolist()
    assert np.mean(met) == pytest.approx(expected, abs=0.04)  # random is number 0, greedy number 1


def test_so_many_members_are_drawn(tmp_path: Path) -> None:
    for count in (1, 3):
        league = a_league(tmp_path, players=("random", "greedy", "resigns"), size=0, opponents=count)
        league.draw(0)
        for _ in range(100):
            league.begin(np.array([5]))
        seen = set()
        for _ in range(100):
            league.begin(np.array([5]))
            seen.add(int(league.columns[5]))
        assert len(seen) == count
        assert league.columns[:5].tolist() == [-1] * 5


# Who joins and who leaves


def test_from_a_full_pool_the_snapshot_leaves_that_is_beaten_most_easily(tmp_path: Path) -> None:
    pool = a_pool(tmp_path, size=3, players=("random",))
    member_of(pool, "random").credit(50.0, 50)
    for steps in (0, 48, 96):
        pool.take(a_network(), steps)
    member_of(pool, "48").credit(9.0, 10)
    member_of(pool, "96").credit(1.0, 10)
    pool.take(a_network(), 144)
    assert names(pool) == ["random", "0", "96", "144"]
    pool.take(a_network(), 192)
    assert names(pool) == ["random", "96", "144", "192"], "of equally easy ones the oldest leaves"
    member_of(pool, "96").credit(0.0, 100)
    member_of(pool, "144").credit(0.0, 100)
    member_of(pool, "192").credit(0.0, 100)
    pool.take(a_network(), 240)
    assert "240" in names(pool), "also if it is the worst: its results are not known yet"


def test_no_snapshots_without_room_for_them(tmp_path: Path) -> None:
    pool = a_pool(tmp_path, size=0, players=("random",))
    pool.take(a_network(), 0)
    assert names(pool) == ["random"]
    assert not (tmp_path / "pool").exists()


def test_results_are_never_copied(tmp_path: Path) -> None:
    pool = a_pool(tmp_path, size=2)
    pool.take(a_network(), 0)
    member_of(pool, "0").credit(9.0, 10)
    pool.take(a_network(), 48)
    assert (member_of(pool, "48").points, member_of(pool, "48").games) == (0, 0)


def test_players_of_one_name_are_refused_and_closed(tmp_path: Path) -> None:
    workshop = Workshop()
    with pytest.raises(ValueError, match="two members of the pool are called 'random'"):
        a_pool(tmp_path, workshop, players=("greedy", "random", "random"))
    assert not +workshop.open


def test_players_are_closed(tmp_path: Path) -> None:
    workshop = Workshop()
    pool = a_pool(tmp_path, workshop, players=("greedy", "random"))
    assert workshop.open.total() == 2
    pool.close()
    assert not +workshop.open


def test_a_snapshot_plays_as_the_learner_did(tmp_path: Path) -> None:
    league, learner = a_league(tmp_path, size=2, temperature=0.5), a_network()
    before = th.get_rng_state()
    league.start(learner)
    assert th.equal(th.get_rng_state(), before), "loading draws none of the learner's random numbers"
    expected = NetworkPlayer(a_network(), temperature=0.5)
    with th.no_grad():
        for weight in learner.parameters():
            weight.zero_()
    games = [Positions(6), Positions(6)]
    for game in games:
        game.seed(np.arange(1, 7, dtype=np.uint64))
    league.begin(np.arange(6))
    idx = np.array([1, 4, 5])
    for _ in range(10):
        moves = league(games[0], idx)
        assert moves.tolist() == expected(games[1], idx).tolist()
        for game in games:
            game.apply(moves, idx)
    assert (games[0].rows["stream"] == games[1].rows["stream"]).all(), "draws are the games' own"


def test_a_temperature_near_zero_plays_the_most_probable_move(tmp_path: Path) -> None:
    league, network = a_league(tmp_path, size=1, temperature=0.01), a_network()
    with th.no_grad():
        network.policy_head.weight.mul_(100)
    league.start(network)
    league.begin(np.arange(6))
    games = Positions(6)
    best = NetworkPlayer(network, temperature=0)(games, np.arange(1))
    assert set(league(games, np.arange(6)).tolist()) == set(best.tolist())


# Games and members that come and go


def test_who_has_left_plays_its_games_to_the_end(tmp_path: Path) -> None:
    league = a_league(tmp_path, size=1, opponents=1)
    league.start(a_network(0))
    league.begin(np.array([4, 5]))
    league.pool.take(a_network(1), 48)
    league.draw(48)
    league.begin(np.array([5]))
    games = Positions(6)
    games.seed(np.full(6, 7, np.uint64))
    first, second = NetworkPlayer(a_network(0)), NetworkPlayer(a_network(1))
    moves = league(games, np.array([4, 5]))
    games.seed(np.full(6, 7, np.uint64))
    assert moves.tolist() == [*first(games, np.array([4])), *second(games, np.array([5]))]
    assert len(league.playing) == 2
    assert sorted(path.stem.lstrip("0") for path in (tmp_path / "pool").iterdir()) == ["", "48"]
    league.begin(np.array([4]))
    league.draw(96)
    assert [path.stem.lstrip("0") for path in (tmp_path / "pool").iterdir()] == ["48"]


def test_a_snapshots_file_stays_while_a_checkpoint_may_need_it(tmp_path: Path) -> None:
    league = a_league(tmp_path, size=1)
    file = tmp_path / "pool" / "000000000000.safetensors"
    checkpoints = tmp_path / "checkpoints"
    for steps in (0, 48):
        (checkpoints / f"{steps:012d}").mkdir(parents=True)
    league.start(a_network())
    league.pool.take(a_network(1), 48)
    league.draw(48)
    assert file.exists()
    (checkpoints / "000000000000").rmdir()
    league.draw(96)
    assert file.exists(), "the checkpoint at 48 may have been written before the snapshot left"
    (checkpoints / "000000000048").rename(checkpoints / "000000000096")
    state = league.state()
    league.draw(144)
    assert not file.exists()
    other = a_league(tmp_path, size=1)
    other.restore(through_json(state))
    other.draw(144)
    assert names(other.pool) == ["48"], "a member that is gone for good is not missed"


def test_only_members_that_are_met_are_in_memory(tmp_path: Path) -> None:
    league = a_league(tmp_path, size=5, opponents=1)
    league.start(a_network())
    for steps in (48, 96, 144, 192):
        league.pool.take(a_network(), steps)
        league.draw(steps)
        assert sum(member.choose is not None for member in league.pool.members) == 1


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_a_damaged_snapshot_is_named(tmp_path: Path, harm: str) -> None:
    league = a_league(tmp_path, size=2)
    league.start(a_network())
    league.pool.take(a_network(1), 48)
    state = through_json(league.state())
    for file in (tmp_path / "pool").iterdir():
        if harm == "missing":
            file.unlink()
        else:
            data = bytearray(file.read_bytes())
            data[-1] ^= 1
            file.write_bytes(data)
    with pytest.raises(OpponentError, match=r"snapshot 0{10}48 of the pool: .*0{10}48\.safetensors"):
        league.draw(48)
    with pytest.raises(OpponentError, match=r"snapshot 0{10}\d\d of the pool: .*\.safetensors"):
        a_league(tmp_path, size=2).restore(state)


def test_changed_players_join_and_leave(tmp_path: Path) -> None:
    first = a_league(tmp_path, players=("random;v1", "greedy", "resigns"), size=3)
    first.start(a_network())
    first.pool.take(a_network(1), 48)
    for name in ("random", "greedy", "resigns"):
        member_of(first.pool, name).credit(5.0, 10)
    resigns_number = member_of(first.pool, "resigns").number
    first.columns[:] = [-1, -1, -1, resigns_number, resigns_number, resigns_number]
    first._drawn[:] = resigns_number
    state = through_json(first.state())

    workshop = Workshop(new=opponents.random)
    second = a_league(tmp_path, workshop, players=("random;v1", "new"), size=1)
    second.restore(state)
    assert sorted(names(second.pool)) == ["48", "new", "random"], (
        "of two snapshots the easier, or older, left"
    )
    assert member_of(second.pool, "random").games == 10
    assert member_of(second.pool, "new").games == 0
    assert second(Positions(6), np.array([4])).tolist() == [opponents.RESIGN], (
        "its games are played to the end"
    )
    assert workshop.open == {"random": 1, "new": 1, "resigns": 1}
    second.columns[:] = -1
    second.draw(96)
    second.draw(144)
    assert +workshop.open == {"random": 1, "new": 1}


def test_a_player_that_is_another_one_now_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = a_league(tmp_path, players=("random",), size=0)
    first.draw(0)
    member_of(first.pool, "random").credit(5.0, 10)
    state = through_json(first.state())
    state["pool"]["members"][0]["digest"] = "what it was then"
    second = a_league(tmp_path, players=("random",), size=0)
    second.restore(state)
    assert member_of(second.pool, "random").games == 0
    assert "random is not the player it was; its results begin anew" in caplog.text


def test_a_pool_that_cannot_go_back_leaves_no_player_open(tmp_path: Path) -> None:
    first = a_league(tmp_path, players=("random", "resigns"), size=0, opponents=2)
    first.draw(0)
    workshop = Workshop()
    second = a_league(tmp_path, workshop, players=("random", "greedy"), size=0)
    workshop.known = {}  # who left and is still played against cannot be made again
    with pytest.raises(KeyError):
        second.restore(through_json(first.state()))
    assert not workshop.open["random"] and not workshop.open["greedy"]


def test_a_pool_that_would_be_empty_is_refused(tmp_path: Path) -> None:
    first = a_league(tmp_path, players=("random",), size=0)
    first.draw(0)
    with pytest.raises(ValueError, match="nobody would be left in the pool"):
        a_league(tmp_path, size=1).restore(through_json(first.state()))


def test_after_a_failed_draw_the_games_can_go_on_and_the_state_can_be_saved(tmp_path: Path) -> None:
    """The run ends after one more rollout then, and is saved."""
    league = a_league(tmp_path, size=2)
    league.start(a_network())
    league.pool.take(a_network(1), 48)
    file = tmp_path / "pool" / "000000000048.safetensors"
    data = file.read_bytes()
    file.write_bytes(b"x")
    with pytest.raises(OpponentError):
        league.draw(48)
    league.begin(np.arange(6))
    league(Positions(6), np.arange(6))
    state = through_json(league.state())
    file.write_bytes(data)
    again = a_league(tmp_path, size=2)
    again.restore(state)
    again.draw(96)
    again.begin(np.arange(6))
    again(Positions(6), np.arange(6))
