import os
import subprocess
import sys
from pathlib import Path

import pytest

from keisei_agent import doctor
from keisei_agent.commands import train as cli
from keisei_agent.config import load_config


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keisei_agent.commands.train", *arguments],
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
        (["-n", "-5"], "'-5' is not a whole number"),
        (["--max-time", "soon"], "'soon' is not a time such as 90s, 10m or 1h30m"),
        (["--max-time", ""], "'' is not a time"),
        (["--max-time", "0s"], "'0s' is not a time"),
        (["--max-time", "10"], "'10' is not a time"),
        (["--max-time", "none"], "total_timesteps and max_time are both None"),
        (["--seed", "1.5"], "'1.5' is not a whole number"),
        (["--seed", "99999999999"], "seed = 99999999999: "),
        (["--seed"], "--seed: expected one argument"),
        (["--n-envs", "0"], "'0' is not a whole number of at least 1"),
        (["--n-envs", "70000"], "env.n_envs = 70000: "),
        (["--n-envs", "1" * 5000], "--n-envs"),
        (["--vec-env", "async"], "unknown env.vec_env 'async', known: 'native', 'dummy' or 'subproc'"),
        (["--save-freq", "100"], "checkpoint.every = 100: less than one rollout"),
        (["--track", "tensorboard"], "unknown log.track 'tensorboard', known: 'off' or 'wandb'"),
        (["--device", "tpu"], "device = 'tpu': "),
        (["--device", "cuda:999"], "device = 'cuda:999': "),
        (["--eval-games", "-1"], "is not a whole number"),
        (["--eval-opponents"], "--eval-opponents: expected at least one argument"),
        (["--preset", "gpu_small"], "unknown preset 'gpu_small', did you mean 'gpu-small'?"),
        (["--config", "none.yaml"], "none.yaml: No such file or directory"),
        (["--run-name", "../x"], "--run-name '../x': letters, digits and _ . + - only"),
        (["--run-name", ""], "--run-name '': letters"),
        (["--inexact"], "--inexact belongs to --resume"),
        (["--run-name", "x", "--run-dir", "y"], "--run-dir is the run's folder, --run-name one in runs"),
        (["--resume", "x", "--run-dir", "y"], "are for new runs; x has all that"),
        (["--resume", "x", "--run-name", "y"], "are for new runs; x has all that"),
        (["--resume", "x", "--print-config"], "are for new runs; x has all that"),
        (["--resume", "none"], "none"),
        (["--ppo.learning-rat", "1"], "unknown option --ppo.learning-rat, did you mean --ppo.learning-rate?"),
        (["--ppo.learning_rat=1"], "unknown option --ppo.learning-rat, did you mean --ppo.learning-rate?"),
        (["--learning-rate", "1"], "unknown option --learning-rate, did you mean --ppo.learning-rate?"),
        (["--total-time", "5"], "unknown option --total-time, did you mean --total-timesteps?"),
        (["--zzzzzz"], "unknown option --zzzzzz\n"),
        (["-x"], "unknown option -x\n"),
        (["tiny"], "unexpected argument 'tiny'"),
        (["--seed", "1", "2"], "unexpected argument '2'"),
        (["--ppo.n-steps", "1", "2"], "ppo.n_steps takes one value, not 2"),
        (["--ppo.n-steps"], "ppo.n_steps takes one value, not 0"),
        (["--ppo.n-steps", "many"], "ppo.n_steps = 'many': input should be a valid integer"),
        (["--precision", "int8"], "unknown precision 'int8', known: "),
        (["--n-envs", "8", "--env.n-envs", "9"], "env.n_envs is given twice, by its short form too"),
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
    assert text.startswith("keisei-train: ")
    assert text.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [["--wandb-key=s3cr3t"], ["--wandb-key", "s3cr3t"], ["--log.key=s3cr3t"]]
)
def test_the_value_of_an_unknown_option_may_be_a_secret(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(arguments)
    text = capsys.readouterr().err
    assert "unknown option --" in text
    assert "s3cr3t" not in text


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        cli.main(["--run-dir", str(tmp_path / "file" / "run")])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_with_a_run_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit):
        cli.main(["--run-dir", str(tmp_path)])
    assert "already holds a run" in capsys.readouterr().err


