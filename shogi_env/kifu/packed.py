"""Training data of the field: positions with a move, a score and a result, read and written in bulk.

HCPE is written by dlshogi and Apery (38 bytes a position), PSV by YaneuraOu (40 bytes).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shogi_env.core import packed
from shogi_env.core.constants import NO_CELL, NUM_CELLS
from shogi_env.core.movegen import LEGAL_SHAPE
from shogi_env.core.state import STATE
from shogi_env.errors import RecordError
from shogi_env.types import Int8Array, Int16Array, Int64Array, StateArray, UInt8Array, UInt64Array

HCPE = np.dtype(
    [("position", "u1", 32), ("score", "<i2"), ("move", "<u2"), ("result", "u1"), ("unused", "u1")]
)
PSV = np.dtype(
    [
        ("position", "u1", 32),
        ("score", "<i2"),
        ("move", "<u2"),
        ("ply", "<u2"),
        ("result", "i1"),
        ("unused", "u1"),
    ]
)
SUFFIXES = {".hcpe": "hcpe", ".psv": "psv", ".bin": "psv"}
"""Formats by the suffixes of their files."""
_DROP, _PROMOTION = 1 << 14, 1 << 15  # of a PSV move; its low bits are to | source << 7


class Samples(NamedTuple):
    """Positions that can be learned from."""

    rows: StateArray
    """STATE[k], running games without a ply limit."""
    legal: UInt64Array
    """uint64[k, 27, 2], the legal moves."""
    actions: Int64Array
    """int64[k], what was played."""
    scores: Int16Array
    """int16[k], what an engine said, in centipawns, to the side to move."""
    results: Int8Array
    """int8[k]: 1 if the side to move won, -1 if it lost, 0 for a draw."""
    plies: Int16Array
    """int16[k], the number of the position in its game; 0 where it is not said."""
    kept: Int64Array
    """int64[k], which of the positions asked for they are, from 0; the others are impossible, or their move
    is not legal."""


class PackedFile:
    """A file of positions, mapped into memory.

    Args:
        path: the file.
        format: "hcpe" or "psv"; None for what its suffix says.

    Raises:
        RecordError: its size is no multiple of a position's, or its suffix says nothing.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path | str, format: str | None = None) -> None:
        path = Path(path)
        self.format = format or SUFFIXES.get(path.suffix.lower(), "")
        if self.format not in ("hcpe", "psv"):
            raise RecordError(f"{path}: neither .hcpe nor .psv or .bin: say which format it is")
        dtype = HCPE if self.format == "hcpe" else PSV
        size = path.stat().st_size
        if size % dtype.itemsize:
            raise RecordError(
                f"{path}: {size} bytes are no whole number of {self.format} positions ({dtype.itemsize} each)"
            )
        self._data: NDArray[np.void] = np.memmap(path, dtype, "r") if size else np.empty(0, dtype)

    def __len__(self) -> int:
        return len(self._data)

    def read(self, where: slice | Int64Array) -> Samples:
        """Decode some of the positions.

        Args:
            where: which, as NumPy selects from an array.
        """
        data = np.ascontiguousarray(self._data[where])
        n, hcpe = len(data), self.format == "hcpe"
        rows, legal = np.zeros(n, STATE), np.zeros((n, *LEGAL_SHAPE), np.uint64)
        problems, actions = np.zeros(n, np.int8), np.empty(n, np.int64)
        code = packed.CODES.index("hcp" if hcpe else "psfen")
        positions = np.ascontiguousarray(data["position"])
        packed.unpack_positions(positions, code, rows, legal, problems, 0, n)
        moves = data["move"].astype(np.int64)
        packed.find_actions(rows, legal, moves if hcpe else _from_psv(moves), actions, 0, n)
        said: UInt8Array = data["result"]
        results = _sides(said & np.uint8(3), rows["turn"]) if hcpe else said
        plies = np.zeros(n, np.int16) if hcpe else data["ply"].astype(np.int16)
        good = (problems == packed.GOOD) & (actions >= 0) & (np.abs(results) <= 1)
        return Samples(
            rows[good],
            legal[good],
            actions[good],
            data["score"][good],
            results[good].astype(np.int8),
            plies[good],
            np.flatnonzero(good),
        )


def pack_hcpe(
    rows: StateArray, moves: Int64Array, scores: Int64Array, winners: Int64Array
) -> NDArray[np.void]:
    """Return positions as a file of HCPE has them, HCPE[k]; its bytes are those of the file.

    Args:
        rows: STATE[k], as of `Board.snapshot`.
        moves: int64[k], as in `core.play`.
        scores: int64[k], centipawns to the side to move; those beyond 32,000 are cut.
        winners: int64[k], 0 Black, 1 White, -1 neither.

    Raises:
        ValueError: a position lacks a king.
    """
    if (rows["king"] == NO_CELL).any():
        raise ValueError("a position without both kings cannot be packed")
    found = np.zeros(len(rows), HCPE)
    position = np.zeros((len(rows), packed.BYTES), np.uint8)
    packed.pack_positions(rows, packed.CODES.index("hcp"), position, 0, len(rows))
    found["position"], found["move"] = position, moves
    found["score"] = np.clip(scores, -32_000, 32_000)
    found["result"] = winners + 1
    return found


def _from_psv(moves: Int64Array) -> Int64Array:
    """Moves as `core.play` has them: a drop's source is 80 + type, promotion bit 14."""
    source = moves >> 7 & 127
    source = np.where(moves & _DROP, NUM_CELLS - 1 + source, source)
    return moves & 127 | source << 7 | ((moves & _PROMOTION) >> 1)


def _sides(winners: UInt8Array, turns: Int8Array) -> Int8Array:
    """Results to the side to move of 1 where Black won, 2 where White did, 0 for draws; 2 for the rest."""
    mine: NDArray[np.bool_] = winners == turns + 1
    return np.where(winners == 3, 2, np.where(winners == 0, 0, np.where(mine, 1, -1))).astype(np.int8)
