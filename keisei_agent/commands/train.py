"""`keisei-train`. Only the standard library is imported until the arguments are known to make sense."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from keisei_agent.commands.log_lines import log_on_stdout
from keisei_agent.commands.options import Options, build_parser, read_options, read_settings
from keisei_agent.commands.page import missing_web, page_beside
from keisei_agent.console import (
    INTERRUPTED,
    Parser,
    missing_extra,
    never_fail_on_encoding,
    terminating_like_ctrl_c,
)

if TYPE_CHECKING:
    from keisei_agent.config import Config
    from keisei_agent.config.sections import WebConfig
    from keisei_agent.runs.run import Run


_SHOWN = ("log.display", "web.enabled", "web.host", "web.port")
"""Settings that are read before a run is resumed."""
_NO_PAGE = {"web.enabled": False}


class _Plan(NamedTuple):
    """What is about to begin."""

    start: "Callable[[bool], Run]"
    """Begins it; False for a run without what only the page reads."""
    display: str
    """How it shows itself, as `log.display`."""
    web: "WebConfig"
    runs: Path
    """The folder that its own is in."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-train`; return 0, 1 after a failure, 2 for bad arguments, 130 after Ctrl-C or SIGTERM."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    options = read_options(parser, sys.argv[1:] if arguments is None else arguments)
    if options.doctor:
        from keisei_agent import doctor

        for line in doctor.report():
            print(line)
        return 0
    missing = missing_extra()
    if missing:
        parser.error(missing)
    # Read when torch is loaded. On a machine with other work to do, threads that spin while they wait
    # for one another learned at a quarter of the speed.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # for the user's own callbacks and players
    try:
        with terminating_like_ctrl_c():
            return _run(options, parser)
    except KeyboardInterrupt:
        print("Stopped at once; nothing more was saved. --resume RUN goes on from what was.", file=sys.stderr)
        return INTERRUPTED


def _run(options: Options, parser: Parser) -> int:
    """Train as asked and say what came of it."""
    from keisei_agent.config import ConfigError

    try:
        plan = _prepare(options, parser)
    except ConfigError as error:
        parser.error(str(error))
    if plan is None:
        return 0
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts, this one speaks
    speaks = plan.display != "off" and first
    try:
        with ExitStack() as stack:
            page = plan.web.enabled and first and stack.enter_context(page_beside(plan.web, plan.runs))
            stack.enter_context(log_on_stdout() if speaks else nullcontext())
            run = plan.start(page or not plan.web.enabled)
    except (Exception, SystemExit) as error:  # nothing here exits on purpose
        return _tell_failure(error, parser)
    if speaks:
        _print_summary(run)
    return INTERRUPTED if run.interrupted else 0


def _prepare(options: Options, parser: Parser) -> _Plan | None:
    """Check what can be checked without torch, and load what it takes; None if nothing is to begin.

    Raises:
        ConfigError: the settings make no sense.
    """
    from keisei_agent.config import load_changes, load_config, to_yaml, with_changes

    settings = read_settings(parser, options)
    if options.resume is not None:
        changes = load_changes(preset=options.preset, file=options.config, settings=settings)
        from keisei_agent.runs.training import resume  # slow: torch

        again = partial(resume, options.resume, inexact=options.inexact, profile=options.profile)
        folder, stored = _stored(options.resume)
        config = with_changes(stored, {name: changes[name] for name in changes if name in _SHOWN})
        return _Plan(
            lambda page: again(changes if page else {**changes, **_NO_PAGE}),
            config.log.display,
            config.web,
            folder.absolute().parent,
        )
    config = load_config(preset=options.preset, file=options.config, settings=settings)
    if options.print_config:
        print(to_yaml(config), end="")
        return None
    from keisei_agent.runs.training import train

    new = partial(train, folder=options.run_dir, name=options.run_name, profile=options.profile)
    return _Plan(
        lambda page: new(config if page else with_changes(config, _NO_PAGE)),
        config.log.display,
        config.web,
        Path("runs") if options.run_dir is None else options.run_dir.absolute().parent,
    )


def _stored(path: Path) -> "tuple[Path, Config]":
    """A run's folder and settings, from a path to it or to one of its checkpoints."""
    from keisei_agent.config import Config, ConfigError, load_config

    for folder in (path, *path.absolute().parents[:2]):
        with suppress(ConfigError):
            return folder, load_config(file=folder / "config.yaml")
    return path, Config()  # resuming will say what is wrong


def _tell_failure(error: BaseException, parser: Parser) -> int:
    """Say in one line what ended the run; an error that no note says was logged comes with its trace."""
    from keisei_agent.config import ConfigError
    from keisei_agent.files.storage import CheckpointError

    text = " ".join(str(error).split())
    notes = getattr(error, "__notes__", [])
    if not notes and isinstance(error, (ConfigError, CheckpointError, OSError)):  # before it began
        parser.error(text)
    where = f" ({'; '.join(notes)})" if notes else ""
    rank = os.environ.get("RANK", "0")  # of the processes that torchrun starts, only the first has a log
    who = parser.prog if rank == "0" else f"{parser.prog}, process {rank}"
    print(f"{who}: {type(error).__name__}: {text}{where}", file=sys.stderr)
    if not notes or rank != "0":
        traceback.print_exception(error)
    else:
        print(f"{parser.prog} --resume RUN goes on from the last checkpoint.", file=sys.stderr)
    return 1


def _print_summary(run: "Run") -> None:
    """Say what came of the run and where everything is."""
    stopped = ", stopped by Ctrl-C or SIGTERM" if run.interrupted else ""
    print()
    print(f"Learned from {run.model.num_timesteps:,} decisions{stopped}.")
    for label, score in (("before", run.before), ("after", run.after)):
        print(f"Against random, {label + ':':<8} {score or '-'}")
    print(f"Run folder:   {run.folder}")
    print(f"Checkpoint:   {run.checkpoint or '-'}")
    if run.interrupted and run.checkpoint is not None:
        print(f"To go on:     keisei-train --resume {_quoted(run.folder)}")
    if (run.folder / "tensorboard").exists():
        print(f"Curves:       tensorboard --logdir {_quoted(run.folder / 'tensorboard')}")
        print("              then open http://localhost:6006 in a browser")
        if not missing_web():
            print(f"Page:         keisei-web {_quoted(run.folder.parent)}")


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text


if __name__ == "__main__":
    sys.exit(main())
