"""The league in its columns: who plays there, whose result a result is, and that all of it resumes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from fakes import Quiet
from leagues import ROLLOUT, Workshop, a_league, a_learner, a_network, learn, member_of
from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.callbacks.guard import Guard
from keisei_agent.files.weights import load_weights
from keisei_agent.league.league import League
from keisei_agent.league.members import DECAY, OpponentError
from keisei_agent.league.pool import Pool
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.learning.seats import seats
from keisei_agent.runs.state import State, capture, restore_callbacks, restore_generators, restore_model
from shogi_env import Positions, opponents
from shogi_env.types import Int64Array

MATED = "8k/9/7G1/9/9/9/9/9/4K4 w G 1"
"""White has one move, after which Black mates."""


class Seen:
    """Plays at random, and notes in which games it was asked."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, positions: Positions, idx: Int64Array) -> Int64Array:
        self.calls.append(idx.tolist())
        return positions.random_actions(idx)


def test_each_member_is_asked_once_for_all_its_games(tmp_path: Path) -> None:
    one, other = Seen(), Seen()
    league = a_league(tmp_path, Workshop(one=one, other=other), players=("one", "other"), size=0)
    league.draw(0)
    league.columns[:] = [-1, 0, 1, 0, 1, 1]
    games = Positions(6)
    games.apply(league(games, np.array([5, 1, 2, 3])), [5, 1, 2, 3])
    assert one.calls == [[1, 3]]
    assert other.calls == [[5, 2]]


@pytest.mark.parametrize(
    ("player", "reason"),
    [
        ("fails", "RuntimeError: no power"),
        ("cheats", "IllegalMoveError: action 0 in game 1: it is not legal"),
        ("few", r"ValueError: int64\[1\] is no answer for 2 games"),
        ("one", r"ValueError: int64\[\] is no answer for 2 games"),
        ("float", r"ValueError: float64\[2\] is no answer for 2 games"),
    ],
)
def test_a_member_that_fails_is_named(tmp_path: Path, player: str, reason: str) -> None:
    league = a_league(tmp_path, players=(player,), size=0)
    league.draw(0)
    league.begin(np.arange(6))
    with pytest.raises(OpponentError, match=f"{player} of the pool: {reason}"):
        league(Positions(6), np.array([1, 2]))


def test_a_network_of_nans_is_named(tmp_path: Path) -> None:
    network = a_network()
    with th.no_grad():
        next(network.parameters()).fill_(th.nan)
    league = a_league(tmp_path)
    league.start(network)
    league.begin(np.arange(6))
    with pytest.raises(OpponentError, match="000000000000 of the pool"):
        league(Positions(6), np.arange(6))


def test_a_member_may_resign_and_answer_in_other_integers(tmp_path: Path) -> None:
    league = a_league(tmp_path, players=("resigns", "int32"), size=0)
    league.columns[:] = [0, 0, 0, 1, 1, 1]
    moves = league(Positions(6), np.arange(6))
    assert moves.dtype == np.int64
    assert moves[:3].tolist() == [opponents.RESIGN] * 3
    assert (moves[3:] >= 0).all()


def weights_of(model: SelfPlayPPO) -> th.Tensor:
    return th.cat([weight.detach().flatten() for weight in model.policy.parameters()])


def test_results_go_to_whom_the_game_was_against(tmp_path: Path) -> None:
    """Who resigns at once loses; games against random are drawn after four plies."""
    sizes = Counter[float]()
    model, callback = a_learner(
        tmp_path, players=("resigns", "random"), size=0, env={"max_plies": 4}, hardness=0.0
    )
    rewards: list[float] = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            rewards.extend(self.locals["rewards"][3:][self.locals["dones"][3:]].tolist())
            return True

    callback.league.start(model.policy.network)
    model.learn(4 * ROLLOUT, callback=[callback, Watch()])
    sizes.update(rewards)
    assert set(sizes) == {0.0, 1.0}
    given_up, drawn = (member_of(callback.league.pool, name) for name in ("resigns", "random"))
    assert given_up.points == given_up.games > 0
    assert drawn.points == drawn.games / 2 > 0
    expected = [sum(DECAY**k for k in range(sizes[reward])) for reward in (1.0, 0.0)]
    assert given_up.games >= expected[0]  # the games of one rollout have not faded
    assert drawn.games >= expected[1]


def test_losses_count_and_self_play_does_not(tmp_path: Path) -> None:
    env = {"initial": MATED, "side": "white"}
    model, callback = learn(tmp_path, 1, players=("greedy",), size=0, env=env)
    greedy = member_of(callback.league.pool, "greedy")
    assert (greedy.points, greedy.games) == (0.0, 3 * 8), "each step ends the games of three columns"
    written = model.logger.output_formats[0].latest
    assert written["league/games"] == 24
    assert written["league/score"] == 0
    assert written["league/members"] == written["league/playing"] == 1
    assert written["league/greedy/score"] == written["league/hardest"] == written["league/easiest"] == 1 / 26


def test_playing_counts_whom_games_of_the_next_rollout_may_be_against(tmp_path: Path) -> None:
    """Games that never end go on against whom they began with; drawn is somebody else, sooner or later."""
    counted: list[int] = []

    class Count(Quiet):
        def _on_rollout_start(self) -> None:
            counted.append(self.model.logger.name_to_value["league/playing"])
            expected.append(len(callback.league.playing | set(callback.league._drawn.tolist())))

    expected: list[int] = []
    settings = {"players": ("random", "greedy"), "size": 0, "opponents": 1}
    model, callback = a_learner(tmp_path, **settings)
    callback.league.start(model.policy.network)
    model.learn(12 * ROLLOUT, callback=[callback, Count()])
    assert counted == expected
    assert {1, 2} >= set(counted) > {1}


