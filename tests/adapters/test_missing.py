"""An adapter whose library is missing says in one line what to install."""

import importlib
import sys
import tomllib
from pathlib import Path

import pytest

EXTRAS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


@pytest.mark.parametrize(
    ("adapter", "module", "library", "extra"),
    [
        ("pettingzoo", "pettingzoo", "PettingZoo", "pettingzoo"),
        ("openspiel", "pyspiel", "OpenSpiel", "openspiel"),
        ("torchrl", "torchrl", "TorchRL", "torchrl"),
        ("rllib", "ray", "RLlib", "rllib"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(monkeypatch, adapter, module, library, extra):
    loaded = [name for name in sys.modules if name.startswith(f"{module}.")]
    for name in [module, *loaded]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"shogi_env.adapters.{adapter}", raising=False)
    with pytest.raises(ImportError) as caught:
        importlib.import_module(f"shogi_env.adapters.{adapter}")
    assert str(caught.value).startswith(f"this needs {library}: pip install 'keisei[{extra}]' (")
    assert "\n" not in str(caught.value)
    assert extra in EXTRAS
