"""What a checkpoint can keep of a value, and that it comes back exactly."""

from __future__ import annotations

import json
import math
from collections import deque
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kexp.training.checkpoints.packing import NotPlainError, pack, unpack


def round_trip(value: Any) -> Any:
    arrays: dict[str, Any] = {}
    packed = json.loads(json.dumps(pack(value, arrays)))
    return unpack(packed, arrays)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        2**70,
        0.1,
        math.inf,
        "näme",
        [1, [2.5, None]],
        (1, (2,)),
        {1: "a", "b": (2, [3])},
        {"array": "0"},
        {1, 2},
        frozenset({3}),
        deque([1, 2], maxlen=3),
        Path("a/b"),
        [],
        {},
    ],
)
def test_plain_values_come_back_equal_and_of_the_same_type(value: Any) -> None:
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value) or isinstance(value, Path)


def test_a_deque_keeps_its_limit() -> None:
    assert round_trip(deque([1], maxlen=5)).maxlen == 5


def test_nan_comes_back() -> None:
    assert math.isnan(round_trip(math.nan))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64", "bool", "complex64", "U3"])
def test_arrays_come_back_bit_for_bit(dtype: str) -> None:
    array = (np.random.default_rng().normal(size=(3, 2)) * 100).astype("float64").astype(dtype)
    back = round_trip({"best": [array]})["best"][0]
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()


def test_numpy_scalars_keep_their_type() -> None:
    back = round_trip(np.float32(0.1))
    assert type(back) is np.float32
    assert back == np.float32(0.1)


def test_tensors_of_the_backend_come_back_as_tensors() -> None:
    back = round_trip(keras.ops.convert_to_tensor([1.5, 2.5]))
    assert keras.ops.is_tensor(back)
    assert np.array_equal(keras.ops.convert_to_numpy(back), np.float32([1.5, 2.5]))


def test_the_comparison_that_a_callback_chose_comes_back() -> None:
    assert round_trip([keras.ops.less, keras.ops.greater]) == [keras.ops.less, keras.ops.greater]


class Number(int):
    pass


@pytest.mark.parametrize("value", [object(), Number(3), [object()], np.array([object()]), print, keras.ops.add])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(NotPlainError):
        pack(value, {})


def test_no_other_function_is_looked_up_when_reading() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        unpack({"comparison": "abs"}, {})
