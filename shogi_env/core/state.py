"""A game of shogi is one row of a structured array."""

import numpy as np

from shogi_env.core.bitboard import flip
from shogi_env.core.constants import DEFAULT_MAX_PLIES, HORSE, KING, NO_CELL, WHITE
from shogi_env.core.jit import compiled
from shogi_env.core.tables import KEY_BOARD, KEY_HAND, KEY_WHITE, KIND, KIND_KING
from shogi_env.types import NO_WINNER, Int8Array, Row, StateArray

# np.record as base type makes `row.board` work in plain Python as well.
STATE = np.dtype(
    (
        np.record,
        [
            ("color", np.uint64, (2, 2)),  # cells of each side's pieces, two words each
            ("kind", np.uint64, (8, 2)),  # cells of the pieces that move as PAWN..KING
            ("key", np.uint64),  # Zobrist key of board, hands and side to move
            ("stream", np.uint64),  # state of the game's random stream
            ("board", np.int8, (81,)),  # 0, type, or type + 16 for White
            ("hands", np.int8, (2, 7)),  # [color, PAWN..GOLD]
            ("king", np.int8, (2,)),  # cell of each side's king, NO_CELL if missing
            ("turn", np.int8),
            ("in_check", np.int8),  # 1: the side to move is in check
            ("repetitions", np.int8),  # earlier occurrences of this position, at most 127
            ("termination", np.int8),  # types.Termination, or UNBEGUN
            ("winner", np.int8),  # Color or NO_WINNER
            ("declaration", np.int8),  # 1: the 27-point rule ends games
            ("handicap_points", np.int8),  # White's credit for the pieces it gave
            ("last_move", np.int16),  # as in core.play, -1 before the first
            ("ply", np.int16),  # moves played since the game's first position
            ("max_plies", np.int16),  # 0: no limit
            ("checks", np.int16, (2,)),  # each side's checks in a row, up to now
            ("number", np.int32),  # move number of the first position, as in its SFEN
        ],
    ),
    align=True,
)
"""One game. See `core.tables` for kinds; cells are absolute (Black's view)."""

UNBEGUN = -1
"""Termination of a row that was set up but whose position has not been judged yet."""


@compiled
def toggle(row: Row, cell: int, piece: int) -> None:
    """Put a piece on an empty cell or take it off again: sets and key, not `row.board`."""
    flip(row.color, piece >> 4, cell)
    flip(row.kind, KIND[piece & 15], cell)
    if piece & 15 >= HORSE:
        flip(row.kind, KIND_KING, cell)
    row.key ^= KEY_BOARD[piece, cell]


@compiled
def add_to_hand(row: Row, color: int, index: int, n: int) -> None:
    """Change by n how many pieces of a hand type (type - 1) a side holds."""
    held = row.hands[color, index]
    row.key ^= KEY_HAND[color, index, held] ^ KEY_HAND[color, index, held + n]
    row.hands[color, index] = held + n


def new_row(
    board: Int8Array,
    hands: Int8Array,
    turn: int,
    number: int = 1,
    *,
    max_plies: int = DEFAULT_MAX_PLIES,
    declaration: bool = True,
    handicap_points: int = 0,
) -> StateArray:
    """The first position of a game, as an array of one row.

    Args:
        board: int8[81], 0, type, or type + 16 for White, by absolute cell.
        hands: int8[2, 7], counts of PAWN..GOLD of Black and of White.
        turn: side to move, 0 or 1.
        number: move number shown in SFEN.
        max_plies: plies after which the game is a draw; 0 for no limit.
        declaration: whether the 27-point rule ends games.
        handicap_points: points credited to White in the 27-point rule.

    Returns:
        STATE[1]; its termination is `UNBEGUN`, its random stream 0, which must be set before use.
    """
    rows = np.zeros(1, STATE)
    row = rows[0]
    row["board"], row["hands"] = board, hands
    row["king"] = NO_CELL
    _fill(rows)
    row["turn"] = turn
    if turn == WHITE:
        row["key"] ^= KEY_WHITE
    row["termination"], row["winner"] = UNBEGUN, NO_WINNER
    row["last_move"] = -1
    row["number"], row["max_plies"] = number, max_plies
    row["declaration"], row["handicap_points"] = declaration, handicap_points
    return rows


def _fill(rows: StateArray) -> None:
    """Compute sets, kings and the key (but for the side to move) of `rows[0]` from board and hands."""
    row = rows[0]
    sets = {("color", 0): 0}
    key = 0
    for cell, piece in enumerate(row["board"].tolist()):
        if not piece:
            continue
        kinds = [int(KIND[piece & 15])] + [KIND_KING] * (HORSE <= piece & 15)
        for name in [("color", piece >> 4), *(("kind", kind) for kind in kinds)]:
            sets[name] = sets.get(name, 0) | 1 << cell
        if piece & 15 == KING:
            row["king"][piece >> 4] = cell
        key ^= int(KEY_BOARD[piece, cell])
    for color in range(2):
        for index in range(7):
            key ^= int(KEY_HAND[color, index, row["hands"][color, index]])
    for (field, i), cells in sets.items():
        row[field][i] = cells & (1 << 64) - 1, cells >> 64
    row["key"] = key
