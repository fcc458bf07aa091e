"""`ShogiEnv`: one game as a Gymnasium environment."""

import operator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from shogi_env import render
from shogi_env.core.constants import DEFAULT_MAX_PLIES, NUM_ACTIONS
from shogi_env.games import Games, Initial
from shogi_env.observations import Observer
from shogi_env.opponents import Opponent
from shogi_env.types import BoolArray, Int64Array, UInt8Array

_GAME = np.zeros(1, np.int64)


class ShogiEnv(gymnasium.Env[UInt8Array, np.int64]):
    """Shogi as an environment: you play one side, an opponent answers inside `step`.

    ## Description
    Japanese chess with drops, all its rules included. A correct single-agent MDP: the opponent's
    reply is part of the environment. With ``opponent=None`` the caller plays both sides, one ply
    each step.

    ## Action Space
    ``Discrete(2187)``: ``plane * 81 + destination`` as the side to move sees the board, with
    ``cell = 9 * file + rank``; planes 0..9 are the direction moved in (up, up-left, up-right, left,
    right, down, down-left, down-right, knight left, knight right), 10..19 the same with promotion,
    20..26 drops of pawn, lance, knight, silver, bishop, rook, gold.

    ## Observation Space
    ``observation="full"``: ``Box(0, 1, (136, 9, 9), uint8)``, indexed [plane, file, rank], the same
    cells as the actions; planes are listed in `shogi_env.core.planes.PLANES`.
    ``"pieces"``: 102 of them, without attack maps. ``"dlshogi"``: the first 119, dlshogi's own.
    ``"board"``: ``uint8[100]`` of small integers, see `shogi_env.core.planes.write_board`.
    ``layout="NHWC"`` puts the planes last.
    An observation always shows the board as the side to move sees it, also at the end of a game.

    ## Starting State
    The even game. ``initial``: an SFEN, the name of a handicap such as "2-piece", a list of those to
    draw from, or a function of a NumPy generator that returns one; ``random_plies`` random moves are
    played from there. ``reset(options={"sfen": ..., "moves": [...], "side": ...})`` starts one game
    elsewhere.

    ## Rewards
    1 for a win, -1 for a loss, 0 for a draw and before the end. With ``opponent=None`` it is the
    reward of the player who just moved.

    ## Episode End
    Terminated by any of `shogi_env.types.Termination`; the ply limit is a draw by rule, so nothing
    is ever truncated. An illegal action loses (``illegal_action="raise"``: is refused).

    ## Information
    ``action_mask`` int8[2187] (all 1 after the end), ``to_play`` int8 (0 Black, 1 White), ``ply``
    int64, ``termination`` int8 (0 while running), ``winner`` int8 (-1: none).

    ## Arguments
    - opponent: "random", "greedy", "minimax:DEPTH" (alpha-beta over 1..6 plies and quiescence),
      "level:NUMBER" (a network that comes with the package, see `shogi_env.levels`), a function over a
      batch (see `shogi_env.opponents`), or None.
    - side: "random", "black" or "white": the side you play.
    - max_plies: plies after which a game is drawn, 1..32767.
    - initial, random_plies: see Starting State.
    - declaration: "auto": a side that fulfils the 27-point rule when it is its turn has won; "off".
    - observation, layout: see Observation Space.
    - illegal_action: "lose" or "raise".
    - render_mode: "ansi", "rgb_array" or "human" (drawn in place in the terminal).
    - autoreset_mode: accepted for `gymnasium.make_vec`, without effect.

    ## Version History
    - v0: first version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - declared so by Gymnasium
        "render_modes": ["human", "ansi", "rgb_array"],
        "render_fps": 4,
    }

    def __init__(
        self,
        *,
        opponent: str | Opponent | None = "random",
        side: str = "random",
        max_plies: int = DEFAULT_MAX_PLIES,
        initial: Initial = None,
        random_plies: int = 0,
        declaration: str = "auto",
        observation: str = "full",
        layout: str = "NCHW",
        illegal_action: str = "lose",
        render_mode: str | None = None,
        autoreset_mode: str | None = None,
    ) -> None:
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode is one of {modes} or None, not {render_mode!r}")
        self.render_mode = render_mode
        self._observer = Observer(observation, layout)
        self.observation_space = self._observer.space
        self.action_space = spaces.Discrete(NUM_ACTIONS)
        self._games = Games(
            1,
            opponent=opponent,
            side=side,
            max_plies=max_plies,
            initial=initial,
            random_plies=random_plies,
            declaration=declaration,
            illegal_action=illegal_action,
        )
        self._started = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[UInt8Array, dict[str, Any]]:
        """Start a game.

        Args:
            seed: restarts the game's random stream, which goes on without it.
            options: "sfen" (as `initial`), "moves" (a list of USI texts, played from there) and
                "side" ("random", "black" or "white"); others are ignored.

        Returns:
            The first observation that is the caller's to decide on, and its info.

        Raises:
            ShogiError: a position, a text or a move in the options is wrong.
            ValueError: the side is wrong, or the game is decided where it starts.
        """
        super().reset(seed=seed)
        if seed is not None or not self._started:
            self._games.positions.seed(self.np_random.integers(1, 2**64, 1, np.uint64))
        self._games.start(_GAME, options)
        self._started = True
        self._show()
        return self._observe(), self._info()

    def step(self, action: np.int64 | int) -> tuple[UInt8Array, float, bool, bool, dict[str, Any]]:
        """Play an action, and the opponent's answer if there is one.

        Args:
            action: 0..2186; any other integer is illegal as well.

        Returns:
            observation, reward (-1.0, 0.0 or 1.0), terminated, truncated (never), info.

        Raises:
            IllegalMoveError: with ``illegal_action="raise"``; the game is unchanged.
            ValueError: the action is no integer.
            gymnasium.error.ResetNeeded: the game is over or was never started.
        """
        terminations = self._games.positions.rows["termination"]
        if not self._started or terminations[0]:
            raise gymnasium.error.ResetNeeded("call reset() before step(): no game is running")
        reward = self._games.step(_as_action(action), _GAME)
        self._show()
        return self._observe(), float(reward[0]), bool(terminations[0]), False, self._info()

    def action_masks(self) -> BoolArray:
        """Which actions are legal, bool[2187] (SB3's name); all True when no game is running."""
        masks: BoolArray = self._games.positions.masks()[0]
        if self._games.positions.rows["termination"][0]:
            masks[:] = True
        return masks

    @property
    def both_seats(self) -> bool:
        """Whether the caller plays both sides."""
        return bool(self._games.both_seats[0])

    def set_opponent(self, opponent: str | Opponent | None) -> None:
        """Seat another opponent; it answers from the next step on.

        Raises:
            ValueError: no opponent has that name.
        """
        self._games.seat([opponent])

    def get_state(self) -> dict[str, Any]:
        """The whole game as plain data, for `set_state`; the opponent is not part of it."""
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

    def sfen(self) -> str:
        """The position as SFEN."""
        return self._games.positions.sfen(0)

    def render(self) -> str | UInt8Array | None:
        """Draw the position: str for "ansi", uint8[H, W, 3] for "rgb_array", None for "human"."""
        if self.render_mode == "ansi":
            return render.ansi(self._games.positions.diagram(0))
        if self.render_mode == "rgb_array":
            return render.rgb(self._games.positions.diagram(0))
        if self.render_mode is None:
            gymnasium.logger.warn("render() does nothing without a render_mode given to make()")
        return None

    def _show(self) -> None:
        if self.render_mode == "human":
            render.show(self._games.positions.diagram(0))

    def _observe(self) -> UInt8Array:
        out = np.empty(self._observer.space.shape, np.uint8)
        self._observer.write(self._games.positions, out[None])
        return out

    def _info(self) -> dict[str, Any]:
        rows = self._games.positions.rows
        return {
            "action_mask": self.action_masks().view(np.int8),
            "to_play": rows["turn"][0],
            "ply": np.int64(rows["ply"][0]),
            "termination": rows["termination"][0],
            "winner": rows["winner"][0],
        }


def _as_action(action: np.int64 | int) -> Int64Array:
    try:
        return np.array([operator.index(action)], np.int64)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"an action is an integer 0..{NUM_ACTIONS - 1}, not {action!r}") from error
