"""The programs we compare with, each behind the same small interface; none is needed to use the packages.

Every module imports its library at the top; `load` turns a missing one into `NotInstalled`.
"""

from importlib import import_module
from types import ModuleType

from common import NotInstalled


def load(name: str) -> ModuleType:
    """Import a peer of this folder.

    Raises:
        NotInstalled: its library is not there.
    """
    try:
        return import_module(f"peers.{name}")
    except ImportError as error:
        raise NotInstalled(f"{name}: not installed ({error})") from error
