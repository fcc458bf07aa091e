"""`keisei-train`. Only the standard library is imported until the arguments are known to make sense."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from keisei_agent.commands.log_lines import log_on_stdout
from keisei_agent.commands.options import Options, build_parser, read_options, read_settings
from keisei_agent.console import INTERRUPTED, Parser, missing_extra, never_fail_on_encoding

if TYPE_CHECKING:
    from keisei_agent.runs.run import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-train`; return 0, 1 after a failure, 2 for bad arguments, 130 after Ctrl-C."""
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
        return _run(options, parser)
    except KeyboardInterrupt:
        print("Stopped at once; nothing more was saved.", file=sys.stderr)
        return INTERRUPTED


def _run(options: Options, parser: Parser) -> int:
    """Train as asked and say what came of it."""
    from keisei_agent.config import ConfigError

    try:
        start, display = _prepare(options, parser)
    except ConfigError as error:
        parser.error(str(error))
    if start is None:
        return 0
    # of the processes that torchrun starts, the first one speaks
    speaks = display != "off" and os.environ.get("RANK", "0") == "0"
    try:
        with log_on_stdout() if speaks else nullcontext():
            run = start()
    except Exception as error:
        return _tell_failure(error, parser)
    if speaks:
        _print_summary(run)
    return INTERRUPTED if run.interrupted else 0


def _prepare(options: Options, parser: Parser) -> "tuple[Callable[[], Run] | None, str]":
    """Check what can be checked without torch, and load what it takes.

    Returns:
        What begins it, None if none was asked for, and how it shows itself, as `log.display`.

    Raises:
        ConfigError: the settings make no sense.
    """
    from keisei_agent.config import load_changes, load_config, to_yaml

    settings = read_settings(parser, options)
    if options.resume is not None:
        changes = load_changes(preset=options.preset, file=options.config, settings=settings)
        from keisei_agent.runs.training import resume  # slow: torch

        again = partial(resume, options.resume, changes, inexact=options.inexact, profile=options.profile)
        return again, changes.get("log.display") or _stored_display(options.resume)
    config = load_config(preset=options.preset, file=options.config, settings=settings)
    if options.print_config:
        print(to_yaml(config), end="")
        return None, config.log.display
    from keisei_agent.runs.training import train

    new = partial(train, config, options.run_dir, name=options.run_name, profile=options.profile)
    return new, config.log.display


def _stored_display(path: Path) -> str:
    """How a run shows itself, from a path to its folder or to one of its checkpoints."""
    from keisei_agent.config import ConfigError, load_config

    for folder in (path, *path.absolute().parents[:2]):
        with suppress(ConfigError):
            return load_config(file=folder / "config.yaml").log.display
    return "auto"  # resuming will say what is wrong


def _tell_failure(error: Exception, parser: Parser) -> int:
    """Say in one line what ended the run; an error that no note says was logged comes with its trace."""
    from keisei_agent.config import ConfigError
    from keisei_agent.files.storage import CheckpointError

    text = " ".join(str(error).split())
    notes = getattr(error, "__notes__", [])
    if not notes and isinstance(error, (ConfigError, CheckpointError, OSError)):  # before it began
        parser.error(text)
    where = f" ({'; '.join(notes)})" if notes else ""
    print(f"{parser.prog}: {type(error).__name__}: {text}{where}", file=sys.stderr)
    if not notes:
        traceback.print_exception(error)
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


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text


if __name__ == "__main__":
    sys.exit(main())
