"""Shogi for reinforcement learning: exact rules, fast in batches, usable from any RL library.

>>> import gymnasium, shogi_env
>>> env = gymnasium.make("Shogi-v0")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register, registry

from shogi_env.version import __version__

if TYPE_CHECKING:
    from shogi_env import opponents as opponents
    from shogi_env.arena.scale import evaluate as evaluate
    from shogi_env.board import Board as Board
    from shogi_env.board import Outcome as Outcome
    from shogi_env.env import ShogiEnv as ShogiEnv
    from shogi_env.errors import IllegalMoveError as IllegalMoveError
    from shogi_env.errors import RecordError as RecordError
    from shogi_env.errors import SfenError as SfenError
    from shogi_env.errors import ShogiError as ShogiError
    from shogi_env.errors import UsiError as UsiError
    from shogi_env.notation.usi import Move as Move
    from shogi_env.positions import Positions as Positions
    from shogi_env.testing import perft as perft
    from shogi_env.types import Color as Color
    from shogi_env.types import PieceType as PieceType
    from shogi_env.types import Termination as Termination
    from shogi_env.vector import ShogiVectorEnv as ShogiVectorEnv

# Nothing heavy is imported before it is used (PEP 562): Numba alone takes half a second.
_HOME = {
    "Board": "board",
    "Color": "types",
    "IllegalMoveError": "errors",
    "Move": "notation.usi",
    "Outcome": "board",
    "PieceType": "types",
    "Positions": "positions",
    "RecordError": "errors",
    "SfenError": "errors",
    "ShogiEnv": "env",
    "ShogiError": "errors",
    "ShogiVectorEnv": "vector",
    "Termination": "types",
    "UsiError": "errors",
    "evaluate": "arena.scale",
    "opponents": "opponents",
    "perft": "testing",
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOME[name]}")
    value = module if name == _HOME[name] else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if "Shogi-v0" not in registry:
    register(
        id="Shogi-v0",
        entry_point="shogi_env.env:ShogiEnv",
        vector_entry_point="shogi_env.vector:ShogiVectorEnv",
    )
