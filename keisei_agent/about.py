"""What a run says of its origin: command, versions, commit, machine. Imports the standard library only."""

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from keisei_agent import doctor

HIDDEN = "[hidden]"
"""Stands where a secret was."""
_SECRET = r"(?:(?:api)?key|token|secret|password|passwd|credentials?)"
_NAMED = re.compile(rf"(?i)((?:^|[^a-z])(?:[\w.-]*[_.-])?{_SECRET}=)[^;&]+")
_OPTION = re.compile(rf"(?i)--?(?:[\w.-]*[_.-])?{_SECRET}")
_VARIABLE = re.compile(rf"(?i)(?:.*_)?{_SECRET}")
_LOGIN = re.compile(r"(://)[^/@\s]+@")
_LEAST = 8
"""Characters of an environment variable's value that make it worth hiding; shorter ones are words."""


def describe(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Return, as JSON, where a run that starts now comes from.

    Args:
        arguments: program and arguments; None for those of this process.
    """
    return {
        "command": command_line(sys.argv if arguments is None else arguments),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(Path(__file__).parent),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": doctor.versions(),
    }


def command_line(arguments: Sequence[str]) -> str:
    """Return what could be typed to do this again, without its secrets."""
    program, *rest = arguments or [""]
    path = Path(program)
    typed = (
        ["python", "-m", "keisei_agent"] if path.name == "__main__.py" else [path.name.removesuffix(".exe")]
    )
    return shlex.join([*typed, *redact(rest)])


def redact(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return arguments with `HIDDEN` in place of secrets.

    Hidden is what follows an option or a setting called key, token, secret or password, what logs in to a
    web address, and the value of an environment variable of such a name.
    """
    values = [
        value for name, value in environment.items() if _VARIABLE.fullmatch(name) and len(value) >= _LEAST
    ]
    hidden: list[str] = []
    after_secret = False
    for argument in arguments:
        if after_secret and not argument.startswith("--"):
            hidden.append(HIDDEN)
        else:
            text = _LOGIN.sub(rf"\1{HIDDEN}@", _NAMED.sub(rf"\1{HIDDEN}", argument))
            for value in values:
                text = text.replace(value, HIDDEN)
            hidden.append(text)
        after_secret = _OPTION.fullmatch(argument) is not None
    return hidden


def redact_values(value: Any) -> Any:
    """Return JSON values with `HIDDEN` in place of secrets in their texts, names left as they are."""
    if isinstance(value, dict):
        return {name: redact_values(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [redact_values(inner) for inner in value]
    return redact([value])[0] if isinstance(value, str) else value


def commit(folder: Path) -> str | None:
    """Return the commit that code in a folder is at, None if nothing knows it.

    Args:
        folder: of the package. It must be tracked itself: a package that was installed somewhere below
            another project's checkout is not at that project's commit.

    Returns:
        40 hexadecimal digits, with "-dirty" behind them if tracked files were changed.
    """
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return _installed_commit()
    return _git(folder, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, None if it fails or is not there."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            env=variables,
            stdin=subprocess.DEVNULL,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _installed_commit() -> str | None:
    """What pip noted when it installed from a repository."""
    try:
        noted = metadata.distribution("keisei").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    found = json.loads(noted).get("vcs_info", {}).get("commit_id") if noted else None
    return str(found) if found else None
