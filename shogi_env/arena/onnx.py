"""Networks in ONNX files as players; needs onnxruntime, the extra "onnx", and no torch.

Two layouts are read, told apart by their inputs, which are [N, planes, 9, 9], float32 or float16:

- ours: one input with the 136, 119 or 102 planes of an observation; outputs [N, 2187], logits, and [N, 1],
  the value from -1 (lost) to 1 (won) for the side to move;
- dlshogi's (https://github.com/TadaoYamaoka/DeepLearningShogi): two inputs, 62 planes of pieces and attacks
  and 57 of hands and check, together the first 119; the value is the chance to win, 0..1, after a sigmoid.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shogi_env.core.constants import NUM_ACTIONS
from shogi_env.core.planes import PLANES_OF
from shogi_env.levels.network import play
from shogi_env.positions import Positions
from shogi_env.search.puct import Evaluate
from shogi_env.types import Float32Array, Int64Array, UInt8Array

DLSHOGI_PLANES = (62, 57)
"""Planes of dlshogi's two inputs."""
_SEEN = {(len(planes),): planes for planes in PLANES_OF.values()} | {DLSHOGI_PLANES: PLANES_OF["dlshogi"]}
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxNetwork:
    """Planes to (logits, values), computed by onnxruntime on the CPU: what guides a `search.puct.Search`.

    Args:
        path: an ONNX file in one of the two layouts.
        threads: that share the work of a batch.

    Raises:
        ValueError: onnxruntime is missing or cannot read the file, or its layout is another.
    """

    def __init__(self, path: Path | str, *, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ValueError('onnxruntime missing, install the extra: pip install "keisei[onnx]"') from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no other base
            raise ValueError(f"{path}: no readable ONNX file: {' '.join(str(error).split())}") from None
        self._session = session
        shapes = [tuple(entry.shape) for entry in session.get_inputs()]
        planes = tuple(shape[1] for shape in shapes if len(shape) == 4 and shape[2:] == (9, 9))
        if len(planes) != len(shapes) or planes not in _SEEN:
            raise ValueError(f"{path}: its inputs {shapes} are neither dlshogi's nor an observation's")
        if any(isinstance(shape[0], int) for shape in shapes):
            raise ValueError(f"{path}: made for batches of {shapes[0][0]} alone; export it with any size")
        self.planes: tuple[int, ...] = planes
        """Planes of each input."""
        self._seen = _SEEN[planes]
        self._dtypes = [_DTYPES.get(entry.type) for entry in session.get_inputs()]
        if None in self._dtypes:
            raise ValueError(f"{path}: its inputs are neither float32 nor float16")
        self._outputs = self._find_outputs(path)

    def _find_outputs(self, path: Path | str) -> list[str]:
        """Names of logits and value, which one position tells apart."""
        names = [entry.name for entry in self._session.get_outputs()]
        found = self._session.run(names, self._inputs(np.zeros((1, 136, 9, 9), np.uint8)))
        sizes = [np.size(output) for output in found]
        if sorted(sizes) != [1, NUM_ACTIONS]:
            raise ValueError(f"{path}: its outputs {names} are not {NUM_ACTIONS} logits and a value")
        return names if sizes[0] == NUM_ACTIONS else names[::-1]

    def _inputs(self, planes: UInt8Array) -> dict[str, Any]:
        parts = np.split(planes[:, self._seen], np.cumsum(self.planes)[:-1], axis=1)
        entries = zip(self._session.get_inputs(), parts, self._dtypes, strict=True)
        return {entry.name: np.ascontiguousarray(part, dtype) for entry, part, dtype in entries}

    def __call__(self, planes: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """Logits float32[k, 2187] and values float32[k], -1..1, of planes uint8[k, 136, 9, 9]."""
        logits, values = self._session.run(self._outputs, self._inputs(planes))
        values = np.asarray(values, np.float32).reshape(len(planes))
        if self.planes == DLSHOGI_PLANES:
            values = 2 * values - 1
        return np.asarray(logits, np.float32).reshape(len(planes), NUM_ACTIONS), values


@dataclass(frozen=True, eq=False)
class PolicyPlayer:
    """Plays what a network's policy says, without search; an `Opponent`."""

    network: Evaluate
    temperature: float = 0.0
    """Divides the logits of what a move is drawn from; 0 plays the most probable."""

    def __call__(self, positions: Positions, idx: Int64Array) -> Int64Array:
        """The actions int64[k] of the games `idx`; draws come from the games' streams."""
        return play(self.network, positions, idx, self.temperature)
