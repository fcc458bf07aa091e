"""Players in the box: small networks that come with the package, and never change.

From the weakest to the strongest; `data/README.md` says how they were made.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shogi_env.levels.network import SmallNetwork, play, read_weights
from shogi_env.positions import Positions
from shogi_env.types import Int64Array

_DATA = Path(__file__).with_name("data")
TEMPERATURE = 0.25
"""Of a level that plays without search, unless something else is asked for."""


@cache
def count_levels() -> int:
    """How many levels there are."""
    return len(list(_DATA.glob("level-*.safetensors")))


def check_level(number: int) -> int:
    """Return the number.

    Raises:
        ValueError: no level has it.
    """
    if not 1 <= number <= count_levels():
        raise ValueError(f"level is 1..{count_levels()}, not {number}")
    return number


def path_of_level(number: int) -> Path:
    """Where a level's weights are.

    Raises:
        ValueError: there is no such level.
    """
    return _DATA / f"level-{check_level(number)}.safetensors"


@cache
def load_level(number: int, *, threads: int = 1) -> SmallNetwork:
    """The network of a level.

    Args:
        number: 1, the weakest, and up.
        threads: that share the positions it is asked about.

    Raises:
        ValueError: there is no such level.
    """
    return SmallNetwork(read_weights(path_of_level(number)), threads=threads)


@dataclass(frozen=True)
class Level:
    """Plays what a level's policy says, without search; an `Opponent`.  Equal ones are equal opponents."""

    number: int
    temperature: float = TEMPERATURE
    """Divides the logits of what a move is drawn from; 0 plays the most probable."""

    def __call__(self, positions: Positions, idx: Int64Array) -> Int64Array:
        """The actions int64[k] of the games `idx`; draws come from the games' streams."""
        return play(load_level(self.number), positions, idx, self.temperature)
