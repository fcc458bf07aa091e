"""Files and folders that are there whole or not at all, whatever happens while they are written.

No torch, no pickle.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from shogi_env.arena.lock import hold

MANIFEST = "manifest.json"
"""In each sealed folder: what was written, with the SHA-256 of every file and of itself."""
TEMPORARY = ".tmp"
"""How the names of files end that are not whole yet: ``.NAME.PID.tmp``."""
_LEFT = re.compile(rf"\..+\.\d+{re.escape(TEMPORARY)}")


class CheckpointError(ValueError):
    """A stored file is missing, damaged or of another version; the text names it and the reason."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that readers see whole or not at all, also after a crash."""
    make_folder(path.parent)
    temporary = _temporary(path)  # tempfile's would be private to the user
    try:
        _write(temporary, data)
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_for_readers(path: Path, data: bytes) -> None:
    """Write a file that readers see whole or not at all; after a power cut it may be gone."""
    temporary = _temporary(path)
    temporary.write_bytes(data)
    replace(temporary, path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON atomically."""
    write_atomically(path, to_json(content))


def to_json(content: Mapping[str, Any]) -> bytes:
    """Indented JSON; numbers that are not finite are refused, for they are not JSON."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def write_folder(path: Path, files: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
    """Write a sealed folder: all files and a manifest, under a temporary name, synced, then renamed.

    Args:
        path: the folder.
        files: contents by name.
        about: more for the manifest, as JSON.

    Raises:
        FileExistsError: there is such a folder.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists")
    temporary = _fresh(_temporary(path))
    try:
        make_folder(path.parent)
        temporary.mkdir()
        for name, data in files.items():
            _write(temporary / name, data)
        sums = {name: {"sha256": digest(data), "bytes": len(data)} for name, data in files.items()}
        manifest = {**about, "files": sums}
        _write(temporary / MANIFEST, to_json(manifest | {"sha256": _seal(manifest)}))
        sync_folder(temporary)
        replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of a sealed folder.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    file = path / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_bytes())
        seal = manifest.pop("sha256")
    except FileNotFoundError:
        raise CheckpointError(f"{file} is missing") from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{file} is damaged: {error}") from None
    if seal != _seal(manifest):
        raise CheckpointError(f"{file} is damaged: its content does not have the SHA-256 it states")
    return manifest


def read_sealed(path: Path, name: str, manifest: Mapping[str, Any] | None = None) -> bytes:
    """Read one file of a sealed folder and compare it with the manifest.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    stated = (read_manifest(path) if manifest is None else manifest)["files"].get(name)
    file = path / name
    if stated is None:
        raise CheckpointError(f"{file} is not in its manifest")
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{file} is missing") from None
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from None
    if len(data) != stated["bytes"]:
        raise CheckpointError(f"{file} is damaged: {len(data)} bytes instead of {stated['bytes']}")
    if digest(data) != stated["sha256"]:
        raise CheckpointError(f"{file} is damaged: its SHA-256 is not that of the manifest")
    return data


def remove_folder(path: Path) -> None:
    """Remove a folder; what a crash leaves of it bears a temporary name."""
    temporary = _fresh(_temporary(path))
    replace(path, temporary)
    shutil.rmtree(temporary)


def remove_temporary(folder: Path) -> None:
    """Remove what processes that died while they wrote have left in a folder and in those below it."""
    for left in [path for path in folder.rglob(f".*{TEMPORARY}") if _LEFT.fullmatch(path.name)]:
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def set_aside(path: Path, length: int, target: Path) -> bool:
    """Move what a file holds behind `length` bytes to the file `target`; return whether there was anything.

    Dying in between leaves the text in both files, never in none.
    """
    if path.stat().st_size <= length:
        return False
    make_folder(target.parent)
    with path.open("rb+") as file, target.open("wb") as tail:
        file.seek(length)
        shutil.copyfileobj(file, tail)
        _sync(tail)
        sync_folder(target.parent)
        file.truncate(length)
        _sync(file)
    return True


def synced_length(path: Path) -> int:
    """Bytes of a file, after the system was told to put them on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def replace(source: Path, target: Path) -> None:
    """Rename over `target`; Windows refuses while a virus scanner or reader holds it, so try for a second."""
    for delay in (0.05, 0.1, 0.2, 0.3, 0.4):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(delay)
    os.replace(source, target)


def make_folder(path: Path) -> None:
    """Make a folder if it is missing, and those it lies in, so that they outlive a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Put a folder's list of names on the disk, where the system has a way to ask for it."""
    if sys.platform == "win32":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file against other processes; however this one dies, the system lets go of it.

    Raises:
        BlockingIOError: another process, or another part of this one, holds it.
    """
    with hold(path, f"{path.parent} is in use by another process"):
        yield


def _seal(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of what a manifest states, however it is laid out."""
    return digest(json.dumps(manifest, sort_keys=True).encode())


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")


def _fresh(temporary: Path) -> Path:
    """A temporary folder's name; one that a process of the same number left is removed."""
    if temporary.exists():
        shutil.rmtree(temporary)
    return temporary


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        _sync(file)


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
