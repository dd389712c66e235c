"""Data from NumPy arrays: what the targets are is read off them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.source import ArraySource, Data, DataSpec, GivenSplits, Task, from_source
from kexp.errors import DataError, suggestion

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["arrays", "image_shape_of", "index_targets"]

TASKS = ("classification", "regression")


def arrays(
    x: ArrayLike,
    y: ArrayLike,
    *,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    image_shape: Sequence[int] | None = None,
    splits: GivenSplits | None = None,
    feature_names: Sequence[str] | None = None,
    key: str = "data",
) -> Data:
    """Data from arrays in memory.

    Args:
        x: features, shape (rows, ...), numbers; kept as float32.
        y: targets. Integers, booleans or strings of shape (rows,) or (rows, 1) are classes, indexed by sorted value;
            a matrix whose rows are all one-hot is classes too; other numbers, (rows,) or (rows, outputs), a regression.
        task: overrules what `y` looks like.
        classes: names by class index, for `y` that holds indices; or the order of the names, for `y` that holds names.
        image_shape: (height, width, channels) that the flat features fold to.
        splits: row numbers of "train", "validation", "test", where they are given.
        feature_names: one name a feature.
        key: config key that a complaint begins with.

    Raises:
        DataError: lengths differ, values that are not finite numbers, a single class.
    """
    features = _features(x, key)
    targets, names, outputs = index_targets(np.asarray(y), task, classes, key)
    if len(features) != len(targets):
        raise DataError(f"{key}: x and y must have as many rows, got {len(features)} and {len(targets)}")
    spec = DataSpec(
        feature_shape=features.shape[1:],
        task="regression" if names is None else "classification",
        classes=names,
        outputs=outputs,
        image_shape=image_shape_of(image_shape, features.shape[1:], key),
        feature_names=None if feature_names is None else tuple(str(name) for name in feature_names),
    )
    return from_source(ArraySource(features, targets), spec, splits=splits, key=key)


def index_targets(
    y: NDArray[Any], task: Task | None, classes: Sequence[str] | None, key: str
) -> tuple[NDArray[Any], tuple[str, ...] | None, int]:
    """Targets as sources give them, the class names (None for a regression) and the number of outputs."""
    if task is not None and task not in TASKS:
        raise DataError(f"{key}.task: there is no task {task!r}{suggestion(str(task), TASKS)}")
    if y.ndim not in (1, 2):
        raise DataError(f"{key}: targets must have one or two dimensions, got the shape {y.shape}")
    if y.ndim == 2 and y.shape[1] == 1 and y.dtype.kind not in "fc":
        y = y[:, 0]
    if task is None:
        task = "classification" if (y.dtype.kind not in "fc" and y.ndim == 1) or _is_one_hot(y) else "regression"
    if task == "regression":
        return _regression(y, key)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2:
        if not _is_one_hot(y):
            raise DataError(f"{key}: targets of a classification must be class indices, names or one-hot rows")
        names = tuple(classes) if classes else tuple(str(index) for index in range(y.shape[1]))
        if len(names) != y.shape[1]:
            raise DataError(f"{key}.classes: must name the {y.shape[1]} one-hot columns, got {len(names)} names")
        return y.argmax(axis=1).astype(np.int64), names, len(names)
    return _classes(y, classes, key)


def _classes(
    y: NDArray[Any], classes: Sequence[str] | None, key: str
) -> tuple[NDArray[np.int64], tuple[str, ...], int]:
    if y.dtype.kind == "f":
        if not np.isfinite(y).all():
            row = int(np.argmin(np.isfinite(y)))
            raise DataError(f"{key}: targets must be finite, got NaN or infinity in row {row}")
        if not (y == np.round(y)).all():
            odd = float(y[y != np.round(y)][0])
            raise DataError(f"{key}: class targets must be whole numbers or names, got {odd!r}")
        y = y.astype(np.int64)
    if y.dtype.kind == "O":
        missing = [row for row, value in enumerate(y) if value is None or str(value) == "nan"]
        if missing:
            raise DataError(f"{key}: targets must not be missing, got {len(missing)}, first in row {missing[0]}")
        y = y.astype(str)
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8")
    if classes is not None:
        return _named(y, tuple(str(name) for name in classes), key)
    values, index = np.unique(y, return_inverse=True)
    return index.astype(np.int64), tuple(str(value) for value in values), len(values)


def _named(y: NDArray[Any], names: tuple[str, ...], key: str) -> tuple[NDArray[np.int64], tuple[str, ...], int]:
    if y.dtype.kind in "iub":
        index = y.astype(np.int64)
        if len(index) and not 0 <= index.min() <= index.max() < len(names):
            raise DataError(f"{key}.classes: names {len(names)} classes, got class index {_outside(index, len(names))}")
        return index, names, len(names)
    position = {name: index for index, name in enumerate(names)}
    unknown = sorted(set(y.tolist()) - set(position))
    if unknown:
        raise DataError(f"{key}.classes: there is no class {unknown[0]!r}{suggestion(unknown[0], names)}")
    return np.array([position[name] for name in y.tolist()], dtype=np.int64), names, len(names)


def _outside(index: NDArray[np.int64], count: int) -> int:
    return int(index[(index < 0) | (index >= count)][0])


def _regression(y: NDArray[Any], key: str) -> tuple[NDArray[np.float32], None, int]:
    if y.dtype.kind not in "fiub":
        raise DataError(f"{key}: targets of a regression must be real numbers, got {y.dtype.name}")
    targets = np.array(y if y.ndim == 2 else y[:, None], dtype=np.float32, order="C")
    return targets, None, targets.shape[1]


def _is_one_hot(y: NDArray[Any]) -> bool:
    if y.ndim != 2 or y.shape[1] < 2 or y.dtype.kind not in "fiub":
        return False
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _features(x: ArrayLike, key: str) -> NDArray[np.float32]:
    if isinstance(x, np.memmap) and x.dtype == np.float32 and x.ndim > 1:
        return x  # stays on disk
    values = np.asarray(x)
    if values.dtype.kind not in "fiub":
        try:
            values = values.astype(np.float32)
        except (TypeError, ValueError):
            raise DataError(f"{key}: features must be numbers, got {values.dtype.name}") from None
    if values.ndim < 1:
        raise DataError(f"{key}: features must have at least one dimension, got a single number")
    if values.ndim == 1:
        values = values[:, None]
    if 0 in values.shape[1:]:
        raise DataError(f"{key}: has no features")
    with np.errstate(over="ignore"):  # what does not fit float32 becomes infinity, and is refused as such
        return np.array(values, dtype=np.float32, order="C")


def image_shape_of(given: Sequence[int] | None, shape: tuple[int, ...], key: str) -> tuple[int, int, int] | None:
    """The image that a row's features fold to, where it is given or the features have three dimensions."""
    if given is None:
        return (shape[0], shape[1], shape[2]) if len(shape) == 3 else None
    image = tuple(int(side) for side in given)
    if len(image) == 2:
        image = (*image, 1)
    if len(image) != 3 or int(np.prod(image)) != int(np.prod(shape)):
        raise DataError(
            f"{key}.image_shape: must be (height, width, channels) of {int(np.prod(shape))} features, got {image}"
        )
    return image[0], image[1], image[2]
