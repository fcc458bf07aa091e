"""`SmallNetwork`: a residual network from its weights, in NumPy and Numba."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from shogi_env.core.constants import NUM_ACTION_PLANES, NUM_ACTIONS, NUM_CELLS, NUM_PLANES
from shogi_env.core.forward import convolve_planes, gather_neighbours, normalise
from shogi_env.positions import Positions
from shogi_env.threads import Threads
from shogi_env.types import BoolArray, Float32Array, Float64Array, Int64Array, UInt8Array

_AT_ONCE = 128
"""Positions whose activations are held at once: some 25 MB."""
_DTYPES = {"F32": np.float32, "F16": np.float16}


class SmallNetwork:
    """Planes to (logits, values): what guides a `search.puct.Search`.

    It computes what `keisei_agent`'s network "resnet" does, with a scalar value, in float32.

    Args:
        weights: by the names that network gives them.
        threads: that share the positions.

    Raises:
        ValueError: they are of another network.
    """

    def __init__(self, weights: Mapping[str, Float32Array], *, threads: int = 1) -> None:
        self._threads = Threads(threads, fewest=2)
        left = dict(weights)

        def take(name: str) -> Float32Array:
            if name not in left:
                raise ValueError(f"no weights of a small network: {name} is missing")
            return np.ascontiguousarray(left.pop(name), np.float32)

        def norm(name: str) -> tuple[Float32Array, Float32Array]:
            return take(f"{name}.weight"), take(f"{name}.bias")

        stem = take("stem.weight")
        self.channels = len(stem)
        if stem.shape != (self.channels, NUM_PLANES, 3, 3):
            raise ValueError(f"the first layer is float32[C, {NUM_PLANES}, 3, 3], not {list(stem.shape)}")
        self._stem = np.ascontiguousarray(stem.transpose(1, 2, 3, 0))
        self._stem_norm = norm("stem_norm")
        self._layers = []
        for block in range(sum(name.endswith(".conv1.weight") for name in weights)):
            for k in (1, 2):
                kernel = take(f"blocks.{block}.conv{k}.weight").transpose(2, 3, 1, 0)
                flat = np.ascontiguousarray(kernel.reshape(9 * self.channels, self.channels))
                self._layers.append((flat, norm(f"blocks.{block}.norm{k}")))
        policy, value = take("policy_head.weight"), take("value_conv.weight")
        self._maps = np.concatenate([policy, value]).reshape(-1, self.channels).T.copy()
        self._maps_bias = np.concatenate([take("policy_head.bias"), take("value_conv.bias")])
        self._hidden = take("value_hidden.weight").T.copy(), take("value_hidden.bias")
        self._value = take("value_head.weight").T.copy(), take("value_head.bias")
        if left or self._value[0].shape[1] != 1:
            raise ValueError(f"weights of another network: {', '.join(left) or 'its value is not a scalar'}")

    def __call__(self, planes: UInt8Array) -> tuple[Float32Array, Float32Array]:
        """Logits float32[k, 2187] and values float32[k], -1..1, of planes uint8[k, 136, 9, 9]."""
        logits = np.empty((len(planes), NUM_ACTIONS), np.float32)
        values = np.empty(len(planes), np.float32)
        self._threads.share(self._judge, len(planes), planes, logits, values)
        return logits, values

    def _judge(
        self, planes: UInt8Array, logits: Float32Array, values: Float32Array, begin: int, stop: int
    ) -> None:
        for at in range(begin, stop, _AT_ONCE):
            part = slice(at, min(at + _AT_ONCE, stop))
            logits[part], values[part] = self._forward(planes[part])

    def _forward(self, planes: UInt8Array) -> tuple[Float32Array, Float32Array]:
        n, channels = len(planes), self.channels
        x = np.empty((n, NUM_CELLS, channels), np.float32)
        convolve_planes(np.ascontiguousarray(planes).reshape(n, NUM_PLANES, NUM_CELLS), self._stem, x)
        nothing = np.empty((0, NUM_CELLS, channels), np.float32)
        normalise(x, *self._stem_norm, nothing)
        near = np.empty((n, NUM_CELLS, 9, channels), np.float32)
        skip = x
        for k, (weights, norm) in enumerate(self._layers):
            gather_neighbours(x, near)
            x = (near.reshape(n * NUM_CELLS, -1) @ weights).reshape(n, NUM_CELLS, channels)
            normalise(x, *norm, skip if k % 2 else nothing)
            if k % 2:
                skip = x
        return self._heads(x)

    def _heads(self, x: Float32Array) -> tuple[Float32Array, Float32Array]:
        n = len(x)
        maps = (x.reshape(n * NUM_CELLS, -1) @ self._maps + self._maps_bias).reshape(n, NUM_CELLS, -1)
        maps = np.ascontiguousarray(maps.transpose(0, 2, 1))  # as the actions lie: plane, then cell
        logits = maps[:, :NUM_ACTION_PLANES].reshape(n, NUM_ACTIONS)
        hidden = np.maximum(maps[:, NUM_ACTION_PLANES:].reshape(n, -1), 0) @ self._hidden[0] + self._hidden[1]
        values = np.tanh(np.maximum(hidden, 0) @ self._value[0] + self._value[1])
        return logits, values[:, 0]


def play(
    network: Callable[[UInt8Array], tuple[Float32Array, Float32Array]],
    positions: Positions,
    idx: Int64Array,
    temperature: float,
) -> Int64Array:
    """What a network's policy plays, without search.

    Args:
        network: as a `SmallNetwork` is called.
        positions: the games; draws come from their streams.
        idx: int64[k], those it is to move in.
        temperature: as in `draw_actions`.

    Returns:
        The actions int64[k].
    """
    logits, _ = network(positions.planes(where=idx))
    numbers = positions.random_numbers(2**24, idx) / 2**24
    return draw_actions(logits, positions.masks(where=idx), temperature, numbers)


def draw_actions(
    logits: Float32Array, masks: BoolArray, temperature: float, numbers: Float64Array
) -> Int64Array:
    """Draw legal actions int64[k] from the softmax of logits.

    Args:
        logits: float32[k, 2187].
        masks: bool[k, 2187], at least one True in each row.
        temperature: divides the logits; 0 takes the largest.
        numbers: float64[k], 0..1, what is drawn with.
    """
    legal = np.where(masks, logits, -np.inf).astype(np.float64)
    if temperature == 0:
        best: Int64Array = legal.argmax(1)
        return best
    sums = np.exp((legal - legal.max(1, keepdims=True)) / temperature).cumsum(1)
    drawn: Int64Array = (sums > numbers[:, None] * sums[:, -1:]).argmax(1)
    return drawn


def read_weights(path: Path) -> dict[str, Float32Array]:
    """The tensors of a safetensors file, in float32; names without the prefix ``network.``.

    8 bytes give the length of a JSON header, which says where each tensor lies behind it
    (https://github.com/huggingface/safetensors, "Format").

    Raises:
        ValueError: it is no such file, or holds numbers of another kind than F32 and F16.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        found = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            numbers = np.frombuffer(data[8 + length + begin : 8 + length + end], _DTYPES[entry["dtype"]])
            found[name.removeprefix("network.")] = numbers.reshape(entry["shape"]).astype(np.float32)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: no safetensors file of F32 or F16 numbers: {error}") from None
    return found
