"""The match runner."""

import sys
from pathlib import Path

import numpy as np
import pytest

from shogi_env import Board, Positions, opponents
from shogi_env.arena.archive import Archive
from shogi_env.arena.match import Pairing, play
from shogi_env.arena.openings import Opening, load_openings
from shogi_env.arena.players import Player, make_player
from shogi_env.arena.records import GameRecord
from shogi_env.arena.schedules import head_to_head
from shogi_env.arena.statistics import tally
from shogi_env.opponents import Opponent
from shogi_env.types import Color, Int64Array, Termination

RANDOM, GREEDY = make_player("random"), make_player("greedy")


def player(choose: Opponent, name: str = "test") -> Player:
    return Player(name, name, "", "", choose)


def first_legal(positions: Positions, idx: Int64Array) -> Int64Array:
    return positions.masks(where=idx).argmax(1)


def pairings(black: Player, white: Player, games: int, **changes: object) -> list[Pairing]:
    values = {"opening": Opening(), "event": "test"} | changes
    return [Pairing(f"{k}.0", black, white, seed=k + 1, **values) for k in range(games)]  # type: ignore[arg-type]


def replay(record: GameRecord) -> Board:
    """The board after a game; every move must be legal, and none may come after the end."""
    board = Board(record.start, max_plies=512)
    for move in record.moves:
        assert board.outcome() is None
        board.push_usi(move)
    return board


def test_records_replay_to_their_result() -> None:
    openings = load_openings(seed=4)
    games = list(head_to_head(GREEDY, RANDOM, 40, openings=openings, slots=7))
    assert sorted(game.id for game in games) == sorted(f"{k}.{c}" for k in range(20) for c in (0, 1))
    for game in games:
        outcome = replay(game).outcome()
        assert outcome is not None
        assert outcome.termination.name.lower() == game.reason
        assert (outcome.winner.name.lower() if outcome.winner is not None else "draw") == game.result
        opening = openings[int(game.pair)]
        assert game.opening == (opening.start, opening.moves)
        assert (game.black.name, game.white.name) == (
            ("greedy", "random") if game.id.endswith(".0") else ("random", "greedy")
        )
    assert (tally(games, "greedy").score or 0) > 0.8


@pytest.mark.parametrize("slots", [1, 3, 64])
def test_a_game_does_not_depend_on_those_beside_it(slots: int) -> None:
    expected = {game.id: game for game in play(pairings(GREEDY, RANDOM, 12))}
    assert {game.id: game for game in play(pairings(GREEDY, RANDOM, 12), slots=slots)} == expected


def test_the_same_match_is_the_same_file(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with Archive(tmp_path / name) as archive:
            openings = load_openings("random:4", 1)
            list(head_to_head(GREEDY, RANDOM, 20, openings=openings, seed=3, slots=8, archive=archive))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_players_are_asked_once_per_round() -> None:
    asked: list[int] = []

    def counting(positions: Positions, idx: Int64Array) -> Int64Array:
        asked.append(len(idx))
        return positions.random_actions(idx)

    list(play(pairings(player(counting), RANDOM, 16), max_plies=40, slots=16))
    assert asked[:10] == [16] * 10
    assert sum(asked) <= 16 * 20


def test_a_handicap_and_a_ply_limit() -> None:
    sfen = "lnsgkgsnl/7b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"
    (game,) = play(pairings(RANDOM, RANDOM, 1, opening=Opening(sfen, ("3c3d",))), max_plies=5)
    assert (game.start, game.result, game.reason, len(game.moves)) == (sfen, "draw", "max_plies", 5)
    assert (game.moves[0], game.opening_plies) == ("3c3d", 1)


@pytest.mark.parametrize(
    ("opening", "said"),
    [
        (Opening(moves=("7g7e",)), "not legal"),
        (Opening("4k4/9/4P4/9/9/9/9/9/4K4 b G 1", ("G*5b",)), "the opening ends the game"),
        (Opening("nonsense"), "neither an SFEN"),
    ],
)
def test_a_wrong_opening_is_refused(opening: Opening, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(play(pairings(RANDOM, RANDOM, 1, opening=opening)))


def resigner(positions: Positions, idx: Int64Array) -> Int64Array:
    return np.where(positions.plies[idx] >= 6, opponents.RESIGN, first_legal(positions, idx))


def test_resigning_loses() -> None:
    games = list(play(pairings(player(resigner), RANDOM, 3) + pairings(RANDOM, player(resigner), 3)))
    assert {(game.black.name, game.result, game.reason, len(game.moves)) for game in games} == {
        ("test", "white", "resignation", 6),
        ("random", "black", "resignation", 7),
    }


def test_games_that_have_ended_cannot_be_resigned() -> None:
    positions = Positions(3, max_plies=1)
    positions.apply(positions.random_actions([0]), [0])
    positions.resign([0, 2])
    terminations, winners = positions.outcomes()
    assert terminations.tolist() == [Termination.MAX_PLIES, Termination.RUNNING, Termination.RESIGNATION]
    assert winners.tolist() == [-1, -1, Color.WHITE]


def test_an_illegal_action_loses() -> None:
    for action in (0, 2186, 5000, -7):
        wrong = player(lambda positions, idx, action=action: np.full(len(idx), action))
        (game,) = play(pairings(wrong, RANDOM, 1))
        assert (game.result, game.reason, game.moves) == ("white", "illegal_move", ())


class Fragile:
    """Fails in games of which a number is unlucky, wherever they are played."""

    def __call__(self, positions: Positions, idx: Int64Array) -> Int64Array:
        actions = positions.random_actions(idx)
        for i in idx.tolist():
            if positions.plies[i] == 4 and int(positions.rows["key"][i]) % 3 == 0:
                raise OSError(f"no answer\nin game {positions.sfen(i)[:5]}")
        return actions


def test_only_the_games_that_a_player_fails_in_are_void() -> None:
    fragile = player(Fragile(), "fragile")
    games = {game.id: game for game in play(pairings(fragile, RANDOM, 30), slots=10)}
    void = {id: game for id, game in games.items() if game.result == "void"}
    assert 3 <= len(void) <= 20
    for game in void.values():
        assert game.reason.startswith("fragile: OSError: no answer")
        assert len(game.moves) == 4
        assert game.score("fragile") is None
    # the others are what they are without failures
    whole = {game.id: game for game in play(pairings(player(opponents.random, "fragile"), RANDOM, 30))}
    assert all(game == whole[id] for id, game in games.items() if id not in void)


def test_a_player_that_ends_the_program_fails_in_its_game_only() -> None:
    (game,) = play(pairings(player(lambda positions, idx: sys.exit(0)), RANDOM, 1))
    assert (game.result, game.reason) == ("void", "test: SystemExit: 0")


@pytest.mark.parametrize("answer", [None, "7g7f", [0.5], [[1]], [1, 2], {}])
def test_what_is_no_array_of_actions_is_a_failure(answer: object) -> None:
    (game,) = play(pairings(player(lambda positions, idx: answer), RANDOM, 1))  # type: ignore[arg-type, return-value]
    assert game.result == "void"
    assert game.reason.startswith("test: TypeError: a player returns 1 integers, not ")
