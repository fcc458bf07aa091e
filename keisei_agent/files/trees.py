"""Nested values with arrays in them, taken apart into JSON and named arrays, and put together again."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keisei_agent.files.storage import CheckpointError

_ARRAY = "$array"
"""How JSON refers to an array: a mapping of this to its name."""


def without_arrays(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return a value as JSON; copies of its arrays go to `arrays`.

    Args:
        value: mappings, sequences, numbers, texts and arrays; rows of a structured array become bytes.
        name: where the value stands, the beginning of its arrays' names.
        arrays: is added to.

    Raises:
        TypeError: safetensors files hold no arrays of such a type.
    """
    if isinstance(value, np.ndarray):
        if value.dtype.names:
            value = np.ascontiguousarray(value).view(np.uint8).reshape(*value.shape, value.dtype.itemsize)
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise TypeError(f"{name}: an array of {value.dtype} cannot be stored; numbers and bools can")
        while name in arrays:  # keys with dots may lead to one name by two ways
            name += "'"
        arrays[name] = value.copy()
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        return {key: without_arrays(each, f"{name}.{key}".strip("."), arrays) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_arrays(each, f"{name}.{k}", arrays) for k, each in enumerate(value)]
    return value.item() if isinstance(value, np.generic) else value


def with_arrays(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Undo `without_arrays`, but for tuples, which come back as lists, and rows, which stay bytes."""
    if isinstance(value, Mapping):
        if value.keys() == {_ARRAY}:
            return arrays[value[_ARRAY]].copy()
        return {key: with_arrays(each, arrays) for key, each in value.items()}
    if isinstance(value, list):
        return [with_arrays(each, arrays) for each in value]
    return value


def shaped_like(template: Any, value: Any, name: str) -> Any:
    """Return a value with the tuples and the rows that `template` has.

    Raises:
        CheckpointError: it has another shape: another version of this program wrote it.
    """
    try:
        if isinstance(template, Mapping):
            return {key: shaped_like(each, value[key], f"{name}.{key}") for key, each in template.items()}
        if isinstance(template, tuple):
            pairs = enumerate(zip(template, value, strict=True))
            items = [shaped_like(each, own, f"{name}.{k}") for k, (each, own) in pairs]
            return type(template)(*items) if hasattr(template, "_fields") else tuple(items)
        if isinstance(template, np.ndarray) and template.dtype.names:
            return np.ascontiguousarray(value).view(template.dtype)[..., 0]
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{name} was written by another version: {error}") from None
    return value
