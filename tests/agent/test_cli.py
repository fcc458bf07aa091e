import os
import subprocess
import sys
from pathlib import Path

import pytest

from keisei_agent import cli, doctor


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keisei_agent.cli", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)} | environment,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algo", "dqn"], "unknown algo 'dqn', known: 'maskable_ppo'"),
        (["--total-timesteps", "0"], "'0' is not a whole number of at least 1"),
        (["--total-timesteps", "many"], "'many' is not a whole number"),
        (["--total-timesteps", "-5"], "'-5' is not a whole number"),
        (["--max-time", "soon"], "'soon' is not a time such as 90s, 10m or 1h30m"),
        (["--max-time", ""], "'' is not a time"),
        (["--max-time", "0s"], "'0s' is not a time"),
        (["--max-time", "10"], "'10' is not a time"),
        (["--seed", "1.5"], "'1.5' is not a whole number"),
        (["--seed", "99999999999"], "seed = 99999999999: "),
        (["--n-envs", "0"], "'0' is not a whole number of at least 1"),
        (["--n-envs", "70000"], "env.n_envs = 70000: "),
        (["--n-envs", "1" * 5000], "--n-envs"),
        (["--device", "tpu"], "device = 'tpu': "),
        (["--device", "cuda:999"], "device = 'cuda:999': "),
        (["--eval-games", "-1"], "is not a whole number"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
        (["--total-time", "5"], "unrecognized arguments"),
    ],
)
def test_nonsense_is_refused_in_one_line(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    text = capsys.readouterr().err
    assert message in text
    assert text.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        cli.main(["--run-dir", str(tmp_path / "file" / "run")])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_with_a_run_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit):
        cli.main(["--run-dir", str(tmp_path)])
    assert "already holds a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h", 3600), ("1h30m", 5400), ("1.5h", 5400), ("2M", 120), ("0.5s", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert cli._duration(text) == seconds


@pytest.mark.parametrize(
    ("arguments", "total", "seconds"),
    [
        ([], None, 600),
        (["--total-timesteps", "1e6"], 1_000_000, None),
        (["--max-time", "90s"], None, 90),
        (["--total-timesteps", "5_000", "--max-time", "1m"], 5000, 60),
    ],
)
def test_limits(arguments: list[str], total: int | None, seconds: float | None) -> None:
    from keisei_agent.config import parse_config

    config = parse_config(cli._settings(cli.build_parser().parse_args(arguments)))
    assert (config.total_timesteps, config.max_time) == (total, seconds)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from keisei_agent.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'stable_baselines3', 'gymnasium', 'numba', 'pydantic', 'rich'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for option in (
        "algo",
        "total-timesteps",
        "max-time",
        "seed",
        "n-envs",
        "device",
        "run-dir",
        "eval-games",
        "doctor",
    ):
        assert f"--{option}" in done.stdout


def test_without_the_extra_one_line_says_so(tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "missing = ('torch', 'rich')\n"
        "importlib.util.find_spec = lambda name, *rest: None if name in missing else found(name, *rest)\n"
        "from keisei_agent.cli import main\n"
        "main([])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=None)
    assert done.returncode == 2
    assert (
        done.stderr == 'keisei-train: torch, rich missing, install the extra: pip install "keisei[agent]"\n'
    )


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "ascii"])
def test_doctor_on_any_console(encoding: str) -> None:
    done = run("--doctor", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    for word in (
        "python",
        "torch",
        "bfloat16",
        "threads",
        "nvidia driver",
        "stable-baselines3",
        "device auto",
    ):
        assert word in done.stdout, word


def test_doctor_advises_when_a_driver_meets_a_cpu_only_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: False)
    assert doctor.cuda_advice() is None
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: True)
    advice = doctor.cuda_advice()
    assert advice is not None
    assert "CPU-only" in advice
    assert advice.endswith(doctor.CUDA_INSTALL)
    assert advice in list(doctor.report())
