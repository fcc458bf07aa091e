"""Where games start: names, SFENs, and the row of a first position."""

from functools import cache

import numpy as np

from shogi_env.core.constants import DEFAULT_MAX_PLIES, MAX_COUNT
from shogi_env.core.state import new_row
from shogi_env.core.tables import POINTS
from shogi_env.errors import SfenError
from shogi_env.notation.checks import quote
from shogi_env.notation.sfen import HANDICAPS, START_SFEN, Setup, parse_sfen
from shogi_env.types import StateArray

MAX_PLIES_LIMIT = 32767
"""Largest `max_plies`: plies are counted in 16 bits."""


def resolve(start: str | None) -> Setup:
    """Read a start position: None for the even game, a handicap's name, or an SFEN.

    Raises:
        SfenError: it is neither.
    """
    if start is None:
        start = START_SFEN
    if not isinstance(start, str) or " " in start:
        return parse_sfen(start)
    if start not in HANDICAPS:
        raise SfenError(f"{quote(start)} is neither an SFEN nor a handicap ({', '.join(HANDICAPS)})")
    return parse_sfen(HANDICAPS[start])


@cache
def _handicap_points() -> dict[bytes, int]:
    """Points of the pieces that White gave, by the bytes of the first board."""
    total = sum(int(POINTS[kind]) * MAX_COUNT[kind] for kind in range(1, 9))
    boards = [parse_sfen(sfen).board for sfen in HANDICAPS.values()]
    return {board.tobytes(): total - int(POINTS[board & 15].sum()) for board in boards}


def handicap_points(setup: Setup) -> int:
    """Points White is credited with for the pieces it gave, if this is a known handicap start.

    The 27-point rule of CSA counts them for the side that gave them; a position met later does not
    tell who gave what.
    """
    return 0 if setup.hands.any() else _handicap_points().get(setup.board.tobytes(), 0)


def check_max_plies(max_plies: int | None) -> None:
    """Refuse a ply limit that is neither None nor 1..32767.

    Raises:
        ValueError: it is.
    """
    if max_plies is None:
        return
    if not isinstance(max_plies, (int, np.integer)) or not 1 <= max_plies <= MAX_PLIES_LIMIT:
        raise ValueError(f"max_plies is 1..{MAX_PLIES_LIMIT} or None, not {max_plies!r}")


def first_row(
    start: str | None = None, *, max_plies: int | None = DEFAULT_MAX_PLIES, declaration: bool = True
) -> StateArray:
    """A game at its first position, STATE[1], not begun yet.

    Args:
        start: as for `resolve`.
        max_plies: plies after which the game is drawn, 1..32767; None for no limit.
        declaration: whether the 27-point rule ends the game.

    Raises:
        SfenError: `start` is not a position.
        ValueError: `max_plies` is out of range.
    """
    check_max_plies(max_plies)
    setup = resolve(start)
    return new_row(
        setup.board,
        setup.hands,
        int(setup.turn),
        setup.number,
        max_plies=max_plies or 0,
        declaration=declaration,
        handicap_points=handicap_points(setup),
    )
