"""SFEN and USI text: what is read, what is refused and why, and that writing gives the same back."""

import math
import pickle
import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from shogi_env.core.constants import MAX_COUNT
from shogi_env.errors import SfenError, UsiError
from shogi_env.notation.sfen import HANDICAPS, START_SFEN, Setup, format_sfen, parse_sfen
from shogi_env.notation.usi import Move, parse_square, square_name
from shogi_env.types import Color, PieceType

DATA = Path(__file__).parent / "data"
KINGS = "4k4/9/9/9/9/9/9/9/4K4"


def read_rows(name: str) -> list[list[str]]:
    lines = (DATA / name).read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


VALID = read_rows("sfen_valid.txt")
INVALID = read_rows("sfen_invalid.txt")


def check_setup(setup: Setup) -> None:
    """What holds for every position that is accepted."""
    assert setup.board.dtype == np.int8 and setup.board.shape == (81,)
    assert setup.hands.dtype == np.int8 and setup.hands.shape == (2, 7)
    assert isinstance(setup.turn, Color) and type(setup.number) is int and 1 <= setup.number <= 9999
    kinds = setup.board[setup.board > 0] % 16
    assert ((kinds >= 1) & (kinds <= 14)).all()
    kinds = np.where(kinds > 8, kinds - 8, kinds)
    counts = np.bincount(kinds, minlength=9)
    counts[1:8] += setup.hands.sum(axis=0)
    assert (counts[1:] <= MAX_COUNT[1:]).all() and (setup.hands >= 0).all()
    assert (setup.board == PieceType.KING).sum() <= 1 and (setup.board == PieceType.KING + 16).sum() <= 1


def test_start_position():
    setup = parse_sfen(START_SFEN)
    assert setup.board.reshape(9, 9)[:, 6].tolist() == [PieceType.PAWN] * 9
    assert setup.board[9 * 1 + 1] == PieceType.BISHOP + 16  # 2b
    assert setup.board[9 * 1 + 7] == PieceType.ROOK  # 2h
    assert setup.board[9 * 4 + 8] == PieceType.KING  # 5i
    assert not setup.hands.any() and setup.turn is Color.BLACK and setup.number == 1
    check_setup(setup)


@pytest.mark.parametrize(("text", "canonical", "_what"), VALID, ids=[row[2] for row in VALID])
def test_valid_sfen_is_read_and_written_back(text, canonical, _what):
    setup = parse_sfen(text)
    check_setup(setup)
    assert format_sfen(setup) == (canonical or text)
    again = parse_sfen(format_sfen(setup))
    assert (again.board == setup.board).all() and (again.hands == setup.hands).all()
    assert again[2:] == setup[2:]


@pytest.mark.parametrize(("part", "reason", "text"), INVALID, ids=[f"{row[2]}" for row in INVALID])
def test_invalid_sfen_names_part_and_reason(part, reason, text):
    with pytest.raises(SfenError) as error:
        parse_sfen(text)
    assert str(error.value).startswith(f"SFEN {part}: ")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "board"),
        (" ", "board"),
        ("\0", "side to move"),
        ("/" * 400 + " b - 1", "board"),
        ("9" * 100_000 + " b - 1", "board"),
        ("+" * 100_000 + " b - 1", "board"),
        (f"{KINGS} b {'9' * 100_000}P 1", "hands"),
        (f"{KINGS} b {'P' * 100_000} 1", "hands"),
        (f"{KINGS} b - {'9' * 100_000}", "move number"),
        (f"{KINGS} b - 1\n", "move number"),
        (f"\ufeff{KINGS} b - 1", "board"),
        (f"{KINGS}\tb - 1", "move number"),
        (f"{KINGS} b\u3000- 1", "move number"),
        (f"{KINGS} b \ud800 1", "hands"),
        (" " * 100_000, "board"),
    ],
)
def test_odd_texts_are_refused_in_a_short_message(text, part):
    with pytest.raises(SfenError) as error:
        parse_sfen(text)
    assert str(error.value).startswith("SFEN ") and part in str(error.value)
    assert len(str(error.value)) < 400


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


NOT_TEXT = [
    *(
        None,
        b"",
        START_SFEN.encode(),
        bytearray(b"x"),
        0,
        10**5000,
        -(10**5000),
        1.5,
        math.nan,
        True,
        np.int8(3),
    ),
    *([], [START_SFEN], {}, (), object, sys, len, Path("x"), np.zeros(81), Unprintable()),
]


@pytest.mark.parametrize("value", NOT_TEXT, ids=lambda value: type(value).__name__)
def test_anything_but_text_is_refused(value):
    with pytest.raises(SfenError, match=f"not {type(value).__name__}") as error:
        parse_sfen(value)
    assert len(str(error.value)) < 400
    for read in (Move.from_usi, parse_square):
        with pytest.raises(UsiError, match=f"not {type(value).__name__}"):
            read(value)


