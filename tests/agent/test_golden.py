"""What was written once has to go on loading: see `make_golden`."""

import json
import shutil
from pathlib import Path

from make_golden import GOLDEN, MOVES, moves_of

from keisei_agent.players import load_player
from keisei_agent.runs import checkpoint
from keisei_agent.runs.training import resume


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < 300_000


def test_it_plays_the_same_moves() -> None:
    moves = json.loads(MOVES.read_text("utf-8"))
    assert len(moves) == 60
    assert len(set(moves.values())) > 20
    assert moves_of(load_player(GOLDEN, temperature=0), list(moves)) == list(moves.values())


def test_it_is_whole() -> None:
    found = checkpoint.read(GOLDEN)
    assert found.path.name == "000000000032"
    assert {name.rpartition(".")[0] for name in found.states[0].optimizer} == set(found.weights)


def test_it_learns_on(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "run")
    run = resume(tmp_path / "run", {"total_timesteps": 64}, inexact=True)
    assert run.model.num_timesteps == 64
    assert run.model._n_updates == 4
    assert run.checkpoint is not None
    assert checkpoint.read(run.folder).path == run.checkpoint
