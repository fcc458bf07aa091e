"""Games as SB3 wants them: a game that ends starts anew in the same step.  Imports no learning library."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import gymnasium
import numpy as np
from gymnasium.utils import seeding

from shogi_env import render
from shogi_env.games import Games
from shogi_env.observations import Observer
from shogi_env.opponents import Opponent
from shogi_env.types import BoolArray, Float32Array, Int8Array, Int64Array, Snapshot, UInt8Array

State: TypeAlias = dict[str, Any]
"""What `SameStepGames.get_state` returns: {"games": (Snapshot, sides int8[N]), "started": bool}."""


class Ending(NamedTuple):
    """How a game ended."""

    game: int
    observation: UInt8Array
    """The last one, uint8[*space.shape]."""
    termination: int
    winner: int
    ply: int

    def as_info(self) -> dict[str, Any]:
        """The info dictionary of the step that ended the game."""
        return {
            "terminal_observation": self.observation,
            "TimeLimit.truncated": False,  # the ply limit is a draw by rule
            "termination": self.termination,
            "winner": self.winner,
            "ply": self.ply,
        }


class SameStepGames:
    """N games that start anew in the step that ends them, observed into arrays of the caller.

    Args:
        n: number of games.
        observation, layout: as in `ShogiEnv`.
        render_mode: "ansi", "rgb_array" or None.
        **arguments: of `Games`.

    Attributes:
        space: the observation space of one game.
        render_mode: as given.
    """

    def __init__(
        self,
        n: int,
        *,
        observation: str = "full",
        layout: str = "NCHW",
        render_mode: str | None = None,
        **arguments: Any,
    ) -> None:
        if render_mode not in (None, "ansi", "rgb_array"):
            raise ValueError(f'render_mode is "ansi", "rgb_array" or None, not {render_mode!r}')
        self.render_mode = render_mode
        self._observer = Observer(observation, layout)
        self.space = self._observer.space
        self._games = Games(n, **arguments)
        self._positions = self._games.positions
        self._everyone = np.arange(n)
        self._started = False

    @property
    def both_seats(self) -> BoolArray:
        """bool[N], in which games the learner plays both sides."""
        return self._games.both_seats

    def reset(self, seeds: Sequence[int | None], options: Sequence[dict[str, Any]]) -> None:
        """Start all games anew.

        Args:
            seeds: one for each game, as in `ShogiEnv.reset`; None lets its random stream go on.
            options: as in `ShogiEnv.reset`, one dictionary for each game.
        """
        for i, seed in enumerate(seeds):
            if seed is not None:
                stream = seeding.np_random(int(seed))[0].integers(1, 2**64, 1, np.uint64)
                self._positions.seed(stream, self._everyone[i : i + 1])
        if any(options):
            for i, given in enumerate(options):
                self._games.start(self._everyone[i : i + 1], given)
        else:
            self._games.start(self._everyone)
        self._started = True

    def step(self, actions: Int64Array) -> tuple[Float32Array, BoolArray, list[Ending]]:
        """Play one action in each game, and start anew those that end.

        Args:
            actions: int64[N].

        Returns:
            rewards float32[N] of the players who acted, dones bool[N], the ends of games.

        Raises:
            IllegalMoveError: with ``illegal_action="raise"``; nothing was played.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        rewards = self._games.step(actions, self._everyone).astype(np.float32)
        dones = self._positions.rows["termination"] != 0
        ended = np.flatnonzero(dones)
        if not len(ended):
            return rewards, dones, []
        endings = self._endings(ended)
        self._games.start(ended)
        return rewards, dones, endings

    def _endings(self, ended: Int64Array) -> list[Ending]:
        observations = np.empty((len(ended), *self.space.shape), np.uint8)
        self._observer.write(self._positions, observations, ended)
        rows = self._positions.rows
        columns = [ended, *(rows[name][ended] for name in ("termination", "winner", "ply"))]
        numbers = zip(*(column.tolist() for column in columns), strict=True)
        return [
            Ending(game, observation, *rest)
            for (game, *rest), observation in zip(numbers, observations, strict=True)
        ]

    def write(self, observations: UInt8Array, masks: Int8Array) -> None:
        """Overwrite uint8[N, *space.shape] and int8[N, 2187] with how the games stand."""
        self._observer.write(self._positions, observations)
        self._positions.masks(masks)

    def set_opponent(self, opponent: str | Opponent | None, games: Sequence[int]) -> None:
        """Seat another opponent in some games; it answers from the next step on."""
        self._games.seat([opponent] * len(games), np.asarray(games, np.int64))

    def sfen(self, i: int) -> str:
        """The position of game i."""
        return self._positions.sfen(i)

    def render(self, i: int) -> str | UInt8Array | None:
        """A picture of game i: str for "ansi", uint8[H, W, 3] for "rgb_array"."""
        if self.render_mode is None:
            return None
        draw = render.ansi if self.render_mode == "ansi" else render.rgb
        return draw(self._positions.diagram(i))

    def get_state(self) -> State:
        """All games as plain data, for `set_state`; the opponents are not part of it."""
        return {"games": self._games.snapshot(), "started": self._started}

    def set_state(self, state: State) -> None:
        """Go back to what `get_state` returned."""
        self._games.restore(state["games"])
        self._started = state["started"]


def join_states(states: Sequence[State]) -> State:
    """The state of all games from the states of slices, in order."""
    snapshots, sides = zip(*(state["games"] for state in states), strict=True)
    longest = max(snapshot.history.shape[1] for snapshot in snapshots)
    history = [np.pad(s.history, ((0, 0), (0, longest - s.history.shape[1]))) for s in snapshots]
    joined = Snapshot(
        np.concatenate([s.rows for s in snapshots]),
        np.concatenate(history),
        np.concatenate([s.legal for s in snapshots]),
    )
    return {"games": (joined, np.concatenate(sides)), "started": states[0]["started"]}


def slice_state(state: State, part: slice) -> State:
    """The state of some games."""
    snapshot, sides = state["games"]
    return {"games": (Snapshot(*(a[part] for a in snapshot)), sides[part]), "started": state["started"]}
