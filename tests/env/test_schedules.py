"""Schedules, and going on from a log."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shogi_env import Positions, opponents
from shogi_env.arena.archive import Archive
from shogi_env.arena.openings import load_openings
from shogi_env.arena.players import Player, make_player
from shogi_env.arena.records import read_games, to_line
from shogi_env.arena.schedules import gauntlet, head_to_head, ladder, read_benchmark, round_robin, sequential
from shogi_env.arena.statistics import Sprt, tally
from shogi_env.opponents import Opponent
from shogi_env.types import Int64Array

RANDOM, GREEDY = make_player("random"), make_player("greedy")


def player(choose: Opponent, name: str = "test") -> Player:
    return Player(name, name, "", "", choose)


def first_legal(positions: Positions, idx: Int64Array) -> Int64Array:
    return positions.masks(where=idx).argmax(1)


def test_a_plays_a_in_balance() -> None:
    games = list(head_to_head(RANDOM, RANDOM, 60, openings=load_openings(seed=1), max_plies=80))
    assert len({game.moves for game in games}) == 60
    assert Counter(game.id[-1] for game in games) == {"0": 30, "1": 30}
    assert set(Counter(game.opening for game in games).values()) == {2}
    assert tally(games, "random").games == 60


def test_a_match_goes_on_where_it_ended(tmp_path: Path) -> None:
    conditions = {"openings": load_openings(seed=1), "max_plies": 60, "slots": 4}
    expected = sorted(map(to_line, head_to_head(GREEDY, RANDOM, 20, **conditions)))  # type: ignore[arg-type]
    path = tmp_path / "games.jsonl"
    with Archive(path) as archive:
        games = head_to_head(GREEDY, RANDOM, 20, archive=archive, **conditions)  # type: ignore[arg-type]
        before = [next(games) for _ in range(7)]
    with path.open("a", encoding="utf-8") as file:
        file.write('{"torn')
    with Archive(path) as archive:
        games = head_to_head(GREEDY, RANDOM, 20, archive=archive, **conditions)  # type: ignore[arg-type]
        after = list(games)
    assert sorted(map(to_line, after)) == expected
    assert sorted(map(to_line, read_games(path))) == expected
    assert {game.id for game in after[:7]} == {game.id for game in before}
    with Archive(path) as archive:  # more games, and another match in the same file
        longer = list(head_to_head(GREEDY, RANDOM, 24, archive=archive, **conditions))  # type: ignore[arg-type]
        other = list(head_to_head(GREEDY, RANDOM, 4, archive=archive, seed=9, **conditions))  # type: ignore[arg-type]
    assert len(longer) == 24
    assert len(other) == 4
    assert len(read_games(path)) == 28
    assert len({(game.event, game.id) for game in read_games(path)}) == 28


def test_void_games_are_not_played_again(tmp_path: Path) -> None:
    def broken(positions: Positions, idx: Int64Array) -> Int64Array:
        raise OSError("gone")

    for _ in range(2):
        with Archive(tmp_path / "games.jsonl") as archive:
            games = list(head_to_head(player(broken), RANDOM, 4, openings=load_openings(), archive=archive))
    assert [game.result for game in games] == ["void"] * 4
    assert len(read_games(tmp_path / "games.jsonl")) == 4


def test_round_robin_and_gauntlet_share_games(tmp_path: Path) -> None:
    third = player(first_legal, "first")
    conditions = {"openings": load_openings(), "max_plies": 30}
    with Archive(tmp_path / "games.jsonl") as archive:
        games = list(round_robin([RANDOM, GREEDY, third], 4, archive=archive, **conditions))  # type: ignore[arg-type]
        again = list(gauntlet(RANDOM, [GREEDY, third], 4, archive=archive, **conditions))  # type: ignore[arg-type]
    assert Counter(frozenset((game.black.name, game.white.name)) for game in games) == {
        frozenset(pair): 4 for pair in (("random", "greedy"), ("random", "first"), ("greedy", "first"))
    }
    assert {(game.event, game.id) for game in again} <= {(game.event, game.id) for game in games}
    assert len(read_games(tmp_path / "games.jsonl")) == 12


def test_a_ladder_is_climbed_until_beaten() -> None:
    def loser(positions: Positions, idx: Int64Array) -> Int64Array:
        return np.full(len(idx), opponents.RESIGN)

    reached = []

    def rungs() -> Iterator[Player]:
        for rung in (player(loser, "loser"), RANDOM, GREEDY, player(first_legal, "never reached")):
            reached.append(rung.name)
            yield rung

    games = list(ladder(make_player("climber=random"), rungs(), 20, openings=load_openings()))
    assert reached[0] == "loser"
    assert reached[-1] in ("random", "greedy")
    assert len(games) == 20 * len(reached)
    with pytest.raises(ValueError, match="two players are called 'random'"):
        list(ladder(RANDOM, [make_player("random")], 2, openings=load_openings()))


def test_sprt_counts_pairs_in_order_and_stops(tmp_path: Path) -> None:
    test = Sprt(0, 200)
    conditions = {"openings": load_openings(), "slots": 32}
    path = tmp_path / "games.jsonl"
    with Archive(path) as archive:
        games = list(sequential(GREEDY, RANDOM, 400, test, archive=archive, **conditions))  # type: ignore[arg-type]
    assert len(games) < 100
    assert test.verdict(tally(games, "greedy")).accepted == "H1"
    assert test.verdict(tally(games[:-1], "greedy")).accepted is None
    assert [game.id for game in games] == [f"{k // 2}.{k % 2}" for k in range(len(games))]
    assert read_games(path) == games
    with Archive(path) as archive:
        again = list(sequential(GREEDY, RANDOM, 400, test, archive=archive, **conditions))  # type: ignore[arg-type]
    assert again == games == read_games(path)


def test_ctrl_c_keeps_what_a_sequential_match_has_finished(tmp_path: Path) -> None:
    calls = 0

    def interrupted(positions: Positions, idx: Int64Array) -> Int64Array:
        nonlocal calls
        calls += 1
        if calls == 60:
            raise KeyboardInterrupt
        # the first game goes on, the others are given up at once
        return np.where(idx == 0, positions.random_actions(idx), opponents.RESIGN)

    path = tmp_path / "games.jsonl"
    with Archive(path) as archive, pytest.raises(KeyboardInterrupt):
        list(
            sequential(
                player(interrupted), RANDOM, 40, Sprt(0, 10), openings=load_openings(), archive=archive
            )
        )
    assert len(read_games(path)) > 30


@pytest.mark.parametrize("games", [0, 1, 7, -2])
def test_odd_numbers_of_games_are_refused(games: int) -> None:
    with pytest.raises(ValueError, match="even number"):
        head_to_head(RANDOM, GREEDY, games, openings=load_openings())


def test_two_players_of_one_name_are_refused() -> None:
    for schedule in (
        lambda: head_to_head(RANDOM, make_player("random=greedy"), 2, openings=load_openings()),
        lambda: gauntlet(RANDOM, [GREEDY, GREEDY], 2, openings=load_openings()),
        lambda: round_robin([RANDOM, GREEDY, RANDOM], 2, openings=load_openings()),
    ):
        with pytest.raises(ValueError, match="two players are called"):
            schedule()


def test_the_same_two_games_again_and_again_are_refused() -> None:
    machine = replace(player(first_legal), deterministic=True)
    start = load_openings("start")
    with pytest.raises(ValueError, match="the same two games again"):
        head_to_head(machine, machine, 4, openings=start)
    first, second = head_to_head(machine, machine, 2, openings=start, max_plies=40)
    assert first.moves == second.moves
    games = list(head_to_head(machine, machine, 8, openings=load_openings(), max_plies=40))
    assert len({game.moves for game in games}) == 4


def test_a_benchmark_file(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.toml"
    path.write_text(
        '[[opponent]]\nplayer = "random"\nscore = 1\n[[opponent]]\nplayer = "greedy"\nscore = 0.25\n',
        encoding="utf-8",
    )
    assert read_benchmark(path) == [("random", 1.0), ("greedy", 0.25)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "opponent = 3",
        "[[opponent]]\nplayer = 'random'\n",
        "[[opponent]]\nplayer = 'random'\nscore = 2\n",
        "[[opponent]]\nplayer = 'random'\nscore = true\n",
        "[[opponent]]\nplayer = 'random'\nscore = 0.5\nmore = 1\n",
        "games = 3\n[[opponent]]\nplayer = 'random'\nscore = 0.5\n",
    ],
)
def test_a_wrong_benchmark_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "benchmark.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"benchmark\.toml"):
        read_benchmark(path)
