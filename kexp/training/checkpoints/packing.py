"""Plain values as JSON and arrays, and back, without loss. A checkpoint holds nothing else."""

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
# Functions that Keras' callbacks keep as attributes: EarlyStopping, for one, sets `monitor_op` at its first epoch.
_COMPARISONS = ("less", "greater")
_SEQUENCES: dict[str, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}


class NotPlainError(Exception):
    """A value that is neither plain nor an array."""


def pack(value: Any, arrays: Arrays) -> Any:
    """Converts a plain value to JSON; arrays go into `arrays` and are referred to by key.

    Plain values are None, booleans, numbers, strings, paths, NumPy arrays and scalars, the backend's tensors, the
    functions `keras.ops.less` and `greater`, and lists, tuples, sets, deques and dictionaries of plain values. An
    instance of a subclass is not plain.

    Args:
        value: the value.
        arrays: receives the arrays.

    Returns:
        The JSON value.

    Raises:
        NotPlainError: the value, or one inside it, is not plain.
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
    """Restores the value that `pack` was given. Paths become `Path`.

    Args:
        packed: the result of `pack`.
        arrays: the arrays that it refers to.
    """
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
    """Returns the full name of a value's type, for messages."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
