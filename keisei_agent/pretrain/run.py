"""A supervised run: reads files, learns, and leaves a folder that plays and that training goes on from."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch as th
from torch.utils.tensorboard import SummaryWriter

from keisei_agent import doctor
from keisei_agent.config import Config, ConfigError, to_yaml
from keisei_agent.files.storage import write_atomically, write_json
from keisei_agent.files.weights import WEIGHTS, save_weights
from keisei_agent.networks import DTYPES, build, resolve_precision
from keisei_agent.networks.network import Network
from keisei_agent.players import PLANES
from keisei_agent.pretrain.learn import Data, Measured, Pretrainer, Recipe, Source
from keisei_agent.pretrain.records import Filter, RecordSource
from keisei_agent.runs.build import find_start
from keisei_agent.runs.run_folder import RunFolder
from shogi_env.arena.games import read_log
from shogi_env.kifu import Kifu, load
from shogi_env.kifu.packed import SUFFIXES, PackedFile

logger = logging.getLogger(__name__)

SNAPSHOTS = "snapshots"
"""Folder for the networks on the way, named by the positions learned from."""


def pretrain(
    files: Sequence[Path],
    folder: Path,
    config: Config,
    recipe: Recipe,
    wanted: Filter,
    *,
    duplicates: bool = False,
) -> Measured:
    """Learn from files, and write the network to a folder.

    Args:
        files: records, or training data by its suffix (`shogi_env.kifu.packed.SUFFIXES`).
        folder: made; must not hold a run.
        config: of the network and where it learns; written beside the weights.
        recipe: how to learn.
        wanted: which games of records.
        duplicates: whether positions that come again with the same move are learned from again.

    Returns:
        How well the network knows the positions that were set apart.

    Raises:
        ConfigError: a setting does not fit, or there is nothing to learn from.
        RecordError: a file cannot be read.
        OSError: likewise, or the folder cannot be written.
    """
    run_folder = RunFolder(folder)
    run_folder.refuse_used()
    sources = read_sources(files, wanted)
    data = Data(sources, validation=recipe.validation, seed=recipe.seed, duplicates=duplicates)
    if not len(data.training):
        raise ConfigError("there is no position to learn from: all games are left out")
    th.manual_seed(config.seed)
    network = build_network(config)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(run_folder.config, to_yaml(config).encode())
    with run_folder.keep_log(config.log.level), SummaryWriter(str(run_folder.tensorboard)) as writer:
        logger.info(
            "%s positions to learn from, %s set apart, on %s",
            *(f"{len(data.training):,}", f"{len(data.validation):,}", network.device),
        )
        if data.bad:
            logger.warning("%s positions left out: impossible, or their move is not legal", f"{data.bad:,}")

        def save(positions: int) -> None:
            save_weights(folder / SNAPSHOTS / f"{positions:012d}.safetensors", network, config, 0)

        found = Pretrainer(network, data, recipe, writer, save).run()
    save_weights(folder / WEIGHTS, network, config, 0)
    write_json(
        run_folder.results,
        {"recipe": asdict(recipe), "files": [str(path) for path in files], **found._asdict()},
    )
    return found


def read_sources(files: Sequence[Path], wanted: Filter) -> list[Source]:
    """The positions of files; those of records are replayed, training data stays on the disk."""
    packed = [path for path in files if path.suffix.lower() in SUFFIXES]
    records = [path for path in files if path not in packed]
    sources: list[Source] = [PackedFile(path) for path in packed]
    if records:
        replayed = RecordSource(_games(records), wanted)
        logger.info(
            "%d games of records, %d left out, %s positions",
            *(replayed.games, replayed.left_out, f"{len(replayed):,}"),
        )
        sources.append(replayed)
    return sources


def _games(files: Sequence[Path]) -> Iterator[Kifu]:
    for path in files:
        yield from read_log(path) if path.suffix == ".jsonl" else load(path)


def build_network(config: Config) -> Network:
    """The network of a configuration on its device, with the weights of `init_from` if that is set."""
    device = doctor.resolve_device(config.device)
    dtype = DTYPES[resolve_precision(config.precision, device)]
    network = build(config.network, planes=PLANES[config.env.observation], dtype=dtype)
    start = find_start(config)
    if start is not None:
        network.load_state_dict(dict(start))
    return network.to(device)
