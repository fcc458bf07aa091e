"""The names of everything in a run's folder, and what is cut back when the run is resumed."""

import itertools
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from keisei_agent.config import ConfigError
from keisei_agent.files import storage
from keisei_agent.files.weights import CHECKPOINTS, LATEST
from keisei_agent.runs.checkpoint import numbered, point_to

logger = logging.getLogger(__name__)


def new_path(name: str | None, seed: int) -> Path:
    """The folder of a run that was given none; one that is named by the time is never there already.

    Args:
        name: of the run; None for the time and the seed.
        seed: of the run.
    """
    if name is not None:
        return Path("runs", name)
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{seed}"
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(path for path in (Path("runs", each) for each in names) if not path.exists())


def with_name(path: Path) -> Path:
    """The path, absolute where it ends in no name: games and tracked runs are called after their folder."""
    return path if path.name.strip(".") else Path(os.path.abspath(path))


class RunFolder:
    """A run's folder.

    Args:
        path: of the folder; it need not exist.

    Attributes:
        path: as given.
        config: the effective settings, which start the same run again.
        about: where the run comes from.
        log: what it said.
        results: what came of it.
        crash: what ended it, if that was an error.
        final: network file, if the target was reached.
        best: network file with the best evaluation; a checkpoint holds it too.
        games: records of evaluation games.
        evaluations: their results.
        tensorboard: folder of the curves.
        checkpoints: folder of the checkpoints.
        pool: folder of the league's snapshots.
        boards: folder of the games to look at.
        evaluation: folder of the networks that evaluations are still played with.
        profile: folder of the profiler's trace.
        live: what the page in the browser shows while the run goes on.
        lock: held by the process that trains.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.about = path / "about.json"
        self.log = path / "log.txt"
        self.results = path / "results.json"
        self.crash = path / "crash.json"
        self.final = path / "final.safetensors"
        self.best = path / "best.safetensors"
        self.games = path / "games.jsonl"
        self.evaluations = path / "evaluations.jsonl"
        self.tensorboard = path / "tensorboard"
        self.checkpoints = path / CHECKPOINTS
        self.pool = path / "pool"
        self.boards = path / "boards"
        self.evaluation = path / "evaluation"
        self.profile = path / "profile"
        self.live = path / "live.json"
        self.lock = path / "lock"

    def crash_of(self, rank: int) -> Path:
        """What ended a process, if that was an error; all but the first have files of their own."""
        return self.path / f"crash-{rank}.json" if rank else self.crash

    def refuse_used(self) -> None:
        """Refuse a folder that holds a run already.

        Raises:
            ConfigError: it does.
        """
        if self.config.exists() or self.checkpoints.exists():
            raise ConfigError(f"{self.path} already holds a run; choose another folder, or resume it")

    @property
    def has_saved_nothing(self) -> bool:
        """Whether it holds a run that died before it had saved anything."""
        kept = (self.checkpoints / LATEST, self.final, self.best, self.results)
        return (
            self.config.exists()
            and not numbered(self.checkpoints)
            and not any(path.exists() for path in kept)
        )

    @contextmanager
    def keep_log(self, level: str) -> Iterator[None]:
        """Write this package's log to its file, and let nothing of less weight through, anywhere.

        Args:
            level: debug, info, warning or error.
        """
        handler = logging.FileHandler(self.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        package = logging.getLogger("keisei_agent")
        before = package.level
        package.setLevel(level.upper())
        package.addHandler(handler)
        try:
            yield
        finally:
            package.removeHandler(handler)
            package.setLevel(before)
            handler.close()

    def _growing(self) -> Iterator[Path]:
        """The files that a run only ever appends to."""
        yield from (path for path in (self.log, self.games, self.evaluations) if path.exists())
        yield from sorted(path for path in self.tensorboard.rglob("events.*") if path.is_file())

    def lengths(self) -> dict[str, int]:
        """Bytes of each file that only grows, by its name in the folder; they are on the disk then."""
        return {
            path.relative_to(self.path).as_posix(): storage.synced_length(path) for path in self._growing()
        }

    def cut_back(self, checkpoint: Path | None, lengths: Mapping[str, int]) -> Path | None:
        """Go back to how the folder was at a checkpoint; what came after it is moved to ``set_aside/N``.

        Args:
            checkpoint: in this folder, becomes the latest; None for the beginning.
            lengths: what `lengths` said then.

        Returns:
            The folder ``set_aside/N``, None if nothing came after.
        """
        self._miss(lengths)
        storage.remove_temporary(self.path)
        if checkpoint is not None:
            point_to(checkpoint)
        aside = self._next_aside()
        for path in list(self._growing()):
            name = path.relative_to(self.path).as_posix()
            if name in lengths:
                storage.set_aside(path, lengths[name], aside / name)
            else:
                _move(path, aside / name)
        crashes = self.path.glob("crash-*.json")
        for path in (self.final, self.best, self.results, self.crash, *crashes):
            if path.exists():
                _move(path, aside / path.name)
        for path in self._numbered():
            if checkpoint is None or path.stem > checkpoint.name:
                _move(path, aside / path.relative_to(self.path))
        return aside if aside.exists() else None

    def _numbered(self) -> Iterator[Path]:
        """Whatever is named by the decisions that it was made after."""
        for folder in (self.pool, self.boards, self.evaluation):
            yield from sorted(path for path in folder.glob("*.*") if path.stem.isdigit())
        yield from numbered(self.checkpoints)

    def _miss(self, lengths: Mapping[str, int]) -> None:
        """Say which files hold less than they did; learning goes on from the checkpoint all the same."""
        for name, length in lengths.items():
            path = self.path / name
            found = path.stat().st_size if path.exists() else 0
            if found < length:
                logger.warning("%s had %d bytes at the checkpoint and has %d", path, length, found)

    def _next_aside(self) -> Path:
        """The first folder ``set_aside/1``, ``set_aside/2``, ... that there is not."""
        number = 1
        while (path := self.path / "set_aside" / str(number)).exists():
            number += 1
        return path


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    storage.replace(source, target)
    storage.sync_folder(target.parent)
