"""Write the test data that independent engines decide (development only: needs cshogi and rsshogi).

    python tools/make_test_data.py            # rewrites what engines decide, see tests/env/data/README.md
    python tools/make_test_data.py --check    # compares rules.jsonl with the rules cshogi and rsshogi have

The positions come from random games of six styles, so that promotions, drops, checks, pins, crowded
hands and entered kings occur.  cshogi plays and writes; rsshogi has to agree with every legal set, or
the position is reported and left out.  The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cshogi
import numpy as np
import rsshogi.core
from cshogi.dlshogi import FEATURES1_NUM, FEATURES2_NUM, make_input_features, make_move_label

DATA = Path(__file__).resolve().parent.parent / "tests" / "env" / "data"
STYLES = ("uniform", "captures", "checks", "promotions", "drops", "king")
LEGAL_SETS = 2000
ENCODINGS = 300
PACKED = 200
DROP_MATES_PER_VERDICT = 40
DROP_MATE_PLIES = 400_000


def usi_moves(board: cshogi.Board) -> list[str]:
    """Legal moves of cshogi, sorted."""
    return sorted(cshogi.move_to_usi(move) for move in board.legal_moves)


def rs_moves(sfen: str) -> list[str]:
    """Legal moves of rsshogi, sorted."""
    board = rsshogi.core.Board()
    board.set_sfen(sfen)
    return sorted(move.to_usi() for move in board.legal_moves())


def preferred(board: cshogi.Board, style: str, rng: random.Random) -> list[int]:
    """The moves a style likes best here; all legal moves where it has none."""
    moves = list(board.legal_moves)
    if style == "captures":
        liked = [m for m in moves if not cshogi.move_is_drop(m) and board.piece(cshogi.move_to(m))]
    elif style == "checks":
        liked = [m for m in rng.sample(moves, min(40, len(moves))) if gives_check(board, m)]
    elif style == "promotions":
        liked = [m for m in moves if cshogi.move_is_promotion(m)]
    elif style == "drops":
        liked = [m for m in moves if cshogi.move_is_drop(m)]
    elif style == "king":
        liked = [m for m in moves if advances_king(board, m)]
    else:
        liked = []
    return liked or moves


def gives_check(board: cshogi.Board, move: int) -> bool:
    """Whether the opponent is in check after the move."""
    board.push(move)
    check = bool(board.is_check())
    board.pop()
    return check


def advances_king(board: cshogi.Board, move: int) -> bool:
    """Whether the move brings the king nearer to the other side of the board."""
    if cshogi.move_is_drop(move) or cshogi.move_from(move) != board.king_square(board.turn):
        return False
    step = cshogi.move_to(move) % 9 - cshogi.move_from(move) % 9
    return step < 0 if board.turn == cshogi.BLACK else step > 0


def random_positions(seed: int) -> Iterator[cshogi.Board]:
    """Yield a board along endless random games; it is the same object all game long."""
    rng = random.Random(seed)
    while True:
        style = rng.choice(STYLES)
        board = cshogi.Board()
        for _ in range(rng.randint(30, 420)):
            yield board
            moves = list(board.legal_moves)
            if not moves:
                break
            liked = preferred(board, style, rng) if rng.random() < 0.6 else moves
            board.push(rng.choice(liked))


def sample(count: int, every: int, seed: int) -> list[str]:
    """SFENs of different positions of random games, `every` plies apart on average; all with no moves."""
    rng = random.Random(seed)
    seen: set[str] = set()
    sfens: list[str] = []
    for board in random_positions(seed):
        if len(sfens) >= count:
            return sfens
        no_moves = board.is_game_over()
        if not no_moves and rng.random() > 1 / every:
            continue
        sfen = board.sfen()
        if (key := sfen.rsplit(" ", 1)[0]) not in seen:
            seen.add(key)
            sfens.append(sfen)
    return sfens


def make_legal_sets() -> None:
    """legal_sets.jsonl.gz: {"sfen", "check", "moves"}, every set confirmed by rsshogi."""
    lines = []
    for sfen in sample(LEGAL_SETS, every=25, seed=1):
        board = cshogi.Board(sfen)
        moves = usi_moves(board)
        if moves != rs_moves(sfen):
            print("cshogi and rsshogi differ:", sfen)
            continue
        row = {"sfen": sfen, "check": bool(board.is_check()), "moves": " ".join(moves)}
        lines.append(json.dumps(row, separators=(",", ":")) + "\n")
    packed = gzip.compress("".join(lines).encode(), 9, mtime=0)
    (DATA / "legal_sets.jsonl.gz").write_bytes(packed)


def dlshogi_features(board: cshogi.Board) -> np.ndarray:
    """Planes of dlshogi as bool[119, 9, 9], indexed [plane, file, rank] as the mover sees the board."""
    planes = np.zeros((FEATURES1_NUM + FEATURES2_NUM, 9, 9), np.float32)
    make_input_features(board, planes[:FEATURES1_NUM], planes[FEATURES1_NUM:])
    assert np.isin(planes, (0, 1)).all()
    return planes.astype(bool)


def make_encodings() -> None:
    """encodings.npz: dlshogi's labels of all legal moves and its planes, of random positions."""
    sfens, features, moves, labels, counts = [], [], [], [], []
    for sfen in sample(ENCODINGS, every=40, seed=2):
        board = cshogi.Board(sfen)
        legal = sorted(board.legal_moves)
        sfens.append(sfen)
        features.append(np.packbits(dlshogi_features(board)))
        counts.append(len(legal))
        moves += [cshogi.move_to_usi(move) for move in legal]
        labels += [make_move_label(move, board.turn) for move in legal]
    np.savez_compressed(
        DATA / "encodings.npz",
        sfens=np.array(sfens),
        counts=np.array(counts, np.int16),
        moves=np.array(moves, "S5"),
        labels=np.array(labels, np.int16),
        features=np.array(features, np.uint8),
    )


