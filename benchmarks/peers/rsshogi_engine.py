"""rsshogi driven from Python: perft."""

from __future__ import annotations

from rsshogi.core import Board


def board(sfen: str) -> Board:
    """A board at a position."""
    result = Board()
    result.set_sfen(sfen)
    return result


def perft_bulk(board: Board, depth: int) -> int:
    """Count leaves; the last ply is only counted, not played."""
    if depth == 1:
        return len(board.legal_moves_move32())
    push, pop, total = board.apply_move32, board.undo_move32, 0
    for move in board.legal_moves_move32():
        push(move)
        total += perft_bulk(board, depth - 1)
        pop(move)
    return total


def perft_full(board: Board, depth: int) -> int:
    """Count leaves; every move of every ply is played and taken back."""
    push, pop, total = board.apply_move32, board.undo_move32, 0
    for move in board.legal_moves_move32():
        push(move)
        total += perft_full(board, depth - 1) if depth > 1 else 1
        pop(move)
    return total
