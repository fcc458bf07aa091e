"""The numbers of a run, from its event files: read as they grow, and kept in bounded memory."""

import math
import time
from array import array
from collections import deque
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from shogi_env.types import Float64Array, Int64Array

KEPT = 4096
"""Points of one curve that are kept; of more, the lowest and the highest of every four in a row."""
_TEXTS = 50
"""Texts that are kept of each key."""


class Curve:
    """The points of one key, each of which was recorded."""

    def __init__(self) -> None:
        self._steps, self._values = array("q"), array("f")  # as TensorBoard has them
        self.last: tuple[int, float] = -1, math.nan
        """The newest step and its value."""

    def add(self, step: int, value: float) -> None:
        """Take a point."""
        self._steps.append(step)
        self._values.append(value)
        if step >= self.last[0]:
            self.last = step, value
        if len(self._steps) >= 2 * KEPT:
            steps, values = thin(*self._arrays(), KEPT)
            self._steps, self._values = array("q", steps.tobytes()), array("f", values.tolist())

    def points(self, most: int = KEPT) -> tuple[Int64Array, Float64Array]:
        """Steps and values in the order of the steps, at most so many."""
        steps, values = self._arrays()
        order = steps.argsort(kind="stable")
        return thin(steps[order], values[order], most)

    def _arrays(self) -> tuple[Int64Array, Float64Array]:
        return np.array(self._steps, np.int64), np.array(self._values, np.float64)


def thin(steps: Int64Array, values: Float64Array, most: int) -> tuple[Int64Array, Float64Array]:
    """Leave out points until there are at most so many; peaks and the two ends stay.

    Args:
        steps: int64[K].
        values: float64[K]; the lowest and the highest of each group of neighbours are kept.
        most: points to keep, at least 4.
    """
    if len(steps) <= most:
        return steps, values
    groups = most // 2 - 1
    edges = np.linspace(1, len(steps) - 1, groups + 1).astype(int)
    kept = {0, len(steps) - 1}
    for begin, end in pairwise(edges.tolist()):
        part = np.nan_to_num(values[begin:end], nan=0.0)
        kept |= {int(begin + part.argmin()), int(begin + part.argmax())} if len(part) else set()
    chosen = np.array(sorted(kept))
    return steps[chosen], values[chosen]


class Curves:
    """The curves in a folder of event files.

    Args:
        folder: ``tensorboard/`` of a run; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reset()

    def _reset(self) -> None:
        self.curves: dict[str, Curve] = {}
        self.texts: dict[str, deque[tuple[int, str]]] = {}
        self._loaders: dict[Path, Any] = {}
        self._sizes: dict[Path, int] = {}

    def read(self, seconds: float = 1.0) -> bool:
        """Read what was written since the last time.

        Files that were cut back, as where a run was resumed, are read anew.

        Args:
            seconds: after which it stops, to go on with the next call.

        Returns:
            Whether everything that is there was read.
        """
        files = sorted(path for path in self.folder.rglob("events.*") if path.is_file())
        sizes = {path: path.stat().st_size for path in files}
        if any(sizes.get(path, -1) < size for path, size in self._sizes.items()):
            self._reset()
        until = time.monotonic() + seconds
        for path in files:
            if self._sizes.get(path) != sizes[path]:
                if not self._read_file(path, until):
                    return False
                self._sizes[path] = sizes[path]
        return True

    def _read_file(self, path: Path, until: float) -> bool:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader  # slow

        if path not in self._loaders:
            self._loaders[path] = EventFileLoader(str(path)).Load
        for event in self._loaders[path]():
            for value in event.summary.value:
                self._take(event.step, value)
            if time.monotonic() > until:
                return False
        return True

    def _take(self, step: int, value: Any) -> None:
        """Take a number or a text; pictures are left out."""
        tensor = value.tensor
        if value.metadata.plugin_data.plugin_name == "scalars":
            found = tensor.float_val or np.frombuffer(tensor.tensor_content, np.float32)
            self.curves.setdefault(value.tag, Curve()).add(step, float(found[0]))
        elif value.metadata.plugin_data.plugin_name == "text" and tensor.string_val:
            key = value.tag.removesuffix("/text_summary")
            texts = self.texts.setdefault(key, deque(maxlen=_TEXTS))
            texts.append((step, tensor.string_val[0].decode("utf-8", "replace")))

    def latest(self, key: str) -> float | None:
        """The newest value of a key; None if there is none that is a number."""
        if key not in self.curves:
            return None
        value = self.curves[key].last[1]
        return value if math.isfinite(value) else None

    @property
    def steps(self) -> int | None:
        """The last step that anything was recorded at; None if nothing was."""
        return max((curve.last[0] for curve in self.curves.values()), default=None)
