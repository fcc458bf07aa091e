"""What a folder of runs holds, read and never written."""

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keisei_agent.config import Config, ConfigError, load_config
from keisei_agent.files.weights import LATEST
from keisei_agent.runs.checkpoint import numbered
from keisei_agent.runs.run_folder import RunFolder
from keisei_agent.web.curves import Curves
from keisei_agent.web.games import Games
from shogi_env.arena.lock import is_held

_OPEN = 32
"""Runs whose curves and games are held at a time."""
_TAIL = 64 * 2**10
"""Bytes of a log's end that are read."""
_LINES = 200
_LIVE = 2 * 2**20
"""Largest live file that is read, in bytes."""


class UnknownRunError(KeyError):
    """There is no run of that name."""


class Runs:
    """The runs in a folder, or the one run that it is.

    A run is known by its name in a listing: no name is ever joined to a path.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._readers: OrderedDict[str, Reader] = OrderedDict()
        self._lock = threading.Lock()

    def folders(self) -> dict[str, Path]:
        """The runs by name; links out of the folder are left out."""
        if (self.root / "config.yaml").is_file():
            return {self.root.name: self.root}
        if not self.root.is_dir():
            return {}
        inside = self.root.resolve()
        return {
            path.name: path
            for path in sorted(self.root.iterdir())
            if (path / "config.yaml").is_file() and path.resolve().parent == inside
        }

    def reader(self, name: str) -> "Reader":
        """What reads a run; the same one each time, as long as it is asked for now and then.

        Raises:
            UnknownRunError: there is no such run.
        """
        folders = self.folders()
        if name not in folders:
            raise UnknownRunError(name)
        with self._lock:
            found = self._readers.pop(name, None) or Reader(RunFolder(folders[name]))
            self._readers[name] = found
            while len(self._readers) > _OPEN:
                self._readers.popitem(last=False)
        return found


class Reader:
    """Reads one run's folder; may be asked from several threads.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.curves = Curves(folder.tensorboard)
        self.games = Games(folder.games)
        self.lock = threading.Lock()
        """To be held while `curves` or `games` are read."""

    @property
    def name(self) -> str:
        """Of the run."""
        return self.folder.path.name

    def state(self) -> str:
        """running, finished, stopped (by Ctrl-C), failed (with an error) or died (killed, or lost power)."""
        if is_held(self.folder.lock):
            return "running"
        if self.folder.crash.exists():
            return "failed"
        results = _read_json(self.folder.results)
        if results:
            return "stopped" if results.get("interrupted") else "finished"
        return "finished" if self.folder.final.exists() else "died"

    def versions(self) -> dict[str, Any]:
        """What changes whenever something that a page shows does, and costs next to nothing to find out."""
        parts = {
            "state": self.state(),
            "curves": _sizes(self.folder.tensorboard.glob("events.*")),
            "games": _sizes([self.folder.games]),
            "evaluations": _sizes([self.folder.evaluations]),
            "log": _sizes([self.folder.log]),
            "checkpoint": _text(self.folder.checkpoints / LATEST),
        }
        return parts

    def config(self) -> Config | None:
        """The settings; None if they cannot be read."""
        try:
            return load_config(file=self.folder.config)
        except (ConfigError, OSError):
            return None

    def summary(self) -> dict[str, Any]:
        """One line of the list of runs, as JSON; what was not recorded is None."""
        state, live, config = self.state(), self.live(), self.config()
        with self.lock:
            complete = self.curves.read()
            steps, speed = self.curves.steps, self.curves.latest("speed/decisions")
            alarms = [key.removeprefix("alarms/") for key in sorted(self.curves.curves)
                      if key.startswith("alarms/") and self.curves.latest(key) == 1]  # fmt: skip
        results = _read_json(self.folder.results) or {}
        running = state == "running"
        frame = live if live and (running or not results) else {}
        evaluations = self.evaluations()
        return {
            "name": self.name,
            "state": state,
            "doing": frame.get("doing") if running else None,
            "steps": _largest(steps, frame.get("steps"), results.get("num_timesteps")),
            "target": config and config.total_timesteps,
            "max_time": config and config.max_time,
            "seconds": frame.get("seconds") or results.get("seconds"),
            "done": self._done(state, frame, config, steps),
            "left": frame.get("left") if running else None,
            "speed": frame.get("speed") if running and frame.get("speed") else speed,
            "evaluation": evaluations[-1] if evaluations else None,
            "alarms": alarms,
            "complete": complete,
            "crash": self.crash(),
            "has_live": live is not None,
        }

    @staticmethod
    def _done(state: str, frame: Mapping[str, Any], config: Config | None, steps: int | None) -> float | None:
        """Share of the run, 0..1; None where nobody can know."""
        if state == "finished":
            return 1.0
        if "done" in frame:
            return float(frame["done"])
        if config and config.total_timesteps and steps is not None:
            return min(1.0, steps / config.total_timesteps)
        return None

    def live(self) -> dict[str, Any] | None:
        """What the run wrote last for the page; None if it writes nothing."""
        return _read_json(self.folder.live)

    def crash(self) -> dict[str, Any] | None:
        """What ended the run, if that was an error: its type and text, and the decisions."""
        found = _read_json(self.folder.crash)
        return found and {key: found[key] for key in ("type", "text", "num_timesteps") if key in found}

    def evaluations(self) -> list[dict[str, Any]]:
        """The results of the evaluations, by steps; lines that cannot be read are left out."""
        found = []
        for line in (_text(self.folder.evaluations) or "").split("\n")[:-1]:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return sorted(found, key=lambda line: int(line["steps"]))

    def log_tail(self) -> list[str]:
        """The log's last lines."""
        try:
            with self.folder.log.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _TAIL))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return []
        lines = text.splitlines()
        return (lines[1:] if size > _TAIL else lines)[-_LINES:]

    def series(self, keys: list[str], points: int) -> dict[str, dict[str, list[Any]]]:
        """Steps and values of some curves as JSON; a value that is not finite is None.

        Args:
            keys: of the curves; empty for all.
            points: of each, at most.
        """
        with self.lock:
            self.curves.read()
            wanted = keys or sorted(self.curves.curves)
            curves = self.curves.curves
            found = {key: curves[key].points(points) for key in wanted if key in curves}
        return {
            key: {
                "steps": steps.tolist(),
                "values": [value if math.isfinite(value) else None for value in values.tolist()],
            }
            for key, (steps, values) in found.items()
        }

    def texts(self, key: str) -> list[tuple[int, str]]:
        """Texts that were recorded, with their steps."""
        with self.lock:
            return list(self.curves.texts.get(key, ()))

    def networks(self) -> dict[str, Path]:
        """The run's networks that can play, by name: the newest checkpoint, others, the best, the final."""
        found = {path.name: path for path in reversed(numbered(self.folder.checkpoints))}
        named = {"best": self.folder.best, "final": self.folder.final}
        latest = {"latest": self.folder.path} if (self.folder.checkpoints / LATEST).is_file() else {}
        return {**latest, **{name: path for name, path in named.items() if path.is_file()}, **found}


def _read_json(path: Path) -> dict[str, Any] | None:
    """A file that is a JSON object of a sensible size; None if it is not."""
    try:
        if path.stat().st_size > _LIVE:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return None


def _sizes(paths: Iterator[Path] | list[Path]) -> list[int]:
    """How large files are, in the order of their names; -1 for one that is not there."""
    return [path.stat().st_size if path.exists() else -1 for path in sorted(paths)]


def _largest(*numbers: int | None) -> int | None:
    return max((number for number in numbers if number is not None), default=None)
