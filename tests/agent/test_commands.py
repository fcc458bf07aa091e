import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from keisei_agent.commands import keisei as commands

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
SCRIPTS = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["scripts"]


def test_every_script_is_a_command_and_the_other_way_round() -> None:
    scripts = {name.removeprefix("keisei-"): home for name, home in SCRIPTS.items() if name != "keisei"}
    assert scripts == {
        name: f"keisei_agent.commands.{command.module}:main" for name, command in commands.COMMANDS.items()
    }
    assert SCRIPTS["keisei"] == "keisei_agent.commands.keisei:main"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_has_an_example_of_each(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(arguments) == 0
    text = capsys.readouterr().out
    for name, command in commands.COMMANDS.items():
        assert any(line.startswith(f"  keisei {name} ") for line in text.splitlines())
        assert command.example in text
        assert command.example.startswith(f"keisei {name} ")
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_examples_are_understood(name: str) -> None:
    module = import_module(f"keisei_agent.commands.{commands.COMMANDS[name].module}")
    arguments = shlex.split(commands.COMMANDS[name].example)[2:]
    if name == "train":
        from keisei_agent.commands.options import build_parser, read_options

        read_options(build_parser(), arguments)
    else:
        parser = module.build_parser()
        parse = parser.parse_intermixed_args if name == "export" else parser.parse_args
        parse(arguments)


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_command_gets_its_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        commands.main([name, "--help"])
    assert caught.value.code == 0
    assert f"usage: keisei-{name} " in capsys.readouterr().out


def test_a_commands_status_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def fake(arguments: list[str]) -> int:
        given.append(arguments)
        return 130

    monkeypatch.setattr("keisei_agent.commands.train.main", fake)
    assert commands.main(["train", "--seed", "3"]) == 130
    assert given == [["--seed", "3"]]


def test_an_unknown_command_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["tran"]) == 2
    assert capsys.readouterr().err == (
        f"keisei: unknown command 'tran', did you mean train? (known: {', '.join(commands.COMMANDS)})\n"
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from shogi_env.version import __version__

    assert commands.main(["--version"]) == 0
    assert capsys.readouterr().out == f"keisei {__version__}\n"


def in_a_new_process(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "keisei_agent", "train", "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: keisei-train ")


def test_the_overview_and_the_package_import_nothing_heavy() -> None:
    in_a_new_process(
        "import sys, keisei_agent\n"
        "from keisei_agent.commands.keisei import main\n"
        "assert main([]) == 0\n"
        "heavy = {'torch', 'numpy', 'stable_baselines3', 'gymnasium', 'numba', 'pydantic', 'rich', 'yaml'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )


def test_settings_need_no_torch() -> None:
    in_a_new_process(
        "import sys\n"
        "from keisei_agent import Config, ConfigError\n"
        "Config(max_time=60.0)\n"
        "heavy = {'torch', 'numpy', 'stable_baselines3', 'gymnasium', 'numba', 'rich'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )


@pytest.mark.parametrize(
    "before",
    ["", "import keisei_agent.runs.training"],
)
def test_public_names(before: str) -> None:
    in_a_new_process(
        f"{before}\n"
        "import keisei_agent\n"
        "from keisei_agent import Config, ConfigError, Run, load_player, resume, train\n"
        "assert issubclass(ConfigError, ValueError) and isinstance(Run, type)\n"
        "assert train.__name__ == 'train' and all(map(callable, (train, resume, load_player)))\n"
        "assert keisei_agent.__version__ and set(dir(keisei_agent)) == set(keisei_agent.__all__)\n"
        "try: keisei_agent.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
        "else: raise AssertionError\n"
    )