def test_the_learner_has_either_color_in_the_columns_of_the_pool(tmp_path: Path) -> None:
    model, _ = learn(tmp_path, 2, players=("random",), size=0, env={"max_plies": 3})
    turns = set()
    for _ in range(30):
        obs, *_ = model.env.step(model.env.action_masks().argmax(1))
        turns |= set(obs[3:, 119, 0, 0].tolist())  # the plane that tells who is to move
    assert turns == {0, 1}


def test_columns_of_the_pool_are_discounted_without_a_change_of_sign(tmp_path: Path) -> None:
    model, _ = a_learner(tmp_path, players=("random",), size=0)
    assert model.rollout_buffer.gamma.tolist() == [-1, -1, -1, 1, 1, 1]


def test_snapshots_are_due_once_for_each_multiple(tmp_path: Path) -> None:
    learn(tmp_path, 7, snapshot_every=100)
    found = sorted(int(path.stem) for path in (tmp_path / "pool").iterdir())
    assert found == [0, 144, 240]  # rollouts of 48 decisions; none starts at 336


def test_a_snapshot_that_failed_stays_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Pool, network: object, num_timesteps: int) -> None:
        raise OSError("no space left")

    _, callback = learn(tmp_path, 1)
    callback.model.num_timesteps = ROLLOUT
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(Pool, "take", full)
        callback.on_rollout_start()
    saved = callback.state()
    callback.restore(saved)
    callback.on_rollout_start()
    assert (tmp_path / "pool" / f"{ROLLOUT:012d}.safetensors").exists()


def test_a_snapshot_that_was_taken_in_learning_holds_the_weights_of_its_moment(tmp_path: Path) -> None:
    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            seen[self.model.num_timesteps] = {
                name: weight.clone() for name, weight in self.model.policy.network.state_dict().items()
            }

    seen: dict[int, dict[str, th.Tensor]] = {}
    model, callback = a_learner(tmp_path)
    callback.league.start(model.policy.network)
    model.learn(3 * ROLLOUT, callback=[callback, Watch()])
    for steps in (0, 48, 96):
        weights = load_weights(tmp_path / "pool" / f"{steps:012d}.safetensors")
        assert weights.num_timesteps == steps
        assert all(th.equal(weights.tensors[name], seen[steps][name]) for name in seen[steps])


def test_a_failing_member_ends_learning(tmp_path: Path) -> None:
    model, callback = a_learner(tmp_path, players=("fails",), size=0)
    callback.league.start(model.policy.network)
    with pytest.raises(OpponentError, match="fails of the pool: RuntimeError: no power"):
        model.learn(ROLLOUT, callback=Guard([callback]))


def test_a_resumed_league_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    settings = {"players": ("random", "greedy"), "size": 2, "opponents": 2, "env": {"max_plies": 30}}

    class Save(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            if self.model.num_timesteps == 3 * ROLLOUT:
                weights = self.model.policy.network.state_dict()
                saved.append(
                    (capture(self.model, [callback]), {name: w.clone() for name, w in weights.items()})
                )

    saved: list[Any] = []
    model, callback = a_learner(tmp_path / "run", **settings)
    callback.league.start(model.policy.network)
    (tmp_path / "run" / "checkpoints" / f"{3 * ROLLOUT:012d}").mkdir(parents=True)
    model.learn(6 * ROLLOUT, callback=[callback, Save()])

    state, weights = saved[0]
    state = State(state.optimizer, state.arrays, json.loads(json.dumps(state.values)))
    again, its_callback = a_learner(tmp_path / "run", **settings)
    restore_model(again, weights, state)
    restore_callbacks([its_callback], state)
    restore_generators(state)
    again.learn(6 * ROLLOUT - again.num_timesteps, callback=its_callback, reset_num_timesteps=False)
    assert th.equal(weights_of(model), weights_of(again))
    ended, ended_again = (one.league.state() for one in (callback, its_callback))
    assert json.dumps(ended, default=np.ndarray.tolist) == json.dumps(ended_again, default=np.ndarray.tolist)
    assert len(callback.league.playing) > 1


def test_a_boundary_that_is_met_twice_draws_once(tmp_path: Path) -> None:
    _, callback = learn(tmp_path, 2)
    callback.on_rollout_start()
    state = callback.league.state()
    callback.on_rollout_start()
    assert json.dumps(state, default=np.ndarray.tolist) == json.dumps(
        callback.league.state(), default=np.ndarray.tolist
    )


def test_a_league_of_other_columns_is_refused(tmp_path: Path) -> None:
    league = a_league(tmp_path, players=("random",), size=0)
    league.draw(0)
    with pytest.raises(ValueError, match="the league had 6 columns, not 4"):
        League(league.pool, n_envs=4, seed=0).restore(league.state())


# Seats


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.1, 1), (0.24, 2), (0.5, 4), (0.94, 8), (1.0, 8)])
def test_the_pool_has_the_last_columns(share: float, count: int) -> None:
    sitting = seats(8, share, opponents.random)
    assert sitting == [None] * (8 - count) + [opponents.random] * count


def test_a_share_of_no_column_is_refused() -> None:
    with pytest.raises(ValueError, match=r"league\.share = 0\.05 of env\.n_envs = 8 games is none"):
        seats(8, 0.05, opponents.random)
