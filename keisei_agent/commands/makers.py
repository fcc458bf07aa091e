"""Players that need torch, which is imported when the first of them is made."""

from typing import TYPE_CHECKING

from keisei_agent.console import missing_extra

if TYPE_CHECKING:
    from shogi_env.arena.players import Player, Spec


def _network(spec: "Spec") -> "Player":
    missing = missing_extra()
    if missing:
        raise ValueError(missing)
    from keisei_agent.players import MAKERS as makers

    return makers[spec.kind](spec)


MAKERS = dict.fromkeys(("checkpoint", "search"), _network)
"""Those of `keisei_agent.players.MAKERS`."""
