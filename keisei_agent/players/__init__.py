"""Players made from networks, for the matches of `shogi_env.arena`."""

from collections.abc import Mapping

from keisei_agent.players.network import (
    PLANES,
    NetworkPlayer,
    load_player,
    make_checkpoint_player,
    select_planes,
)
from keisei_agent.players.random_games import Score, play_random
from keisei_agent.players.search import evaluate_with, make_search_player
from shogi_env.arena.players import Maker

__all__ = [
    "MAKERS",
    "PLANES",
    "NetworkPlayer",
    "Score",
    "evaluate_with",
    "load_player",
    "make_checkpoint_player",
    "make_search_player",
    "play_random",
    "select_planes",
]

MAKERS: Mapping[str, Maker] = {"checkpoint": make_checkpoint_player, "search": make_search_player}
"""Kinds of players for `shogi_env.arena.players.make_player`, beside its own."""
