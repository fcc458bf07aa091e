"""Hashes that are the same on every machine and in every version of Python and NumPy."""

import hashlib
from pathlib import Path


def digest_of(*parts: object) -> str:
    """The first 64 bits of SHA-256 over the texts of some parts, as 16 hexadecimal digits.

    Args:
        *parts: bytes are taken as they are, everything else as ``str(part)``.

    >>> digest_of("a", 1)
    '9fe2af4305790bd0'
    """
    sha = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        sha.update(len(data).to_bytes(8, "little") + data)  # the lengths keep ("ab", "c") from ("a", "bc")
    return sha.hexdigest()[:16]


def seed_of(*parts: object) -> int:
    """A number 1..2**64-1 that depends on all parts: the seed of a random stream."""
    return int(digest_of(*parts), 16) or 1


def digest_of_file(path: Path | str) -> str:
    """The first 16 digits of what ``sha256sum`` says of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
