"""Entry points from Python, over batches of games.

A kernel that takes ``begin`` and ``stop`` works on ``range(begin, stop)``, so that threads may share a
batch by taking slices of it; kernels release the GIL.
"""

import numpy as np

from shogi_env.core.actions import action_to_move, is_legal, move_of, pack_mask
from shogi_env.core.bitboard import count, first, get, rest
from shogi_env.core.constants import MASK_WORDS, NUM_ACTION_PLANES, NUM_ACTIONS, PLANE_WORDS
from shogi_env.core.jit import as_int, compiled, kernel, spread
from shogi_env.core.movegen import count_moves, generate
from shogi_env.core.planes import pack_planes, write_board
from shogi_env.core.play import do_move
from shogi_env.core.rules import can_declare, end, judge, record
from shogi_env.core.state import UNBEGUN
from shogi_env.types import (
    Int16Array,
    Int64Array,
    Row,
    StateArray,
    Termination,
    UInt8Array,
    UInt64Array,
)

_ILLEGAL_MOVE = int(Termination.ILLEGAL_MOVE)
_13, _7, _17, _32 = np.uint64(13), np.uint64(7), np.uint64(17), np.uint64(32)


@compiled
def random_below(row: Row, n: int) -> int:
    """A number 0..n-1 from the game's stream (xorshift64, Marsaglia 2003; its high bits)."""
    x = row.stream
    x ^= x << _13
    x ^= x >> _7
    x ^= x << _17
    row.stream = x
    return as_int((x >> _32) * np.uint64(n) >> _32)


@compiled
def nth_action(legal: UInt64Array, n: int) -> int:
    """The n-th legal action, counted from 0 in rising order."""
    for plane in range(NUM_ACTION_PLANES):
        cells = get(legal, plane)
        here = count(cells)
        if n < here:
            for _ in range(n):
                cells = rest(cells)
            return plane * 81 + first(cells)
        n -= here
    return -1


@kernel
def play(
    rows: StateArray,
    history: UInt64Array,
    legal: UInt64Array,
    actions: Int64Array,
    where: Int64Array,
    begin: int,
    stop: int,
) -> None:
    """Play ``actions[k]`` in game ``where[k]`` for k in ``range(begin, stop)``, and judge.

    A row that is `UNBEGUN` is made ready instead: its first key, legal moves, and result if the
    position is decided.  A game that has ended stands still.  An illegal action loses the game and
    changes nothing else.

    Args:
        rows: STATE[N], changed.
        history: uint64[N, > max_plies], position keys by ply; those of the new plies are written.
        legal: uint64[N, 27, 2], the legal moves, kept up to date.
        actions: int64[K], any values.
        where: int64[K], distinct games.
        begin: the first k.
        stop: the k after the last.
    """
    for k in range(begin, stop):
        i = where[k]
        if rows[i].termination > 0:
            continue
        begins = rows[i].termination == UNBEGUN
        if begins:
            rows[i].termination = 0
            history[i, rows[i].ply] = rows[i].key
        elif is_legal(legal[i], actions[k]):
            rows[i].last_move = action_to_move(rows[i], actions[k])
            do_move(rows[i], as_int(rows[i].last_move))
        else:
            end(rows[i], _ILLEGAL_MOVE, 1 - rows[i].turn)
            continue
        generate(rows[i], legal[i])
        if not begins:
            record(rows[i], history[i])
        judge(rows[i], legal[i])


@kernel
def first_illegal(rows: StateArray, legal: UInt64Array, actions: Int64Array, where: Int64Array) -> int:
    """The first k whose action is illegal or whose game has ended, or -1.

    Args:
        rows: STATE[N].
        legal: uint64[N, 27, 2].
        actions: int64[K], any values.
        where: int64[K], the games.
    """
    for k in range(len(where)):
        i = where[k]
        if rows[i].termination or not is_legal(legal[i], actions[k]):
            return k
    return -1


@kernel
def choose_random(rows: StateArray, legal: UInt64Array, where: Int64Array, actions: Int64Array) -> None:
    """Write a random legal action of some games, each as likely.

    Args:
        rows: STATE[N]; the streams of these games move on.
        legal: uint64[N, 27, 2].
        where: int64[K], the games.
        actions: int64[K], overwritten; -1 where there is no legal move.
    """
    for k in range(len(where)):
        i = where[k]
        n = count_moves(legal[i])
        actions[k] = nth_action(legal[i], random_below(rows[i], n)) if n else -1


