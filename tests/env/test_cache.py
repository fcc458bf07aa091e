"""The compile cache: read-only installs, no writable folder, stale code, processes that race."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import shogi_env

pytestmark = pytest.mark.slow

PLAY = "import shogi_env; board = shogi_env.Board(); board.push_usi('7g7f'); print(len(board.legal_moves))"
NOTICE = "shogi_env: compiling the rules"


@pytest.fixture
def installed(tmp_path):
    """A copy of the package with an empty cache."""
    package = tmp_path / "site" / "shogi_env"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(shogi_env.__file__).parent, package, ignore=ignore)
    return package


def environment(package, **extra):
    drop = ("NUMBA_CACHE_DIR", "PYTHONPATH")
    kept = {key: value for key, value in os.environ.items() if key not in drop}
    return kept | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"} | extra


def start(package, code=PLAY, **extra):
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(package, **extra),
        cwd=package.parent,
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == "30\n", (out, err)
    return err


def make_read_only(package):
    """Root may write everywhere, so a file stands where the cache folder would."""
    for folder in [package, *(p for p in package.rglob("*") if p.is_dir())]:
        (folder / "__pycache__").write_text("in the way", encoding="utf-8")


def test_read_only_install_uses_the_users_cache(installed, tmp_path):
    make_read_only(installed)
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    assert NOTICE in finish(start(installed, **home))
    assert finish(start(installed, **home)) == "", "the second process finds it compiled"


def test_works_without_any_writable_folder(installed, tmp_path):
    make_read_only(installed)
    blocked = tmp_path / "blocked"
    blocked.write_text("", encoding="utf-8")
    nowhere = str(blocked / "x")
    err = finish(start(installed, XDG_CACHE_HOME=nowhere, HOME=nowhere, LOCALAPPDATA=nowhere))
    assert "NUMBA_CACHE_DIR" in err and err.count("\n") == 1


def test_eight_processes_on_an_empty_cache(installed, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    processes = [start(installed, **cache) for _ in range(8)]
    for process in processes:
        finish(process)
    assert finish(start(installed, **cache)) == ""


def test_a_change_in_any_file_is_seen(installed, tmp_path):
    """Numba alone would go on with the old callee: its stamp covers one file."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    finish(start(installed, **cache))
    tables = installed / "core" / "tables.py"
    text = tables.read_text(encoding="utf-8")
    tables.write_text(text.replace("KNIGHT: (JUMP_LEFT, JUMP_RIGHT)", "KNIGHT: ()"), encoding="utf-8")
    process = start(installed, **cache)
    assert NOTICE in process.communicate(timeout=300)[1]


def test_warm_up_compiles_every_kernel(installed, tmp_path):
    code = (
        "from shogi_env.__main__ import warm_up; from shogi_env.core import jit; warm_up(); "
        "print(30 if all(kernel.signatures for kernel in jit.KERNELS.values()) else jit.KERNELS)"
    )
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    finish(start(installed, code, **cache))
    assert finish(start(installed, **cache)) == ""
