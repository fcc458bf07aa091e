"""What the USI engine does when it looks ahead: mates first, then the tree, until the clock says stop."""

import time
from collections.abc import Callable

import numpy as np

from keisei_agent.usi.limits import Clock
from keisei_agent.usi.thinking import Thinker, Thought, centipawns
from shogi_env import Board
from shogi_env.core.tree import LOST, OPEN, WON
from shogi_env.search.mate import MateSolver
from shogi_env.search.player import draw
from shogi_env.search.puct import Choice, Search

LEAVES = 8
"""Positions judged by one call of the network."""
_MATE_SHARE, _MATE_MOST = 0.1, 1.0
"""Share of the time in which a mate is looked for first, and the most seconds for it."""
_TOLD_EVERY = 1.0
"""Seconds between two `info` lines."""
_NODE_BYTES = 1500
"""What a node with its edges takes, on average."""
_CHUNK = 1 << 30

Tell = Callable[[str], None]


class Searcher:
    """Thinks about one game, keeping its tree from move to move.

    Args:
        thinker: the network, and what to do where no search is possible.
        megabytes: about how large the tree may grow.
    """

    def __init__(self, thinker: Thinker, megabytes: int) -> None:
        self.thinker = thinker
        self._most = max(1000, megabytes * 2**20 // _NODE_BYTES)
        self._search = Search(thinker.evaluate, leaves=LEAVES)
        self._solver = MateSolver()
        self._slot = np.zeros(1, np.int64)

    def warm_up(self) -> None:
        """Search and solve once, so that everything is compiled."""
        board = Board()
        self._search.run(board.snapshot(), self._slot, 2 * LEAVES)
        self._solver.solve(board.snapshot(), nodes=1)

    def think(self, board: Board, clock: Clock, tell: Tell, *, temperature: float, lines: int) -> Thought:
        """Return the answer; the board is unchanged.

        Args:
            board: the position.
            clock: says when to stop.
            tell: takes `info` lines, without the word.
            temperature: 0 for the best move; else moves are drawn by their visits to the power of 1 / it.
            lines: how many of the best moves are told.

        Raises:
            ValueError: the network computes no numbers.
        """
        if board.can_declare() or not board.legal_moves or board.outcome() is not None:
            return self.thinker.think(board, temperature)
        mate = self._look_for_mate(board, clock)
        if mate:
            length = len(mate)
            tell(f"depth {length} score mate {length} pv {' '.join(mate)}")
            return Thought(mate[0], f"mate {length}", 1.0)
        before = self._grow(board, clock, tell, lines)
        choices = self._search.choices()
        if not np.isfinite(self._search.value()):
            raise ValueError("the network's answer is not a number")
        self._tell(choices, clock, tell, lines, before)
        best = choices[0]
        if temperature:
            best = draw(choices, temperature, float(np.random.default_rng().random()))
        return Thought(str(best.move), _score(best), _chance(best))

    def _look_for_mate(self, board: Board, clock: Clock) -> list[str]:
        seconds = min(_MATE_MOST, clock.left * _MATE_SHARE)
        nodes = clock.limits.nodes
        found = self._solver.solve(board.snapshot(), seconds=seconds, nodes=nodes, stop=lambda: clock.is_over)
        return [str(move) for move in found.moves]

    def _grow(self, board: Board, clock: Clock, tell: Tell, lines: int) -> int:
        """Let the tree grow until clock, nodes or its size says stop; return how large it was at first."""
        told, first = time.monotonic(), -1

        def stop() -> bool:
            nonlocal told, first
            visits = self._search.visits()
            if first < 0:
                first = visits
            now = time.monotonic()
            if now - told >= _TOLD_EVERY and visits > first:
                told = now
                self._tell(self._search.choices(), clock, tell, lines, first)
            return visits > 0 and (clock.is_over or self._is_settled(clock, visits - first))

        nodes = clock.limits.nodes
        self._search.run(board.snapshot(), self._slot, min(nodes or _CHUNK, self._most), stop=stop)
        return max(first, 0)

    def _is_settled(self, clock: Clock, new: int) -> bool:
        """Whether no move can overtake the best one in the time left."""
        if clock.left == float("inf") or clock.limits.movetime is not None or new < 100:
            return False
        visits = sorted(self._search.visit_counts(), reverse=True)
        rate = new / max(clock.elapsed, 1e-3)
        return len(visits) < 2 or visits[0] - visits[1] > rate * clock.left

    def _tell(self, choices: list[Choice], clock: Clock, tell: Tell, lines: int, before: int) -> None:
        """Say how the best moves stand."""
        milliseconds = max(1, round(1000 * clock.elapsed))
        nodes = self._search.visits()
        rate = round(1000 * (nodes - before) / milliseconds)
        shown = [choice for choice in choices[:lines] if choice.visits or choice.certain] or choices[:1]
        for number, choice in enumerate(shown, 1):
            pv = self._search.line(choice)
            which = f"multipv {number} " if lines > 1 else ""
            tell(
                f"depth {len(pv)} nodes {nodes} nps {rate} time {milliseconds} {which}"
                f"score {_score(choice)} pv {' '.join(map(str, pv))}"
            )

    def find_mate(self, board: Board, seconds: float, clock: Clock) -> str:
        """What `go mate` asks for: the moves of a mate, "nomate", or "timeout"."""
        if board.outcome() is not None:
            return "nomate"
        found = self._solver.solve(board.snapshot(), seconds=seconds, stop=lambda: clock.is_over)
        if found.found is None:
            return "timeout"
        return " ".join(map(str, found.moves)) or "nomate"


def _chance(choice: Choice) -> float:
    """Probability of winning that a choice has, 0..1."""
    return (1 + (choice.value or 0.0)) / 2


def _score(choice: Choice) -> str:
    if choice.certain in (WON, LOST):
        return f"mate {choice.plies if choice.certain == WON else -choice.plies}"
    return f"cp {0 if choice.certain != OPEN else centipawns(_chance(choice))}"
