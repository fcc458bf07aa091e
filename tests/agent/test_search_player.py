"""Players that search: specs, draws, matches."""

from pathlib import Path

import numpy as np
import pytest
from talks import MATE, write_run

from keisei_agent.config import Config
from keisei_agent.players import MAKERS
from shogi_env import Move, Positions
from shogi_env.arena.openings import load_openings
from shogi_env.arena.players import make_player
from shogi_env.arena.schedules import head_to_head
from shogi_env.core.tree import DRAWN, LOST, OPEN, WON
from shogi_env.search.player import SearchPlayer, draw
from shogi_env.search.puct import Choice
from shogi_env.types import Float32Array, UInt8Array


@pytest.fixture
def run(tmp_path: Path, small: Config) -> Path:
    return write_run(tmp_path / "run", small)


def choice(action: int, visits: int, certain: int = OPEN) -> Choice:
    return Choice(Move.from_usi("7g7f"), action, visits, 0.0, 0.1, certain, 0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("search:", "write search:PATH"),
        ("search:{run};sims=0", "sims is 1..1,000,000"),
        ("search:{run};mate=-1", "mate 0..10,000,000"),
        ("search:{run};sims=x", "sims = 'x' is no int"),
        ("search:{run};temperature=1000", "temperature is 0, or 0.01..100"),
        ("search:{run};device=tpu", "device: auto, cpu, mps, cuda"),
        ("search:{run};depth=3", "has no setting 'depth'"),
        ("search:missing", "missing is not a readable checkpoint"),
    ],
)
def test_wrong_specs(run: Path, spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_player(spec.format(run=run), makers=MAKERS)


def test_settings_change_the_digest(run: Path) -> None:
    specs = ["", ";sims=32", ";sims=32;mate=0", ";sims=32;temperature=1"]
    digests = {make_player(f"search:{run}{spec}", makers=MAKERS).digest for spec in specs}
    assert len(digests) == 4


@pytest.mark.slow
def test_a_match_is_the_same_again(run: Path) -> None:
    def play() -> list[tuple[str, ...]]:
        with (
            make_player(f"search:{run};sims=16", makers=MAKERS) as ours,
            make_player("random") as other,
        ):
            games = head_to_head(
                ours, other, 4, openings=load_openings(seed=3), seed=3, max_plies=40, slots=2
            )
            return [game.moves for game in games]

    assert play() == play()


def test_mates_are_played(run: Path) -> None:
    games = Positions(1, sfens=MATE.removeprefix("sfen "))
    for spec in (";sims=1", ";sims=1;mate=0"):
        player = make_player(f"search:{run}{spec}", makers=MAKERS).choose
        assert player(games, games.everyone).tolist() == [games.action(0, Move.from_usi("G*5b"))]


def test_draws_follow_the_visits() -> None:
    choices = [choice(0, 60), choice(1, 40), choice(2, 0)]
    drawn = [draw(choices, 1.0, number).action for number in np.arange(0.005, 1, 0.01)]
    assert [drawn.count(action) for action in range(3)] == [60, 40, 0]
    assert {draw(choices, 0.05, number).action for number in np.arange(0.05, 0.95, 0.1)} == {0}


def test_a_certain_win_is_taken_and_a_certain_loss_left() -> None:
    assert draw([choice(0, 1, WON), choice(1, 99)], 100.0, 0.99).action == 0
    lost = [choice(1, 5), choice(0, 99, LOST)]
    assert {draw(lost, 100.0, number).action for number in (0.0, 0.5, 0.99)} == {1}
    assert draw([choice(0, 9, LOST)], 1.0, 0.5).action == 0
    assert draw([choice(0, 1, DRAWN), choice(1, 0, LOST)], 1.0, 0.9).action == 0


def test_a_temperature_draws_from_the_games_streams() -> None:
    def uniform(planes: UInt8Array) -> tuple[Float32Array, Float32Array]:
        return np.zeros((len(planes), 2187), np.float32), np.zeros(len(planes), np.float32)

    player = SearchPlayer(uniform, simulations=32, temperature=1.0, mate_nodes=0)
    games = Positions(40)
    games.seed(np.random.default_rng(1).integers(1, 2**64, 40, np.uint64))
    actions = player(games, games.everyone)
    assert len(set(actions.tolist())) > 3 and games.masks()[games.everyone, actions].all()
