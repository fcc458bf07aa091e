"""Entry points from Python: every kernel works on games ``begin..end`` of a batch.

Threads share a batch by taking slices of it; kernels release the GIL.
"""

import numpy as np

from shogi_env.core.actions import action_to_move, is_legal, list_moves, pack_mask
from shogi_env.core.bitboard import count, first, get, rest
from shogi_env.core.constants import MASK_WORDS, NUM_ACTION_PLANES, NUM_ACTIONS, PLANE_WORDS
from shogi_env.core.jit import compiled, kernel, spread
from shogi_env.core.movegen import count_moves, generate
from shogi_env.core.planes import pack_planes, write_board
from shogi_env.core.play import do_move
from shogi_env.core.rules import can_declare, end, judge, record
from shogi_env.core.state import UNBEGUN
from shogi_env.types import Termination

_ILLEGAL_MOVE = int(Termination.ILLEGAL_MOVE)
_13, _7, _17, _32 = np.uint64(13), np.uint64(7), np.uint64(17), np.uint64(32)


@compiled
def random_below(row, n):  # type: ignore[no-untyped-def]
    """A number 0..n-1 from the game's stream (xorshift64, Marsaglia 2003; its high bits)."""
    x = row.stream
    x ^= x << _13
    x ^= x >> _7
    x ^= x << _17
    row.stream = x
    return np.int64((x >> _32) * np.uint64(n) >> _32)


@compiled
def nth_action(legal, n):  # type: ignore[no-untyped-def]
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
def play(rows, history, legal, actions, where, begin, stop):  # type: ignore[no-untyped-def]
    """Play ``actions[k]`` in game ``where[k]`` for k in ``begin..stop``, and judge.

    A row that is `UNBEGUN` is made ready instead: its first key, legal moves, and result if the
    position is decided.  A game that has ended stands still.  An illegal action loses the game and
    changes nothing else.

    Args:
        rows: STATE[N].
        history: uint64[N, > max_plies], position keys by ply.
        legal: uint64[N, 27, 2], the legal moves, kept up to date.
        actions: int64[k].
        where: int64[k], distinct games.
        begin: first k.
        stop: k after the last.
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
            do_move(rows[i], np.int64(rows[i].last_move))
        else:
            end(rows[i], _ILLEGAL_MOVE, 1 - rows[i].turn)
            continue
        generate(rows[i], legal[i])
        if not begins:
            record(rows[i], history[i])
        judge(rows[i], legal[i])


@kernel
def first_illegal(rows, legal, actions, where):  # type: ignore[no-untyped-def]
    """The first k whose action is illegal or whose game has ended, or -1."""
    for k in range(len(where)):
        i = where[k]
        if rows[i].termination or not is_legal(legal[i], actions[k]):
            return k
    return -1


@kernel
def choose_random(rows, legal, where, actions):  # type: ignore[no-untyped-def]
    """Write a random legal action of each game in `where` (int64[k]), -1 where there is none."""
    for k in range(len(where)):
        i = where[k]
        n = count_moves(legal[i])
        actions[k] = nth_action(legal[i], random_below(rows[i], n)) if n else -1


@kernel
def declarable(rows, i):  # type: ignore[no-untyped-def]
    """Whether the side to move in game i fulfils the declaration rule."""
    return can_declare(rows[i])


@kernel
def list_legal(rows, legal, i, moves, actions):  # type: ignore[no-untyped-def]
    """Write the legal moves (see `play`) and actions of game i, in rising order of the actions.

    Args:
        rows: STATE[N].
        legal: uint64[N, 27, 2].
        i: the game.
        moves: int16[593], written from the front.
        actions: int16[593], likewise.

    Returns:
        How many.
    """
    n = 0
    for plane in range(NUM_ACTION_PLANES):
        cells = get(legal[i], plane)
        while cells:
            actions[n] = plane * 81 + first(cells)
            n += 1
            cells = rest(cells)
    return list_moves(rows[i], legal[i], moves)


@kernel
def declarable(rows, i):  # type: ignore[no-untyped-def]
    """Whether the side to move in game i fulfils the declaration rule."""
    return can_declare(rows[i])


@kernel
def draw_numbers(rows, where, below, numbers):  # type: ignore[no-untyped-def]
    """Write a random number 0..below-1 from the stream of each game in `where` (int64[k])."""
    for k in range(len(where)):
        numbers[k] = random_below(rows[where[k]], below)


@kernel
def pack_masks(legal, words, begin, stop):  # type: ignore[no-untyped-def]
    """words: uint64[N, 35], overwritten for games ``begin..stop``."""
    for i in range(begin, stop):
        pack_mask(legal[i], words[i])


@kernel
def write_masks(legal, out, begin, stop):  # type: ignore[no-untyped-def]
    """out: uint8[N, 2187] of 0 and 1, overwritten for games ``begin..stop``."""
    words = np.empty(MASK_WORDS, np.uint64)
    for i in range(begin, stop):
        pack_mask(legal[i], words)
        unpack(words, NUM_ACTIONS, out[i])


@compiled
def unpack(words, n, out):  # type: ignore[no-untyped-def]
    """Write the first n bits of the words as bytes of 0 and 1."""
    for word in range(n >> 6):
        spread(words[word], out, word << 6)
    for k in range(n & ~63, n):
        out[k] = words[k >> 6] >> np.uint64(k & 63) & np.uint64(1)


@kernel
def pack_observations(rows, words, begin, stop):  # type: ignore[no-untyped-def]
    """words: uint64[N, 173], overwritten for games ``begin..stop``."""
    for i in range(begin, stop):
        pack_planes(rows[i], words[i])


@kernel
def write_planes(rows, out, begin, stop):  # type: ignore[no-untyped-def]
    """out: uint8[N, 136 * 81] of 0 and 1, overwritten for games ``begin..stop``."""
    words = np.empty(PLANE_WORDS, np.uint64)
    for i in range(begin, stop):
        pack_planes(rows[i], words)
        unpack(words, out.shape[1], out[i])


@kernel
def write_boards(rows, out, begin, stop):  # type: ignore[no-untyped-def]
    """out: uint8[N, 100], overwritten for games ``begin..stop``; see `planes.write_board`."""
    for i in range(begin, stop):
        write_board(rows[i], out[i])
