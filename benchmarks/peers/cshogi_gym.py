"""A plain Gymnasium environment on cshogi, as a user without shogi_env would write it.

Both seats belong to the caller. Observation: dlshogi's 119 planes as float32. Actions: dlshogi's 2187
labels. Fourfold repetition with perpetual check is counted by hand, because cshogi's `is_draw` already
speaks at the first recurrence.
"""

from __future__ import annotations

from typing import Any

import cshogi
import gymnasium
import numpy as np
from cshogi.dlshogi import FEATURES1_NUM, FEATURES2_NUM, make_input_features, make_move_label
from gymnasium import spaces

NUM_ACTIONS = 2187
NUM_PLANES = FEATURES1_NUM + FEATURES2_NUM
MAX_PLIES = 512


class CshogiEnv(gymnasium.Env[np.ndarray, int]):
    """Shogi by cshogi; `mask_in_info=False` leaves the mask to `action_masks()`, as SB3 wants it."""

    def __init__(self, mask_in_info: bool = True) -> None:
        self.observation_space = spaces.Box(0, 1, (NUM_PLANES, 9, 9), np.float32)
        self.action_space = spaces.Discrete(NUM_ACTIONS)
        self.mask_in_info = mask_in_info
        self.board = cshogi.Board()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict]:
        """Start a new game."""
        super().reset(seed=seed)
        self.board.reset()
        self.ply = 0
        self.last_seen = {self.board.zobrist_hash(): [0]}
        self.quiet = [0, 0]  # ply of each side's last move that gave no check
        self.list_moves()
        return self.observe(), self.info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play one ply; the reward is that of the player who moved."""
        move = self.moves.get(int(action))
        if move is None:
            return self.observe(), -1.0, True, False, self.info()
        mover = self.board.turn
        self.board.push(move)
        self.ply += 1
        if not self.board.is_check():
            self.quiet[mover] = self.ply
        self.list_moves()
        reward, terminated = self.outcome(mover)
        return self.observe(), reward, terminated, False, self.info()

    def outcome(self, mover: int) -> tuple[float, bool]:
        """Reward of the player who moved, and whether the game is over."""
        if not self.moves:
            return 1.0, True
        plies = self.last_seen.setdefault(self.board.zobrist_hash(), [])
        plies.append(self.ply)
        if len(plies) == 4:
            checking = [self.quiet[color] <= plies[0] for color in (mover, 1 - mover)]
            return (0.0 if checking[0] == checking[1] else -1.0 if checking[0] else 1.0), True
        if self.board.is_nyugyoku():
            return -1.0, True
        return 0.0, self.ply >= MAX_PLIES

    def list_moves(self) -> None:
        """Remember the legal moves by label."""
        turn = self.board.turn
        self.moves = {make_move_label(move, turn): move for move in self.board.legal_moves}

    def observe(self) -> np.ndarray:
        """float32[119, 9, 9], fresh at each call."""
        planes = np.zeros((NUM_PLANES, 9, 9), np.float32)
        make_input_features(self.board, planes[:FEATURES1_NUM], planes[FEATURES1_NUM:])
        return planes

    def action_masks(self) -> np.ndarray:
        """bool[2187]: legal labels."""
        mask = np.zeros(NUM_ACTIONS, np.bool_)
        mask[list(self.moves)] = True
        return mask

    def info(self) -> dict[str, Any]:
        """The mask, where Gymnasium users look for it."""
        return {"action_mask": self.action_masks().view(np.int8)} if self.mask_in_info else {}


def make_for_sb3() -> CshogiEnv:
    """Factory for worker processes."""
    return CshogiEnv(mask_in_info=False)
