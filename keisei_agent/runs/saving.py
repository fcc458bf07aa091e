"""What a run saves of itself, and what it puts back when it is resumed."""

import logging
import platform
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from torch import distributed as dist

from keisei_agent import doctor
from keisei_agent.callbacks.alarms import tell_failure
from keisei_agent.callbacks.output import Outputs
from keisei_agent.config import Config, ConfigError, differences, load_config, parse_config, with_changes
from keisei_agent.files import storage
from keisei_agent.files.weights import save_weights, weights_to_bytes
from keisei_agent.learning import distributed
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.learning.update import TrainingError
from keisei_agent.networks import resolve_precision
from keisei_agent.runs import checkpoint
from keisei_agent.runs.checkpoint import Checkpoint
from keisei_agent.runs.run_folder import RunFolder
from keisei_agent.runs.state import (
    State,
    capture,
    network_of,
    restore_callbacks,
    restore_generators,
    restore_model,
)

logger = logging.getLogger(__name__)

FIXED = (
    "algo",
    "seed",
    "init_from",
    "env.n_envs",
    "env.max_plies",
    "env.observation",
    "league.share",
    "network",
)
"""Settings, and a section, that the state of a run does not fit any more when they change."""
_NUMBERS = ("compile", "workers.count", "workers.max_staleness")
"""Settings that change what the same computations come to, or who computes them."""


