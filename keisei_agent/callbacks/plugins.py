"""Callbacks of the user's own, by dotted name."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.config import ConfigError


def find_makers(names: Sequence[str]) -> list[Callable[[], Any]]:
    """Find what dotted names stand for, classes of callbacks or functions that make one.

    Args:
        names: ``package.module.Name``.

    Raises:
        ConfigError: a name stands for nothing that can be called, or is given twice; the text says which.
    """
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"callbacks: {name!r} is given twice")
    return [_find(name) for name in names]


def make_callbacks(names: Sequence[str]) -> list[BaseCallback]:
    """Make callbacks, each by calling what its name stands for, without arguments.

    Raises:
        ConfigError: a name stands for nothing, or what it makes is no callback; the text says which.
    """
    return [_make(name, maker) for name, maker in zip(names, find_makers(names), strict=True)]


def _find(name: str) -> Callable[[], Any]:
    module, _, attribute = name.rpartition(".")
    if not module:
        raise ConfigError(f"callbacks: {name!r}: write MODULE.CLASS")
    try:
        found: Callable[[], Any] = getattr(import_module(module), attribute)
    except Exception as error:  # whatever the module does when it is imported
        raise ConfigError(f"callbacks: {name!r}: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ConfigError(f"callbacks: {name!r}: a {type(found).__name__} cannot be called")
    return found


def _make(name: str, maker: Callable[[], Any]) -> BaseCallback:
    try:
        made = maker()
    except Exception as error:  # the user's code
        raise ConfigError(f"callbacks: {name!r}: {type(error).__name__}: {error}") from error
    if not isinstance(made, BaseCallback):
        raise ConfigError(f"callbacks: {name!r} makes a {type(made).__name__}, which is no BaseCallback")
    return made
