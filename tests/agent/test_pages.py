"""The pages on settings and on Python say what is so, and the example runs."""

import doctest
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keisei_agent.config import setting_names

ROOT = Path(__file__).parents[2]
FAKE_OPTUNA = """
class TrialPruned(Exception):
    pass


class Trial:
    number = 0

    def __init__(self, study):
        self.study = study

    def suggest_float(self, name, low, high, *, log=False):
        return high / 2

    def suggest_categorical(self, name, choices):
        return choices[0]


class Study:
    def optimize(self, objective, n_trials):
        assert n_trials == 1
        self.trials = [None]
        self.best_params = {}
        self.best_value = objective(Trial(self))


def create_study(*, direction):
    assert direction == "maximize"
    return Study()
"""


def test_the_settings_page_is_made_from_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEISEI_LOG_LEVEL", "debug")  # and not from somebody's environment
    spec = importlib.util.spec_from_file_location(
        "make_settings_page", ROOT / "tools" / "make_settings_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == tool.page(), "python tools/make_settings_page.py"
    assert [name for name in setting_names() if f"| `{name}` | " not in page] == []


def test_the_example_on_the_settings_page_loads(tmp_path: Path) -> None:
    from keisei_agent.config import load_config

    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    (tmp_path / "run.yaml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    config = load_config(file=tmp_path / "run.yaml")
    assert (config.max_time, config.ppo.target_kl, config.league.share) == (14400, 0.03, 0.25)


def test_the_python_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = page.replace("```", "\n")
    example = doctest.DocTestParser().get_doctest(blocks, {}, "python.md", "docs/python.md", 0)
    assert len(example.examples) >= 10
    report: list[str] = []
    assert doctest.DocTestRunner().run(example, out=report.append).failed == 0, "".join(report)


def tune(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / "tune.py"), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_optuna_example_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "optuna.py").write_text("raise ImportError\n", encoding="utf-8")
    done = tune(tmp_path)
    assert done.returncode == 1
    assert done.stderr == "examples/tune.py needs Optuna: pip install optuna\n"


def test_the_optuna_example(tmp_path: Path) -> None:
    assert len((ROOT / "examples" / "tune.py").read_text(encoding="utf-8").splitlines()) <= 40
    (tmp_path / "optuna.py").write_text(FAKE_OPTUNA, encoding="utf-8")
    done = tune(tmp_path, "1", "1", "4")
    assert done.returncode == 0, done.stderr
    assert "Best of 1: " in done.stdout
    (run,) = (tmp_path / "runs").glob("tune-*/000")
    assert (run / "results.json").exists()
