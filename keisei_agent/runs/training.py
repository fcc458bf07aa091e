"""One training run: check, build the parts, learn once, say what came of it; begun anew or resumed."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent import about, doctor
from keisei_agent.callbacks.checkpoint import CheckpointCallback
from keisei_agent.callbacks.dump import DumpCallback
from keisei_agent.callbacks.guard import Guard
from keisei_agent.callbacks.plugins import make_callbacks
from keisei_agent.callbacks.stop import stopping_on_signals
from keisei_agent.config import Config, ConfigError, load_config, to_yaml, with_changes
from keisei_agent.files.storage import locked, write_atomically, write_json
from keisei_agent.learning import distributed
from keisei_agent.learning.ppo import SelfPlayPPO
from keisei_agent.players import NetworkPlayer, Score, play_random
from keisei_agent.runs import checkpoint, header
from keisei_agent.runs.build import (
    build_callbacks,
    build_env,
    build_league,
    build_logger,
    build_model,
    check,
    close_logger,
    find_start,
)
from keisei_agent.runs.remote import build_workers
from keisei_agent.runs.run import Run
from keisei_agent.runs.run_folder import RunFolder, new_path, with_name
from keisei_agent.runs.saving import RunSaver, refuse_other_circumstances, settings_to_go_on_with
from keisei_agent.runs.state import network_of

__all__ = ["NO_LIMIT", "Run", "check", "resume", "train"]

logger = logging.getLogger(__name__)

NO_LIMIT = 2**62
"""`total_timesteps` of a run that only time ends."""


@dataclass(frozen=True)
class _Extras:
    """What comes to a run besides its built-in parts."""

    callbacks: Sequence[BaseCallback]
    """Those that the settings name, and the caller's."""
    profile: bool


def train(
    config: Config,
    folder: Path | str | None = None,
    *,
    name: str | None = None,
    callbacks: Sequence[BaseCallback] = (),
    profile: bool = False,
) -> Run:
    """Train as `config` says and return the run.

    Args:
        config: the settings.
        folder: of the run; made if missing, and refused if it already holds a run. None for runs/NAME.
        name: of a run without a folder; None for the time and the seed.
        callbacks: called after those of the settings.
        profile: whether to trace one rollout and its update.

    Raises:
        ConfigError: this machine cannot do what the settings ask for.
        Exception: whatever stops training, after it was written to log.txt and crash.json.
    """
    with distributed.joined(doctor.resolve_device(config.device)) as device:
        run_folder = RunFolder(new_path(name, config.seed) if folder is None else with_name(Path(folder)))
        check(config, None if distributed.rank() else run_folder.path)
        with _held(run_folder):
            if distributed.rank() == 0:
                run_folder.refuse_used()
            extras = _gather_extras(config, callbacks, profile)
            saver = RunSaver(run_folder, config, None)
            return _session(config, device, saver, [], extras)


def resume(
    path: Path | str,
    changes: Mapping[str, Any] | None = None,
    *,
    inexact: bool = False,
    callbacks: Sequence[BaseCallback] = (),
    profile: bool = False,
) -> Run:
    """Go on from a checkpoint exactly as if the run had never ended, and return the run.

    What the run's files hold of the time after the checkpoint is moved to its folder ``set_aside``.  A run
    that died before it had saved anything begins anew.

    Args:
        path: of a run's folder, for its latest checkpoint and the settings of its last session, or of a
            checkpoint in it, for that one and the settings it was written with.
        changes: settings that differ from now on, nested or by dotted name.
        inexact: whether to go on even where the numbers come out differently: with another device, number
            format, number of threads or version of torch.
        callbacks: as for `train`.
        profile: as for `train`.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged; the good one before it is named.
        ConfigError: a change cannot be made, or the run cannot continue exactly.
        Exception: as for `train`.
    """
    folder = RunFolder(Path(os.path.abspath(path)))
    if folder.has_saved_nothing:
        return _begin_again(folder, changes or {}, callbacks, profile)
    found = checkpoint.read(Path(path))
    folder = RunFolder(found.path.parent.parent)
    named = Path(os.path.abspath(path)) == found.path
    config, lines = settings_to_go_on_with(found, changes or {}, named=named, inexact=inexact)
    check(config)
    with distributed.joined(doctor.resolve_device(config.device)) as device, _held(folder):
        refuse_other_circumstances(found, config, device, inexact=inexact)
        if checkpoint.find(Path(path)) != found.path:
            raise ConfigError(f"{folder.path} went on in the meantime; try again")
        extras = _gather_extras(config, callbacks, profile)
        if distributed.rank() == 0:
            folder.cut_back(found.path, found.run["lengths"])
        saver = RunSaver(folder, config, found)
        del found  # as large as the network and its optimizer; the saver lets go of it once it is restored
        return _session(config, device, saver, lines, extras)


