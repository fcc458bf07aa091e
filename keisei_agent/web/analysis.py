"""What a network thinks of a position, and what a search finds there."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from shogi_env import Board, Move
from shogi_env.arena.games import ENDINGS
from shogi_env.core.constants import NUM_CELLS
from shogi_env.kifu import Kifu, ki2
from shogi_env.search.puct import Evaluate, Search
from shogi_env.types import Color, Float64Array, UInt8Array

_SHOWN = 10
"""Moves that are told."""
_LINE = 12
"""Moves of an expected line that are told."""
_AT_ONCE = 64


class JudgementError(ValueError):
    """A network's answer is not a number."""


def analyse(board: Board, evaluate: Evaluate, simulations: int) -> dict[str, Any]:
    """Judge a position, as JSON; values are Black's, -1..1.

    Args:
        board: the position; it is not changed.
        evaluate: the network.
        simulations: of the search; 0 for none.

    Returns:
        `value`, `policy`: the likeliest moves, `heat`: float[81] by destination, `search`: None, or `value`,
        `visits` and `moves` with visits, value, prior, the mate's length where it is certain, and the line;
        `end` and `winner` where the rules end the game here, and then nothing else.

    Raises:
        JudgementError: the network computes no numbers.
    """
    outcome = board.outcome()
    over = outcome is not None or not board.legal_moves
    found: dict[str, Any] = {
        "sfen": board.sfen(),
        "turn": board.turn.name.lower(),
        "check": board.is_check(),
        "legal": [str(move) for move in board.legal_moves],
        "end": str(ENDINGS[outcome.termination]) if outcome else None,
        "winner": None if outcome is None or outcome.winner is None else outcome.winner.name.lower(),
        "value": None,
        "policy": [],
        "heat": None,
        "search": None,
    }
    if over:
        return found
    logits, values = evaluate(board.planes()[None])
    moves = list(board.legal_moves.by_action.items())
    shares = _softmax(logits[0, [action for action, _ in moves]].astype(np.float64))
    value = float(values[0])
    if not (math.isfinite(value) and np.isfinite(shares).all()):
        raise JudgementError("the network's answer is not a number")
    heat = np.zeros(NUM_CELLS)
    for share, (_, move) in zip(shares, moves, strict=True):
        heat[move.to] += share
    order = np.argsort(-shares, kind="stable")[:_SHOWN].tolist()
    found |= {
        "value": _to_black(value, board.turn),
        "policy": [_told(board, moves[k][1], share=float(shares[k])) for k in order],
        "heat": heat.round(5).tolist(),
        "search": _search(board, evaluate, simulations) if simulations else None,
    }
    return found


def _search(board: Board, evaluate: Evaluate, simulations: int) -> dict[str, Any]:
    search = Search(evaluate, leaves=4)
    search.run(board.snapshot(), np.zeros(1, np.int64), simulations)
    best = [choice for choice in search.choices() if choice.visits or choice.certain][:_SHOWN]
    return {
        "value": _to_black(search.value(), board.turn),
        "visits": search.visits(),
        "moves": [
            _told(
                board,
                choice.move,
                visits=choice.visits,
                value=None if choice.value is None else _to_black(choice.value, board.turn),
                prior=choice.prior,
                mate=choice.plies if choice.certain and choice.value in (1.0, -1.0) else None,
                line=[str(move) for move in search.line(choice)[:_LINE]],
            )
            for choice in best
        ],
    }


def values_of(game: Kifu, evaluate: Evaluate) -> list[float | None]:
    """Black's value of each position of a game, the first one included; None where the game is over."""
    board = Board(game.start, max_plies=None, declaration="off")
    planes: list[UInt8Array] = []
    turns: list[Color] = []
    known: list[int] = []
    for ply, move in enumerate([*game.moves, None]):
        if board.legal_moves:
            planes.append(board.planes())
            turns.append(board.turn)
            known.append(ply)
        if move is not None:
            board.push(move)
    found: list[float | None] = [None] * (len(game.moves) + 1)
    for begin in range(0, len(planes), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        _, values = evaluate(np.stack(planes[part]))
        for ply, turn, value in zip(known[part], turns[part], values.tolist(), strict=True):
            found[ply] = _to_black(value, turn) if math.isfinite(value) else None
    return found


def _told(board: Board, move: Move, **numbers: Any) -> dict[str, Any]:
    before = board.moves[-1] if board.moves else None
    return {"move": str(move), "text": ki2.format_move(board, move, before), **numbers}


def _softmax(logits: Float64Array) -> Float64Array:
    weights: Float64Array = np.exp(logits - logits.max())
    weights /= weights.sum()
    return weights


def _to_black(value: float, turn: Color) -> float:
    return value if turn == Color.BLACK else -value


def set_up(start: str | None, moves: Sequence[str]) -> Board:
    """A board after some moves.

    Raises:
        ShogiError: the start is no position, or a move is not legal.
    """
    board = Board(start, max_plies=None, declaration="off")
    for text in moves:
        board.push_usi(text)
    return board
