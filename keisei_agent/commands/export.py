"""`keisei-export`: a trained player as a file that other programs read."""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from keisei_agent.console import Parser, never_fail_on_encoding


def build_parser() -> Parser:
    """Return the parser of `keisei-export`."""
    parser = Parser(
        prog="keisei-export",
        description="Write a trained player as a file that other programs read.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "run",
        type=Path,
        metavar="RUN",
        help="a run's folder for its newest checkpoint, a checkpoint, or a network file",
    )
    parser.add_argument(
        "out",
        type=Path,
        nargs="?",
        metavar="OUT",
        help="the file to write (default: RUN's name, in this folder)",
    )
    parser.add_argument(
        "--format",
        choices=WRITERS,
        default="sb3",
        help="sb3: a zip for MaskablePPO.load, where keisei is installed; onnx: a network without torch; "
        "dlshogi: the same as dlshogi's, of a run with --env.observation dlshogi (default: %(default)s)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keisei-export`; return 0, 1 where the file cannot be written, or exit with 2 for bad arguments."""
    never_fail_on_encoding(sys.stdout, sys.stderr)
    parser = build_parser()
    options = parser.parse_for_agent(arguments)
    kind = "zip" if options.format == "sb3" else "onnx"
    out = options.out or Path(f"{options.run.absolute().name.removesuffix('.safetensors')}.{kind}")

    try:
        steps = WRITERS[options.format](options.run, out)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        print(f"{parser.prog}: {out}: {error}", file=sys.stderr)
        return 1
    print(f"Wrote {out}: the network after {steps:,} decisions.")
    return 0


def export_sb3(path: Path, out: Path) -> int:
    """Write a player as a zip of stable-baselines3 and return the decisions that it has learned from.

    Args:
        path: as for `players.load_player`.
        out: replaced at once; its folder is made if it is missing.

    Raises:
        CheckpointError: there is no network at `path`.
        OSError: `out` cannot be written.
    """
    from sb3_contrib import MaskablePPO

    from keisei_agent.files.storage import write_atomically
    from keisei_agent.files.weights import find_weights, load_weights
    from keisei_agent.learning.policy import NetworkPolicy, policy_kwargs
    from keisei_agent.players import load_player
    from shogi_env.adapters.sb3 import make_vec_env

    file = find_weights(path)
    weights = load_weights(file)
    network = load_player(file).network  # refuses what does not fit
    env = make_vec_env(1, observation=weights.observation)
    model = MaskablePPO(
        NetworkPolicy,
        env,
        n_steps=2,  # the least: the file is for playing, and stock storage is large
        batch_size=2,
        policy_kwargs=policy_kwargs(weights.network, precision="float32"),  # which every machine computes in
        device="cpu",
    )
    assert isinstance(model.policy, NetworkPolicy)
    model.policy.network.load_state_dict(network.state_dict())
    model.num_timesteps = weights.num_timesteps
    content = io.BytesIO()
    model.save(content)
    write_atomically(out, content.getvalue())
    return weights.num_timesteps


def export_onnx(path: Path, out: Path, *, layout: str) -> int:
    """Write a player's network as an ONNX file and return the decisions that it has learned from.

    Args:
        path: as for `players.load_player`.
        out: replaced at once; its folder is made if it is missing.
        layout: one of `networks.onnx_file.LAYOUTS`.

    Raises:
        ValueError: there is no network at `path`, it does not fit the layout, or onnx is not installed.
        OSError: `out` cannot be written.
    """
    from keisei_agent.files.storage import write_atomically
    from keisei_agent.files.weights import find_weights, load_weights
    from keisei_agent.networks.onnx_file import to_onnx
    from keisei_agent.players import load_player

    file = find_weights(path)
    steps = load_weights(file).num_timesteps
    write_atomically(out, to_onnx(load_player(file).network, layout))
    return steps


WRITERS: Mapping[str, Callable[[Path, Path], int]] = {
    "sb3": export_sb3,
    "onnx": partial(export_onnx, layout="onnx"),
    "dlshogi": partial(export_onnx, layout="dlshogi"),
}
"""What writes each format and returns the decisions learned from."""


if __name__ == "__main__":
    sys.exit(main())
