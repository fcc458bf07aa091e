"""Make a move in place."""

from shogi_env.core.constants import KING, PROMOTED, WHITE_PIECE
from shogi_env.core.jit import inlined
from shogi_env.core.state import add_to_hand, toggle
from shogi_env.core.tables import KEY_WHITE
from shogi_env.types import Row

# A move is to | source << 7 | promotion << 14 in absolute cells; a drop has source 80 + type.


@inlined
def do_move(row: Row, move: int) -> None:
    """Play a legal move: board, sets, hands, key, side to move, ply. Not the rules' counters."""
    to, source = move & 127, move >> 7 & 127
    us = row.turn
    if source >= 81:
        piece = source - 80 + us * WHITE_PIECE
        add_to_hand(row, us, source - 81, -1)
    else:
        moved, taken = row.board[source], row.board[to]
        if taken:
            toggle(row, to, taken)
            add_to_hand(row, us, (taken & 7) - 1, 1)  # a promoted piece goes to the hand unpromoted
        toggle(row, source, moved)
        row.board[source] = 0
        piece = moved + (move >> 14) * PROMOTED
        if moved & 15 == KING:
            row.king[us] = to
    row.board[to] = piece
    toggle(row, to, piece)
    row.key ^= KEY_WHITE
    row.turn = 1 - us
    row.ply += 1
