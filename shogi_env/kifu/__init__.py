"""Game records: CSA, KIF, KI2 and USI.

>>> from shogi_env import kifu
>>> game = kifu.loads("startpos moves 7g7f 3c3d")[0]
>>> len(game.moves)
2
"""

from shogi_env.kifu.files import dumps, load, loads, save
from shogi_env.kifu.tree import End, Ending, Kifu, Node

__all__ = ["End", "Ending", "Kifu", "Node", "dumps", "load", "loads", "save"]