def _begin_again(
    folder: RunFolder, changes: Mapping[str, Any], callbacks: Sequence[BaseCallback], profile: bool
) -> Run:
    """Start a run that died before it had saved anything from its settings; what it left is set aside."""
    config = with_changes(load_config(file=folder.config), changes)
    check(config)
    with distributed.joined(doctor.resolve_device(config.device)) as device, _held(folder):
        if not folder.has_saved_nothing:
            raise ConfigError(f"{folder.path} went on in the meantime; try again")
        extras = _gather_extras(config, callbacks, profile)
        if distributed.rank() == 0:
            folder.cut_back(None, {})
        saver = RunSaver(folder, config, None)
        return _session(config, device, saver, ["The run had saved nothing yet and begins anew"], extras)


def _gather_extras(config: Config, callbacks: Sequence[BaseCallback], profile: bool) -> _Extras:
    """Make the callbacks that the settings name, while nothing is begun that one which fails could end.

    Raises:
        ConfigError: one cannot be made.
    """
    named = [] if distributed.rank() else make_callbacks(config.callbacks)
    return _Extras([*named, *callbacks], profile)


@contextmanager
def _held(folder: RunFolder) -> Iterator[None]:
    """Hold a run's folder: no two processes write into it, and of several that learn the first one does.

    Raises:
        ConfigError: another process holds it.
    """
    with ExitStack() as stack:
        if distributed.rank() == 0:
            try:
                stack.enter_context(locked(folder.lock))
            except BlockingIOError as error:
                raise ConfigError(str(error)) from None
        yield


def _session(
    config: Config,
    device: str,
    saver: RunSaver,
    lines: Sequence[str],
    extras: _Extras,
) -> Run:
    """Write down the settings, learn, and write down what ended it if that was an error."""
    if distributed.rank():
        with ExitStack() as stack, saver.reporting_crashes():
            return _follow(config, device, saver, stack)
    write_atomically(saver.folder.config, to_yaml(config).encode())
    origin = about.describe()
    if saver.resumed:
        lines = [*lines, f"Resumed by {origin['command']} (commit {origin['commit'] or 'unknown'})"]
    else:
        write_json(saver.folder.about, origin)
    with saver.folder.keep_log(config.log.level), ExitStack() as stack, saver.reporting_crashes():
        for line in lines:
            logger.info("%s", line)
        try:
            return _learn(config, device, saver, extras, stack)
        except KeyboardInterrupt:
            logger.warning("Stopped at once. The last checkpoint is %s.", saver.last or "-")
            raise


