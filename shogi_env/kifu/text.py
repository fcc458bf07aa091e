"""Bytes of a record to text, whatever they were encoded in."""

import codecs

from shogi_env.errors import RecordError

ENCODINGS = ("utf-8", "cp932", "euc_jp")
"""What records are written in: UTF-8 with or without a mark, Shift_JIS as Windows has it, EUC-JP."""
_DECLARED = {"shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932", "cp932": "cp932", "utf-8": "utf-8",
             "utf8": "utf-8", "euc-jp": "euc_jp", "euc_jp": "euc_jp"}  # fmt: skip
_MOST = 64 * 2**20
"""Bytes of the largest record that is read."""


def decode(data: bytes) -> str:
    """The text of a record.

    What is UTF-8 is read as such.  Between Shift_JIS and EUC-JP decides what the record says of itself in
    its first line, else which of the two makes fewer half-width katakana: EUC-JP read as Shift_JIS is full
    of them.

    Raises:
        RecordError: it is none of these, naming the line; or it is larger than 64 MiB.
    """
    if len(data) > _MOST:
        raise RecordError(f"a record of {len(data)} bytes: more than {_MOST} are not read")
    if data.startswith(codecs.BOM_UTF8):
        return _strict(data[len(codecs.BOM_UTF8) :], "utf-8")
    texts = {}
    for encoding in ENCODINGS:
        try:
            texts[encoding] = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8":
            return texts[encoding]
    declared = _declared(data)
    if declared in texts:
        return texts[declared]
    if not texts:
        return _strict(data, declared or "cp932")
    return min(texts.values(), key=_half_width)


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecordError(f"line {line}: byte {data[error.start]:#04x} is no text in {encoding}") from None


def _declared(data: bytes) -> str | None:
    """The encoding that the first line names, as in ``#KIF version=2.0 encoding=Shift_JIS``."""
    first = data[:200].split(b"\n", 1)[0].decode("ascii", "ignore")
    _, found, name = first.partition("encoding=")
    return _DECLARED.get(name.split()[0].lower()) if found and name.split() else None


def _half_width(text: str) -> int:
    return sum("\uff61" <= char <= "\uff9f" for char in text)
