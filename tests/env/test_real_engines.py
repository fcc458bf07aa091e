"""Engines that others wrote, as players; each test is skipped where its engine is not installed."""

import os
import random
import re

import numpy as np
import pytest

from shogi_env import Board, Positions, opponents
from shogi_env.arena import gnushogi, process
from shogi_env.arena.gnushogi import GnuShogiEngine, GnuShogiPlayer
from shogi_env.arena.process import EngineError, find_engine
from shogi_env.arena.usi import UsiPlayer
from shogi_env.notation.sfen import START_SFEN
from shogi_env.notation.usi import Move
from shogi_env.types import Color

LONG_GAME = 0
"""Seed of a game of random moves that lasts."""


def play_against_random(player, side: Color, *, games: int = 1, max_plies: int = 512) -> Positions:
    """Whole games of an opponent against `random`; an illegal move raises."""
    positions = Positions(games, max_plies=max_plies)
    positions.seed(np.arange(1, games + 1, dtype=np.uint64))
    while (idx := np.flatnonzero(positions.outcomes()[0] == 0)).size:
        choose = player if positions.turns[idx[0]] == side else opponents.random
        actions = choose(positions, idx)
        going = actions != opponents.RESIGN
        if not going.any():
            break
        positions.apply(actions[going], idx[going])
    return positions


def need(name: str) -> str:
    path = find_engine(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.mark.parametrize("go", ["depth 1", "nodes 500"])
def test_fairy_stockfish_plays(go) -> None:
    need("fairy-stockfish")
    with UsiPlayer("fairy-stockfish", go=go, options={"Skill Level": "20"}, processes=2) as player:
        assert player.version.startswith("Fairy-Stockfish")
        positions = play_against_random(player, Color.WHITE, games=4)
    assert positions.plies.min() > 4


@pytest.mark.slow
def test_gpsshogi_plays() -> None:
    """Two games at once, one of them from a position with White to move."""
    need("gpsusi")
    options = {"LimitDepth": "4", "BookDepth": "0", "Thread": "1"}
    with UsiPlayer("gpsusi", go="byoyomi 100", options=options) as player:
        positions = Positions(2)
        positions.seed(np.array([1, 2], np.uint64))
        second = positions.everyone[1:]
        positions.apply(positions.random_actions(second), second)
        for _ in range(3):
            positions.apply(player(positions, positions.everyone))
            positions.apply(positions.random_actions())
        positions = play_against_random(player, Color.BLACK)
    assert positions.outcomes()[1].tolist() == [Color.BLACK]


def test_gnushogi_plays() -> None:
    need("gnushogi")
    with GnuShogiPlayer(1, processes=2) as player:
        assert player.version.startswith("GNU Shogi")
        positions = play_against_random(player, Color.BLACK, games=3)
    assert (positions.outcomes()[1] == Color.BLACK).all()


def drawing(engine: GnuShogiEngine, start: str, moves: list[str]) -> list[str]:
    """What GNU Shogi shows after the moves of a question: the board, and its settings."""
    lines: list[str] = []

    def take(line: str) -> str | None:
        lines.append(line)
        return "" if line.startswith("Time Control") else None

    engine._ask([*gnushogi.question(1, start, moves)[:-1], "bd", "help"], take, "bd")
    return lines


def placement(lines: list[str]) -> tuple[str, dict[str, list[str]]]:
    """Board and hands of a drawing, in the letters of SFEN, empty cells written as 1."""
    top = next(n for n, line in enumerate(lines) if line.startswith("Black ")) + 2
    cells = [[line[k : k + 2].strip().swapcase() for k in range(0, 18, 2)] for line in lines[top : top + 9]]
    hands = {line[:5]: sorted(line.split()[1:]) for line in lines[top + 9 : top + 12] if line}
    return "/".join("".join(row).replace("-", "1") for row in cells), hands


def expected_placement(sfen: str) -> tuple[str, dict[str, list[str]]]:
    board, _, in_hand, _ = sfen.split()
    hands: dict[str, list[str]] = {"black": [], "white": []}
    for count, letter in re.findall(r"(\d*)([A-Za-z])", in_hand):
        hands["black" if letter.isupper() else "white"].append((count or "1") + letter.upper())
    spread = re.sub(r"\d", lambda match: "1" * int(match[0]), board)
    return spread, {side: sorted(pieces) for side, pieces in hands.items()}


def test_gnushogi_has_our_position_before_it() -> None:
    """Any position can be entered, and any legal move is taken: its own drawing shows what we have."""
    need("gnushogi")
    rng = random.Random(5)
    with GnuShogiEngine(1) as engine:
        for plies, more in ((0, 40), (1, 0), (60, 60), (150, 33)):
            board = Board(max_plies=None)
            while board.outcome() is None and board.ply < plies:
                board.push(rng.choice(list(board.legal_moves)))
            start, first = board.sfen(), board.ply
            while board.outcome() is None and board.ply < first + more:
                board.push(rng.choice(list(board.legal_moves)))
            lines = drawing(engine, start, [str(move) for move in board.moves[first:]])
            assert not [line for line in lines if "Illegal" in line]
            assert placement(lines) == expected_placement(board.sfen())
            settings = "\n".join(lines)
            assert re.search(r"book +turn ON", settings)  # the word is what `book` would do next
            assert re.search(r"Transposition file: +OFF", settings)
            assert re.search(r"Depth: +1\b.*\nRandom: +OFF", settings)


def test_gnushogi_plays_on_where_it_would_call_a_draw() -> None:
    """Its own games end after 300 moves, and it has no room for many more; ours go on."""
    need("gnushogi")
    rng, board = random.Random(LONG_GAME), Board(max_plies=None)
    while board.ply < 360:
        board.push(rng.choice(list(board.legal_moves)))
    with GnuShogiEngine(1) as engine:
        assert (
            Move.from_usi(engine.choose(START_SFEN, [str(move) for move in board.moves])) in board.legal_moves
        )


def test_gnushogi_refusing_a_move_is_an_error() -> None:
    need("gnushogi")
    with GnuShogiEngine(1) as engine, pytest.raises(EngineError, match=r"did not take .*: Illegal move"):
        engine.choose(START_SFEN, ["7g7e", "3c3d"])


@pytest.mark.parametrize("depth", [0, 30, "1"])
def test_gnushogi_depths_are_checked(depth) -> None:
    with pytest.raises(ValueError, match=r"depth is 1\.\.29"):
        GnuShogiPlayer(depth)


def test_a_missing_engine_is_named(monkeypatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(process, "_FAR_FOLDERS", "/nowhere")
    if find_engine("gnushogi"):
        pytest.skip("gnushogi is in the default PATH")
    with pytest.raises(EngineError, match="there is no program 'gnushogi'"):
        GnuShogiPlayer(1)
