"""A file that one process holds at a time."""

import logging
import sys
import time
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

logger = logging.getLogger(__name__)

_LOOKS = (0.01, 0.02, 0.05)  # seconds: whoever only looks, see `is_held`, lets go at once
_BEHIND = 2**31 - 2  # Windows lets nobody read what is locked: a byte that no file here has


def hold(path: Path, busy: str) -> IO[bytes]:
    """Open a file that nobody else may hold until it is closed, or until this process dies.

    Args:
        path: made if it is missing.
        busy: what to say if somebody holds it.

    Raises:
        BlockingIOError: another process, or another part of this one, holds it.
        OSError: it cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    if not path.is_file():  # a device, such as os.devnull
        return file
    try:
        for delay in _LOOKS:
            if _take(file):
                return file
            time.sleep(delay)
        if not _take(file):
            file.close()
            raise BlockingIOError(busy)
    except BlockingIOError:
        raise
    except OSError as error:  # some file systems know no locks
        logger.warning("%s cannot be locked (%s): let no other process use it", path, error)
    return file


def is_held(path: Path) -> bool:
    """Whether some process holds a file, as `hold` does; the file is left as it is."""
    try:
        with path.open("rb") as file:
            return not _take(file, shared=True)
    except OSError:  # there is none, or nobody can lock it
        return False


def _take(file: IO[bytes], *, shared: bool = False) -> bool:
    """Lock an open file until it is closed; return False if somebody else has."""
    try:
        if sys.platform == "win32":
            file.seek(_BEHIND)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
