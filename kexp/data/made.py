"""What a user's own function may return, made into Data."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.inference import arrays
from kexp.data.source import PART_NAMES, Data
from kexp.errors import DataError, suggestion

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_data"]

ACCEPTED = (
    "kexp.data.Data, (x, y), ((x, y), (x_test, y_test)), {'train': (x, y), 'validation': ..., 'test': ...} "
    "or a finite tf.data.Dataset of (x, y)"
)


def as_data(made: object, *, key: str = "data") -> Data:
    """Data from what a data component returned.

    Args:
        made: a Data; a pair of arrays (x, y); two pairs, for given training and test rows; a mapping of pairs by the
            names train, validation and test; a finite `tf.data.Dataset` of (x, y), batched or not, in a pair's place
            too. A dataset is read once; what is large goes to a temporary file, not to memory.
        key: config key that a complaint begins with.

    Raises:
        DataError: another kind of thing, or data that `arrays` refuses.
    """
    if isinstance(made, Data):
        return made
    if isinstance(made, Mapping):
        for name in made:
            if name not in PART_NAMES:
                raise DataError(f"{key}: there is no split {name!r}{suggestion(str(name), PART_NAMES)}")
        return _from_parts({name: _pair(part, key) for name, part in made.items()}, key)
    if isinstance(made, (tuple, list)) and len(made) == 2 and all(_is_pair(part) for part in made):
        return _from_parts({"train": _pair(made[0], key), "test": _pair(made[1], key)}, key)
    x, y = _pair(made, key)
    return arrays(x, y, key=key)


def _is_pair(part: object) -> bool:
    return (isinstance(part, tuple) and len(part) == 2) or _is_dataset(part)


def _is_dataset(made: object) -> bool:
    """Whether this is a tf.data.Dataset; who has not imported TensorFlow cannot have made one."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(made, tensorflow.data.Dataset)


def _pair(part: object, key: str) -> tuple[NDArray[Any], NDArray[Any]]:
    if _is_dataset(part):
        from kexp.data.materialise import materialise

        return materialise(part, key)
    if isinstance(part, (tuple, list)) and len(part) == 2:
        return _array(part[0], "x", key), _array(part[1], "y", key)
    raise DataError(f"{key}: must be made of {ACCEPTED}, got {type(part).__name__}")


def _array(values: Any, name: str, key: str) -> NDArray[Any]:
    if isinstance(values, np.memmap):
        return values
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"{key}: {name} must be a rectangular array, got rows of different lengths") from None
    if array.ndim == 0:
        raise DataError(f"{key}: must be made of {ACCEPTED}, got {type(values).__name__} for {name}")
    return array


def _from_parts(parts: dict[str, tuple[NDArray[Any], NDArray[Any]]], key: str) -> Data:
    """One Data over all parts, one after another, with their rows as given splits."""
    splits, start = {}, 0
    shapes = {x.shape[1:] for x, _ in parts.values()} | {()}
    if len(shapes - {()}) > 1:
        raise DataError(f"{key}: features must have one shape in every split, got {sorted(shapes - {()})}")
    for name, (x, y) in parts.items():
        if len(x) != len(y):
            raise DataError(f"{key}: x and y of {name} must have as many rows, got {len(x)} and {len(y)}")
        splits[name] = np.arange(start, start + len(x), dtype=np.intp)
        start += len(x)
    kinds = {"text" if y.dtype.kind in "OUS" else "number" for _, y in parts.values()}
    if len(kinds) > 1:
        raise DataError(f"{key}: targets must be of one kind in every split, got names and numbers")
    x = np.concatenate([x for x, _ in parts.values()]) if len(parts) > 1 else next(iter(parts.values()))[0]
    return arrays(x, np.concatenate([y for _, y in parts.values()]), splits=splits, key=key)
