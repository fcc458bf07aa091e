"""Metrics, and if asked for checkpoints, to Weights & Biases, beside training and never in its way."""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image, KVWriter

from keisei_agent.about import redact, redact_values
from keisei_agent.config import Config, LogConfig
from keisei_agent.files.weights import CHECKPOINTS, LATEST

logger = logging.getLogger(__name__)

STEP = "steps"
"""Key that everything is drawn over: decisions. The tracker's own count cannot go back to an older step."""
_MOST_WAITING = 10_000
"""Jobs that may wait; what comes on top is lost, and counted."""
_AT_ONCE = 1.0
"""Seconds that the end waits when it was asked for twice."""


class Client(Protocol):
    """What is used of the module `wandb`; a fake stands in for it in tests."""

    def init(self, **settings: Any) -> Any:
        """Begin a run."""

    def Image(self, data: Any) -> Any:  # its name there
        """A picture."""

    def Artifact(self, name: str, type: str) -> Any:
        """A set of files."""


Job = Callable[[], None]


class Sender(threading.Thread):
    """Does jobs one after the other; what a job raises is logged, without secrets."""

    def __init__(self) -> None:
        super().__init__(name="tracking", daemon=True)
        self._jobs: queue.Queue[Job | None] = queue.Queue(_MOST_WAITING)
        self._put_off: list[tuple[float, Job]] = []  # when each is due; only this thread's
        self.lost = 0
        """Jobs that found no room."""
        self._said = ""

    def put(self, job: Job | None) -> None:
        """Have a job done after those before it; None ends the thread."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.lost += 1

    def put_off(self, job: Job, delay: float) -> None:
        """Have a job done after some seconds, and others meanwhile; for jobs to call."""
        self._put_off.append((time.monotonic() + delay, job))

    def hurry(self) -> None:
        """Have the jobs that were put off done next; a job itself."""
        self._put_off = [(0.0, job) for _, job in self._put_off]

    def _next(self) -> Job | None:
        """The next job of the queue, unless one that was put off is due before it comes."""
        if not self._put_off:
            return self._jobs.get()
        first = due, job = min(self._put_off, key=itemgetter(0))
        wait = due - time.monotonic()
        if wait > 0:
            with suppress(queue.Empty):
                return self._jobs.get(timeout=wait)
        self._put_off.remove(first)
        return job

    def run(self) -> None:
        """Work until None comes."""
        while (job := self._next()) is not None:
            try:
                job()
            except (Exception, SystemExit) as error:
                if say(error) != self._said:  # a dead service fails with every message
                    self._said = say(error)
                    logger.warning("Weights & Biases: %s; training goes on", self._said)


class Writer(KVWriter):
    """An output of the logger: hands on the numbers and the pictures."""

    def __init__(self, send: Callable[[dict[str, Any], int], None]) -> None:
        self._send = send

    def write(self, key_values: dict[str, Any], key_excluded: Mapping[str, Any], step: int = 0) -> None:
        """Take what is written."""
        values: dict[str, Any] = {}
        for key, value in key_values.items():
            if isinstance(value, Image):
                values[key] = value
            elif isinstance(value, int | float | np.number):
                values[key] = float(value)
        if values:
            self._send(values, step)

    def close(self) -> None:
        """Do nothing: the callback finishes."""


class TrackingCallback(BaseCallback):
    """Sends everything that is recorded to Weights & Biases, and new checkpoints if `log.wandb_upload` is on.

    All calls are made by a thread of their own, so that neither a slow nor a dead service costs training
    anything. Whatever fails there is logged, uploads are tried again, and the end of the run waits for at
    most `patience` seconds. Only the newest checkpoint is uploaded where several wait. A resumed run goes
    on under the same id.

    Args:
        folder: of the run; what is sent is kept there as well, in ``wandb``.
        config: of the run.
        client: the module `wandb` or what acts like it; None imports it.
        delays: seconds before each further attempt to upload.
        patience: seconds that the end waits.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        client: Client | None = None,
        *,
        delays: Sequence[float] = (1.0, 5.0, 25.0, 125.0),
        patience: float = 60.0,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.config = config
        self.id: str | None = None
        """Of the tracked run; None until it has begun."""
        self._client = client
        self._delays = delays
        self._patience = patience
        self._sender = Sender()
        self._run: Any = None
        self._uploaded = ""
        self._closing = False  # nothing is put off any more
        self._hasty = False  # nor uploaded
        self._failed = True  # until the end is reached

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        return {"id": self.id, "uploaded": self._uploaded}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.id, self._uploaded = state["id"], state["uploaded"]

    def _on_training_start(self) -> None:
        self.logger.output_formats.append(Writer(self._send))

    def _on_rollout_start(self) -> None:
        if self._sender.ident is None:  # not before: a resumed run is given its id after all have started
            self._sender.start()
            self._sender.put(self._begin)
        self._upload_newest()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._failed = False

    def close(self) -> None:
        """Finish the tracked run, or give up waiting for that; also after an exception in training."""
        self._close(self._patience)

    def close_at_once(self) -> None:
        """Finish the tracked run if that takes but a moment, and upload nothing."""
        self._hasty = True
        self._close(min(_AT_ONCE, self._patience))

    def _close(self, patience: float) -> None:
        if not self._sender.is_alive():
            return
        if not self._hasty:
            self._upload_newest()
        self._closing = True
        for job in (self._sender.hurry, self._finish, None):
            self._sender.put(job)
        self._sender.join(patience)
        if self._sender.is_alive():
            logger.warning(
                "Weights & Biases did not finish within %g s; what it has not sent yet is in %s (wandb sync)",
                patience,
                self.folder / "wandb",
            )
        if self._sender.lost:
            logger.warning("Weights & Biases was too slow: %d messages were dropped", self._sender.lost)

    def _begin(self) -> None:
        if self._client is None:
            for name, value in self._manners().items():
                os.environ.setdefault(name, value)
            self._client = import_module("wandb")
        run = self._client.init(**self._settings())
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        self.id, self._run = run.id, run
        where = f"offline, in {self.folder / 'wandb'}" if getattr(run, "offline", False) else run.url
        logger.info("Weights & Biases: %s", where)

    def _manners(self) -> dict[str, str]:
        """Variables that keep the service from printing, from asking for a key, and from waiting for ever."""
        patience = f"{self._patience:g}"  # it waits too when the program exits, without end unless told so
        return {
            "WANDB_SILENT": "true",
            "WANDB_INIT_TIMEOUT": patience,
            "WANDB_FINISH_TIMEOUT": patience,
        }

    def _settings(self) -> dict[str, Any]:
        """Arguments of `init`; what `WANDB_...` variables say replaces defaults."""
        log, default = self.config.log, LogConfig()
        found: dict[str, Any] = {
            "config": redact_values(self.config.model_dump(mode="json")),
            "settings": {"console": "off"},
        }
        own = {"project": (log.wandb_project, default.wandb_project), "entity": (log.wandb_entity, None)}
        for name, (value, usual) in own.items():
            if value != usual or f"WANDB_{name.upper()}" not in os.environ:
                found[name] = value
        if "WANDB_NAME" not in os.environ:
            found["name"] = self.folder.name
        if "WANDB_DIR" not in os.environ:
            found["dir"] = str(self.folder)
        if self.id is not None:
            found |= {"id": self.id, "resume": "allow"}
        return found

    def _send(self, values: dict[str, Any], steps: int) -> None:
        """Have values logged; called by the thread that trains."""
        self._sender.put(lambda: self._log(values, steps))

    def _log(self, values: dict[str, Any], steps: int) -> None:
        if self._run is None or self._client is None:
            return
        for key, value in values.items():
            if isinstance(value, Image):
                values[key] = self._client.Image(value.image)
        self._run.log(values | {STEP: steps})

    def _upload_newest(self) -> None:
        """Have the newest checkpoint uploaded, unless it was."""
        latest = self.folder / CHECKPOINTS / LATEST
        if not self.config.log.wandb_upload or not latest.exists():
            return
        name = latest.read_text("utf-8").strip()
        if name != self._uploaded:
            self._uploaded = name
            self._sender.put(lambda: self._upload(latest.with_name(name), self._delays))

    def _upload(self, path: Path, delays: Sequence[float]) -> None:
        """Upload a checkpoint; if that fails, again after each of the delays, unless it is out of date."""
        if self._run is None or self._client is None or self._hasty:
            return
        newer = path.name != self._uploaded
        if newer or not path.exists():
            logger.info("%s is not uploaded: %s", path.name, "a newer one waits" if newer else "it is gone")
            return
        try:
            artifact = self._client.Artifact(f"{self.folder.name}-checkpoint", "model")
            artifact.add_dir(str(path))
            logged = self._run.log_artifact(artifact, aliases=["latest", path.name])
            if not getattr(self._run, "offline", False):
                logged.wait()
        except Exception as error:
            if not path.exists():
                logger.info("%s is not uploaded: it is gone", path.name)
                return
            if not delays or self._closing:
                raise
            logger.warning("upload of %s failed (%s), trying again in %g s", path.name, say(error), delays[0])
            self._sender.put_off(lambda: self._upload(path, delays[1:]), delays[0])

    def _finish(self) -> None:
        if self._run is not None:
            self._run.finish(exit_code=int(self._failed))


def say(error: BaseException) -> str:
    """What went wrong, in one line and without secrets."""
    return redact([f"{type(error).__name__}: {' '.join(str(error).split())}"])[0]
