"""Positions in 32 bytes, as training data of the field holds them, to rows.

Both codes write the side to move, the kings' cells, the other cells in rising order and the pieces that are
not on the board, each by a prefix code, low bits first: ``hcp`` is Apery's and dlshogi's, ``psfen`` is
YaneuraOu's.
"""

import numpy as np

from shogi_env.core.actions import action_of
from shogi_env.core.attacks import checks_and_pins, look
from shogi_env.core.constants import (
    KING,
    KNIGHT,
    LANCE,
    MAX_COUNT,
    NUM_CELLS,
    PAWN,
    PROMOTED,
    WHITE,
    WHITE_PIECE,
)
from shogi_env.core.jit import as_int, compiled, inlined, kernel
from shogi_env.core.movegen import generate
from shogi_env.core.state import STATE, toggle
from shogi_env.core.tables import KEY_HAND, KEY_WHITE
from shogi_env.types import NO_WINNER, Int8Array, Int64Array, Row, StateArray, UInt8Array, UInt64Array

BYTES = 32
"""Size of a position in either code."""
CODES = ("hcp", "psfen")

# Bits in the order in which they are written: pawn, lance, knight, silver, bishop, rook, gold.
_BOARD = {
    "hcp": ("10", "1100", "1110", "1101", "111110", "111111", "11110"),
    "psfen": ("10", "1100", "1101", "1110", "111110", "111111", "11110"),
}
_HAND = {
    "hcp": ("00", "1000", "1100", "1010", "111110", "111111", "1110"),
    "psfen": ("00", "1000", "1010", "1100", "111100", "111110", "1110"),
}
_BOXED = {
    "hcp": ("010", "10010", "11010", "10110", "1111000", "1111010", "10111"),
    "psfen": ("010", "10010", "10110", "11010", "1111010", "1111110", "10111"),
}
_GOLD = 6
RANKS_AHEAD = np.array([1 if kind in (PAWN, LANCE) else 2 * (kind == KNIGHT) for kind in range(16)])
"""Ranks that a piece of each type needs before it, or it could never move."""


def _board_words(code: str) -> dict[str, int]:
    """Pieces by their bits; 0 an empty cell."""
    words = {"0": 0}
    for index, prefix in enumerate(_BOARD[code]):
        for color in range(2):
            for promoted in range(1 if index == _GOLD else 2):
                bits = f"{color}{promoted}" if code == "hcp" else f"{promoted}{color}"
                bits = str(color) if index == _GOLD else bits
                words[prefix + bits] = index + 1 + PROMOTED * promoted + WHITE_PIECE * color
    return words


def _hand_words(code: str) -> dict[str, int]:
    """Pieces by their bits; those that neither side has with 2 in place of the color."""
    words = {}
    for index, prefix in enumerate(_HAND[code]):
        for color in range(2):
            words[f"{prefix}{color}"] = index + 1 + WHITE_PIECE * color
        words[_BOXED[code][index]] = index + 1 + WHITE_PIECE * 2
    return words


def _look_up(words: dict[str, int]) -> Int64Array:
    """int64[256]: by the next eight bits the piece and, from bit 8 on, its word's length; -1 for no word."""
    table = np.full(256, -1, np.int64)
    for word, piece in words.items():
        for rest in range(1 << 8 - len(word)):
            table[int(word[::-1], 2) | rest << len(word)] = piece | len(word) << 8
    return table


def _invert(words: dict[str, int]) -> Int64Array:
    """int64[64]: by piece the bits of its word and, from bit 8 on, their number."""
    table = np.zeros(64, np.int64)
    for word, piece in words.items():
        table[piece] = int(word[::-1], 2) | len(word) << 8
    return table


BOARD_WORDS = np.stack([_look_up(_board_words(code)) for code in CODES])
HAND_WORDS = np.stack([_look_up(_hand_words(code)) for code in CODES])
BOARD_BITS = np.stack([_invert(_board_words(code)) for code in CODES])
HAND_BITS = np.stack([_invert(_hand_words(code)) for code in CODES])
HAND_ORDER = np.array([1, 2, 3, 4, 7, 5, 6])
"""Types in the order in which cshogi writes a hand; any order is read."""
_MAX_COUNT = np.array(MAX_COUNT, np.int64)

GOOD, BAD_KING, BAD_CODE, BAD_COUNT, BAD_PIECE, BAD_CHECK = range(6)
"""What is wrong with a position: a king's cell, the code, too many of a kind, two pawns on a file or a piece
that could never move, the king of the side that is not to move in check."""


@inlined
def peek(data: UInt8Array, at: int) -> int:
    """The eight bits from a bit on; zeros behind the end."""
    byte, shift = at >> 3, at & 7
    low = as_int(data[byte]) if byte < BYTES else 0
    high = as_int(data[byte + 1]) if byte + 1 < BYTES else 0
    return (low | high << 8) >> shift & 255


@kernel
def unpack_positions(
    data: UInt8Array,
    code: int,
    rows: StateArray,
    legal: UInt64Array,
    problems: Int8Array,
    begin: int,
    stop: int,
) -> None:
    """Set up the games of positions ``range(begin, stop)``.

    Args:
        data: uint8[N, 32].
        code: index in `CODES`.
        rows: STATE[N], overwritten: running games without a ply limit, their random streams 1.
        legal: uint64[N, 27, 2], overwritten with the legal moves.
        problems: int8[N], overwritten: `GOOD` or what is wrong; then row and moves mean nothing.
        begin: the first.
        stop: the one after the last.
    """
    empty = np.zeros(1, STATE)
    for i in range(begin, stop):
        rows[i] = empty[0]
        problems[i] = read_position(data[i], code, rows[i])
        if problems[i] == GOOD:
            generate(rows[i], legal[i])


