import json
import re

import numpy as np
import pytest

from keisei_agent.files.storage import CheckpointError
from keisei_agent.files.trees import shaped_like, with_arrays, without_arrays
from shogi_env import Positions


def there_and_back(value: object) -> object:
    arrays: dict[str, np.ndarray] = {}
    return with_arrays(json.loads(json.dumps(without_arrays(value, "x", arrays))), arrays)


def test_values_come_back() -> None:
    value = {"a": [1, 2.5, None, True, "text"], "b": {"c": {}}, "big": 2**100, "d": np.float32(0.5)}
    assert there_and_back(value) == {**value, "d": 0.5}


def test_arrays_come_back_with_their_types() -> None:
    arrays = [np.arange(6).reshape(2, 3).astype(kind) for kind in "bBhHiIqQfd?"] + [np.zeros((0, 4), np.int8)]
    found = there_and_back({"list": arrays, "one": np.array(7)})
    assert isinstance(found, dict)
    for array, other in zip([*arrays, np.array(7)], [*found["list"], found["one"]], strict=True):
        assert array.dtype == other.dtype
        assert np.array_equal(array, other)


def test_no_array_takes_the_place_of_another() -> None:
    found = there_and_back(
        {"a": {"b": np.array(1), "b'": np.array(2)}, "a.b": np.array(3), "a.b'": np.array(4)}
    )
    assert found == {"a": {"b": 1, "b'": 2}, "a.b": 3, "a.b'": 4}


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([None]), np.array([1j]), np.array([b"x"])])
def test_what_no_file_can_hold_is_refused_by_name(array: np.ndarray) -> None:
    with pytest.raises(
        TypeError, match=rf"x\.of\.0: an array of {re.escape(str(array.dtype))} cannot be stored"
    ):
        there_and_back({"of": [array]})


def test_what_comes_back_is_a_copy() -> None:
    array = np.zeros(3)
    arrays: dict[str, np.ndarray] = {}
    tree = without_arrays([array], "x", arrays)
    array[:] = 1
    first = with_arrays(tree, arrays)
    first[0][:] = 2
    assert with_arrays(tree, arrays)[0].tolist() == [0, 0, 0]


def test_games_come_back_as_the_environment_wants_them() -> None:
    games = Positions(3)
    games.seed(np.arange(1, 4, dtype=np.uint64))
    for _ in range(20):
        games.apply(games.random_actions())
    other = Positions(3)
    template = {"games": (other.snapshot(), np.zeros(3, np.int8)), "started": False}
    value = {"games": (games.snapshot(), np.ones(3, np.int8)), "started": True}
    found = shaped_like(template, there_and_back(value), "env")
    other.restore(None, found["games"][0])
    assert [other.sfen(i) for i in range(3)] == [games.sfen(i) for i in range(3)]
    assert np.array_equal(games.random_actions(), other.random_actions())
    assert found["started"] is True


@pytest.mark.parametrize("value", [{}, {"a": [1]}, {"a": [1, 2, 3]}, {"a": 5}])
def test_another_shape_is_refused_by_name(value: object) -> None:
    with pytest.raises(CheckpointError, match=r"env.*another version"):
        shaped_like({"a": (1, 2)}, value, "env")
