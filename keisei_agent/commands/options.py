"""What can be typed after `keisei-train`. Imports the standard library only, until a setting is looked up."""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from keisei_agent.console import Parser, count, duration, missing_extra, nearest, whole

_LONG_ONLY = ("callbacks", "compile", "init_from", "precision")
"""Settings outside all sections that have no short form."""
_EPILOG = """any setting, as --SECTION.NAME (--print-config shows them all, with what they mean):
  --ppo.learning-rate 3e-4   --ppo.target-kl none   --callbacks my.First my.Second   --compile

examples:
  keisei-train --preset tiny
  keisei-train --config run.yaml --max-time 4h --run-name first
  keisei-train --resume runs/first --max-time 8h
  keisei-train --web --web.port 8000
  keisei-train --init-from runs/pretrained --run-name second"""


@dataclass
class Options(argparse.Namespace):
    """What the command line says."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Values by dotted name; only what was given."""
    words: dict[str, list[str]] = field(default_factory=dict)
    """Words given for settings without a short form, by dotted name; see `read_settings`."""
    preset: str | None = None
    config: Path | None = None
    run_dir: Path | None = None
    run_name: str | None = None
    resume: Path | None = None
    inexact: bool = False
    profile: bool = False
    print_config: bool = False
    doctor: bool = False


