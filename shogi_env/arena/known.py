"""Ratings that were measured once: value and 95 % interval in Elo points above random.

`docs/strength.md` says how; a test compares the two.
"""

from collections.abc import Mapping

RATINGS: Mapping[str, tuple[float, float, float]] = {
    "gps": (5582, 5358, 5806),
    "fs-100k": (5361, 5168, 5554),
    "fs-10k": (4401, 4318, 4484),
    "gnushogi-depth3": (3918, 3843, 3992),
    "minimax:3": (3890, 3840, 3940),
    "fs-1k": (3804, 3749, 3860),
    "fs-depth4": (3743, 3689, 3797),
    "gnushogi-depth1": (3536, 3484, 3588),
    "minimax:2": (3532, 3491, 3574),
    "fs-depth2": (3477, 3429, 3525),
    "fs-depth1": (3361, 3314, 3407),
    "fs-skill0": (3132, 3076, 3187),
    "minimax:1": (3120, 3081, 3159),
    "greedy": (1659, 1634, 1684),
    "fs-skill-10": (1292, 1249, 1335),
    "fs-skill-20": (1193, 1144, 1242),
    "random": (0, 0, 0),
}
"""Built-in players and engines, the strongest first; engines by their names in ``players-engines.txt``."""
LEVELS: Mapping[int, tuple[float, float, float]] = {
    1: (556, 296, 815),
    2: (1606, 1529, 1684),
    3: (2381, 2163, 2599),
    4: (3122, 3054, 3190),
}
"""The networks in the box (`shogi_env.levels`), as they play without search."""