class RunSaver:
    """Writes the checkpoints of a run, and puts the state of one back.

    Where several processes learn, each has one: they meet in `save`, and the first one writes.

    Args:
        folder: of the run.
        config: of the run.
        found: where the run goes on, None for a new one.
    """

    def __init__(self, folder: RunFolder, config: Config, found: Checkpoint | None) -> None:
        self.folder = folder
        self.config = config
        self.resumed_from = None if found is None else found.path
        """The checkpoint that the run goes on from."""
        self.last: Path | None = self.resumed_from
        """The newest checkpoint."""
        self.notes: dict[str, Any] = {} if found is None else dict(found.run["notes"])
        """What else goes into every checkpoint, as JSON."""
        self._found = found
        self._model: SelfPlayPPO | None = None
        self._callbacks: Sequence[BaseCallback] = ()

    @property
    def resumed(self) -> bool:
        """Whether there is a state to restore."""
        return self.resumed_from is not None

    @property
    def _state(self) -> State:
        """Of this process, as it was found."""
        assert self._found is not None
        states = self._found.states
        return states[distributed.rank()]._replace(optimizer=states[0].optimizer)

    def attach(self, model: SelfPlayPPO, callbacks: Sequence[BaseCallback]) -> None:
        """Say whose state it is; a resumed model gets its own back here.

        Raises:
            CheckpointError: the state does not fit the model.
        """
        self._model, self._callbacks = model, callbacks
        if self._found is not None:
            restore_model(model, self._found.weights, self._state)

    def restore_callbacks(self) -> None:
        """Put the callbacks' states back.

        Raises:
            CheckpointError: one does not fit its callback.
        """
        restore_callbacks(self._callbacks, self._state)

    def restore_generators(self) -> None:
        """Put the random generators back, and let go of what was found."""
        restore_generators(self._state)
        self._found = None

    def save(self) -> Path:
        """Write a checkpoint, make it the latest, remove those not to be kept, and return its path.

        Raises:
            OSError: it cannot be written; those before it are as they were.
        """
        model = self._model
        assert model is not None
        states = _gather(capture(model, self._callbacks))
        path = checkpoint.path_of(self.folder.checkpoints, model.num_timesteps)
        if states is not None:
            self._write(path, model, states)
            logger.info("Saved %s.", path)
            checkpoint.keep_newest(self.folder.checkpoints, self.config.checkpoint.keep)
        self.last = path
        return path

    def _write(self, path: Path, model: SelfPlayPPO, states: Sequence[State]) -> None:
        if isinstance(model.logger, Outputs):
            model.logger.flush()  # so that the curves' files can be measured
        run = {
            "config": self.config.model_dump(mode="json"),
            "lengths": self.folder.lengths(),
            "notes": self.notes,
        }
        network = network_of(model)
        precision = str(network.dtype).removeprefix("torch.")
        checkpoint.write(
            path,
            weights_to_bytes(network, self.config, model.num_timesteps),
            states,
            run,
            circumstances(precision, model.device.type),
        )

    def save_final(self) -> None:
        """Write the network of a run that has reached its target."""
        assert self._model is not None
        if distributed.rank() == 0:
            network = network_of(self._model)
            save_weights(self.folder.final, network, self.config, self._model.num_timesteps)

    @contextmanager
    def reporting_crashes(self) -> Iterator[None]:
        """Write down an error that ends the run.

        Raises:
            TrainingError: somebody's code called `sys.exit`, which would look like a good end.
        """
        try:
            try:
                yield
            except SystemExit as error:
                raise TrainingError(f"sys.exit({error.code!r}) was called") from error
        except Exception as error:
            self._report_crash(error)
            raise

    def _report_crash(self, error: Exception) -> None:
        """Say in the log and in ``crash.json`` what ended the run, and where it can go on.

        Only the first of several processes has a log; the others' errors name their files instead.
        """
        rank = distributed.rank()
        path = self.folder.crash_of(rank)
        steps = 0 if self._model is None else self._model.num_timesteps
        saved = f"the last good checkpoint is {self.last}" if self.last else "nothing was saved before"
        if rank == 0:
            logger.error("Training failed after %s decisions; %s", f"{steps:,}", saved, exc_info=error)
        if self._model is not None:
            tell_failure(self._model, error)
        content = {
            "type": type(error).__name__,
            "text": str(error),
            "trace": traceback.format_exception(error),
            "num_timesteps": steps,
            "checkpoint": None if self.last is None else str(self.last),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        try:
            storage.write_json(path, content)
        except OSError as second:  # the disk may be what failed first
            logger.error("%s could not be written: %s", path, second)
        error.add_note(f"trace in {path if rank else self.folder.log}")


def _gather(state: State) -> list[State] | None:
    """The states of all processes in the first one, None in the others."""
    if distributed.size() == 1:
        return [state]
    found: list[Any] = [None] * distributed.size()
    dist.all_gather_object(found, tuple(state._replace(optimizer={})))
    return None if distributed.rank() else [state, *(State(*each) for each in found[1:])]


def circumstances(precision: str, device: str) -> dict[str, Any]:
    """What this process computes with, as JSON.

    Args:
        precision: number format of the trunk.
        device: its kind: cpu, cuda, mps.
    """
    versions = {**doctor.versions(), "torch": th.__version__, "python": platform.python_version()}
    return {
        "versions": versions,
        "torch": th.__version__,
        "threads": th.get_num_threads(),
        "precision": precision,
        "device": device,
        "processes": distributed.size(),
    }


def refuse_other_circumstances(found: Checkpoint, config: Config, device: str, *, inexact: bool) -> None:
    """Refuse to go on where the numbers would come out differently.

    Args:
        found: the checkpoint.
        config: to go on with.
        device: as torch names it.
        inexact: whether only another number of processes is refused, which leaves games without a process.

    Raises:
        ConfigError: naming what differs.
    """
    before = found.about
    now = circumstances(resolve_precision(config.precision, device), th.device(device).type)
    if now["processes"] != before["processes"]:
        wrote, learn = before["processes"], now["processes"]
        raise ConfigError(
            f"{found.path} was written by {wrote} processes, not by {learn}; "
            f"torchrun --nproc-per-node {wrote} -m keisei_agent train --resume ... goes on with it"
        )
    names = ["torch", "device", "precision"]
    if before["device"] == "cpu":  # elsewhere its threads compute nothing
        names.append("threads")
    hints = {"threads": f" (set OMP_NUM_THREADS={before['threads']})"}
    differing = [
        f"{name} is {now[name]}, was {before[name]}{hints.get(name, '')}"
        for name in names
        if now[name] != before[name]
    ]
    if differing and not inexact:
        raise ConfigError(f"cannot continue exactly: {'; '.join(differing)}; --inexact goes on all the same")


def settings_to_go_on_with(
    found: Checkpoint, changes: Mapping[str, Any], *, named: bool, inexact: bool
) -> tuple[Config, list[str]]:
    """The settings that a run goes on with, and a line on each that is not as its checkpoint has it.

    Args:
        found: the checkpoint.
        changes: nested or by dotted name.
        named: whether the checkpoint itself was asked for, which brings its own settings; else those of the
            run's last session count, which may have changed some and died before it saved anything.
        inexact: see `refuse_changes`.

    Raises:
        ConfigError: a change cannot be made.
    """
    saved = parse_config(found.run["config"])
    last = RunFolder(found.path.parent.parent).config
    config = with_changes(saved if named or not last.exists() else load_config(file=last), changes)
    changed = differences(saved, config)
    refuse_changes(changed, inexact=inexact)
    return config, [f"Changed: {name} is {new}, was {old}" for name, (old, new) in changed.items()]


def refuse_changes(names: Iterable[str], *, inexact: bool) -> None:
    """Refuse changed settings that the state of a run does not fit.

    Args:
        names: dotted, of the settings that changed.
        inexact: whether those are allowed that only change what the same computations come to.

    Raises:
        ConfigError: naming them.
    """
    fixed = [name for name in names if name in FIXED or name.partition(".")[0] in FIXED]
    if fixed:
        raise ConfigError(f"{', '.join(fixed)} cannot change when a run is resumed; start a new one")
    numbers = [name for name in names if name in _NUMBERS]
    if numbers and not inexact:
        raise ConfigError(f"{', '.join(numbers)} changes the numbers; --inexact goes on all the same")
