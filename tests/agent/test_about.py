import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

import keisei_agent
from keisei_agent import about

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        (["--seed", "1", "--run-dir", "runs/first"], ["--seed", "1", "--run-dir", "runs/first"]),
        (["--wandb-api-key", "abc"], ["--wandb-api-key", "[hidden]"]),
        (["--api_key=abc", "x"], ["--api_key=[hidden]", "x"]),
        (["--apikey", "abc", "-x", "APIKEY=abc"], ["--apikey", "[hidden]", "-x", "APIKEY=[hidden]"]),
        (["--log.token", "abc", "def"], ["--log.token", "[hidden]", "def"]),
        (["--token", "--seed", "1"], ["--token", "--seed", "1"]),
        (["WANDB_API_KEY=abc"], ["WANDB_API_KEY=[hidden]"]),
        (
            ["--league.players", "usi:engine;option.Login Password=a b;go=depth 1"],
            ["--league.players", "usi:engine;option.Login Password=[hidden];go=depth 1"],
        ),
        (["https://me:secret@example.org/x"], ["https://[hidden]@example.org/x"]),
        (["see:monkey=5", "--donkey", "7"], ["see:monkey=5", "--donkey", "7"]),
        (["x-0123456789-y"], ["x-[hidden]-y"]),
        (["short"], ["short"]),
    ],
)
def test_secrets_are_hidden(arguments: list[str], hidden: list[str]) -> None:
    environment = {"WANDB_API_KEY": "0123456789", "MY_SECRET": "short", "HOME": "--run-dir"}
    assert about.redact(arguments, environment) == hidden


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["/usr/bin/keisei-train", "--run-dir", "my runs"], "keisei-train --run-dir 'my runs'"),
        (["/x/keisei_agent/__main__.py", "train", "-n", "5"], "python -m keisei_agent train -n 5"),
        (["keisei.exe", "train"], "keisei train"),
        ([""], "''"),
        ([], "''"),
    ],
)
def test_the_command_line_can_be_typed_again(arguments: list[str], line: str) -> None:
    assert about.command_line(arguments) == line


def test_what_a_run_says_of_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["keisei-train", "--wandb-api-key", "abc"])
    found = about.describe()
    assert json.loads(json.dumps(found)) == found
    assert list(found) == ["command", "started", "commit", "python", "platform", "versions"]
    assert found["command"] == "keisei-train --wandb-api-key '[hidden]'"
    assert abs((datetime.now(UTC) - datetime.fromisoformat(found["started"])).total_seconds()) < 3600
    assert found["versions"]["torch"]
    assert about.describe(["other"])["command"] == "other"


def git(folder: Path, *arguments: str) -> str:
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | identity,
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package in a repository with one commit."""
    folder = tmp_path / "some_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    git(tmp_path, "tag", "--annotate", "--message", "tagged", "v1")
    return folder


@needs_git
def test_the_commit(package: Path) -> None:
    head = git(package, "rev-parse", "HEAD")
    assert about.commit(package) == head
    (package / "__init__.py").write_text("changed = True\n", encoding="utf-8")
    assert about.commit(package) == f"{head}-dirty"


@needs_git
def test_a_package_installed_below_another_projects_checkout_is_not_at_its_commit(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(about, "_installed_commit", lambda: None)
    installed = package / ".venv" / "keisei_agent"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("", encoding="utf-8")
    assert about.commit(installed) is None
    monkeypatch.setenv("GIT_DIR", str(package.parent / ".git"))  # as within a git hook
    assert about.commit(installed) is None


def test_no_git_no_commit(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "_installed_commit", lambda: None)
    monkeypatch.setenv("PATH", "")
    assert about.commit(package) is None
    assert about.commit(Path(keisei_agent.__file__).parent) is None
