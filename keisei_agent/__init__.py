"""Self-play training of shogi players on `shogi_env`, with stable-baselines3.

    from keisei_agent import Config, train

    run = train(Config(max_time=60.0))

Nothing is imported before it is used (PEP 562): torch alone takes seconds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keisei_agent.config import Config as Config
    from keisei_agent.config import ConfigError as ConfigError
    from keisei_agent.players import load_player as load_player
    from keisei_agent.runs.run import Run as Run
    from keisei_agent.runs.training import resume as resume
    from keisei_agent.runs.training import train as train
    from shogi_env.version import __version__ as __version__

_HOME = {
    "Config": "keisei_agent.config",
    "ConfigError": "keisei_agent.config",
    "Run": "keisei_agent.runs.run",
    "__version__": "shogi_env.version",
    "load_player": "keisei_agent.players",
    "resume": "keisei_agent.runs.training",
    "train": "keisei_agent.runs.training",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
