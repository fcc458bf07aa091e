import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from keisei_agent.config import ConfigError
from keisei_agent.files.storage import write_folder
from keisei_agent.runs.checkpoint import numbered
from keisei_agent.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run with checkpoints 32 and 64, and a third one that is not whole."""
    for steps in (32, 64):
        write_folder(tmp_path / "checkpoints" / f"{steps:012d}", {}, {})
    (tmp_path / "checkpoints" / "latest").write_text("000000000064\n")
    half = tmp_path / "checkpoints" / ".000000000096.1234.tmp"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    (tmp_path / ".results.json.99.tmp").write_bytes(b"half")
    (tmp_path / "tensorboard").mkdir()
    for name, content in (
        ("log.txt", b"one\n"),
        ("games.jsonl", b"{}\n"),
        ("tensorboard/events.1", b"curve"),
    ):
        (tmp_path / name).write_bytes(content)
    return RunFolder(tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    """The content of all files in a folder and in those below it."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_what_grew_is_cut_back_and_set_aside(folder: RunFolder) -> None:
    lengths = folder.lengths()
    assert lengths == {"log.txt": 4, "games.jsonl": 3, "tensorboard/events.1": 5}
    before = files(folder.path)
    with folder.log.open("ab") as log:
        log.write(b"two\n")
    folder.evaluations.write_bytes(b"{}\n")  # was not there at the checkpoint
    (folder.tensorboard / "events.2").write_bytes(b"later")
    for rank in (0, 1):
        folder.crash_of(rank).write_bytes(b"{}")
    folder.final.write_bytes(b"network")

    aside = folder.cut_back(folder.checkpoints / "000000000064", lengths)
    assert aside == folder.path / "set_aside" / "1"
    assert files(aside) == {
        "log.txt": b"two\n",
        "evaluations.jsonl": b"{}\n",
        "tensorboard/events.2": b"later",
        "crash.json": b"{}",
        "crash-1.json": b"{}",
        "final.safetensors": b"network",
    }
    kept = {name: content for name, content in before.items() if ".tmp" not in name}
    assert {n: c for n, c in files(folder.path).items() if not n.startswith("set_aside")} == kept


def test_newer_checkpoints_are_set_aside(folder: RunFolder) -> None:
    aside = folder.cut_back(folder.checkpoints / "000000000032", folder.lengths())
    assert aside is not None
    assert list(files(aside)) == ["checkpoints/000000000064/manifest.json"]
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == ["000000000032", "latest"]
    assert (folder.checkpoints / "latest").read_text() == "000000000032\n"


@pytest.mark.parametrize("name", ["boards/{}.txt", "pool/{}.safetensors", "evaluation/{}.safetensors"])
def test_files_of_later_decisions_are_set_aside(folder: RunFolder, name: str) -> None:
    for steps in (32, 33):
        path = folder.path / name.format(f"{steps:012d}")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d" % steps)
    aside = folder.cut_back(folder.checkpoints / "000000000032", folder.lengths())
    assert aside is not None
    assert files(aside)[name.format("000000000033")] == b"33"
    assert [path.read_bytes() for path in path.parent.iterdir()] == [b"32"]


def test_nothing_to_cut_leaves_no_folder(folder: RunFolder) -> None:
    assert folder.cut_back(folder.checkpoints / "000000000064", folder.lengths()) is None
    assert not (folder.path / "set_aside").exists()


def test_each_time_has_a_folder_of_its_own(folder: RunFolder) -> None:
    lengths = folder.lengths()
    for number in ("1", "2"):
        with folder.log.open("ab") as log:
            log.write(number.encode())
        aside = folder.cut_back(folder.checkpoints / "000000000064", lengths)
        assert aside is not None
        assert files(aside) == {"log.txt": number.encode()}
        assert aside.name == number


def test_what_is_missing_is_named(folder: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    lengths = folder.lengths()
    folder.games.unlink()
    folder.log.write_bytes(b"on")
    with caplog.at_level(logging.WARNING, "keisei_agent"):
        folder.cut_back(folder.checkpoints / "000000000064", lengths)
    assert f"{folder.games} had 3 bytes at the checkpoint and has 0" in caplog.text
    assert f"{folder.log} had 4 bytes at the checkpoint and has 2" in caplog.text


def test_a_folder_is_used_from_its_settings_on(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "notes.txt").write_text("of the user")
    folder.refuse_used()
    folder.config.write_text("seed: 0\n")
    with pytest.raises(ConfigError, match="already holds a run"):
        folder.refuse_used()


def test_the_log_holds_what_its_level_lets_through(tmp_path: Path) -> None:
    folder, package = RunFolder(tmp_path), logging.getLogger("keisei_agent")
    level = package.level
    with folder.keep_log("warning"):
        logging.getLogger("keisei_agent.anything").info("too light")
        logging.getLogger("keisei_agent.anything").warning("heavy enough")
    package.warning("too late")
    assert package.level == level
    (line,) = folder.log.read_text("utf-8").splitlines()
    assert line.endswith("WARNING keisei_agent.anything: heavy enough")


class Died(BaseException):
    """Ends the process, as it were."""


def test_dying_while_it_is_cut_back_loses_nothing(folder: RunFolder, tmp_path: Path) -> None:
    """Each call that changes a file is the last one once; what is done again then comes to the same."""
    lengths, target = folder.lengths(), folder.checkpoints / "000000000032"
    with folder.log.open("ab") as log:
        log.write(b"two\n")
    (folder.tensorboard / "events.2").write_bytes(b"later")
    folder.final.write_bytes(b"network")
    wanted = {
        b"two\n",
        b"later",
        b"network",
        (folder.checkpoints / "000000000064" / "manifest.json").read_bytes(),
    }
    for moment in range(1, 100):
        run = RunFolder(tmp_path.parent / f"{tmp_path.name}-{moment}")
        shutil.copytree(folder.path, run.path)
        checkpoint, left = run.checkpoints / target.name, [moment]

        def dying(function: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise Died
                return function(*arguments)

            return call

        with pytest.MonkeyPatch.context() as patch:
            for name in ("fsync", "replace", "mkdir"):
                patch.setattr(os, name, dying(getattr(os, name)))
            with suppress(Died):
                run.cut_back(checkpoint, lengths)
        run.cut_back(checkpoint, lengths)
        assert run.lengths() == lengths
        assert [path.name for path in numbered(run.checkpoints)] == [target.name]
        assert wanted <= set(files(run.path / "set_aside").values())
        if left[0] > 0:
            assert moment > 10
            return
    raise AssertionError("it never came to its end")
