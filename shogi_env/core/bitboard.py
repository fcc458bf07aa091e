"""A set of cells held in one 128-bit integer.

In compiled code a bitboard is LLVM's i128; without JIT it is an ordinary `int`, and the Python
functions below are what runs.  Arrays store a bitboard as two uint64 words (low, high).
"""

import operator
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types

from shogi_env.core.jit import BITBOARD, I64, I128, inlined, lower
from shogi_env.types import UInt64Array

Bitboard: TypeAlias = int
"""A Python int without JIT, LLVM's i128 when compiled."""

_ONE = np.uint64(1)
_WORD = 0xFFFF_FFFF_FFFF_FFFF
_BOARD = (1 << 81) - 1


def bits(low: int | np.uint64, high: int | np.uint64) -> Bitboard:
    """The set held in two uint64 words."""
    return int(low) | int(high) << 64


def low(bb: Bitboard) -> np.uint64:
    """The word of cells 0..63, uint64."""
    return np.uint64(bb & _WORD)


def high(bb: Bitboard) -> np.uint64:
    """The word of cells 64..80, uint64."""
    return np.uint64(bb >> 64 & _WORD)


def bit(cell: int) -> Bitboard:
    """The set of one cell; cell 81 (`NO_CELL`) gives a bit outside the board."""
    return 1 << int(cell)


def count(bb: Bitboard) -> int:
    """Number of cells in the set."""
    return int(bb).bit_count()


def count_word(word: np.uint64) -> int:
    """Number of bits set in a uint64."""
    return int(word).bit_count()


def first(bb: Bitboard) -> int:
    """Lowest cell of a non-empty set."""
    return int((bb & -bb).bit_length() - 1)


def last(bb: Bitboard) -> int:
    """Highest cell of a non-empty set."""
    return int(bb).bit_length() - 1


def rest(bb: Bitboard) -> Bitboard:
    """The set without its lowest cell."""
    return bb & (bb - 1)


def turned(bb: Bitboard) -> Bitboard:
    """The set seen from the other side of the board (cell -> 80 - cell)."""
    return int(f"{bb:081b}"[::-1], 2)


def shl(bb: Bitboard, n: int) -> Bitboard:
    """Every cell moved n cells up in number; what leaves the board is dropped."""
    return bb << n & _BOARD


def shr(bb: Bitboard, n: int) -> Bitboard:
    """Every cell moved n cells down in number; what leaves the board is dropped."""
    return bb >> n


def minus(x: Bitboard, y: Bitboard) -> Bitboard:
    """X - y as numbers; y <= x."""
    return x - y


def plus(x: Bitboard, y: Bitboard) -> Bitboard:
    """X + y as numbers, below 2**127."""
    return x + y


_NO = ir.Constant(ir.IntType(1), 0)
_MASK = ir.Constant(I128, _BOARD)


def _turn(b: Any, x: Any) -> Any:
    """Reverse 128 bits as 16 bytes (vector instructions), then drop the 47 below the board."""
    vector = ir.VectorType(ir.IntType(8), 16)
    order = ir.Constant(ir.VectorType(ir.IntType(32), 16), [ir.IntType(32)(15 - i) for i in range(16)])
    name = "llvm.bitreverse.v16i8"
    reverse = b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(vector, [vector]), name)
    swapped = b.call(reverse, [b.bitcast(x, vector)])
    ordered = b.shuffle_vector(swapped, ir.Constant(vector, ir.Undefined), order)
    return b.lshr(b.bitcast(ordered, I128), I128(47))


_B, _I, _U = BITBOARD, types.int64, types.uint64
for _op in (operator.and_, operator.iand):
    lower(_op, _B, _B, _B)(lambda b, x, y: b.and_(x, y))
for _op in (operator.or_, operator.ior):
    lower(_op, _B, _B, _B)(lambda b, x, y: b.or_(x, y))
for _op in (operator.xor, operator.ixor):
    lower(_op, _B, _B, _B)(lambda b, x, y: b.xor(x, y))
lower(operator.invert, _B, _B)(lambda b, x: b.not_(x))
lower(operator.eq, types.boolean, _B, _B)(lambda b, x, y: b.icmp_unsigned("==", x, y))
lower(bool, types.boolean, _B)(lambda b, x: b.icmp_unsigned("!=", x, I128(0)))
lower(operator.not_, types.boolean, _B)(lambda b, x: b.icmp_unsigned("==", x, I128(0)))
lower(bits, _B, _U, _U)(lambda b, lo, hi: b.or_(b.zext(lo, I128), b.shl(b.zext(hi, I128), I128(64))))
lower(low, _U, _B)(lambda b, x: b.trunc(x, I64))
lower(high, _U, _B)(lambda b, x: b.trunc(b.lshr(x, I128(64)), I64))
lower(bit, _B, _I)(lambda b, cell: b.shl(I128(1), b.zext(cell, I128)))
lower(count, _I, _B)(lambda b, x: b.trunc(b.ctpop(x), I64))
lower(count_word, _I, _U)(lambda b, x: b.ctpop(x))
lower(first, _I, _B)(lambda b, x: b.trunc(b.cttz(x, _NO), I64))
lower(last, _I, _B)(lambda b, x: b.sub(I64(127), b.trunc(b.ctlz(x, _NO), I64)))
lower(rest, _B, _B)(lambda b, x: b.and_(x, b.sub(x, I128(1))))
lower(turned, _B, _B)(_turn)
lower(shl, _B, _B, _I)(lambda b, x, n: b.and_(b.shl(x, b.zext(n, I128)), _MASK))
lower(shr, _B, _B, _I)(lambda b, x, n: b.lshr(x, b.zext(n, I128)))
lower(minus, _B, _B, _B)(lambda b, x, y: b.sub(x, y))
lower(plus, _B, _B, _B)(lambda b, x, y: b.add(x, y))


@inlined
def get(table: UInt64Array, i: int) -> Bitboard:
    """The set stored in row i of a uint64[n, 2] table."""
    return bits(table[i, 0], table[i, 1])


@inlined
def put(table: UInt64Array, i: int, bb: Bitboard) -> None:
    """Store a set in row i of a uint64[n, 2] table."""
    table[i, 0] = low(bb)
    table[i, 1] = high(bb)


@inlined
def flip(table: UInt64Array, i: int, cell: int) -> None:
    """Add a cell to the set in row i of a uint64[n, 2] table, or remove it."""
    table[i, cell >> 6] ^= _ONE << np.uint64(cell & 63)


@inlined
def pack(words: UInt64Array, at: int, bb: Bitboard) -> None:
    """Or the 81 bits of a set into a row of uint64 words, from bit `at` on."""
    word, shift = at >> 6, at & 63
    words[word] |= low(bb) << shift
    words[word + 1] |= high(bb) << shift
    if shift:
        words[word + 1] |= low(bb) >> (64 - shift)
        if shift > 47:
            words[word + 2] |= high(bb) >> (64 - shift)
