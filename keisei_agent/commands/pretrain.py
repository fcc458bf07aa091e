"""`keisei-pretrain`: teach a network from records of games, before it plays against itself."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keisei_agent.commands.log_lines import log_on_stdout
from keisei_agent.commands.options import Options, read_settings, split_settings
from keisei_agent.console import (
    INTERRUPTED,
    Parser,
    count,
    duration,
    missing_extra,
    never_fail_on_encoding,
    terminating_like_ctrl_c,
    whole,
)

if TYPE_CHECKING:
    from keisei_agent.config import Config
    from keisei_agent.pretrain.learn import Recipe
    from keisei_agent.pretrain.records import Filter

_EPILOG = """files:
  records           .csa .kif .kifu .ki2 .usi, and .jsonl, logs of keisei-match; held in memory
  training data     .hcpe (dlshogi), .psv .bin (YaneuraOu), read from the disk

the network and its device are settings as of keisei-train: --network.channels 64 --device cuda

examples:
  keisei-pretrain records/*.csa --min-rating 3000 --run-name first
  keisei-pretrain teacher.hcpe --epochs 2 --score-weight 0.3 --network.channels 128 --network.blocks 10
  keisei-train --init-from runs/first"""


def build_parser() -> Parser:
    """Return the parser of `keisei-pretrain`."""
    parser = Parser(
        prog="keisei-pretrain",
        description="Learn the moves and results of games: what keisei-train --init-from goes on with.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE")
    add("--run-dir", type=Path, metavar="DIR", help="folder to write (default: runs/NAME)")
    add("--run-name", default="pretrained", metavar="NAME", help="name in runs (default: pretrained)")
    add("--preset", metavar="NAME", help="settings for a purpose, as of keisei-train")
    add("--config", type=Path, metavar="FILE", help="settings in YAML, as of keisei-train")
    add("--seed", type=whole, metavar="N", help="of the weights and of the order (default: 0)")
    add("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps (default: auto)")
    how = parser.add_argument_group("how it learns")
    add = how.add_argument
    add("--epochs", type=count, default=1, help="times that every position is seen (default: 1)")
    add("--max-time", type=duration, metavar="TIME", help="end after 90s, 10m, 1h30m")
    add("--batch-size", type=count, default=1024, metavar="N", help="positions of an update (default: 1024)")
    add("--learning-rate", type=float, default=1e-3, metavar="X", help="at the start (default: 0.001)")
    add("--value-weight", type=float, default=1.0, metavar="X", help="of the value's error (default: 1)")
    add(
        "--score-weight",
        type=float,
        default=0.0,
        metavar="X",
        help="share of an engine's score in the value, 0..1 (default: 0, the result alone)",
    )
    add("--mirror", action="store_true", help="learn half of the positions with left and right changed")
    add("--save-every", type=count, metavar="N", help="keep the network every N positions, in snapshots")
    add("--validation", type=float, default=0.02, metavar="X", help="share set apart (default: 0.02)")
    what = parser.add_argument_group("what it learns from")
    add = what.add_argument
    add("--min-rating", type=float, metavar="X", help="only games in which both are rated so high")
    add("--min-plies", type=whole, default=0, metavar="N", help="only games of so many moves")
    add("--max-plies", type=count, metavar="N", help="only games of at most so many")
    add("--player", metavar="NAME", help="only the moves of this player, as the records name it")
    add("--skip", type=whole, default=0, metavar="N", help="not the first N positions of a game")
    add("--endings", nargs="+", default=[], metavar="WORD", help="only games that ended so: resignation, ...")
    add("--keep-duplicates", action="store_true", help="the same position and move may come again")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-pretrain`; return 0, 2 for bad arguments or files, 130 after Ctrl-C or SIGTERM."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    rest, words = split_settings(sys.argv[1:] if arguments is None else list(arguments))
    options = parser.parse_args(rest)
    missing = missing_extra()
    if missing:
        parser.error(missing)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see `keisei-train`
    try:
        with terminating_like_ctrl_c():
            return _run(parser, options, words)
    except (ValueError, OSError, FloatingPointError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("Stopped; what --save-every kept is in the run's folder.", file=sys.stderr)
        return INTERRUPTED


def _run(parser: Parser, options: argparse.Namespace, words: dict[str, list[str]]) -> int:
    from keisei_agent.config import load_config

    given = {name: getattr(options, name) for name in ("seed", "device")}
    short = {name: value for name, value in given.items() if value is not None}
    settings = read_settings(parser, Options(settings=short, words=words))
    config: Config = load_config(preset=options.preset, file=options.config, settings=settings)
    folder = options.run_dir or Path("runs", options.run_name)
    from keisei_agent.pretrain.run import pretrain  # slow: torch

    recipe, wanted = _recipe(options, config.seed), _filter(options)
    with log_on_stdout():
        pretrain(options.files, folder, config, recipe, wanted, duplicates=options.keep_duplicates)
    print(f"Network:    {folder}")
    print(f"To go on:   keisei-train --init-from {folder}")
    return 0


def _recipe(options: argparse.Namespace, seed: int) -> "Recipe":
    from keisei_agent.pretrain.learn import Recipe

    for name, low, high in (
        ("learning_rate", 0, 1),
        ("value_weight", 0, 100),
        ("score_weight", 0, 1),
        ("validation", 0, 0.9),
    ):
        if not low <= getattr(options, name) <= high:
            raise ValueError(f"--{name.replace('_', '-')} is {low}..{high}, not {getattr(options, name)}")
    return Recipe(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        value_weight=options.value_weight,
        score_weight=options.score_weight,
        validation=options.validation,
        mirror=options.mirror,
        seed=seed,
        save_every=options.save_every,
        max_time=options.max_time,
    )


def _filter(options: argparse.Namespace) -> "Filter":
    from keisei_agent.pretrain.records import Filter
    from shogi_env.kifu import Ending

    known = {ending.value.replace(" ", "-"): ending for ending in Ending}
    unknown = [word for word in options.endings if word not in known]
    if unknown:
        raise ValueError(f"--endings: {unknown[0]!r} is none of {', '.join(known)}")
    return Filter(
        min_plies=options.min_plies,
        max_plies=options.max_plies,
        skip=options.skip,
        min_rating=options.min_rating,
        player=options.player,
        endings=tuple(known[word] for word in options.endings),
    )


if __name__ == "__main__":
    sys.exit(main())
