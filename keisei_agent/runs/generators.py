"""The random generators that everything in a process shares: Python's, NumPy's, torch's."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch as th


def capture() -> dict[str, Any]:
    """The states of all of them, as JSON and arrays."""
    version, numbers, gauss = random.getstate()
    found: dict[str, Any] = {
        "python": [version, np.array(numbers, np.uint32), gauss],
        "numpy": list(np.random.get_state()),  # noqa: NPY002  # a callback may draw from it
        "torch": th.get_rng_state().numpy(),
    }
    if th.cuda.is_initialized():  # type: ignore[no-untyped-call]  # asking does not start it
        found["cuda"] = [state.numpy() for state in th.cuda.get_rng_state_all()]
    if th.backends.mps.is_available():
        found["mps"] = th.mps.get_rng_state().numpy()
    return found


def restore(found: Mapping[str, Any]) -> None:
    """Put them back; those of devices that are not there any more are left out."""
    version, numbers, gauss = found["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    np.random.set_state(tuple(found["numpy"]))  # noqa: NPY002
    th.set_rng_state(th.from_numpy(found["torch"]))
    if "cuda" in found and th.cuda.is_available():
        for number, state in enumerate(found["cuda"][: th.cuda.device_count()]):
            th.cuda.set_rng_state(th.from_numpy(state), number)
    if "mps" in found and th.backends.mps.is_available():
        th.mps.set_rng_state(th.from_numpy(found["mps"]))
