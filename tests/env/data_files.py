"""The test data of this folder, and the half-turn that doubles it."""

import gzip
import json
from pathlib import Path
from typing import Any

import numba

DATA = Path(__file__).parent / "data"
START = "lnsgkgsnl/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL b - 1"
MAX_MOVES = "R8/2K1S1SSk/4B4/9/9/9/9/9/1L1L1L3 b RBGSNLP3g3n17p 1"
PLAIN_PYTHON = bool(numba.config.DISABLE_JIT)


def few(count: int) -> int:
    """`count`, or a fiftieth of it where the rules run in plain Python."""
    return max(1, count // 50) if PLAIN_PYTHON else count


def read_rows(name: str) -> list[dict[str, Any]]:
    """Rows of a .jsonl or .jsonl.gz file."""
    path = DATA / name
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def rules(category: str) -> list[dict[str, Any]]:
    """The rows of rules.jsonl in a category."""
    return [row for row in read_rows("rules.jsonl") if row["category"] == category]


def flip_sfen(sfen: str) -> str:
    """The same position with the colors exchanged and the board turned by half."""
    board, turn, hands, number = sfen.split(" ")
    pieces: list[str] = []
    for char in board:
        if pieces and pieces[-1] == "+":
            pieces[-1] += char
        else:
            pieces.append(char)
    flipped = "".join(reversed(pieces)).swapcase()
    return f"{flipped} {'w' if turn == 'b' else 'b'} {order_hands(hands.swapcase())} {number}"


def order_hands(hands: str) -> str:
    """Hands in SFEN with Black's pieces first."""
    parts, count = {True: "", False: ""}, ""
    for char in hands:
        if char.isdigit():
            count += char
        else:
            parts[char.isupper()] += count + char
            count = ""
    return parts[True] + parts[False]


def flip_usi(usi: str) -> str:
    """A move on the board turned by half."""

    def turned(square: str) -> str:
        return f"{10 - int(square[0])}{'ihgfedcba'['abcdefghi'.index(square[1])]}"

    if usi[1] == "*":
        return usi[:2] + turned(usi[2:])
    return turned(usi[:2]) + turned(usi[2:4]) + usi[4:]


def flip_color(name: str | None) -> str | None:
    """The other color's name."""
    return {"BLACK": "WHITE", "WHITE": "BLACK", None: None}[name]
