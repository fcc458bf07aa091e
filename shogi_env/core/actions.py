"""Actions (labels seen by the mover) to moves (absolute cells) and back; packed action masks."""

from shogi_env.core.attacks import cell_facing
from shogi_env.core.bitboard import bit, first, get, last, pack, rest
from shogi_env.core.constants import (
    DROP_PLANE,
    JUMP_LEFT,
    MASK_WORDS,
    NUM_ACTION_PLANES,
    NUM_ACTIONS,
    PROMOTION_PLANE,
)
from shogi_env.core.jit import compiled, inlined
from shogi_env.core.tables import ASCENDING, JUMP_SOURCE, OPPOSITE, RAY
from shogi_env.types import Int16Array, Row, UInt64Array


@inlined
def is_legal(legal: UInt64Array, action: int) -> bool:
    """Whether an action, any integer, is among the legal ones, uint64[27, 2]."""
    if action < 0 or action >= NUM_ACTIONS:
        return False
    return bool(get(legal, action // 81) & bit(action % 81))


@inlined
def move_of(row: Row, plane: int, seen: int) -> int:
    """The move (see `play`) of a legal action, by its plane and destination."""
    to = cell_facing(seen, row.turn)
    if plane >= DROP_PLANE:
        return to | (plane - DROP_PLANE + 81) << 7
    direction = plane % PROMOTION_PLANE
    promotion = plane // PROMOTION_PLANE << 14
    if direction >= JUMP_LEFT:
        source = cell_facing(JUMP_SOURCE[direction - JUMP_LEFT, seen], row.turn)
        return to | source << 7 | promotion
    # The nearest piece behind; seen from White's side, back is forward.
    back = direction if row.turn else OPPOSITE[direction]
    pieces = get(RAY[back], to) & (get(row.color, 0) | get(row.color, 1))
    source = first(pieces) if ASCENDING[back] else last(pieces)
    return to | source << 7 | promotion


@compiled
def action_to_move(row: Row, action: int) -> int:
    """The move (see `play`) that a legal action stands for."""
    return move_of(row, action // 81, action % 81)


@compiled
def list_moves(row: Row, legal: UInt64Array, moves: Int16Array) -> int:
    """Write the legal moves (see `play`) in rising order of their actions.

    Args:
        row: the position.
        legal: uint64[27, 2], its legal moves.
        moves: int16[>= number of moves], written from the front.

    Returns:
        How many, 0..593.
    """
    n = 0
    for plane in range(NUM_ACTION_PLANES):
        cells = get(legal, plane)
        while cells:
            moves[n] = move_of(row, plane, first(cells))
            cells = rest(cells)
            n += 1
    return n


@compiled
def action_of(row: Row, legal: UInt64Array, move: int) -> int:
    """The action of a legal move; -1 for any other."""
    for plane in range(NUM_ACTION_PLANES):
        cells = get(legal, plane)
        while cells:
            if move_of(row, plane, first(cells)) == move:
                return plane * 81 + first(cells)
            cells = rest(cells)
    return -1


@compiled
def pack_mask(legal: UInt64Array, words: UInt64Array) -> None:
    """Write the legal actions as packed bits.

    Args:
        legal: uint64[27, 2].
        words: uint64[35], overwritten; action a is bit ``a % 64`` of word ``a // 64``.
    """
    words[:] = 0
    for plane in range(NUM_ACTION_PLANES):
        pack(words, plane * 81, get(legal, plane))


assert MASK_WORDS * 64 >= NUM_ACTIONS