def test_print_config(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("ppo: {gamma: 0.5}\n", encoding="utf-8")
    arguments = ("--preset", "tiny", "--config", "run.yaml", "--seed", "7", "--print-config")
    done = run(*arguments, cwd=tmp_path, PYTHONIOENCODING="cp932")
    assert done.returncode == 0, done.stderr
    (tmp_path / "shown.yaml").write_text(done.stdout, encoding="utf-8")
    config = load_config(file=tmp_path / "shown.yaml")
    assert (config.ppo.gamma, config.seed, config.network.channels) == (0.5, 7, 32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.yaml", "shown.yaml"]


@pytest.mark.parametrize(
    "arguments", ["['--help']", "['--print-config']", "['--seed', 'x']", "['--preset', 'x']"]
)
def test_no_torch_before_the_arguments_make_sense(arguments: str) -> None:
    code = (
        "import sys\n"
        "from keisei_agent.commands.train import main\n"
        f"try: main({arguments})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'stable_baselines3', 'gymnasium', 'numba', 'rich'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from keisei_agent.commands.train import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'stable_baselines3', 'gymnasium', 'numba', 'pydantic', 'rich', 'yaml'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for option in (
        *("algo", "total-timesteps", "max-time", "n-envs", "seed", "device", "run-dir", "run-name", "resume"),
        *("vec-env", "eval-freq", "eval-games", "eval-opponents", "save-freq", "progress", "track"),
        *("print-config", "preset", "config", "doctor", "profile", "inexact"),
    ):
        assert f"--{option}" in done.stdout, option
    for option in ("-n", "-P"):
        assert f"{option}, --" in done.stdout or f"{option} N, --" in done.stdout, option


def test_without_the_extra_one_line_says_so(tmp_path: Path) -> None:
    code = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "missing = ('torch', 'rich')\n"
        "importlib.util.find_spec = lambda name, *rest: None if name in missing else found(name, *rest)\n"
        "from keisei_agent.commands.train import main\n"
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


def test_hidden_gpus_are_named(tmp_path: Path) -> None:
    done = run("--device", "cuda", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert "device = 'cuda': " in done.stderr
    assert done.stderr.count("\n") == 1
    assert "CUDA_VISIBLE_DEVICES" in run("--doctor", CUDA_VISIBLE_DEVICES="").stdout


@pytest.mark.gpu
def test_cuda_visible_devices_is_honoured(tmp_path: Path) -> None:
    done = run("--device", "cuda", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert "finds no CUDA device (CUDA_VISIBLE_DEVICES = '')" in done.stderr
    assert "cuda                  available" in run("--doctor").stdout


SMALL = [
    *("-n", "64", "--n-envs", "4", "--eval-games", "0", "--device", "cpu", "--precision", "float32"),
    *("--ppo.n-steps", "8", "--ppo.batch-size", "16", "--network.channels", "8", "--network.blocks", "1"),
    *("--network.value-hidden", "8", "--env.max-plies", "24", "--checkpoint.every", "32"),
]


def test_a_runs_own_config_file_starts_the_same_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SMALL, "--seed", "5", "--run-dir", str(tmp_path / "first")]) == 0
    out = capsys.readouterr().out
    assert "Learned from 64 decisions.\n" in out
    assert f"Run folder:   {tmp_path / 'first'}\n" in out
    again = ["--config", str(tmp_path / "first" / "config.yaml"), "--run-dir", str(tmp_path / "again")]
    assert cli.main(again) == 0
    weights = [(tmp_path / name / "final.safetensors").read_bytes() for name in ("first", "again")]
    assert weights[0] == weights[1]
    configs = [(tmp_path / name / "config.yaml").read_text("utf-8") for name in ("first", "again")]
    assert configs[0] == configs[1]


def test_no_curves_are_promised_where_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*SMALL, "--log.tensorboard", "off", "--run-dir", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "Run folder: " in out
    assert "tensorboard" not in out


def test_a_named_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([*SMALL, "--run-name", "first"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["first"]
    assert (tmp_path / "runs" / "first" / "about.json").is_file()
    with pytest.raises(SystemExit) as caught:
        cli.main([*SMALL, "--run-name", "first"])
    assert caught.value.code == 2


def test_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "run"
    assert cli.main([*SMALL, "--run-dir", str(folder)]) == 0
    capsys.readouterr()
    assert cli.main(["--resume", str(folder), "-n", "128", "--ppo.learning-rate", "1e-4"]) == 0
    out = capsys.readouterr().out
    assert f"Resumed from {folder / 'checkpoints' / '000000000064'}\n" in out
    assert "Changed: ppo.learning_rate is 0.0001, was 0.001\n" in out
    assert "Learned from 128 decisions.\n" in out
    for arguments, message in (
        (["--seed", "9"], "seed cannot change when a run is resumed"),
        (["--ppo.gamma", "2"], "ppo.gamma = 2.0: input should be less than or equal to 1"),
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main(["--resume", str(folder), *arguments])
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    checkpoint = folder / "checkpoints" / "000000000096"
    assert cli.main(["--resume", str(checkpoint), "--log.display", "off"]) == 0
    assert capsys.readouterr().out == ""
    assert cli.main(["--resume", str(folder / "checkpoints" / "latest"), "-n", "160"]) == 0
    assert capsys.readouterr().out == ""  # it was told to be silent


def test_only_the_first_of_several_processes_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert cli.main([*SMALL, "--log.display", "plain", "--run-dir", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == ""


def test_a_failure_before_the_log_exists_comes_with_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **more: object) -> None:
        raise ZeroDivisionError("so soon")

    monkeypatch.setattr("keisei_agent.runs.training.train", broken)
    assert cli.main([*SMALL, "--run-dir", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("keisei-train: ZeroDivisionError: so soon\nTraceback")


def test_a_full_disk_while_learning_is_no_wrong_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object, **more: object) -> None:
        error = OSError(28, "No space left on device")
        error.add_note("trace in run/log.txt")
        raise error

    monkeypatch.setattr("keisei_agent.runs.training.train", full)
    assert cli.main([*SMALL, "--run-dir", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err == (
        "keisei-train: OSError: [Errno 28] No space left on device (trace in run/log.txt)\n"
        "keisei-train --resume RUN goes on from the last checkpoint.\n"
    )


def test_the_log_level_of_the_environment_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEISEI_LOG_LEVEL", "warning")
    assert cli.main([*SMALL, "--run-dir", str(tmp_path)]) == 0
    assert "Learning starts" not in capsys.readouterr().out + (tmp_path / "log.txt").read_text("utf-8")
    monkeypatch.setenv("KEISEI_LOG_LEVEL", "info")
    assert cli.main(["--resume", str(tmp_path), "-n", "96"]) == 0
    assert "Learning starts" in capsys.readouterr().out
    assert "Learning starts" in (tmp_path / "log.txt").read_text("utf-8")
