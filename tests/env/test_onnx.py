"""Networks in ONNX files as players: both layouts, made here by hand; what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from onnx import TensorProto, helper, numpy_helper

from shogi_env import Positions
from shogi_env.arena.onnx import OnnxNetwork
from shogi_env.arena.players import make_player

RNG = np.random.default_rng(0)
MOVES = RNG.normal(size=(27, 119)).astype(np.float32)
JUDGE = RNG.normal(size=(119 * 81, 1), scale=0.05).astype(np.float32)


def write_dlshogi(
    path: Path,
    *,
    sizes: tuple[int, ...] = (62, 57),
    dtype: int = TensorProto.FLOAT,
    batch: str | int = "batch_size",
    outputs: tuple[str, ...] = ("output_policy", "output_value"),
) -> Path:
    """A network of one layer in dlshogi's layout: moves by the planes of their cell, a value of all."""
    names = [f"input{k + 1}" for k in range(len(sizes))]
    kinds = {"w": MOVES[:, :, None, None], "u": JUDGE, "shape": np.array([-1, 2187], np.int64)}
    nodes = [
        *(helper.make_node("Cast", [name], [f"f{name}"], to=TensorProto.FLOAT) for name in names),
        helper.make_node("Concat", [f"f{name}" for name in names], ["x"], axis=1),
        helper.make_node("Conv", ["x", "w"], ["maps"]),
        helper.make_node("Reshape", ["maps", "shape"], ["output_policy"]),
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "u"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["output_value"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, dtype, [batch, size, 9, 9])
            for name, size in zip(names, sizes, strict=True)
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in kinds.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, path)
    return path


def spread(n: int) -> Positions:
    """Games at all stages of play."""
    games = Positions(n)
    games.seed(np.arange(1, n + 1, dtype=np.uint64))
    for ply in range(60):
        going = np.flatnonzero((games.outcomes()[0] == 0) & (np.arange(n) % 60 >= ply))
        games.apply(games.random_actions(going), going)
    return games


def expected(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What that network gives, in NumPy: logits, and values from -1 to 1."""
    x = planes[:, :119].astype(np.float32)
    logits = np.einsum("mp,npfr->nmfr", MOVES, x).reshape(len(x), 2187)
    return logits, np.tanh((x.reshape(len(x), -1) @ JUDGE)[:, 0] / 2)


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("outputs", [("output_policy", "output_value"), ("output_value", "output_policy")])
def test_dlshogis_layout(tmp_path: Path, dtype: int, outputs: tuple[str, ...]) -> None:
    network = OnnxNetwork(write_dlshogi(tmp_path / "d.onnx", dtype=dtype, outputs=outputs))
    for n in (1, 60):
        planes = spread(n).planes()
        logits, values = network(planes)
        assert (logits.dtype, logits.shape) == (np.float32, (n, 2187))
        assert (values.dtype, values.shape) == (np.float32, (n,))
        for found, wanted in zip((logits, values), expected(planes), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert abs(values).max() > 0.1


def test_plays_the_most_probable_legal_move(tmp_path: Path) -> None:
    path = write_dlshogi(tmp_path / "d.onnx")
    games = spread(60)
    player = make_player(f"onnx:{path}")
    assert player.deterministic
    running = np.flatnonzero(games.outcomes()[0] == 0)
    logits, _ = expected(games.planes(where=running))
    best = np.where(games.masks(where=running), logits, -np.inf).argmax(1)
    assert np.array_equal(player.choose(games, running), best)


def test_draws_at_a_temperature(tmp_path: Path) -> None:
    path = write_dlshogi(tmp_path / "d.onnx")
    games = Positions(300)
    warm, cold = make_player(f"onnx:{path};temperature=8;threads=2"), make_player(f"onnx:{path}")
    assert not warm.deterministic and warm.digest != cold.digest
    drawn = warm.choose(games, games.everyone)
    assert len(set(drawn.tolist())) > 5
    games.check(drawn, games.everyone)


def test_looks_ahead(tmp_path: Path) -> None:
    path = write_dlshogi(tmp_path / "d.onnx")
    games = Positions(2, sfens="4k4/9/4P4/9/9/9/9/9/4K4 b G 1")
    actions = make_player(f"onnx:{path};sims=50").choose(games, games.everyone)
    games.apply(actions)
    assert games.outcomes()[1].tolist() == [0, 0], "mated in one"


def a_text(path: Path) -> None:
    path.write_text("no model")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no readable ONNX file"),
        (a_text, "no readable ONNX file"),
        (lambda path: write_dlshogi(path, sizes=(60, 59)), "neither dlshogi's nor an observation's"),
        (lambda path: write_dlshogi(path, batch=1), "made for batches of 1 alone"),
        (lambda path: write_dlshogi(path, outputs=("output_policy",)), "not 2187 logits and a value"),
        (lambda path: write_dlshogi(path, outputs=("maps", "score", "output_value")), "not 2187 logits"),
        (lambda path: write_dlshogi(path, dtype=TensorProto.INT32), "neither float32 nor float16"),
    ],
)
def test_other_files_are_refused_with_the_reason(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "x.onnx")
    with pytest.raises(ValueError, match=said):
        make_player(f"onnx:{tmp_path / 'x.onnx'}")


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("", "write onnx:FILE"),
        ("x;threads=0", "threads is at least 1"),
        ("FILE;mate=5", "give sims, too"),
        ("FILE;temperature=-1", "temperature is 0, or"),
        ("FILE;device=cuda", "onnx has no setting 'device'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, rest: str, said: str) -> None:
    path = write_dlshogi(tmp_path / "d.onnx")
    with pytest.raises(ValueError, match=said):
        make_player("onnx:" + rest.replace("FILE", str(path)))
