import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keisei_agent.files import storage
from keisei_agent.files.storage import CheckpointError

FILES = {"a.bin": bytes(range(200)), "b.json": b'{"b": 1}\n', "empty": b""}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    storage.write_atomically(path, b"old")

    def refuse(source: Path, target: Path) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="on fire"):
        storage.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_busy_target_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, calls = os.replace, []

    def busy_twice(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) < 3:
            raise PermissionError
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy_twice)
    storage.write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(calls) == 3


def test_json_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_sealed_folder_comes_back(tmp_path: Path) -> None:
    storage.write_folder(tmp_path / "64", FILES, {"format": 1})
    manifest = storage.read_manifest(tmp_path / "64")
    assert manifest["format"] == 1
    assert {name: storage.read_sealed(tmp_path / "64", name) for name in manifest["files"]} == FILES
    assert os.listdir(tmp_path) == ["64"]


def test_a_sealed_folder_is_never_overwritten(tmp_path: Path) -> None:
    storage.write_folder(tmp_path / "64", FILES, {})
    with pytest.raises(FileExistsError, match="64 exists"):
        storage.write_folder(tmp_path / "64", {}, {})


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def full_at_second(number: int) -> None:
        synced.append(number)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_at_second)
    with pytest.raises(OSError, match="No space left"):
        storage.write_folder(tmp_path / "64", FILES, {})
    assert not list(tmp_path.iterdir())


def read_all(path: Path) -> None:
    manifest = storage.read_manifest(path)
    for name in manifest["files"]:
        storage.read_sealed(path, name, manifest)


@pytest.mark.parametrize("name", ["a.bin", "b.json", storage.MANIFEST])
def test_every_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    path = tmp_path / "64"
    storage.write_folder(path, FILES, {"format": 1, "about": {"threads": 2}})
    whole = (path / name).read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        (path / name).write_bytes(changed)
        if name == storage.MANIFEST and same_json(whole, changed):
            continue  # a space that is another kind of space says the same
        with pytest.raises(CheckpointError, match=name):
            read_all(path)


def same_json(left: bytes, right: bytes | bytearray) -> bool:
    try:
        return bool(json.loads(left) == json.loads(right))
    except ValueError:
        return False


def cut(path: Path) -> None:
    """Take half of a file away; an empty one gets longer."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if whole else b"x")


@pytest.mark.parametrize("name", [*FILES, storage.MANIFEST])
@pytest.mark.parametrize("harm", [Path.unlink, cut])
def test_missing_and_cut_files_are_named(tmp_path: Path, name: str, harm: Callable[[Path], Any]) -> None:
    storage.write_folder(tmp_path / "64", FILES, {})
    harm(tmp_path / "64" / name)
    with pytest.raises(CheckpointError, match=name):
        read_all(tmp_path / "64")


def test_what_lies_behind_a_length_is_set_aside(tmp_path: Path) -> None:
    path, target = tmp_path / "log.txt", tmp_path / "aside" / "log.txt"
    path.write_bytes(b"kept|moved")
    assert not storage.set_aside(path, 10, target)
    assert not target.exists()
    assert storage.set_aside(path, 5, target)
    assert (path.read_bytes(), target.read_bytes()) == (b"kept|", b"moved")


def test_nothing_is_cut_off_before_its_copy_outlives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, target = tmp_path / "log.txt", tmp_path / "aside" / "1" / "log.txt"
    path.write_bytes(b"kept|moved")
    synced: list[tuple[Path, int]] = []
    monkeypatch.setattr(storage, "sync_folder", lambda folder: synced.append((folder, path.stat().st_size)))
    storage.set_aside(path, 5, target)
    assert synced == [(tmp_path / "aside", 10), (tmp_path, 10), (target.parent, 10)]
    assert path.stat().st_size == 5


def test_new_folders_outlive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(storage, "sync_folder", synced.append)
    storage.write_atomically(tmp_path / "runs" / "first" / "config.yaml", b"x")
    assert synced == [tmp_path / "runs", tmp_path, tmp_path / "runs" / "first"]
    synced.clear()
    storage.write_folder(tmp_path / "runs" / "first" / "checkpoints" / "64", FILES, {})
    assert synced[0] == tmp_path / "runs" / "first"
    assert synced[-1] == tmp_path / "runs" / "first" / "checkpoints"

    monkeypatch.undo()
    storage.make_folder(tmp_path / "a" / "b")
    storage.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_is_in_use_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "run" / "lock"
    with storage.locked(lock):
        code = "import sys; from pathlib import Path; from keisei_agent.files.storage import locked\n"
        code += "with locked(Path(sys.argv[1])): print('got it')"
        command = [sys.executable, "-c", code, str(lock)]
        other = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "run is in use by another process" in other.stderr
        with pytest.raises(BlockingIOError, match="in use"), storage.locked(lock):
            pass
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "got it\n", done.stderr


def test_only_what_was_written_here_is_removed(tmp_path: Path) -> None:
    for name in (".notes.tmp", "64.12.tmp", ".12.tmp", ".64.12.tmp", ".log.txt.7.tmp"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".folder.tmp").mkdir()
    (tmp_path / ".96.12.tmp").mkdir()
    storage.remove_temporary(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".12.tmp", ".folder.tmp", ".notes.tmp", "64.12.tmp"]


CODE = """
import os, signal, sys
from pathlib import Path
from keisei_agent.files import storage

left = [int(sys.argv[2])]

def dying(function):
    def call(*arguments):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

os.fsync, os.replace, os.mkdir = dying(os.fsync), dying(os.replace), dying(os.mkdir)
folder = Path(sys.argv[1])
storage.write_folder(folder / "2", {"a.bin": b"new" * 1000, "b": b""}, {"format": 1})
storage.write_atomically(folder / "latest", b"2")
storage.remove_folder(folder / "1")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_dying_at_any_moment_leaves_what_is_named_whole(tmp_path: Path) -> None:
    """Each system call that writes is the last one once: `latest` always names a folder that is whole."""
    for moment in range(1, 100):
        folder = tmp_path / str(moment)
        storage.write_folder(folder / "1", {"a.bin": b"old"}, {"format": 1})
        storage.write_atomically(folder / "latest", b"1")
        command = [sys.executable, "-c", CODE, str(folder), str(moment)]
        done = subprocess.run(command, timeout=60, check=False)
        read_all(folder / (folder / "latest").read_text())
        storage.remove_temporary(folder)
        assert {path.name for path in folder.iterdir()} <= {"1", "2", "latest"}
        for path in folder.glob("?"):
            read_all(path)
        if done.returncode == 0:
            assert moment > 15
            assert not (folder / "1").exists()
            return
    raise AssertionError("the program never ended by itself")
