import os
import subprocess
import sys
from pathlib import Path

import pytest
from talks import write_run

from keisei_agent.commands import usi
from keisei_agent.config import Config
from keisei_agent.usi.install import InstallError, install, launcher

UNIX = os.name == "posix"


def test_launcher_quotes_its_paths() -> None:
    shell = launcher("/opt/my python", "/runs/it's $HOME/`x`", windows=False)
    assert shell == (
        "#!/bin/sh\n"
        "exec '/opt/my python' -P -m keisei_agent usi --model '/runs/it'\"'\"'s $HOME/`x`' \"$@\"\n"
    )
    batch = launcher(r"C:\Program Files\python.exe", r"D:\100% won\run & more", windows=True)
    assert batch == (
        "@echo off\r\n"
        r'"C:\Program Files\python.exe" -P -m keisei_agent usi --model "D:\100%% won\run & more" %*' + "\r\n"
    )
    with pytest.raises(InstallError, match="cannot hold"):
        launcher("python", 'a"b', windows=True)


def test_install_plays_from_any_folder_without_a_path(
    tmp_path: Path, small: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    awkward = 'it\'s a "run" $HOME %d `x` 将棋' if UNIX else "it's a run $HOME %d `x`"
    model = write_run(tmp_path / awkward, small)
    folder = tmp_path / "my engines" / "new"
    assert usi.main(["--install", str(folder), "--model", str(model)]) == 0
    (path,) = folder.iterdir()
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"Wrote {path}" and "opened with" in told[1]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "random.py").write_text("raise SystemExit('the wrong random')")
    keep = ("SYSTEMROOT", "LOCALAPPDATA", "USERPROFILE", "HOME", "NUMBA_CACHE_DIR")
    environment = {name: os.environ[name] for name in keep if name in os.environ} | {"PATH": ""}
    done = subprocess.run(
        [str(path)],
        input="usi\nisready\nposition startpos\ngo nodes 1\n",
        capture_output=True,
        text=True,
        cwd=tmp_path / "elsewhere",
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("bestmove ")


def test_install_that_cannot_play_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        usi.main(["--install", str(tmp_path / "engines"), "--model", str(tmp_path / "missing")])
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert "missing is not a readable checkpoint" in errors and errors.count("\n") == 1
    assert not list(tmp_path.glob("engines/*"))


def test_install_says_when_the_launcher_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    with pytest.raises(InstallError):
        list(install(tmp_path, "x"))
    assert not list(tmp_path.iterdir())
