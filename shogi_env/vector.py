"""`ShogiVectorEnv`: a batch of games as one native Gymnasium vector environment."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from shogi_env import render
from shogi_env.core.constants import DEFAULT_MAX_PLIES, NUM_ACTIONS
from shogi_env.games import Games, Initial
from shogi_env.observations import Observer
from shogi_env.opponents import Opponent
from shogi_env.positions import Positions
from shogi_env.types import BoolArray, Float64Array, Int8Array, Int64Array, UInt8Array


class ShogiVectorEnv(gymnasium.vector.VectorEnv[UInt8Array, Int64Array, NDArray[Any]]):
    """N games at once; each behaves, step for step, like a `ShogiEnv` seeded with ``seed + i``.

    Args:
        num_envs: number of games N.
        opponent: as in `ShogiEnv`, for all games; so are side, max_plies, initial, random_plies,
            declaration, observation, layout and illegal_action.
        seats: one opponent (or None for both seats) for each game, instead of `opponent`.
        render_mode: "ansi" or "rgb_array", one frame a game.
        autoreset_mode: "NextStep": the step after a game's end ignores that game's action, starts
            it anew and rewards 0; "SameStep": a game starts anew in the step that ends it, and
            ``infos["final_obs"]`` and ``infos["final_info"]`` hold its end.
        copy: whether each call returns arrays of its own. With False two sets of arrays are used in
            turn: what a call returned is overwritten by the second call after it.
        threads: how many threads share the work.

    Raises:
        SfenError: a start is not a position.
        ValueError: an argument is none of these.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        opponent: str | Opponent | None = "random",
        seats: Sequence[str | Opponent | None] | None = None,
        side: str = "random",
        max_plies: int = DEFAULT_MAX_PLIES,
        initial: Initial = None,
        random_plies: int = 0,
        declaration: str = "auto",
        observation: str = "full",
        layout: str = "NCHW",
        illegal_action: str = "lose",
        render_mode: str | None = None,
        autoreset_mode: str = "NextStep",
        copy: bool = True,
        threads: int = 1,
    ) -> None:
        if render_mode not in (None, "ansi", "rgb_array"):
            raise ValueError(f'render_mode is "ansi", "rgb_array" or None, not {render_mode!r}')
        mode = _autoreset_mode(autoreset_mode)
        self.metadata = {
            "render_modes": ["ansi", "rgb_array"],
            "render_fps": 4,
            "autoreset_mode": mode,
        }
        self.autoreset_mode = mode  # Gymnasium's own vector environments have it, too, and TorchRL reads it
        self._same_step = mode == AutoresetMode.SAME_STEP
        self.render_mode = render_mode
        self.num_envs = num_envs
        self._observer = Observer(observation, layout)
        self.single_observation_space = self._observer.space
        self.single_action_space = spaces.Discrete(NUM_ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._games = Games(
            num_envs,
            opponent=opponent,
            seats=seats,
            side=side,
            max_plies=max_plies,
            initial=initial,
            random_plies=random_plies,
            declaration=declaration,
            illegal_action=illegal_action,
            threads=threads,
        )
        self._everyone = np.arange(num_envs)
        self._started = False
        self._buffers = None if copy else [self._new_arrays(), self._new_arrays()]
        self._observations, self._masks = self._new_arrays()
        self._masks[:] = 1

    @property
    def positions(self) -> Positions:
        """The games themselves, to read: `positions.random_actions()`, `positions.sfen(i)`, ..."""
        return self._games.positions

    @property
    def both_seats(self) -> BoolArray:
        """bool[N], in which games the learner plays both sides."""
        return self._games.both_seats

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[UInt8Array, dict[str, Any]]:
        """Start all games. Game i takes the seed ``seed + i``, or ``seed[i]``.

        Args:
            seed: restarts the random streams; without it they go on.
            options: as in `ShogiEnv.reset`, for all games; "reset_mask", bool[N], starts only those.

        Returns:
            observations uint8[N, ...] and infos, as `step` returns them.

        Raises:
            ShogiError: a position, a text or a move in the options is wrong.
            ValueError: the side is wrong, or a game is decided where it starts.
        """
        super().reset(seed=seed if seed is None or isinstance(seed, int) else int(seed[0]))
        if seed is not None:
            seeds = range(seed, seed + self.num_envs) if isinstance(seed, int) else seed
            streams = [seeding.np_random(int(s))[0].integers(1, 2**64, 1, np.uint64)[0] for s in seeds]
            self.positions.seed(np.array(streams, np.uint64))
        elif not self._started:
            self.positions.seed(self.np_random.integers(1, 2**64, self.num_envs, np.uint64))
        idx = self._everyone
        if self._started and options and options.get("reset_mask") is not None:
            idx = np.flatnonzero(options["reset_mask"])
        self._games.start(idx, options)
        self._started = True
        self._write(*self._next_arrays())
        return self._observations, self._infos()

    def step(
        self, actions: Int64Array
    ) -> tuple[UInt8Array, Float64Array, BoolArray, BoolArray, dict[str, Any]]:
        """Play one action in each game.

        Args:
            actions: integers [N]; the action of a game that is about to start anew is ignored.

        Returns:
            observations uint8[N, ...], rewards float64[N], terminated bool[N], truncated bool[N]
            (never), infos: arrays [N, ...] of the keys of `ShogiEnv`, each with its bool[N]
            ``_key``.

        Raises:
            IllegalMoveError: with ``illegal_action="raise"``; nothing was played.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        acts = np.asarray(actions)
        if acts.shape != (self.num_envs,) or acts.dtype.kind not in "iu":
            raise ValueError(f"actions are {self.num_envs} integers, not {acts.dtype}{list(acts.shape)}")
        terminations = self.positions.rows["termination"]
        over = terminations != 0
        ended = np.flatnonzero(over)
        live = np.flatnonzero(~over) if len(ended) else self._everyone
        acts = acts.astype(np.int64, copy=False)[live]
        self._games.check(acts, live)
        if len(ended):
            self._games.start(ended)
        rewards = np.zeros(self.num_envs)
        observations, masks = self._next_arrays()
        if self._games.alone and self._observer.is_planes:
            rewards[live] = self._games.step_and_observe(acts, live, observations, masks)
        else:
            rewards[live] = self._games.step(acts, live)
            self._write(observations, masks)
        terminated = terminations != 0
        final = self._finish(terminated) if self._same_step and terminated.any() else {}
        truncated = np.zeros(self.num_envs, np.bool_)
        return observations, rewards, terminated, truncated, self._infos() | final

    def _finish(self, done: BoolArray) -> dict[str, Any]:
        """Keep the ends of games, start them anew, and write their first observations over the last."""
        ended = np.flatnonzero(done)
        final_obs = np.full(self.num_envs, None, object)
        for i in ended:
            final_obs[i] = self._observations[i].copy()
        final_info: dict[str, Any] = {"action_mask": np.zeros((self.num_envs, NUM_ACTIONS), np.int8)}
        final_info["action_mask"][ended] = 1
        for key, values in self._standings().items():
            final_info[key] = np.where(done, values, 0).astype(values.dtype)
        final_info |= {f"_{key}": done.copy() for key in tuple(final_info)}
        self._games.start(ended)
        observations = np.empty((len(ended), *self._observer.space.shape), np.uint8)
        self._observer.write(self.positions, observations, ended)
        self._observations[ended] = observations
        self._masks[ended] = self.positions.masks(where=ended)
        return {
            "final_obs": final_obs,
            "_final_obs": done.copy(),
            "final_info": final_info,
            "_final_info": done.copy(),
        }

    def _standings(self) -> dict[str, Any]:
        """What `info` tells of each game besides its mask."""
        rows = self.positions.rows
        return {
            "to_play": rows["turn"].copy(),
            "ply": rows["ply"].astype(np.int64),
            "termination": rows["termination"].copy(),
            "winner": rows["winner"].copy(),
        }

    def action_masks(self) -> BoolArray:
        """Which actions are legal, bool[N, 2187]; all True where a game is over."""
        return self._masks.view(np.bool_).copy()

    def set_opponent(
        self, opponent: str | Opponent | None, columns: Sequence[int] | Int64Array | None = None
    ) -> None:
        """Seat another opponent; it answers from the next step on.

        Args:
            opponent: as in `ShogiEnv`.
            columns: integers [k], the games; None for all N.

        Raises:
            ValueError: no opponent has that name.
        """
        idx = self._everyone if columns is None else np.asarray(columns, np.int64)
        self._games.seat([opponent] * len(idx), idx)

    def get_state(self) -> dict[str, Any]:
        """All games as plain data, for `set_state`; the opponents are not part of it."""
        return {
            "games": self._games.snapshot(),
            "np_random": self.np_random.bit_generator.state,
            "started": self._started,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go back to what `get_state` returned, in this or another environment of the same arguments."""
        self._games.restore(state["games"])
        self.np_random.bit_generator.state = state["np_random"]
        self._started = state["started"]
        self._write(*self._next_arrays())

    def render(self) -> tuple[Any, ...] | None:
        """One frame a game: str for "ansi", uint8[H, W, 3] for "rgb_array"."""
        if self.render_mode is None:
            return None
        draw = render.ansi if self.render_mode == "ansi" else render.rgb
        return tuple(draw(self.positions.diagram(i)) for i in range(self.num_envs))

    def _new_arrays(self) -> tuple[UInt8Array, Int8Array]:
        shape = (self.num_envs, *self._observer.space.shape)
        return np.empty(shape, np.uint8), np.empty((self.num_envs, NUM_ACTIONS), np.int8)

    def _next_arrays(self) -> tuple[UInt8Array, Int8Array]:
        """The arrays that the next observations and masks go to."""
        if self._buffers is None:
            self._observations, self._masks = self._new_arrays()
        else:
            self._buffers.reverse()
            self._observations, self._masks = self._buffers[0]
        return self._observations, self._masks

    def _write(self, observations: UInt8Array, masks: Int8Array) -> None:
        self._observer.write(self.positions, observations)
        self.positions.masks(masks)

    def _infos(self) -> dict[str, Any]:
        self._masks[self.positions.rows["termination"] != 0] = 1
        infos = {"action_mask": self._masks} | self._standings()
        everyone = np.ones(self.num_envs, np.bool_)
        return infos | {f"_{key}": everyone.copy() for key in infos}


def _autoreset_mode(name: str) -> AutoresetMode:
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        if name == mode.value:
            return mode
    raise ValueError(f'autoreset_mode is "NextStep" or "SameStep", not {name!r}')
