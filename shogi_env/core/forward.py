"""The layers of a small residual network, for players that need no deep-learning library.

Activations are float32[N, 81, C]: cells in their usual order, channels last.  Sums over channels are matrix
products and left to NumPy; what is here prepares them and does the rest.
"""

import math

import numpy as np

from shogi_env.core.constants import NUM_CELLS
from shogi_env.core.jit import kernel
from shogi_env.types import Float32Array, UInt8Array

EPSILON = 1e-5
"""Added to the variance that activations are divided by, as in torch's GroupNorm."""


@kernel
def convolve_planes(planes: UInt8Array, weights: Float32Array, out: Float32Array) -> None:
    """A 3x3 convolution of planes of 0 and 1: the weights of all ones are added, zeros cost nothing.

    Args:
        planes: uint8[N, P, 81].
        weights: float32[P, 3, 3, C], by the offset of file and rank from where a one is seen, plus 1.
        out: float32[N, 81, C], overwritten.
    """
    out[:] = 0
    channels = out.shape[2]
    for n in range(planes.shape[0]):
        for plane in range(planes.shape[1]):
            for cell in range(NUM_CELLS):
                if not planes[n, plane, cell]:
                    continue
                file, rank = cell // 9, cell % 9
                for i in range(max(0, file - 1), min(9, file + 2)):
                    for j in range(max(0, rank - 1), min(9, rank + 2)):
                        for c in range(channels):
                            out[n, 9 * i + j, c] += weights[plane, file - i + 1, rank - j + 1, c]


@kernel
def gather_neighbours(x: Float32Array, out: Float32Array) -> None:
    """Lay the 3x3 neighbourhood of every cell side by side, zeros beyond the edge.

    Args:
        x: float32[N, 81, C].
        out: float32[N, 81, 9, C], overwritten: by the offset of the neighbour, file first.
    """
    channels = x.shape[2]
    for n in range(x.shape[0]):
        for file in range(9):
            for rank in range(9):
                for k in range(9):
                    i, j = file + k // 3 - 1, rank + k % 3 - 1
                    if 0 <= i < 9 and 0 <= j < 9:
                        for c in range(channels):
                            out[n, 9 * file + rank, k, c] = x[n, 9 * i + j, c]
                    else:
                        for c in range(channels):
                            out[n, 9 * file + rank, k, c] = 0


@kernel
def normalise(x: Float32Array, scale: Float32Array, shift: Float32Array, skip: Float32Array) -> None:
    """Normalise each position over all cells and channels, scale and shift, add, and cut off below 0.

    GroupNorm with one group (Wu and He, 2018), then ReLU.

    Args:
        x: float32[N, 81, C], overwritten.
        scale: float32[C].
        shift: float32[C].
        skip: float32[N, 81, C], added before the cut; float32[0, 81, C] for nothing.
    """
    positions, cells, channels = x.shape
    sums = np.empty(channels, np.float32)  # one for each channel: the compiler adds them side by side
    for n in range(positions):
        sums[:] = 0
        for cell in range(cells):
            for c in range(channels):
                sums[c] += x[n, cell, c]
        mean = np.float32(sums.sum() / (cells * channels))
        sums[:] = 0
        for cell in range(cells):
            for c in range(channels):
                distance = x[n, cell, c] - mean
                sums[c] += distance * distance
        rate = np.float32(1.0 / math.sqrt(sums.sum() / (cells * channels) + EPSILON))
        for cell in range(cells):
            for c in range(channels):
                y = (x[n, cell, c] - mean) * rate * scale[c] + shift[c]
                if skip.shape[0]:
                    y += skip[n, cell, c]
                x[n, cell, c] = max(y, np.float32(0))
