"""Leaf counts of the tree of legal moves, against published and independently computed tables."""

import pytest
from data_files import flip_sfen, read_rows

import shogi_env

SLOW_NODES = 30_000_000
PLAIN_PYTHON_NODES = 1_000
NOT_BULK_NODES = 1_200_000


def cases():
    """(sfen, depth, nodes) of every count."""
    for row in read_rows("perft.jsonl") + read_rows("perft_random.jsonl"):
        for depth, nodes in row["nodes"].items():
            marks = [pytest.mark.slow] if nodes > SLOW_NODES else []
            marks += [pytest.mark.nojit] if nodes <= PLAIN_PYTHON_NODES else []
            yield pytest.param(row["sfen"], int(depth), nodes, id=f"{row['id']}-{depth}", marks=marks)


@pytest.mark.parametrize(("sfen", "depth", "nodes"), list(cases()))
def test_perft(sfen, depth, nodes):
    assert shogi_env.perft(sfen, depth) == nodes, f"perft {depth} of {sfen}"
    if nodes <= NOT_BULK_NODES:
        assert shogi_env.perft(sfen, depth, bulk=False) == nodes, f"perft {depth}, not bulk, of {sfen}"
        flipped = flip_sfen(sfen)
        assert shogi_env.perft(flipped, depth) == nodes, f"perft {depth} of {flipped}, turned from {sfen}"
