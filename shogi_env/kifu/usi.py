"""Games as lines of USI: ``startpos moves 7g7f 3c3d`` or ``sfen SFEN moves ...``, or an SFEN alone."""

from shogi_env.errors import SfenError, UsiError
from shogi_env.initial import resolve
from shogi_env.kifu.tree import Builder, Kifu, fail
from shogi_env.notation.sfen import START_SFEN, format_sfen
from shogi_env.notation.usi import Move


def read(text: str) -> list[Kifu]:
    """The games of a file, one in each line; those that begin with a ``#`` are not read.

    Raises:
        RecordError: naming the line and the reason.
    """
    lines = enumerate(text.splitlines(), 1)
    games = [_read_line(number, line) for number, line in lines if line.strip() and line[0] != "#"]
    if not games:
        fail(1, "there is no game")
    return games


def _read_line(number: int, line: str) -> Kifu:
    words = line.split()
    if words[0] == "position":
        del words[0]
    begin = words.index("moves") if "moves" in words else len(words)
    head = words[:begin]
    if head[:1] == ["sfen"]:
        del head[0]
    try:
        start = START_SFEN if head == ["startpos"] else format_sfen(resolve(" ".join(head)))
    except SfenError as error:
        fail(number, str(error))
    builder = Builder(start)
    for word in words[begin + 1 :]:
        try:
            move = Move.from_usi(word)
        except UsiError as error:
            fail(number, f"move {builder.number}: {error}")
        builder.push(move, number, word)
    return builder.kifu


def write(kifu: Kifu) -> str:
    """The main line; how it ended is not part of USI."""
    start = "startpos" if kifu.start == START_SFEN else f"sfen {kifu.start}"
    moves = " ".join(map(str, kifu.moves))
    return f"{start} moves {moves}\n" if moves else f"{start}\n"
