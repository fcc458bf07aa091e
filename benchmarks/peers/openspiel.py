"""OpenSpiel's shogi: random plies with its legal mask and observation tensor."""

from __future__ import annotations

import random

import numpy as np
import pyspiel
from open_spiel.python.observation import make_observation

MAX_PLIES = 512


class Game:
    """One game; a step is a random legal action, reset at the end, mask and observation tensor."""

    def __init__(self, seed: int = 0, game: str = "shogi") -> None:
        self.game = pyspiel.load_game(game)
        self.state = self.game.new_initial_state()
        self.observer = make_observation(self.game)
        self.mask = np.zeros(self.game.num_distinct_actions(), np.bool_)
        self.actions = self.state.legal_actions()
        self.random = random.Random(seed).random
        self.plies = 0

    def step(self) -> int:
        """One ply."""
        self.state.apply_action(self.actions[int(self.random() * len(self.actions))])
        self.plies += 1
        if self.state.is_terminal() or self.plies >= MAX_PLIES:
            self.state = self.game.new_initial_state()
            self.plies = 0
        self.actions = self.state.legal_actions()
        self.mask[...] = False
        self.mask[self.actions] = True
        self.observer.set_from(self.state, self.state.current_player())
        self.observation = self.observer.tensor
        return 1
