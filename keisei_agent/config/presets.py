"""Ready-made settings, by name: what differs from the defaults, and why."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from keisei_agent.config.run import ConfigError
from keisei_agent.console import nearest


class Preset(NamedTuple):
    """Settings for a purpose."""

    why: str
    """In one line."""
    settings: Mapping[str, Any]
    """Nested, without what has its default."""


PRESETS: Mapping[str, Preset] = {
    "tiny": Preset(
        "A first look in about two minutes on two cores: a small tower sees more games in so short a time, "
        "and declaring is learned sooner than mating.",
        {
            "max_time": 100.0,
            "eval_games": 100,
            "env": {"declaration": "auto", "start": {"random_share": 0.0}},
            "network": {"channels": 32, "blocks": 2},
        },
    ),
    "cpu": Preset("A machine without a GPU: the defaults.", {}),
    "gpu-small": Preset(
        "A GPU of 8 GB: enough games at once to fill it, and a pool against collapse in longer runs; a first "
        "guess, not measured yet.",
        {
            "env": {"n_envs": 512, "threads": 4},
            "network": {"name": "se_resnet", "channels": 128, "blocks": 8},
            "ppo": {"batch_size": 2048, "learning_rate": 5e-4},
            "league": {"share": 0.25, "snapshot_every": 1_000_000},
            "checkpoint": {"every": 1_000_000},
            "log": {"boards_every": 1_000_000, "mates_every": 1_000_000},
        },
    ),
    "gpu": Preset(
        "One large GPU: a wide tower, translated by torch.compile, and thousands of games; a first guess, "
        "not measured yet.",
        {
            "compile": True,
            "env": {"n_envs": 2048, "threads": 8},
            "network": {"name": "se_resnet", "channels": 256, "blocks": 16},
            "ppo": {"batch_size": 8192, "learning_rate": 5e-4},
            "league": {"share": 0.25, "snapshot_every": 5_000_000},
            "checkpoint": {"every": 5_000_000},
            "log": {"boards_every": 5_000_000, "mates_every": 5_000_000},
        },
    ),
}


def find_preset(name: str) -> Preset:
    """Return the preset of that name.

    Raises:
        ConfigError: there is none; the text says which there are.
    """
    if name not in PRESETS:
        meant = nearest(name, PRESETS)
        guess = f", did you mean {meant!r}?" if meant else ""
        raise ConfigError(f"unknown preset {name!r}{guess} (known: {', '.join(PRESETS)})")
    return PRESETS[name]
