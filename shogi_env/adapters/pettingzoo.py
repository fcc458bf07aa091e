"""Shogi for PettingZoo: `env()`, an AEC environment of two agents.

>>> from shogi_env.adapters import pettingzoo  # doctest: +SKIP
>>> env = pettingzoo.env()  # doctest: +SKIP
"""

import operator
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding

from shogi_env import render
from shogi_env.adapters._extras import missing
from shogi_env.core.constants import NUM_ACTIONS
from shogi_env.env import ShogiEnv
from shogi_env.games import Games
from shogi_env.observations import Observer
from shogi_env.types import NO_WINNER, Int8Array, UInt8Array

try:
    import pettingzoo
except ImportError as error:
    raise missing("PettingZoo", "pettingzoo", error) from error

Observation: TypeAlias = dict[str, UInt8Array | Int8Array]

AGENTS = ("player_0", "player_1")
"""Black, who begins an even game, and White."""
_GAME = np.zeros(1, np.int64)


class ShogiAECEnv(pettingzoo.AECEnv[str, Observation, np.int64 | int | None]):
    """Shogi as a turn-based environment of two agents, ``"player_0"`` (Black) and ``"player_1"`` (White).

    An observation is ``{"observation": ..., "action_mask": int8[2187]}``. The first is that of `ShogiEnv`:
    for both agents the board as the side to move sees it. The mask is 1 where an action is legal; it is all
    0 for the agent that is not to move and, after the end, for both.

    Rewards come with the last ply of a game: 1 and -1, or 0 and 0. An illegal action loses the game and so
    gives the other agent its 1; `TerminateIllegalWrapper` would give it 0. Nothing is truncated: the ply
    limit is a draw by rule.

    ``infos[agent]`` holds "termination" (`shogi_env.types.Termination`) and "winner" (0 Black, 1 White, -1
    none), int8.

    Args:
        render_mode: "ansi", "rgb_array" or "human" (drawn in place in the terminal).
        observation: as in `ShogiEnv`.
        layout: as in `ShogiEnv`.
        **rules: the other arguments of `ShogiEnv`: max_plies, initial, random_plies, declaration,
            illegal_action.

    Raises:
        SfenError: a start is not a position.
        ValueError: an argument is out of range.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - declared so by PettingZoo
        **ShogiEnv.metadata,
        "name": "shogi_v0",
        "is_parallelizable": False,
    }

    def __init__(
        self,
        *,
        render_mode: str | None = None,
        observation: str = "full",
        layout: str = "NCHW",
        **rules: Any,
    ) -> None:
        super().__init__()
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode is one of {modes} or None, not {render_mode!r}")
        self.render_mode = render_mode
        self.possible_agents = list(AGENTS)
        self.agents: list[str] = []
        self._observer = Observer(observation, layout)
        self._games = Games(1, opponent=None, **rules)
        mask = spaces.Box(0, 1, (NUM_ACTIONS,), np.int8)
        parts: dict[str, gymnasium.Space[Any]] = {"observation": self._observer.space, "action_mask": mask}
        self._observation_spaces = {agent: spaces.Dict(parts) for agent in AGENTS}
        self._action_spaces = {agent: spaces.Discrete(NUM_ACTIONS) for agent in AGENTS}

    def observation_space(self, agent: str) -> gymnasium.Space[Any]:
        """A Dict of "observation" and "action_mask"."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space[Any]:
        """``Discrete(2187)``."""
        return self._action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start a game; `agent_selection` is the agent whose turn it is.

        Args:
            seed: restarts the game's random stream, which goes on without it; the games are those of
                `ShogiEnv` with the same seed.
            options: "sfen" and "moves" as in `ShogiEnv.reset`; others are ignored.

        Raises:
            ShogiError: a position, a text or a move in the options is wrong.
            ValueError: the game is decided where it starts.
        """
        if seed is not None:
            self._games.positions.seed(seeding.np_random(seed)[0].integers(1, 2**64, 1, np.uint64))
        self._games.start(_GAME, options)
        self.agents = list(AGENTS)
        self.rewards = dict.fromkeys(AGENTS, 0.0)
        self._cumulative_rewards = dict.fromkeys(AGENTS, 0.0)
        self.terminations = dict.fromkeys(AGENTS, False)
        self.truncations = dict.fromkeys(AGENTS, False)
        self._go_on()
        self._tell()

    def step(self, action: np.int64 | int | None) -> None:
        """Play an action of `agent_selection`; None, which takes it off `agents`, after the end.

        Args:
            action: 0..2186; any other integer is illegal as well.

        Raises:
            IllegalMoveError: with ``illegal_action="raise"``; the game is unchanged.
            TypeError: the action is no integer.
            gymnasium.error.ResetNeeded: no game was started, or both agents are off.
        """
        if not self.agents:
            raise gymnasium.error.ResetNeeded("call reset() before step(): no game is running")
        if self.terminations[self.agent_selection]:
            self._was_dead_step(action)
            return
        actions = np.array([operator.index(action)], np.int64)  # type: ignore[arg-type]
        self._games.check(actions, _GAME)
        self._games.positions.apply_unchecked(actions, _GAME)
        self._go_on()
        if self._games.positions.rows["termination"][0]:
            self._end()

    def observe(self, agent: str) -> Observation:
        """What an agent sees, in arrays of its own."""
        positions = self._games.positions
        observation = np.empty(self._observer.space.shape, np.uint8)
        self._observer.write(positions, observation[None])
        mask = np.zeros(NUM_ACTIONS, np.int8)
        if agent == self.agent_selection and not self.terminations.get(agent, True):
            positions.masks(mask[None])
        return {"observation": observation, "action_mask": mask}

    def render(self) -> str | UInt8Array | None:
        """Draw the position: str for "ansi", uint8[H, W, 3] for "rgb_array", else None."""
        if self.render_mode == "ansi":
            return render.ansi(self._games.positions.diagram(0))
        if self.render_mode == "rgb_array":
            return render.rgb(self._games.positions.diagram(0))
        return None

    def close(self) -> None:
        """Nothing is open."""

    def sfen(self) -> str:
        """The position as SFEN."""
        return self._games.positions.sfen(0)

    def _go_on(self) -> None:
        """Give the turn to the side to move, and show the position to people."""
        self.agent_selection = AGENTS[self._games.positions.rows["turn"][0]]
        if self.render_mode == "human":
            render.show(self._games.positions.diagram(0))

    def _end(self) -> None:
        """Reward both agents and let them go."""
        winner = self._games.positions.rows["winner"][0]
        if winner != NO_WINNER:
            self.rewards = {AGENTS[winner]: 1.0, AGENTS[1 - winner]: -1.0}
        self._accumulate_rewards()
        self.terminations = dict.fromkeys(AGENTS, True)
        self._tell()

    def _tell(self) -> None:
        rows = self._games.positions.rows
        self.infos = {
            agent: {"termination": rows["termination"][0], "winner": rows["winner"][0]} for agent in AGENTS
        }


def env(**kwargs: Any) -> ShogiAECEnv:
    """A `ShogiAECEnv`.

    Without `OrderEnforcingWrapper`: `step` itself asks for the reset.

    Args:
        **kwargs: the arguments of `ShogiAECEnv`.
    """
    return ShogiAECEnv(**kwargs)


# Newer PettingZoos have a registry: pettingzoo.make("aec", "shogi_v0").
if hasattr(pettingzoo, "register") and "shogi-v0" not in pettingzoo.aec_registry:
    pettingzoo.register("aec", "shogi_v0", entry_point=f"{__name__}:env")
