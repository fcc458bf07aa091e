"""Records in files: which format is it, and read or write it."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from shogi_env.errors import RecordError
from shogi_env.kifu import csa, ki2, kif, usi
from shogi_env.kifu.text import decode
from shogi_env.kifu.tree import Kifu


class Format(NamedTuple):
    """A way to write a game down."""

    suffixes: tuple[str, ...]
    """Of its files, the usual one first."""
    read: Callable[[str], list[Kifu]]
    write: Callable[[Kifu], str] | None


FORMATS: Mapping[str, Format] = {
    "csa": Format((".csa",), csa.read, csa.write),
    "kif": Format((".kif", ".kifu"), lambda text: [kif.read(text)], kif.write),
    "ki2": Format((".ki2", ".ki2u"), lambda text: [ki2.read(text)], None),
    "usi": Format((".usi", ".sfen"), usi.read, usi.write),
}
"""Known formats by name."""
_BY_SUFFIX = {suffix: name for name, one in FORMATS.items() for suffix in one.suffixes}
_LOOKS_LIKE = {
    "csa": re.compile(r"^(V\d|PI|P[1-9+-]|N[+-]|[+-]\d{4}[A-Z]{2})", re.MULTILINE),
    "ki2": re.compile(r"^\s*[▲△▽☗☖▼]", re.MULTILINE),
    "kif": re.compile(r"^(手数-|手合割：|\s*1\s+\S)", re.MULTILINE),
    "usi": re.compile(r"^(position\s|startpos|sfen\s|\S+/\S+/\S+/\S+/\S+/\S+/\S+/\S+/\S+\s)", re.MULTILINE),
}


def loads(data: bytes | str, format: str | None = None) -> list[Kifu]:
    """Read the games of a text.

    Args:
        data: bytes are decoded, see `text.decode`.
        format: one of `FORMATS`; None for what it looks like.

    Raises:
        RecordError: it cannot be read; the text names the line and the reason.
        ValueError: there is no such format.
    """
    text = (decode(data) if isinstance(data, bytes) else data).lstrip("\ufeff")
    name = format or _guess(text)
    if name not in FORMATS:
        raise ValueError(f"unknown format {name!r} (known: {', '.join(FORMATS)})")
    return FORMATS[name].read(text)


def load(path: Path | str, format: str | None = None) -> list[Kifu]:
    """Read the games of a file, by its suffix where that is known.

    Raises:
        RecordError: it cannot be read; the text names the file, the line and the reason.
        OSError: there is no such file.
    """
    path = Path(path)
    try:
        return loads(path.read_bytes(), format or _BY_SUFFIX.get(path.suffix.lower()))
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def dumps(kifu: Kifu, format: str) -> str:
    """Write a game down.

    Raises:
        RecordError: the format cannot say it.
        ValueError: there is no such format, or it is only read.
    """
    write = FORMATS[format].write if format in FORMATS else None
    if write is None:
        known = ", ".join(name for name, one in FORMATS.items() if one.write)
        raise ValueError(f"{format!r} is no format that is written (known: {known})")
    return write(kifu)


def save(path: Path | str, games: Sequence[Kifu], format: str | None = None) -> None:
    """Write games to a file in UTF-8.

    Args:
        path: the file, overwritten once all games are known to be writable.
        games: one, or several where the format allows it.
        format: one of `FORMATS`; None for what the suffix says.

    Raises:
        RecordError: the format cannot say a game, or holds one game only.
        ValueError: there is no such format, or it is only read.
        OSError: it cannot be written.
    """
    path = Path(path)
    name = format or _BY_SUFFIX.get(path.suffix.lower(), path.suffix)
    if len(games) != 1 and name == "kif":
        raise RecordError(f"{path}: a KIF holds one game, not {len(games)}")
    between = "/\n" if name == "csa" else ""
    path.write_text(between.join(dumps(game, name) for game in games), "utf-8", newline="\n")


def _guess(text: str) -> str:
    for name, pattern in _LOOKS_LIKE.items():
        if pattern.search(text):
            return name
    raise RecordError("line 1: this looks like no record (CSA, KIF, KI2, USI)")