def _learn(config: Config, device: str, saver: RunSaver, extras: _Extras, stack: ExitStack) -> Run:
    """Build everything, learn once, and measure; what has to be closed goes onto the stack."""
    folder = saver.folder
    league = build_league(config, folder, device)
    if league is not None:
        stack.callback(league.pool.close)
    mine = distributed.share(config)
    env = stack.enter_context(closing(build_env(mine, league)))
    model = build_model(mine, env, device, start=None if saver.resumed else find_start(config))
    model.set_logger(build_logger(config, folder))
    stack.callback(close_logger, model.logger)
    own = build_callbacks(config, folder, league, profile=extras.profile)
    last = CheckpointCallback(config.checkpoint.every, saver)
    guard = Guard([*own, *extras.callbacks, DumpCallback(), last])
    stack.push(lambda kind, error, trace: guard.close(at_once=isinstance(error, KeyboardInterrupt)))
    saver.attach(model, guard.callbacks)
    for line in header.describe(config, model, folder.path, saver.resumed_from):
        logger.info("%s", line)
    if league is not None and not saver.resumed:
        league.start(network_of(model))
    model.workers = build_workers(config, model.num_timesteps)
    stack.callback(_close_workers, model)
    run = Run(folder.path, model, saver, _score_before(config, model, saver))
    if model.workers is not None and not model.workers.wait_for_first():
        model.workers = None
    run.interrupted = _learn_once(config, model, guard, resumed=saver.resumed)
    _close_workers(model)
    logger.info("Learning ended at decision %s: %s.", f"{model.num_timesteps:,}", _why(run, guard))
    if guard.failure is not None:
        raise guard.failure
    if not run.interrupted:
        run.after = _evaluate(config, model, "after")
    write_json(folder.results, run.stats())
    return run


def _close_workers(model: SelfPlayPPO) -> None:
    """End the workers that are left, so that the model can learn on without them."""
    if model.workers is not None:
        model.workers.close()
        model.workers = None


def _follow(config: Config, device: str, saver: RunSaver, stack: ExitStack) -> Run:
    """Learn beside the first of several processes, which evaluates, saves and tells."""
    mine = distributed.share(config)
    env = stack.enter_context(closing(build_env(mine)))
    model = build_model(mine, env, device, start=None if saver.resumed else find_start(config))
    model.set_logger(build_logger(config, None))
    guard = Guard([CheckpointCallback(config.checkpoint.every, saver)])
    saver.attach(model, guard.callbacks)
    interrupted = _learn_once(config, model, guard, resumed=saver.resumed)
    if guard.failure is not None:
        raise guard.failure
    return Run(saver.folder.path, model, saver, interrupted=interrupted)


def _learn_once(config: Config, model: SelfPlayPPO, guard: Guard, *, resumed: bool) -> bool:
    """Learn up to the target; return whether a signal ended it before."""
    with stopping_on_signals(model, lambda: guard.ended) as interrupted:
        model.learn(
            (config.total_timesteps or NO_LIMIT) - model.num_timesteps,
            callback=guard,
            log_interval=None,  # type: ignore[arg-type]  # as in the parent; see DumpCallback
            reset_num_timesteps=not resumed,
        )
    model.stop_requested = False  # was met
    return interrupted.is_set()


def _why(run: Run, guard: Guard) -> str:
    """Why learning ended."""
    if guard.failure is not None:
        return "a part that it cannot do without has failed"
    if run.interrupted:
        return "interrupted"
    if run.reached_target and run.resumed_from == run.checkpoint:
        return "the target was reached before; raise total_timesteps or max_time to learn on"
    return "the target is reached" if run.reached_target else "a callback asked for it"


def _score_before(config: Config, model: SelfPlayPPO, saver: RunSaver) -> Score | None:
    """The result before learning; a resumed run remembers it."""
    if saver.resumed:
        found = saver.notes["before"]
        return None if found is None else Score(**found)
    score = _evaluate(config, model, "before")
    saver.notes["before"] = None if score is None else score.as_dict()
    return score


def _evaluate(config: Config, model: SelfPlayPPO, when: str) -> Score | None:
    """Play against random, log the result and return it."""
    if config.eval_games == 0:
        return None
    player = NetworkPlayer(network_of(model))
    score = play_random(player, config.eval_games, seed=config.seed, max_plies=config.env.max_plies)
    logger.info("Against random %s learning: %s", when, score)
    for name in ("wins", "draws", "losses"):
        model.logger.record(f"random/{name}", getattr(score, name) / score.games)
    model.logger.dump(model.num_timesteps)
    return score
