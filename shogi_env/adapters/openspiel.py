"""Shogi for OpenSpiel: importing this module registers the game "python_shogi".

>>> import pyspiel, shogi_env.adapters.openspiel  # doctest: +SKIP
>>> state = pyspiel.load_game("python_shogi(max_plies=200)").new_initial_state()  # doctest: +SKIP
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shogi_env.adapters._extras import missing
from shogi_env.core import batch
from shogi_env.core.constants import DEFAULT_MAX_PLIES, MAX_LEGAL_MOVES, NUM_ACTIONS, NUM_CELLS, NUM_PLANES
from shogi_env.games import refuse_decided
from shogi_env.notation.moves import from_packed
from shogi_env.notation.sfen import Setup, format_sfen
from shogi_env.positions import Positions
from shogi_env.types import NO_WINNER, Color, Int16Array, StateArray, UInt64Array

try:
    import pyspiel
    from open_spiel.python.observation import IIGObserverForPublicInfoGame
except ImportError as error:
    raise missing("OpenSpiel", "openspiel", error) from error

_GAME = np.zeros(1, np.int64)
_PARAMETERS: dict[str, Any] = {"sfen": "even", "max_plies": DEFAULT_MAX_PLIES, "declaration": "auto"}
_TYPE = pyspiel.GameType(
    short_name="python_shogi",
    long_name="Shogi (shogi_env)",
    dynamics=pyspiel.GameType.Dynamics.SEQUENTIAL,
    chance_mode=pyspiel.GameType.ChanceMode.DETERMINISTIC,
    information=pyspiel.GameType.Information.PERFECT_INFORMATION,
    utility=pyspiel.GameType.Utility.ZERO_SUM,
    reward_model=pyspiel.GameType.RewardModel.TERMINAL,
    max_num_players=2,
    min_num_players=2,
    provides_information_state_string=True,
    provides_information_state_tensor=False,
    provides_observation_string=True,
    provides_observation_tensor=True,
    default_loadable=True,
    parameter_specification=_PARAMETERS,
)


class ShogiGame(pyspiel.Game):
    """The rules of a game, for ``pyspiel.load_game("python_shogi", parameters)``.

    Args:
        params: "sfen", where games start (an SFEN or the name of a handicap), "max_plies", 1..32767, and
            "declaration", "auto" or "off", as in `Positions`.

    Raises:
        SfenError: the start is not a position.
        ValueError: a parameter is out of range, or the game is decided where it starts.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        rules = _PARAMETERS | dict(params or {})
        start = Positions(
            1, sfens=rules["sfen"], max_plies=rules["max_plies"], declaration=rules["declaration"]
        )
        refuse_decided(start, start.everyone)
        self.start = start.snapshot()
        self.max_plies: int = rules["max_plies"]
        info = pyspiel.GameInfo(
            num_distinct_actions=NUM_ACTIONS,
            max_chance_outcomes=0,
            num_players=2,
            min_utility=-1.0,
            max_utility=1.0,
            utility_sum=0.0,
            max_game_length=self.max_plies,
        )
        super().__init__(_TYPE, info, dict(params or {}))

    def new_initial_state(self) -> "ShogiState":
        """A game at its start."""
        return ShogiState(self)

    def make_py_observer(self, iig_obs_type: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        """What OpenSpiel observes states with."""
        if iig_obs_type is None or (iig_obs_type.public_info and not iig_obs_type.perfect_recall):
            return Observer(params)
        return IIGObserverForPublicInfoGame(iig_obs_type, params)


class ShogiState(pyspiel.State):
    """One game; player 0 is Black, player 1 White.

    Actions are those of `docs/encodings.md`, their strings USI. An action that is not legal loses the game.
    OpenSpiel clones a state by copying its attributes, which are three small arrays.

    Attributes:
        rows: STATE[1], the position; see `shogi_env.core.state`.
    """

    def __init__(self, game: ShogiGame) -> None:
        super().__init__(game)
        self.rows: StateArray = game.start.rows.copy()
        self._legal: UInt64Array = game.start.legal.copy()
        self._history: UInt64Array = np.zeros((1, game.max_plies + 1), np.uint64)
        self._history[:, :1] = game.start.history

    def current_player(self) -> int:
        """The player to move, or `pyspiel.PlayerId.TERMINAL`."""
        row = self.rows[0]
        return int(pyspiel.PlayerId.TERMINAL if row["termination"] else row["turn"])

    def is_terminal(self) -> bool:
        """Whether the game is over."""
        return bool(self.rows["termination"][0])

    def returns(self) -> list[float]:
        """1 for the winner, -1 for the loser; 0 for both in a draw and before the end."""
        winner = self.rows["winner"][0]
        if winner == NO_WINNER:
            return [0.0, 0.0]
        return [1.0, -1.0] if winner == Color.BLACK else [-1.0, 1.0]

    def sfen(self) -> str:
        """The position as SFEN."""
        row = self.rows[0]
        number = int(row["number"]) + int(row["ply"])
        return format_sfen(Setup(row["board"], row["hands"], Color(int(row["turn"])), number))

    def __str__(self) -> str:
        return self.sfen()

    def _legal_actions(self, player: int) -> list[int]:
        """The legal actions in rising order."""
        if self.rows["termination"][0]:
            return []
        actions: list[int] = self._list()[1].tolist()
        return actions

    def _apply_action(self, action: int) -> None:
        batch.play(self.rows, self._history, self._legal, np.array([action], np.int64), _GAME, 0, 1)

    def _action_to_string(self, player: int, action: int) -> str:
        """The USI text of a legal action.

        Raises:
            ValueError: the action is not legal.
        """
        moves, actions = self._list()
        found = np.flatnonzero(actions == action)
        if not len(found):
            raise ValueError(f"action {action} is not legal: {self.sfen()}")
        return str(from_packed(int(moves[found[0]])))

    def _list(self) -> tuple[Int16Array, Int16Array]:
        """Legal moves, packed, and their actions, int16[k] each."""
        moves, actions = np.empty((2, MAX_LEGAL_MOVES), np.int16)
        n = batch.list_legal(self.rows, self._legal, 0, moves, actions)
        return moves[:n], actions[:n]


class Observer:
    """The planes of `shogi_env.core.planes`, for both players as the side to move sees them.

    Args:
        params: none are known.

    Raises:
        ValueError: there are some.

    Attributes:
        tensor: float32[136 * 81], 0 and 1.
        dict: {"observation": the same as float32[136, 9, 9]}.
    """

    def __init__(self, params: Mapping[str, Any] | None) -> None:
        if params:
            raise ValueError(f"no parameters are known, got {dict(params)}")
        self.tensor = np.zeros(NUM_PLANES * NUM_CELLS, np.float32)
        self.dict = {"observation": self.tensor.reshape(NUM_PLANES, 9, 9)}
        self._planes = np.empty((1, NUM_PLANES * NUM_CELLS), np.uint8)

    def set_from(self, state: ShogiState, player: int) -> None:
        """Overwrite `tensor` with a state's planes."""
        batch.write_planes(state.rows, self._planes, 0, 1)
        self.tensor[:] = self._planes[0]

    def string_from(self, state: ShogiState, player: int) -> str:
        """The position as SFEN."""
        return state.sfen()


pyspiel.register_game(_TYPE, ShogiGame)
