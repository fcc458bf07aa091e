"""Memory that learning frees is kept for the next minibatch."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT = 2**30
_LARGEST = 2**25
"""Bytes of the largest array that is taken from what was kept; glibc allows no more."""


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, up to 1 GiB, instead of giving it back to the system.

    The backward pass of each minibatch frees some hundred MiB, and to get them back page by page costs up to
    a tenth of a training run on the CPU.  Where malloc cannot be told so (musl, macOS, Windows), nothing
    happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is not None and mallopt(_M_MMAP_THRESHOLD, _LARGEST):
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
