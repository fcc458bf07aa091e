"""Every command on consoles that cannot show kanji, and without the libraries of the extra."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from keisei_agent.console import EXTRA, missing_extra

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SCRIPTS = PROJECT["scripts"]
HAS_AGENT = not missing_extra()
needs_agent = pytest.mark.skipif(not HAS_AGENT, reason="the extra 'agent' is not installed")

SHOW_A_GAME = """
import gymnasium
env = gymnasium.make("shogi_env:Shogi-v0", render_mode="human", opponent=None)
env.reset(seed=0, options={"moves": ["7g7f", "3c3d", "8h2b+"]})
env.render()
env.close()
"""


def script(name: str) -> list[str]:
    """How to start a console script, installed or not."""
    module, function = SCRIPTS[name].split(":")
    code = f"import sys; from {module} import {function}; sys.argv[0] = {name!r}; sys.exit({function}())"
    return ["-c", code]


def run(arguments: list[str], encoding: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "100"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        encoding=encoding,
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )


COMMANDS = {
    "shogi_env": ["-m", "shogi_env", "--help"],
    "warmup": ["-m", "shogi_env", "warmup"],
    "human": ["-c", SHOW_A_GAME],
    "keisei-play": [*script("keisei-play"), "--level", "1"],
}
AGENT_COMMANDS = {f"{name} --help": [*script(name), "--help"] for name in SCRIPTS} | {
    "keisei-train --doctor": [*script("keisei-train"), "--doctor"],
    "keisei-train --print-config": [*script("keisei-train"), "--print-config"],
    "keisei-match": [*script("keisei-match"), "random", "greedy", "--games", "2", "--out", os.devnull],
}
NEED_THE_EXTRA = {
    "keisei-train": [],
    "keisei-usi": ["--model", "nothing"],
    "keisei-pretrain": ["nothing.csa"],
    "keisei-play": ["checkpoint:nothing"],
    "keisei-match": ["random", "checkpoint:nothing"],
}


@pytest.mark.parametrize("encoding", ["cp1252", "cp932"])
@pytest.mark.parametrize(
    "arguments",
    [pytest.param(arguments, id=name) for name, arguments in COMMANDS.items()]
    + [pytest.param(arguments, id=name, marks=needs_agent) for name, arguments in AGENT_COMMANDS.items()],
)
def test_command_on_old_consoles(arguments, encoding):
    done = run(arguments, encoding)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if "warmup" not in arguments:
        assert done.stdout.strip()


@pytest.mark.parametrize("encoding", ["cp1252", "cp932"])
@pytest.mark.parametrize("name", NEED_THE_EXTRA)
def test_script_without_its_extra_says_so_in_one_line(name, encoding):
    hide = f"import sys; sys.modules.update(dict.fromkeys({EXTRA!r}))"
    done = run(["-c", f"{hide}; {script(name)[1]}", *NEED_THE_EXTRA[name]], encoding)
    assert done.returncode not in (0, None)
    message = (done.stderr + done.stdout).strip()
    assert message.count("\n") == 0 and "keisei[agent]" in message, message


@needs_agent
def test_the_extra_brings_what_is_looked_for():
    brought = {re.split("[<>=]", each)[0] for each in PROJECT["optional-dependencies"]["agent"]}
    owners = packages_distributions()
    looked_for = {owner.lower().replace("_", "-") for name in EXTRA for owner in owners[name]}
    assert looked_for == brought - {"matplotlib"}  # plots alone need that