def test_str_subclasses_are_text():
    assert format_sfen(parse_sfen(np.str_(START_SFEN))) == START_SFEN
    assert str(Move.from_usi(np.str_("7g7f"))) == "7g7f"


@pytest.mark.parametrize("name", HANDICAPS)
def test_handicaps(name):
    setup = parse_sfen(HANDICAPS[name])
    start = parse_sfen(START_SFEN)
    assert format_sfen(setup) == HANDICAPS[name]
    assert setup.turn is (Color.BLACK if name == "even" else Color.WHITE) and not setup.hands.any()
    removed = np.flatnonzero(setup.board != start.board)
    assert not setup.board[removed].any() and (start.board[removed] >= 16).all()
    pieces = re.search(r"\d+", name)
    expected = int(pieces[0]) if pieces else {"even": 0, "rook-lance": 2}.get(name, 1)
    assert len(removed) == expected


def test_handicap_sides_are_those_of_white():
    """White looks down the board: its left lance is on 1a, its right knight on 8a."""
    start = parse_sfen(START_SFEN).board
    removed = {
        name: {square_name(int(cell)) for cell in np.flatnonzero(parse_sfen(sfen).board != start)}
        for name, sfen in HANDICAPS.items()
    }
    assert removed["lance"] == {"1a"} and removed["right-lance"] == {"9a"}
    assert removed["bishop"] == {"2b"} and removed["rook"] == {"8b"}
    assert removed["rook-lance"] == {"8b", "1a"}
    assert removed["4-piece"] == {"8b", "2b", "1a", "9a"}
    assert removed["5-piece"] - removed["4-piece"] == {"8a"}
    assert removed["left-5-piece"] - removed["4-piece"] == {"2a"}
    assert removed["left-7-piece"] - removed["6-piece"] == {"3a"}
    assert removed["right-7-piece"] - removed["6-piece"] == {"7a"}


def test_every_square_round_trips():
    names = [square_name(cell) for cell in range(81)]
    assert names[0] == "1a" and names[60] == "7g" and names[80] == "9i"
    assert [parse_square(name) for name in names] == list(range(81))
    for cell in (-1, 81):
        with pytest.raises(UsiError):
            square_name(cell)


def test_every_usi_move_round_trips():
    """All 81 * 80 * 2 board moves and 7 * 81 drops, built and read."""
    moves = [
        Move(to, source=source, promotion=promotion)
        for source in range(81) for to in range(81) if source != to for promotion in (False, True)
    ]  # fmt: skip
    moves += [Move(to, drop=PieceType(kind)) for kind in range(1, 8) for to in range(81)]
    texts = [str(move) for move in moves]
    assert len(set(texts)) == len(moves) == 81 * 80 * 2 + 7 * 81
    assert [Move.from_usi(text) for text in texts] == moves
    assert all(len(text) == 4 + move.promotion for text, move in zip(texts, moves, strict=True))


def test_move_is_a_value():
    move = Move.from_usi("8h2b+")
    assert move == Move(to=10, source=70, promotion=True) and hash(move) == hash(Move(10, 70, None, True))
    assert pickle.loads(pickle.dumps(move)) == move
    assert len({move, Move.from_usi("8h2b"), Move.from_usi("P*5e"), Move.from_usi("P*5e")}) == 3


