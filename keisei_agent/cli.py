"""`keisei-train`. Only the standard library is imported until the arguments are known to make sense."""

import argparse
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keisei_agent.console import INTERRUPTED, Parser, count, missing_extra, never_fail_on_encoding, whole

if TYPE_CHECKING:
    from keisei_agent.train import Run


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `keisei-train`."""
    parser = Parser(
        prog="keisei-train",
        description="Train a shogi player by self-play. Without arguments: for ten minutes.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--algo", metavar="NAME", help="learning algorithm (default, and so far only: maskable_ppo)"
    )
    parser.add_argument(
        "--total-timesteps", type=count, metavar="N", help="stop after N plies, rounded up to whole rollouts"
    )
    parser.add_argument(
        "--max-time",
        type=_duration,
        metavar="TIME",
        help="learn for so long: 90s, 10m, 1h30m (default: 10m, or no limit with --total-timesteps)",
    )
    parser.add_argument(
        "--seed", type=whole, metavar="N", help="seed of weights, games and sampling (default: 0)"
    )
    parser.add_argument("--n-envs", type=count, metavar="N", help="games at once (default: 64)")
    parser.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    parser.add_argument(
        "--run-dir", type=Path, metavar="DIR", help="folder of the run (default: runs/TIME-SEED)"
    )
    parser.add_argument(
        "--eval-games", type=whole, metavar="N", help="games against random before and after (default: 200)"
    )
    parser.add_argument(
        "--eval-freq", type=count, metavar="N", help="plies between matches while learning (default: none)"
    )
    parser.add_argument(
        "--eval-opponents",
        nargs="+",
        metavar="PLAYER",
        help="who is played then, as keisei-match names players (default: random greedy minimax:1)",
    )
    parser.add_argument("--doctor", action="store_true", help="say what this machine offers, and end")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-train`; return 0, 1 after a failure, 2 for bad arguments, 130 after Ctrl-C."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    options = parser.parse_args(arguments)
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
    try:
        return _train(options, sys.argv[1:] if arguments is None else arguments, parser)
    except KeyboardInterrupt:
        print("Stopped at once; nothing more was saved.", file=sys.stderr)
        return INTERRUPTED


def _train(options: argparse.Namespace, arguments: Sequence[str], parser: argparse.ArgumentParser) -> int:
    from keisei_agent.config import ConfigError, parse_config

    try:
        config = parse_config(_settings(options))
        folder: Path = options.run_dir or Path("runs", f"{time.strftime('%Y%m%d-%H%M%S')}-{config.seed}")
        from keisei_agent.train import check, train  # slow: torch

        check(config, folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "command.txt").write_text(" ".join(["keisei-train", *arguments]) + "\n", encoding="utf-8")
    except (ConfigError, OSError) as error:
        parser.error(str(error))
    _log_to_stdout()
    print(f"Run folder: {folder}")
    try:
        run = train(config, folder)
    except Exception as error:  # already logged with its trace
        print(
            f"keisei-train: {type(error).__name__}: {error} (trace in {folder / 'log.txt'})", file=sys.stderr
        )
        return 1
    _print_summary(run)
    return INTERRUPTED if run.interrupted else 0


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return only what was given, so that defaults stay in `config`."""
    settings: dict[str, Any] = {}
    for name in ("algo", "total_timesteps", "seed", "device", "eval_games"):
        if getattr(options, name) is not None:
            settings[name] = getattr(options, name)
    if options.max_time is not None or options.total_timesteps is not None:
        settings["max_time"] = options.max_time
    if options.n_envs is not None:
        settings["env"] = {"n_envs": options.n_envs}
    evaluation = {"every": options.eval_freq, "opponents": options.eval_opponents}
    settings["evaluation"] = {name: value for name, value in evaluation.items() if value is not None}
    return settings


def _print_summary(run: "Run") -> None:
    """Say what came of the run and where everything is."""
    print()
    print(
        f"Learned from {run.model.num_timesteps:,} plies{', stopped by Ctrl-C' if run.interrupted else ''}."
    )
    for label, score in (("before", run.before), ("after", run.after)):
        print(f"Against random, {label + ':':<8} {score or '-'}")
    print(f"Run folder:   {run.folder}")
    print(f"Checkpoint:   {run.checkpoint or '-'}")
    print(f"Curves:       tensorboard --logdir {_quoted(run.folder / 'tensorboard')}")
    print("              then open http://localhost:6006 in a browser")


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text


class _StdoutHandler(logging.Handler):
    """Prints log lines to whatever stdout is now: a progress bar replaces it while it runs."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), flush=True)
        except Exception:
            self.handleError(record)


def _log_to_stdout() -> None:
    package = logging.getLogger("keisei_agent")
    package.setLevel(logging.INFO)
    package.propagate = False
    if not any(isinstance(handler, _StdoutHandler) for handler in package.handlers):
        package.addHandler(_StdoutHandler())


def _duration(text: str) -> float:
    """Parse 90s, 10m, 1.5h or 1h30m into seconds."""
    units = {"h": 3600, "m": 60, "s": 1}
    match = re.fullmatch(
        r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip().lower()
    )
    seconds = (
        sum(float(part) * unit for part, unit in zip(match.groups(), units.values(), strict=True) if part)
        if match
        else 0
    )
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 10m or 1h30m")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
