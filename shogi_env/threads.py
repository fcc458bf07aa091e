"""Threads that share the games of a batch; kernels release the interpreter's lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

_FEWEST = 64
"""Games below which waking another thread costs more than it saves."""
_HEAD_START = 32
"""Games that the calling thread gets through in the 40 us until the others are awake."""


class Threads:
    """A number of threads, the caller's among them; the others start with the first work for them.

    Args:
        count: how many, at least 1.
        fewest: pieces of work below which they are not shared; the default is for steps of games.
    """

    def __init__(self, count: int, *, fewest: int = _FEWEST) -> None:
        self._count = count
        self._fewest = fewest
        self._pool: ThreadPoolExecutor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pool": None}

    def share(self, work: Callable[..., object], n: int, *args: object) -> None:
        """Run ``work(*args, begin, stop)`` over 0..n, a slice on each thread."""
        if self._count == 1 or n < self._fewest:
            work(*args, 0, n)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count - 1, "shogi_env")
        more = min(_HEAD_START, n // 16)
        cuts = [0, *(more + (n - more) * k // self._count for k in range(1, self._count)), n]
        slices = list(pairwise(cuts))
        waiting = [self._pool.submit(work, *args, *cut) for cut in slices[1:]]
        work(*args, *slices[0])
        for future in waiting:
            future.result()
