"""When a game ends and who has won."""

from shogi_env.core.attacks import look
from shogi_env.core.bitboard import bit, count
from shogi_env.core.constants import NO_CELL, WHITE
from shogi_env.core.jit import as_int, compiled
from shogi_env.core.movegen import count_moves, zone
from shogi_env.core.tables import POINTS
from shogi_env.types import NO_WINNER, Row, Termination, UInt64Array

# Numba takes plain integers from a module's globals.
_CHECKMATE = int(Termination.CHECKMATE)
_NO_LEGAL_MOVES = int(Termination.NO_LEGAL_MOVES)
_REPETITION = int(Termination.REPETITION)
_PERPETUAL_CHECK = int(Termination.PERPETUAL_CHECK)
_DECLARATION = int(Termination.DECLARATION)
_MAX_PLIES = int(Termination.MAX_PLIES)

DECLARATION_POINTS = (28, 27)
"""Points Black and White need to declare (CSA 27-point rule)."""
DECLARATION_PIECES = 10
"""Pieces besides the king that it needs in the opponent's camp."""


@compiled
def can_declare(row: Row) -> bool:
    """Whether the side to move fulfils the CSA 27-point rule (nyugyoku declaration).

    Not in check, king in the opponent's camp, ten other own pieces there, and 28 points (Black) or
    27 (White), counting those pieces and the hand: 5 a bishop or rook, promoted or not, 1 any other.
    White is credited with the pieces it gave as a handicap.
    """
    us = row.turn
    view = look(row, us)
    if view.king == NO_CELL or row.in_check:
        return False
    camp = view.own & zone()
    if not camp & bit(view.king):
        return False
    pieces = count(camp) - 1
    if pieces < DECLARATION_PIECES:
        return False
    points = pieces + 4 * count(camp & (view.bishops | view.rooks))
    for index in range(7):
        points += as_int(row.hands[us, index]) * as_int(POINTS[index + 1])
    if us == WHITE:
        return points + as_int(row.handicap_points) >= DECLARATION_POINTS[1]
    return points >= DECLARATION_POINTS[0]


@compiled
def end(row: Row, termination: int, winner: int) -> None:
    """Write a game's result: a `Termination` and a `Color` or `NO_WINNER`."""
    row.termination = termination
    row.winner = winner


@compiled
def judge(row: Row, legal: UInt64Array) -> None:
    """Write the result that follows from the position itself, after `record` judged repetition.

    Precedence: no legal move, repetition, declaration, ply limit.

    Args:
        row: one game; `row.termination` is 0 or what `record` wrote.
        legal: uint64[27, 2], its legal moves.
    """
    us = row.turn
    if count_moves(legal) == 0:
        end(row, _CHECKMATE if row.in_check else _NO_LEGAL_MOVES, 1 - us)
    elif row.termination == 0 and row.declaration and can_declare(row):
        end(row, _DECLARATION, us)
    elif row.termination == 0 and row.max_plies and row.ply >= row.max_plies:
        end(row, _MAX_PLIES, NO_WINNER)


@compiled
def record(row: Row, history: UInt64Array) -> None:
    """After a move: note the position, count checks in a row and occurrences, judge repetition.

    Four occurrences of board, hands and side to move are a draw, unless all moves of one side
    since the first of them gave check: that side loses.  If both sides gave nothing but check, it
    is a draw.

    Args:
        row: one game after a move; `row.in_check` is up to date.
        history: uint64[>= ply + 1], the position keys by ply; the last one is written.
    """
    mover = 1 - row.turn
    row.checks[mover] = row.checks[mover] + 1 if row.in_check else 0
    key, ply = row.key, row.ply
    history[ply] = key
    earlier = 0
    for k in range(ply):
        earlier += history[k] == key
    row.repetitions = min(earlier, 127)
    if earlier < 3:
        return
    since, seen = ply, 0
    while seen < 3:
        since -= 2
        seen += history[since] == key
    cycle = (ply - since) // 2
    perpetual, other = row.checks[mover] >= cycle, row.checks[1 - mover] >= cycle
    if perpetual == other:
        end(row, _REPETITION, NO_WINNER)
    else:
        end(row, _PERPETUAL_CHECK, 1 - mover if perpetual else mover)
