import random
from pathlib import Path

import numpy as np
import pytest
import torch as th
from talks import CAN_DECLARE, MATE, MATED, Talk, write_run

import shogi_env
from keisei_agent.config import Config
from keisei_agent.players import load_player
from keisei_agent.usi.thinking import Game, centipawns


@pytest.fixture
def run(tmp_path: Path, small: Config) -> Path:
    """A run folder with two checkpoints of networks that prefer something."""
    return write_run(tmp_path / "run", small)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_networks_probabilities(run: Path, temperature: float) -> None:
    thinker, board = Talk(run).thinker, shogi_env.Board()
    actions = list(board.legal_moves.by_action)
    logits = thinker.evaluate(board.planes()[None])[0][0, actions].astype(np.float64)
    expected = th.softmax(th.as_tensor(logits) / temperature, 0).numpy()
    draws = [thinker.choose(logits, temperature) for _ in range(10_000)]
    found = np.bincount(draws, minlength=len(actions)) / len(draws)
    assert (abs(found - expected) < 5 * np.sqrt(expected / len(draws)) + 1e-3).all()


def test_it_plays_as_the_player_of_its_checkpoint(run: Path) -> None:
    talk, player = Talk(run), load_player(run, temperature=0)
    positions, moves = shogi_env.Positions(1), ""
    positions.seed(np.array([7], np.uint64))
    compared = 0
    for _ in range(100):
        answer = talk(f"position startpos moves{moves}", "go")
        expected = {positions.action(0, move): str(move) for move in positions.moves(0)}
        if "mate" not in answer[0]:
            assert answer[-1] == f"bestmove {expected[int(player(positions, positions.everyone)[0])]}"
            compared += 1
        action = positions.random_actions()
        moves += f" {expected[int(action[0])]}"
        positions.apply(action)
        if positions.outcomes()[0][0]:
            break
    assert compared > 50


def test_score_is_the_value_heads(run: Path) -> None:
    talk = Talk(run)
    board = shogi_env.Board()
    value = float(talk.thinker.evaluate(board.planes()[None])[1][0])
    assert abs(value) > 0.01
    info = talk("position startpos", "go")[0]
    expected = round(600 * np.log((1 + value) / (1 - value)))
    assert f" score cp {expected} " in info


def test_centipawns_are_odd_rising_and_bounded() -> None:
    chances = np.linspace(0, 1, 101)
    scores = [centipawns(float(chance)) for chance in chances]
    assert scores == sorted(scores)
    assert scores == [-score for score in reversed(scores)]
    assert scores[0], scores[-1] == (-30_000, 30_000)
    assert centipawns(1 - 1e-30) == 30_000 and centipawns(1e-300) == -30_000


def test_it_sees_a_mate_in_one(run: Path) -> None:
    talk = Talk(run, Temperature=1000)
    board = shogi_env.Board(MATE.removeprefix("sfen "))
    for _ in range(5):
        info, best = talk(f"position {MATE}", "go")
        assert " score mate 1 pv " in info
        trial = board.copy()
        trial.push_usi(best.removeprefix("bestmove "))
        outcome = trial.outcome()
        assert outcome is not None and outcome.termination == shogi_env.Termination.CHECKMATE


@pytest.mark.parametrize(
    ("position", "verdict"),
    [
        (MATE, "G*5b"),
        ("startpos", "nomate"),
        ("startpos moves 7g7f 3c3d", "nomate"),  # 8h3c+ is a check
        (MATED, "nomate"),
        ("sfen 4k4/9/9/9/9/9/9/9/4K4 b 2B2N 1", "timeout"),
    ],
)
def test_go_mate(run: Path, position: str, verdict: str) -> None:
    talk = Talk(run)
    assert talk(f"position {position}", "go mate 300") == [f"checkmate {verdict}"]


def test_it_declares_and_resigns_by_rule(run: Path) -> None:
    talk = Talk(run, Temperature=100)
    assert talk(f"position {CAN_DECLARE}", "go byoyomi 10") == ["bestmove win"]
    assert talk(f"position {MATED}", "go byoyomi 10") == ["bestmove resign"]
    assert talk(f"position {MATED}", "go infinite") == []
    assert talk("stop") == ["bestmove resign"]


def test_a_game_is_followed_by_the_shortest_way() -> None:
    rng, game = random.Random(1), Game()
    board, moves = shogi_env.Board(), []
    while board.ply < 600 and len(board.legal_moves):
        moves.append(str(rng.choice(list(board.legal_moves))))
        board.push_usi(moves[-1])
        if rng.random() < 0.1:  # moves are taken back
            for _ in range(rng.randrange(min(5, board.ply))):
                board.pop()
                moves.pop()
        if rng.random() < 0.3:
            game.set_up(f"startpos moves {' '.join(moves)}")
            assert (game.board.sfen(), game.board.ply) == (board.sfen(), board.ply)
            assert game.board.repetitions() == board.repetitions()
            assert (game.board.planes() == board.planes()).all()
    start = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"
    game.set_up(f"sfen {start} moves 3c3d 7g7f")
    assert game.board.ply == 2 and game.board.turn.name == "WHITE"
    game.set_up("startpos")
    assert game.board.ply == 0 and game.board.turn.name == "BLACK"


def test_a_game_longer_than_the_ply_limit_goes_on(run: Path) -> None:
    there_and_back = "2h3h 8b7b 3h2h 7b8b".split()
    moves = " ".join((there_and_back * 130)[:514])
    assert Talk(run).best(f"position startpos moves {moves}", "go") != "resign"
