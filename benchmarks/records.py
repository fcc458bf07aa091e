"""Training data in bulk: equal to cshogi on many positions, and positions a second on one core.

    python benchmarks/records.py [--positions 100000]

cshogi (group bench) writes positions of random games as HCP and packed sfen; what we read back has to be the
position they came from, with the planes of that position. The speed is from bytes to planes, one pinned core.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from common import ROOT, Task, interval, machine, pin, rate, save, show, single_threaded

single_threaded()
sys.path.insert(0, str(ROOT))

import statistics  # noqa: E402

import numpy as np  # noqa: E402

from shogi_env import Positions  # noqa: E402
from shogi_env.core import batch, packed  # noqa: E402
from shogi_env.core.constants import NUM_CELLS, NUM_PLANES  # noqa: E402
from shogi_env.core.state import STATE  # noqa: E402
from shogi_env.types import StateArray, UInt8Array  # noqa: E402

FIELDS = ("color", "kind", "key", "board", "hands", "king", "turn", "in_check")
"""What a position in 32 bytes has to say of a row."""
GAMES = 500


def positions(count: int) -> tuple[StateArray, list[str]]:
    """Rows and SFENs of positions of random games, three plies apart."""
    games = Positions(GAMES)
    games.seed(np.random.default_rng(1).integers(1, 2**64, GAMES, np.uint64))
    rows, sfens = [], []
    while len(sfens) < count:
        for _ in range(3):
            running = np.flatnonzero(games.outcomes()[0] == 0)
            games.apply(games.random_actions(running), running)
        over = np.flatnonzero(games.outcomes()[0] != 0)
        if len(over):
            games.set_up(over, games.first_row())
        rows.append(games.rows.copy())
        sfens += [games.sfen(i) for i in range(GAMES)]
    return np.concatenate(rows)[:count], sfens[:count]


def write(sfens: list[str]) -> dict[str, UInt8Array]:
    """The positions as cshogi writes them, uint8[N, 32] by code."""
    import cshogi

    hcp, psfen = np.zeros(len(sfens), cshogi.HuffmanCodedPos), np.zeros(len(sfens), cshogi.PackedSfen)
    for k, sfen in enumerate(sfens):
        board = cshogi.Board(sfen)
        board.to_hcp(hcp[k : k + 1])
        board.to_psfen(psfen[k : k + 1])
    return {name: data.view(np.uint8).reshape(-1, 32) for name, data in (("hcp", hcp), ("psfen", psfen))}


def compare(code: str, data: UInt8Array, expected: StateArray) -> int:
    """How many positions read otherwise."""
    rows, legal, problems = _room(len(data))
    packed.unpack_positions(data, packed.CODES.index(code), rows, legal, problems, 0, len(data))
    same = problems == packed.GOOD
    for field in FIELDS:
        equal = rows[field] == expected[field]
        same &= equal.reshape(len(rows), -1).all(1)
    return int((~same).sum())


def _room(n: int) -> tuple[StateArray, Any, Any]:
    return np.zeros(n, STATE), np.zeros((n, 27, 2), np.uint64), np.zeros(n, np.int8)


def speed(code: str, data: UInt8Array) -> list[float]:
    """Positions per CPU second from bytes to planes, eleven times."""
    rows, legal, problems = _room(len(data))
    planes = np.empty((len(data), NUM_PLANES * NUM_CELLS), np.uint8)

    def work() -> int:
        packed.unpack_positions(data, packed.CODES.index(code), rows, legal, problems, 0, len(data))
        batch.write_planes(rows, planes, 0, len(data))
        return len(data)

    work()
    return [rate(Task(code, work), 0.3) for _ in range(11)]


def main() -> None:
    """Compare, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--positions", type=int, default=100_000)
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "core": pin(), "positions": args.positions, "codes": {}}
    rows, sfens = positions(args.positions)
    for code, data in write(sfens).items():
        different = compare(code, data, rows)
        rates = speed(code, np.ascontiguousarray(data[:4096]))
        low, high = interval(rates)
        median = statistics.median(rates)
        bounds = f"[{low:,.0f}, {high:,.0f}]"
        show(f"{code}: {different} of {len(data)} differ; {median:,.0f} positions/CPU s {bounds}")
        result["codes"][code] = {"different": different, "rate": median, "low": low, "high": high}
    save("records", result)


if __name__ == "__main__":
    main()
