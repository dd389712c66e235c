"""Plain values as JSON and arrays, and back, exactly: what a checkpoint is made of. Nothing else is ever read."""

from __future__ import annotations

from collections import deque
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

__all__ = ["NotPlainError", "pack", "unpack"]

_ITSELF = (type(None), bool, int, float, str)
# Keras' callbacks choose between these two at their first epoch, and change their thresholds as they do.
_COMPARISONS = ("less", "greater")
_SEQUENCES: dict[str, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}


class NotPlainError(Exception):
    """A value that is neither plain nor an array."""


def pack(value: Any, arrays: Arrays) -> Any:
    """A value in the form that JSON keeps; arrays are put into `arrays` and referred to.

    Plain are None, booleans, numbers, strings, paths, NumPy arrays and scalars, the backend's tensors, the
    functions `keras.ops.less` and `greater`, and lists, tuples, sets, deques and dictionaries of plain values. Types
    count: a subclass is not plain.

    Raises:
        NotPlainError: the value, or one inside it, is something else.
    """
    kind = type(value)
    if kind in _ITSELF:
        return value
    for sequence_name, sequence in _SEQUENCES.items():
        if kind is sequence:
            packed = {sequence_name: [pack(each, arrays) for each in value]}
            return packed | {"maxlen": value.maxlen} if kind is deque else packed
    if kind is dict:
        return {"dict": [[pack(key, arrays), pack(each, arrays)] for key, each in value.items()]}
    if isinstance(value, PurePath):
        return {"path": str(value)}
    if (name := _comparison(value)) is not None:
        return {"comparison": name}
    return _pack_array(value, arrays)


def unpack(packed: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The value that `pack` was given. Paths come back as `Path`."""
    if not isinstance(packed, dict):
        return packed
    kind, content = next(iter(packed.items()))
    if kind == "dict":
        return {unpack(key, arrays): unpack(each, arrays) for key, each in content}
    if kind == "deque":
        return deque((unpack(each, arrays) for each in content), maxlen=packed["maxlen"])
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](unpack(each, arrays) for each in content)
    return Path(content) if kind == "path" else _unpack_other(kind, content, arrays)


def _unpack_other(kind: str, content: str, arrays: Mapping[str, NDArray[Any]]) -> Any:
    import keras

    if kind == "comparison":
        return getattr(keras.ops, _COMPARISONS[_COMPARISONS.index(content)])
    array = arrays[content]
    if kind == "tensor":
        return keras.ops.convert_to_tensor(array)
    return array[()] if kind == "scalar" else array


def _comparison(value: Any) -> str | None:
    import keras

    return next((name for name in _COMPARISONS if value is getattr(keras.ops, name)), None)


def _pack_array(value: Any, arrays: Arrays) -> dict[str, str]:
    import keras
    import numpy as np

    if isinstance(value, np.ndarray):
        kind, array = "array", value
    elif isinstance(value, np.generic):
        kind, array = "scalar", np.asarray(value)
    elif keras.ops.is_tensor(value):
        kind, array = "tensor", np.asarray(keras.ops.convert_to_numpy(value))
    else:
        raise NotPlainError(kind_of(value))
    if array.dtype.hasobject:
        raise NotPlainError("an array of objects")
    key = str(len(arrays))
    arrays[key] = array.copy()
    return {kind: key}


def kind_of(value: Any) -> str:
    """The type of a value, for messages."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