@compiled
def read_position(data: UInt8Array, code: int, row: Row) -> int:
    """Set up an empty row; return `GOOD` or what is wrong."""
    row.stream = 1
    row.winner = NO_WINNER
    row.last_move = -1
    row.number = 1
    row.turn = data[0] & 1
    counts = np.zeros(9, np.int64)
    black, white = peek(data, 1) & 127, peek(data, 8) & 127
    if black >= NUM_CELLS or white >= NUM_CELLS or black == white:
        return BAD_KING
    row.king[0], row.king[1] = black, white
    put_piece(row, black, KING)
    put_piece(row, white, KING + WHITE_PIECE)
    if not read_pieces(data, code, row, counts):
        return BAD_CODE
    for kind in range(1, KING):
        if counts[kind] > _MAX_COUNT[kind]:
            return BAD_COUNT
    for color in range(2):
        for index in range(7):
            row.key ^= KEY_HAND[color, index, row.hands[color, index]]
    if row.turn == WHITE:
        row.key ^= KEY_WHITE
    if not pieces_can_be(row):
        return BAD_PIECE
    checkers, _ = checks_and_pins(look(row, 1 - as_int(row.turn)))
    return BAD_CHECK if checkers else GOOD


@compiled
def read_pieces(data: UInt8Array, code: int, row: Row, counts: Int64Array) -> bool:
    """Read the cells without kings, then the hands; False if these are no words of the code.

    Args:
        data: uint8[32].
        code: index in `CODES`.
        row: its board and hands are written.
        counts: int64[9], raised by the pieces of each unpromoted type.
    """
    at = 15
    for cell in range(NUM_CELLS):
        if cell == row.king[0] or cell == row.king[1]:
            continue
        word = BOARD_WORDS[code, peek(data, at)]
        if word < 0:
            return False
        at += word >> 8
        kind = word & 15
        if kind:
            counts[kind - PROMOTED if kind > PROMOTED else kind] += 1
            put_piece(row, cell, word & 255)
    while at < 8 * BYTES:
        word = HAND_WORDS[code, peek(data, at)]
        if word < 0:
            return False
        at += word >> 8
        kind, owner = word & 15, (word & 255) >> 4
        counts[kind] += 1
        if owner < 2 and counts[kind] <= _MAX_COUNT[kind]:
            row.hands[owner, kind - 1] += 1
    return bool(at == 8 * BYTES)


@inlined
def put_piece(row: Row, cell: int, piece: int) -> None:
    """Put a piece on an empty cell."""
    row.board[cell] = piece
    toggle(row, cell, piece)


@compiled
def pieces_can_be(row: Row) -> bool:
    """Whether no side has two pawns on a file and no piece stands where it could never move."""
    for file in range(9):
        pawns = 0
        for rank in range(9):
            piece = as_int(row.board[9 * file + rank])
            kind, color = piece & 15, piece >> 4
            ahead = 8 - rank if color else rank
            if kind == PAWN:
                pawns += 1 << 4 * color
            if ahead < RANKS_AHEAD[kind]:
                return False
        if pawns & 15 > 1 or pawns >> 4 > 1:
            return False
    return True


@kernel
def find_actions(
    rows: StateArray, legal: UInt64Array, moves: Int64Array, actions: Int64Array, begin: int, stop: int
) -> None:
    """Write the actions of the moves of games ``range(begin, stop)``.

    Args:
        rows: STATE[N].
        legal: uint64[N, 27, 2].
        moves: int64[N], as in `play`.
        actions: int64[N], overwritten; -1 for a move that is not legal.
        begin: the first game.
        stop: the game after the last.
    """
    for i in range(begin, stop):
        actions[i] = action_of(rows[i], legal[i], moves[i])


@kernel
def pack_positions(rows: StateArray, code: int, data: UInt8Array, begin: int, stop: int) -> None:
    """Write positions ``range(begin, stop)``.

    Args:
        rows: STATE[N], each with both kings.
        code: index in `CODES`.
        data: uint8[N, 32], overwritten.
        begin: the first.
        stop: the one after the last.
    """
    for i in range(begin, stop):
        data[i] = 0
        write_position(rows[i], code, data[i])


@compiled
def write_position(row: Row, code: int, data: UInt8Array) -> None:
    """Write one position over zeros."""
    at = write_bits(data, 0, as_int(row.turn), 1)
    for color in range(2):
        at = write_bits(data, at, as_int(row.king[color]), 7)
    left = _MAX_COUNT.copy()  # pieces that were not written yet
    for cell in range(NUM_CELLS):
        piece = as_int(row.board[cell])
        kind = piece & 15
        if kind != KING:
            word = BOARD_BITS[code, piece]
            at = write_bits(data, at, word & 255, word >> 8)
            left[kind - PROMOTED if kind > PROMOTED else kind] -= 1
    for owner in range(3):
        for k in range(7):
            kind = as_int(HAND_ORDER[k])
            n = as_int(row.hands[owner, kind - 1]) if owner < 2 else left[kind]
            word = HAND_BITS[code, kind + WHITE_PIECE * owner]
            for _ in range(n):
                at = write_bits(data, at, word & 255, word >> 8)
            left[kind] -= n


@inlined
def write_bits(data: UInt8Array, at: int, bits: int, n: int) -> int:
    """Write n bits, low ones first, from a bit on; return where the next ones go."""
    for k in range(n):
        data[at >> 3] |= (bits >> k & 1) << (at & 7)
        at += 1
    return at
