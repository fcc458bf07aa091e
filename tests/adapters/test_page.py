"""The page's examples for the libraries that have their tests elsewhere."""

import pytest
from library_page import run_example


def test_gymnasium():
    run_example("Gymnasium")


def test_stable_baselines3(tmp_path, monkeypatch):
    pytest.importorskip("sb3_contrib")
    monkeypatch.chdir(tmp_path)
    run_example("Stable-Baselines3")
