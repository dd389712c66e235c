"""Infer the task from the type, the shape and the values of targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from kexp.data.source import DataSpec, Task, check_targets
from kexp.errors import DataError, suggestion
from kexp.system.large_arrays import counted, gathered

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_INTEGER_CLASSES", "Targets", "check_resolution", "index_targets", "is_one_hot"]

TASKS = get_args(Task)
FEWEST_STEPS = 100  # distinct 32-bit numbers that the range of targets must have
MOST_CLASSES_OF_PIXELS = 256
MOST_COUNTED = 2**16  # range of whole numbers up to which they are counted instead of sorted
MOST_INTEGER_CLASSES = 20  # classes of one whole number a row; more are a quantity


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets in the form that a source returns.

    Attributes:
        values: class indices (rows, *positions) int64; else (rows, *positions, outputs) float32.
        task: classification, regression or labels.
        classes: class names by index; None if the targets are not classes.
        outputs: number of classes, of regression targets, or of labels.
        positions: as in `DataSpec`.
    """

    values: NDArray[Any]
    task: Task
    classes: tuple[str, ...] | None
    outputs: int
    positions: tuple[int, ...] = ()

    def spec(self, feature_shape: tuple[int, ...], **more: Any) -> DataSpec:
        """Returns the description of a row with these targets."""
        return DataSpec(feature_shape, self.task, self.classes, self.outputs, self.positions, **more)


def index_targets(
    y: NDArray[Any],
    task: Task | None,
    classes: Sequence[str] | None,
    key: str,
    features: NDArray[Any] | None = None,
) -> Targets:
    """Convert targets to the form that a source returns, and infer their task.

    Whole numbers, booleans and text of shape (rows,) are classes, and so are floats of 0 and 1, and one-hot rows. Whole
    numbers with more dimensions are a class at each step or pixel, if the features have these steps or pixels or are
    tokens; several labels a row, if they are 0 and 1; otherwise a regression. All other numbers are a regression.

    Args:
        y: targets, shape (rows, ...).
        task: the task, instead of the inferred one.
        classes: names by class index, if `y` has indices; or the order of the names, if `y` has names.
        key: the config key, for messages.
        features: the features of the rows.

    Raises:
        DataError: the targets do not fit the task, or values are missing or not finite.
    """
    if task is not None and task not in TASKS:
        raise DataError(f"{key}.task: there is no task {task!r}{suggestion(str(task), TASKS)}")
    if y.ndim < 1:
        raise DataError(f"{key}: targets must have one dimension at least, got a single value")
    if y.ndim > 1 and y.shape[-1] == 1 and y.dtype.kind not in "fc":
        y = y[..., 0]
    if task is None:
        task = _task(y, features)
    if task == "regression":
        return _regression(y, key)
    if task == "labels":
        return _labels(y, key)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 1:
        return _classes(y, classes, key)
    if is_one_hot(y):
        names = tuple(classes) if classes else tuple(str(index) for index in range(y.shape[-1]))
        if len(names) != y.shape[-1]:
            raise DataError(f"{key}.classes: must name the {y.shape[-1]} one-hot columns, got {len(names)} names")
        return Targets(y.argmax(axis=-1).astype(np.int64), task, names, len(names), y.shape[1:-1])
    if y.dtype.kind == "f" and not _are_whole(y):
        raise DataError(f"{key}: targets of a classification must be class indices, names or one-hot rows")
    return _classes(y, classes, key)


def _task(y: NDArray[Any], features: NDArray[Any] | None) -> Task:
    if y.dtype.kind == "f" and y.ndim <= 2 and ((y == 0) | (y == 1)).all():
        y = y.astype(np.int8)  # as Keras code often has them
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.dtype.kind not in "fciub" or (y.ndim == 1 and y.dtype.kind in "iub") or is_one_hot(y):
        return "classification"
    if y.ndim == 1 or y.dtype.kind not in "iub" or features is None:
        return "labels" if features is None and _are_labels(y) else "regression"
    if y.shape == features.shape and np.array_equal(y, features):
        return "regression"  # an autoencoder: the targets are the features
    tokens = features.dtype.kind in "iu" and features.ndim == 2
    steps = tokens or (features.ndim > 2 and y.shape[1:] == features.shape[1 : y.ndim])
    if y.ndim == 2 and not steps:
        return "labels" if _are_labels(y) else "regression"
    pixels = y.ndim > 2 and len(np.unique(y)) <= MOST_CLASSES_OF_PIXELS
    return "classification" if y.min(initial=0) >= 0 and (tokens or steps or pixels) else "regression"


def _are_labels(y: NDArray[Any]) -> bool:
    return y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "iub" and bool(((y == 0) | (y == 1)).all())


def _are_whole(y: NDArray[Any]) -> bool:
    return bool(np.isfinite(y).all() and (y == np.round(y)).all())


