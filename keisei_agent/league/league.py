"""Who of the pool sits in which column, and plays there."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from keisei_agent.league.members import Member, OpponentError
from keisei_agent.league.pool import Pool
from shogi_env import Positions
from shogi_env.arena.digest import seed_of
from shogi_env.opponents import RESIGN
from shogi_env.types import Int64Array


class League:
    """The one opponent that sits in all columns of the pool.

    For each rollout some members are drawn.  A game that starts takes one of these draws, each as likely,
    and keeps its opponent to the end, so that a rollout meets further members in games that began before.
    Snapshots draw their moves from the games' own streams.

    Args:
        pool: the members.
        n_envs: columns N, those included where the learner plays both sides.
        seed: decides who is met.

    Attributes:
        pool: as given.
        columns: int64[N], the number of the member in each column; -1 before its first game.
    """

    def __init__(self, pool: Pool, *, n_envs: int, seed: int) -> None:
        self.pool = pool
        self.columns: Int64Array = np.full(n_envs, -1)
        self._drawn: Int64Array = np.empty(0, np.int64)
        self._generator = np.random.default_rng(seed_of("league", seed))

    @property
    def playing(self) -> set[int]:
        """Numbers of the members that games are against."""
        return set(self.columns.tolist()) - {-1}

    @property
    def needed(self) -> set[int]:
        """Numbers of the members that games are, or may be until the next draw, against."""
        return self.playing | set(self._drawn.tolist())

    def start(self, network: nn.Module) -> None:
        """Make a new run ready for its first games: the learner as it begins is the first snapshot."""
        self.pool.take(network, 0)
        self.draw(0)

    def draw(self, num_timesteps: int) -> None:
        """Draw whom the games that start from now on are against.

        Args:
            num_timesteps: decisions at this boundary.

        Raises:
            OpponentError: a snapshot cannot be read.
        """
        drawn = self.pool.draw(self._generator)
        self.pool.keep(self.playing | set(drawn.tolist()), num_timesteps)
        self._drawn = drawn

    def begin(self, idx: Int64Array) -> None:
        """Seat one of the drawn members in each of the columns int64[k], whose games start."""
        self.columns[idx] = self._drawn[self._generator.integers(len(self._drawn), size=len(idx))]

    def __call__(self, positions: Positions, idx: Int64Array) -> Int64Array:
        """The moves int64[k] in the games int64[k], those of each member in one batch.

        Raises:
            OpponentError: a member failed, or its move is illegal.
        """
        actions = np.empty(len(idx), np.int64)
        members = self.columns[idx]
        for number in np.unique(members).tolist():
            mine = np.flatnonzero(members == number)
            actions[mine] = _ask(self.pool[number], positions, idx[mine])
        return actions

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it: JSON and arrays."""
        return {
            "columns": self.columns.copy(),
            "drawn": self._drawn.copy(),
            "generator": self._generator.bit_generator.state,
            "pool": self.pool.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`, of as many columns.

        Raises:
            OpponentError: see `Pool.restore`.
            ValueError: the number of columns differs, or see `Pool.restore`.
        """
        if len(state["columns"]) != len(self.columns):
            raise ValueError(f"the league had {len(state['columns'])} columns, not {len(self.columns)}")
        self.columns[:] = state["columns"]
        self._drawn = state["drawn"].copy()
        self._generator.bit_generator.state = state["generator"]
        self.pool.restore(state["pool"], self.needed)


def _ask(member: Member, positions: Positions, idx: Int64Array) -> Int64Array:
    """A member's moves int64[k] in its games int64[k].

    Raises:
        OpponentError: it failed, or a move is illegal.
    """
    assert member.choose is not None, "a member in a column is loaded"
    try:
        answer = np.asarray(member.choose(positions, idx))
        if answer.shape != idx.shape or answer.dtype.kind not in "iu":
            raise ValueError(f"{answer.dtype}{list(answer.shape)} is no answer for {len(idx)} games")
        actions: Int64Array = answer.astype(np.int64, copy=False)
        played = actions != RESIGN
        positions.check(actions[played], idx[played])
    except (Exception, SystemExit) as error:
        raise OpponentError(f"{member.name} of the pool: {type(error).__name__}: {error}") from error
    return actions
