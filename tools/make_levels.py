"""Freezes networks as the levels of `shogi_env.levels`, in float16.

    python tools/make_levels.py WEAKEST ... STRONGEST

Each is what `checkpoint:` players take: a run, a checkpoint or a network file.  What the files say of
settings, seeds and decisions is kept.  Levels that were there are replaced: do that before a release only,
for ratings rest on them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import safetensors
import safetensors.torch
import torch as th

from keisei_agent.files.weights import find_weights
from shogi_env.levels import SmallNetwork, read_weights

FOLDER = Path(__file__).parent.parent / "shogi_env" / "levels" / "data"


def freeze(source: Path, target: Path) -> None:
    """Write a network file again, its numbers rounded."""
    with safetensors.safe_open(source, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name).to(th.float16) for name in file.keys()}
    safetensors.torch.save_file(tensors, target, metadata)
    SmallNetwork(read_weights(target))  # refuses what it cannot play


def main() -> None:
    """Freeze the networks in their order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="+", type=Path)
    args = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for number, network in enumerate(args.networks, 1):
        target = FOLDER / f"level-{number}.safetensors"
        freeze(find_weights(network), target)
        print(f"{target}: {target.stat().st_size:,} bytes, from {network}")
    for old in FOLDER.glob("level-*.safetensors"):
        if int(old.stem.removeprefix("level-")) > len(args.networks):
            old.unlink()


if __name__ == "__main__":
    main()