def _labels(y: NDArray[Any], key: str) -> Targets:
    if y.ndim != 2 or y.dtype.kind not in "fiub" or not ((y == 0) | (y == 1)).all():
        raise DataError(f"{key}: labels must be columns of 0 and 1, shape (rows, labels), got the shape {y.shape}")
    return Targets(np.array(y, dtype=np.float32, order="C"), "labels", None, y.shape[1])


def _classes(y: NDArray[Any], classes: Sequence[str] | None, key: str) -> Targets:
    index, names = _indexed(y, classes, key)
    return Targets(index, "classification", names, len(names), y.shape[1:])


def _indexed(y: NDArray[Any], classes: Sequence[str] | None, key: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if y.dtype.kind == "f":
        check_targets(y, 0, key)
        if not (y == np.round(y)).all():
            odd = float(y[y != np.round(y)][0])
            raise DataError(f"{key}: class targets must be whole numbers or names, got {odd!r}")
        y = y.astype(np.int64)
    if y.dtype.kind == "O":
        missing = [row for row, value in enumerate(y.ravel()) if value is None or str(value) == "nan"]
        if missing:
            raise DataError(f"{key}: targets must not be missing, got {len(missing)}, first in row {missing[0]}")
        y = y.astype(str)
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8")
    if classes is not None:
        return _named(y, tuple(str(name) for name in classes), key)
    values, index = _distinct(y)
    if y.ndim > 1 and y.dtype.kind in "iu" and values[0] >= 0 and values[-1] < 2 * len(values):
        return y.astype(np.int64), tuple(str(value) for value in range(int(values[-1]) + 1))  # tokens, some unused
    return index.reshape(y.shape).astype(np.int64, copy=False), tuple(str(value) for value in values)


def _distinct(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the distinct values, in order, and the place of each value among them."""
    low = int(y.min()) if y.dtype.kind in "iu" and y.size else 0
    span = int(y.max()) - low + 1 if y.dtype.kind in "iu" and y.size else MOST_COUNTED + 1
    if span > MOST_COUNTED:
        return np.unique(y, return_inverse=True)
    offsets = y.ravel().astype(np.intp, copy=False) - low
    counts = counted(offsets, span)
    return np.flatnonzero(counts) + low, gathered(np.cumsum(counts > 0) - 1, offsets)


def _named(y: NDArray[Any], names: tuple[str, ...], key: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if y.dtype.kind in "iub":
        index = y.astype(np.int64)
        outside = index[(index < 0) | (index >= len(names))]
        if len(outside):
            raise DataError(f"{key}.classes: names {len(names)} classes, got class index {outside[0]}")
        return index, names
    position = {name: index for index, name in enumerate(names)}
    unknown = sorted(set(y.ravel().tolist()) - set(position))
    if unknown:
        raise DataError(f"{key}.classes: there is no class {unknown[0]!r}{suggestion(unknown[0], names)}")
    found = np.array([position[name] for name in y.ravel().tolist()], dtype=np.int64)
    return found.reshape(y.shape), names


def _regression(y: NDArray[Any], key: str) -> Targets:
    if y.dtype.kind not in "fiub":
        raise DataError(f"{key}: targets of a regression must be real numbers, got {y.dtype.name}")
    targets = np.array(y if y.ndim > 1 else y[:, None], dtype=np.float32, order="C")
    return Targets(targets, "regression", None, targets.shape[-1], targets.shape[1:-1])


def check_resolution(y: NDArray[Any], key: str) -> None:
    """Refuse targets of a regression that differ by so little that 32-bit numbers cannot tell them apart.

    Args:
        y: targets as given, shape (rows, ...).
        key: the config key, for messages.

    Raises:
        DataError: a column's range is less than `FEWEST_STEPS` 32-bit numbers, and different values become equal.
    """
    if y.dtype.kind not in "iuf" or y.dtype == np.float32:
        return
    for column in np.moveaxis(y, -1, 0).reshape(y.shape[-1], -1) if y.ndim > 1 else y[None]:
        low, high = column.min(), column.max()
        step = np.spacing(np.float32(max(abs(float(low)), abs(float(high)))))
        few = 0 < float(high) - float(low) < FEWEST_STEPS * step
        if few and len(np.unique(column.astype(np.float32))) < len(np.unique(column)):
            raise DataError(
                f"{key}: targets must differ by more than the {step:g} between two 32-bit numbers of their size, got "
                f"{low} to {high}; subtract a number near them"
            )


def is_one_hot(y: NDArray[Any]) -> bool:
    """Return whether each row, or each position of a row, is 0 but for a single 1."""
    if y.ndim < 2 or y.shape[-1] < 2 or y.dtype.kind not in "fiub":
        return False
    return bool(((y == 0) | (y == 1)).all() and (y.sum(axis=-1) == 1).all())