@kernel
def list_legal(rows: StateArray, legal: UInt64Array, i: int, moves: Int16Array, actions: Int16Array) -> int:
    """Write the legal moves (see `play`) and actions of game i, in rising order of the actions.

    Args:
        rows: STATE[N].
        legal: uint64[N, 27, 2].
        i: the game.
        moves: int16[593], written from the front.
        actions: int16[593], likewise.

    Returns:
        How many, 0..593.
    """
    n = 0
    for plane in range(NUM_ACTION_PLANES):
        cells = get(legal[i], plane)
        while cells:
            moves[n] = move_of(rows[i], plane, first(cells))
            actions[n] = plane * 81 + first(cells)
            cells = rest(cells)
            n += 1
    return n


@kernel
def declarable(rows: StateArray, i: int) -> bool:
    """Whether the side to move in game i of `rows` (STATE[N]) fulfils the declaration rule."""
    return can_declare(rows[i])


@kernel
def draw_numbers(rows: StateArray, where: Int64Array, below: int, numbers: Int64Array) -> None:
    """Write a random number of some games.

    Args:
        rows: STATE[N]; the streams of these games move on.
        where: int64[K], the games.
        below: the numbers are 0..below-1; 1..2**32.
        numbers: int64[K], overwritten.
    """
    for k in range(len(where)):
        numbers[k] = random_below(rows[where[k]], below)


@kernel
def generate_all(rows: StateArray, legal: UInt64Array, begin: int, stop: int) -> None:
    """Write the legal moves of games ``range(begin, stop)``.

    Args:
        rows: STATE[N]; only `in_check` is written.
        legal: uint64[N, 27, 2], overwritten for these games.
        begin: the first game.
        stop: the game after the last.
    """
    for i in range(begin, stop):
        generate(rows[i], legal[i])


@kernel
def pack_masks(legal: UInt64Array, words: UInt64Array, begin: int, stop: int) -> None:
    """Write the action masks of games ``range(begin, stop)`` as packed bits.

    Args:
        legal: uint64[N, 27, 2].
        words: uint64[N, 35], overwritten for these games; see `actions.pack_mask`.
        begin: the first game.
        stop: the game after the last.
    """
    for i in range(begin, stop):
        pack_mask(legal[i], words[i])


@kernel
def write_masks(legal: UInt64Array, out: UInt8Array, begin: int, stop: int) -> None:
    """Write the action masks of games ``range(begin, stop)`` as bytes.

    Args:
        legal: uint64[N, 27, 2].
        out: uint8[N, 2187], overwritten for these games with 0 and 1.
        begin: the first game.
        stop: the game after the last.
    """
    words = np.empty(MASK_WORDS, np.uint64)
    for i in range(begin, stop):
        pack_mask(legal[i], words)
        unpack(words, NUM_ACTIONS, out[i])


@compiled
def unpack(words: UInt64Array, n: int, out: UInt8Array) -> None:
    """Write the first n bits of uint64 words as bytes 0 and 1, the low bits of a word first."""
    for word in range(n >> 6):
        spread(words[word], out, word << 6)
    for k in range(n & ~63, n):
        out[k] = words[k >> 6] >> np.uint64(k & 63) & np.uint64(1)


@kernel
def pack_observations(rows: StateArray, words: UInt64Array, begin: int, stop: int) -> None:
    """Write the planes of games ``range(begin, stop)`` as packed bits.

    Args:
        rows: STATE[N].
        words: uint64[N, 173], overwritten for these games; see `planes.pack_planes`.
        begin: the first game.
        stop: the game after the last.
    """
    for i in range(begin, stop):
        pack_planes(rows[i], words[i])


@kernel
def write_planes(rows: StateArray, out: UInt8Array, begin: int, stop: int) -> None:
    """Write the planes of games ``range(begin, stop)`` as bytes.

    Args:
        rows: STATE[N].
        out: uint8[N, 136 * 81], overwritten for these games with 0 and 1.
        begin: the first game.
        stop: the game after the last.
    """
    words = np.empty(PLANE_WORDS, np.uint64)
    for i in range(begin, stop):
        pack_planes(rows[i], words)
        unpack(words, out.shape[1], out[i])


@kernel
def write_boards(rows: StateArray, out: UInt8Array, begin: int, stop: int) -> None:
    """Write games ``range(begin, stop)`` as small integers.

    Args:
        rows: STATE[N].
        out: uint8[N, 100], overwritten for these games; see `planes.write_board`.
        begin: the first game.
        stop: the game after the last.
    """
    for i in range(begin, stop):
        write_board(rows[i], out[i])