class _Setting(argparse.Action):
    """Stores a value among the settings, under its dotted name."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None
    ) -> None:
        namespace.settings[self.dest] = self.const if self.nargs == 0 else values


def build_parser() -> Parser:
    """Return the parser of `keisei-train`; it knows the settings that have short forms."""
    parser = Parser(
        prog="keisei-train",
        description="Train a shogi player by self-play. Without arguments: for ten minutes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_run(parser.add_argument_group("the run"))
    _add_settings(parser.add_argument_group("settings with short forms"))
    return parser


def _add_run(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--preset", metavar="NAME", help="settings for a purpose: tiny, cpu, gpu-small, gpu")
    add("--config", type=Path, metavar="FILE", help="settings in YAML, such as a run's config.yaml")
    add("--run-dir", type=Path, metavar="DIR", help="folder of the run (default: runs/NAME)")
    add("--run-name", metavar="NAME", help="name of the run (default: TIME-SEED)")
    add("--resume", type=Path, metavar="PATH", help="go on with a run: its folder, or one of its checkpoints")
    add("--inexact", action="store_true", help="resume even where the numbers will differ a little")
    add("--profile", action="store_true", help="write a trace of torch's profiler to the run's folder")
    add("--print-config", action="store_true", help="show all settings, and end")
    add("--doctor", action="store_true", help="say what this machine offers, and end")


def _add_settings(group: argparse._ArgumentGroup) -> None:
    def add(to: str, *names: str, **more: Any) -> None:
        group.add_argument(*names, dest=to, action=_Setting, default=argparse.SUPPRESS, **more)

    def number(to: str, *names: str, text: str, parse: Callable[[str], int | None] = count) -> None:
        add(to, *names, type=parse, metavar="N", help=text)

    add("algo", "--algo", metavar="NAME", help="learning algorithm (so far only: maskable_ppo)")
    number(
        "total_timesteps",
        *("-n", "--total-timesteps"),
        text="stop after N decisions, rounded up to whole rollouts",
        parse=_count,
    )
    limits = "90s, 10m, 1h30m (default: 10m, or no limit with --total-timesteps)"
    add("max_time", "--max-time", type=_limit, metavar="TIME", help=f"learn for so long: {limits}")
    add("seed", "--seed", type=whole, metavar="N", help="of weights, games and sampling (default: 0)")
    add("device", "--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    number("env.n_envs", "--n-envs", text="games at once (default: 64)")
    add("env.vec_env", "--vec-env", metavar="KIND", help="native, dummy or subproc (default: native)")
    number(
        "workers.count", "--workers", text="play in N processes of Ray (default: 0, in this one)", parse=whole
    )
    cluster = "its cluster: auto or HOST:PORT (default: one of this machine, for the run)"
    add("workers.ray_address", "--ray-address", type=_text, metavar="ADDRESS", help=cluster)
    insist = "end with an error where workers cannot play (default: go on without)"
    add("workers.required", "--workers-required", nargs=0, const=True, help=insist)
    number("checkpoint.every", "--save-freq", text="decisions between checkpoints (default: 100000)")
    tests = "games against random before and after (default: 200)"
    add("eval_games", "--eval-games", type=whole, metavar="N", help=tests)
    matches = "decisions between matches while learning (default: none)"
    number("evaluation.every", "--eval-freq", text=matches, parse=_count)
    players = "who is played then, as keisei-match names players (default: random greedy minimax:1)"
    add("evaluation.opponents", "--eval-opponents", nargs="+", metavar="PLAYER", help=players)
    view = "show the live view, whatever stdout is (default: on a terminal)"
    add("log.display", "-P", "--progress", nargs=0, const="rich", help=view)
    page = 'show the run in the browser; needs the extra "web" (docs/web.md)'
    add("web.enabled", "--web", nargs=0, const=True, help=page)
    add("log.track", "--track", nargs="?", const="wandb", metavar="wandb", help="send metrics there as well")


def read_options(parser: Parser, arguments: Sequence[str]) -> Options:
    """Return what the arguments say; ends the program with status 2 in one line if that makes no sense."""
    rest, words = split_settings(arguments)
    options, unknown = parser.parse_known_args(rest, Options(words=words))
    if unknown:
        _refuse(parser, unknown[0])
    name, path = options.run_name, options.resume
    if name is not None and not re.fullmatch(r"\w[\w.+-]*", name):
        parser.error(f"--run-name {name!r}: letters, digits and _ . + - only, as for a folder")
    if name is not None and options.run_dir is not None:
        parser.error("--run-dir is the run's folder, --run-name one in runs: give one of them")
    if path is None and options.inexact:
        parser.error("--inexact belongs to --resume")
    if path is not None and (options.run_dir or name or options.print_config):
        parser.error(f"--run-dir, --run-name and --print-config are for new runs; {path} has all that")
    return options


def read_settings(parser: Parser, options: Options) -> dict[str, Any]:
    """Return the settings that the command line gives, by dotted name; ends the program likewise."""
    from keisei_agent.config import ConfigError, parse_words, setting_names

    known = list(setting_names())
    settings = dict(options.settings)
    for name, words in options.words.items():
        if name not in known:
            _refuse(parser, f"--{name}")
        if name in settings:
            parser.error(f"{name} is given twice, by its short form too")
        try:
            settings[name] = parse_words(name, words)
        except ConfigError as error:
            parser.error(str(error))
    return settings


def split_settings(arguments: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Take out the settings that have no short form, each with the words up to the next option.

    Underscores in options become hyphens, so that what a sweep of Weights & Biases passes is understood.
    """
    rest: list[str] = []
    settings: dict[str, list[str]] = {}
    words: list[str] | None = None
    for argument in arguments:
        option, equals, value = argument.partition("=")
        name = option[2:].replace("-", "_")
        if option.startswith("--") and ("." in name or name in _LONG_ONLY):
            settings[name] = [value] if equals else []
            words = None if equals else settings[name]
        elif re.match(r"--?[A-Za-z]", option):
            words = None
            rest.append(option.replace("_", "-") + equals + value if option[1] == "-" else argument)
        else:
            (rest if words is None else words).append(argument)
    return rest, settings


def _refuse(parser: Parser, argument: str) -> NoReturn:
    """Name an option without its value, which may be a secret, and what was probably meant."""
    option = argument.partition("=")[0].replace("_", "-")
    if not option.startswith("-"):
        parser.error(f"unexpected argument {argument!r}")
    known = [name for action in parser._actions for name in action.option_strings if name.startswith("--")]
    if not missing_extra():
        from keisei_agent.config import setting_names

        known += [f"--{name.replace('_', '-')}" for name in setting_names()]
    meant = nearest(option.lstrip("-"), [name[2:] for name in known])
    parser.error(f"unknown option {option}" + (f", did you mean --{meant}?" if meant else ""))


def _limit(text: str) -> float | None:
    return None if text.lower() == "none" else duration(text)


def _text(text: str) -> str | None:
    return None if text.lower() == "none" else text


def _count(text: str) -> int | None:
    return None if text.lower() == "none" else count(text)