@pytest.mark.parametrize(
    ("text", "part", "reason"),
    [
        ("", "length", "4 characters"),
        ("7g7", "length", "4 characters"),
        ("7g7f++", "length", "4 characters"),
        ("resign", "length", "4 characters"),
        ("7g" * 50_000, "length", "4 characters"),
        ("none", "source", "'no' is not a square"),
        ("0000", "source", "'00' is not a square"),
        ("7g7fp", "promotion", "not 'p'"),
        ("7g7f=", "promotion", "not '='"),
        ("7g7f ", "promotion", "not ' '"),
        ("7g7f\n", "promotion", "not '\\n'"),
        ("7g7f\uff0b", "promotion", "not"),
        ("7g7g", "destination", "the square the piece stands on"),
        ("7g7g+", "destination", "the square the piece stands on"),
        ("0g7f", "source", "'0g' is not a square"),
        ("7j7f", "source", "'7j' is not a square"),
        ("7G7F", "source", "'7G' is not a square"),
        ("g7f7", "source", "'g7' is not a square"),
        ("7g7j", "destination", "'7j' is not a square"),
        ("7g0f", "destination", "'0f' is not a square"),
        ("\uff17g7f", "source", "is not a square"),
        ("\u0667g7f", "source", "is not a square"),
        ("7\uff477f", "source", "is not a square"),
        ("7\u04337f", "source", "is not a square"),
        ("K*5e", "dropped piece", "'K' is not one of PLNSBRG"),
        ("p*5e", "dropped piece", "'p' is not one of"),
        ("+P*5e", "promotion", "not 'e'"),
        ("\u0420*5e", "dropped piece", "is not one of"),
        ("P\uff0a5e", "source", "is not a square"),
        ("P*5e+", "promotion", "a dropped piece cannot promote"),
        ("P*5j", "destination", "'5j' is not a square"),
        ("P*00", "destination", "'00' is not a square"),
        ("**5e", "dropped piece", "'*' is not one of"),
        ("\ud800*5e", "dropped piece", "is not one of"),
        ("7776FU", "length", "4 characters"),
    ],
)
def test_invalid_usi_names_part_and_reason(text, part, reason):
    with pytest.raises(UsiError) as error:
        Move.from_usi(text)
    assert str(error.value).startswith(f"USI {part}: ") and reason in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    "parts",
    [
        {"to": 5},
        {"to": 81, "source": 3},
        {"to": -1, "source": 3},
        {"to": 3, "source": 81},
        {"to": 3, "source": 3},
        {"to": 3, "source": 4, "drop": PieceType.PAWN},
        {"to": 3, "drop": PieceType.KING},
        {"to": 3, "drop": PieceType.HORSE},
        {"to": 3, "drop": PieceType.PAWN, "promotion": True},
    ],
)
def test_parts_that_make_no_move_are_refused(parts):
    with pytest.raises(UsiError, match="USI "):
        Move(**parts)


# Mutated texts.  Whatever is accepted must be a sound position and read back the same.

SFEN_ALPHABET = "/+ 0123456789bwplnsgkrPLNSBRGK-xX.*\t\n\0\uff11\u0661\u00b2\u0420\u9f8d\ud800\u200b"
USI_ALPHABET = "0123456789abcdefghijPLNSBRGKp*+ -\n\0\uff17\u0667\u0433\ud800"


def mutate(rng: random.Random, text: str, alphabet: str) -> str:
    """Change a text in one to four places: replace, insert, delete, swap, repeat, move a piece."""
    chars = list(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        at, other = rng.randrange(len(chars) + 1), rng.randrange(len(chars) + 1)
        kind = rng.randrange(7)
        if kind == 0:
            chars[at : at + 1] = [rng.choice(alphabet)]
        elif kind == 1:
            chars.insert(at, rng.choice(alphabet))
        elif kind == 2:
            del chars[at : at + 1]
        elif kind == 3 and at < len(chars) and other < len(chars):
            chars[at], chars[other] = chars[other], chars[at]
        elif kind == 4:
            chars[at:at] = chars[min(at, other) : max(at, other)]
        elif kind == 5:
            del chars[min(at, other) : max(at, other)]
        else:
            chars[at : at + 1] = [chr(rng.randrange(rng.choice((128, 0x3000, 0x110000))))]
    return "".join(chars)


def check_mutations(count: int, seed: int) -> tuple[int, int]:
    """Read mutated SFENs and USI moves; return how many of each were accepted."""
    rng = random.Random(seed)
    seeds = [row[0] for row in VALID] * 8 + [row[2] for row in INVALID] + list(HANDICAPS.values())
    sfens = moves = 0
    for _ in range(count // 2):
        text = mutate(rng, rng.choice(seeds), SFEN_ALPHABET)
        try:
            setup = parse_sfen(text)
        except SfenError as error:
            assert str(error).startswith("SFEN ") and len(str(error)) < 500
        else:
            sfens += 1
            check_setup(setup)
            canonical = format_sfen(setup)
            assert canonical.split()[:2] == text.split()[:2] and canonical.split()[3] == text.split()[3]
            assert sorted(canonical) == sorted(text)
            assert format_sfen(parse_sfen(canonical)) == canonical
        text = mutate(rng, rng.choice(("7g7f", "8h2b+", "P*5e", "G*1i", "1a9i+")), USI_ALPHABET)
        try:
            move = Move.from_usi(text)
        except UsiError as error:
            assert str(error).startswith("USI ") and len(str(error)) < 250
        else:
            moves += 1
            assert str(move) == text
    return sfens, moves


def test_mutated_texts():
    sfens, moves = check_mutations(6_000, seed=1)
    assert sfens > 40 and moves > 100  # the test reaches both sides


@pytest.mark.slow
def test_many_mutated_texts():
    sfens, moves = check_mutations(200_000, seed=2)
    assert sfens > 1_500 and moves > 4_000