def make_packed() -> None:
    """packed.npz: positions in 32 bytes, Apery's and YaneuraOu's code, with moves in their 16 bits."""
    sfens = sample(PACKED, every=40, seed=5)
    hcp, psfen = np.zeros(PACKED, cshogi.HuffmanCodedPos), np.zeros(PACKED, cshogi.PackedSfen)
    moves = np.zeros((PACKED, 2), np.uint16)
    usi = []
    rng = random.Random(5)
    for k, sfen in enumerate(sfens):
        board = cshogi.Board(sfen)
        board.to_hcp(hcp[k : k + 1])
        board.to_psfen(psfen[k : k + 1])
        move = rng.choice(list(board.legal_moves) or [0])
        usi.append(cshogi.move_to_usi(move) if move else "")
        if move:
            moves[k] = cshogi.move16(move), cshogi.move16_to_psv(cshogi.move16(move))
    np.savez_compressed(
        DATA / "packed.npz",
        sfens=np.array(sfens),
        hcp=hcp.view(np.uint8).reshape(PACKED, 32),
        psfen=psfen.view(np.uint8).reshape(PACKED, 32),
        usi=np.array(usi, "S5"),
        moves=moves,
    )


def drop_mate_candidate(board: cshogi.Board) -> str | None:
    """USI of the pawn drop in front of the opponent's king, if nothing but mate could forbid it."""
    sign = -1 if board.turn == cshogi.BLACK else 1
    king = board.king_square(1 - board.turn)
    cell = king - sign
    own_pawn = cshogi.BPAWN if board.turn == cshogi.BLACK else cshogi.WPAWN
    if cell // 9 != king // 9 or cell < 0 or board.piece(cell) or not board.pieces_in_hand[board.turn][0]:
        return None
    if cell % 9 == (0 if board.turn == cshogi.BLACK else 8) or board.is_check():
        return None
    if any(board.piece(9 * (cell // 9) + rank) == own_pawn for rank in range(9)):
        return None
    return f"P*{cell // 9 + 1}{'abcdefghi'[cell % 9]}"


def after_pawn_drop(board: cshogi.Board, usi: str) -> cshogi.Board:
    """The position after the drop, set up piece by piece: no engine's drop-mate code is asked."""
    pieces = list(board.pieces)
    cell = 9 * (int(usi[2]) - 1) + "abcdefghi".index(usi[3])
    pieces[cell] = cshogi.BPAWN if board.turn == cshogi.BLACK else cshogi.WPAWN
    hands = [list(hand) for hand in board.pieces_in_hand]
    hands[board.turn][0] -= 1
    after = cshogi.Board()
    after.set_pieces(pieces, tuple(tuple(hand) for hand in hands))
    sfen = after.sfen().split(" ")
    sfen[1] = "w" if board.turn == cshogi.BLACK else "b"
    return cshogi.Board(" ".join(sfen))


def drop_verdict(after: cshogi.Board, target: int) -> str:
    """Why the checking pawn drop is legal or not, from the replies to it."""
    replies = list(after.legal_moves)
    captures = [
        m for m in after.pseudo_legal_moves if not cshogi.move_is_drop(m) and cshogi.move_to(m) == target
    ]
    king = after.king_square(after.turn)
    if not replies:
        pinned = any(cshogi.move_from(m) != king for m in captures)
        return "illegal_pinned_defender" if pinned else "illegal"
    if any(cshogi.move_to(m) == target and cshogi.move_from(m) != king for m in replies):
        return "legal_other_piece_captures"
    if any(cshogi.move_to(m) == target for m in replies):
        return "legal_king_captures"
    return "legal_king_escapes"


def make_drop_mates() -> None:
    """drop_mates.jsonl: checking pawn drops with verdict and reason."""
    found: dict[str, list[dict[str, Any]]] = {}
    seen: set[str] = set()
    for board in islice(random_positions(3), DROP_MATE_PLIES):
        usi = drop_mate_candidate(board)
        if usi is None:
            continue
        sfen = board.sfen()
        key = sfen.rsplit(" ", 1)[0]
        target = 9 * (int(usi[2]) - 1) + "abcdefghi".index(usi[3])
        verdict = drop_verdict(after_pawn_drop(board, usi), target)
        rows = found.setdefault(verdict, [])
        if key in seen or len(rows) >= DROP_MATES_PER_VERDICT:
            continue
        seen.add(key)
        legal = verdict.startswith("legal")
        if legal != (usi in usi_moves(board)) or legal != (usi in rs_moves(sfen)):
            print("engines differ from the replies:", sfen, usi, verdict)
            continue
        rows.append({"sfen": sfen, "move": usi, "verdict": verdict})
    lines = [json.dumps(row) for verdict in sorted(found) for row in found[verdict]]
    (DATA / "drop_mates.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print({verdict: len(rows) for verdict, rows in found.items()})


def cs_perft(board: cshogi.Board, depth: int) -> int:
    """Leaf count by cshogi, driven from Python."""
    if depth == 1:
        return len(board.legal_moves)
    total = 0
    for move in board.legal_moves:
        board.push(move)
        total += cs_perft(board, depth - 1)
        board.pop()
    return total


def rs_perft(board: rsshogi.core.Board, depth: int) -> int:
    """Leaf count by rsshogi, driven from Python."""
    if depth == 1:
        return len(board.legal_moves())
    total = 0
    for move in board.legal_moves_move32():
        board.apply_move32(move)
        total += rs_perft(board, depth - 1)
        board.undo_move32(move)
    return total


def make_perft() -> None:
    """perft_random.jsonl: counts of random positions on which cshogi and rsshogi agree."""
    lines = []
    for number, sfen in enumerate(sample(60, every=60, seed=4)):
        board, other = cshogi.Board(sfen), rsshogi.core.Board()
        other.set_sfen(sfen)
        nodes = {"1": len(board.legal_moves)}
        while len(nodes) < 3 and 0 < list(nodes.values())[-1] < 10_000:
            depth = len(nodes) + 1
            nodes[str(depth)] = cs_perft(board, depth)
        if any(rs_perft(other, int(depth)) != count for depth, count in nodes.items()):
            print("cshogi and rsshogi differ:", sfen)
            continue
        lines.append(json.dumps({"id": f"random-{number}", "sfen": sfen, "nodes": nodes}))
    (DATA / "perft_random.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def check_rules() -> None:
    """Print how cshogi and rsshogi judge rules.jsonl where they have the rule; notes explain known faults."""
    for line in (DATA / "rules.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        board, other = cshogi.Board(row["sfen"]), rsshogi.core.Board()
        other.set_sfen(row["sfen"])
        for usi in row.get("moves", "").split():
            if usi not in usi_moves(board):
                print(row["id"], "illegal move in the sequence:", usi, board.sfen())
                break
            board.push_usi(usi)
            other.apply_usi(usi)
        said = engine_words(row["category"], board, other, row)
        print(f"{row['id']:34} {row['verdict']:12} {said}")


def engine_words(category: str, board: cshogi.Board, other: rsshogi.core.Board, row: dict[str, Any]) -> str:
    """What the two engines say about the position, in their words."""
    if category == "declaration":
        return f"cshogi {'win' if board.is_nyugyoku() else 'no'}"
    if category == "repetition":
        return f"rsshogi {other.repetition_state()}"
    if category == "move":
        return f"cshogi {row['move'] in usi_moves(board)} rsshogi {row['move'] in rs_moves(board.sfen())}"
    return f"cshogi moves {len(board.legal_moves)} check {bool(board.is_check())}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only judge rules.jsonl")
    if parser.parse_args().check:
        check_rules()
        return
    for make in (make_legal_sets, make_encodings, make_packed, make_drop_mates, make_perft):
        make()


if __name__ == "__main__":
    main()
