"""Data from NumPy arrays. The task is inferred from the targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from kexp.data.source import ArraySource, Data, GivenSplits, Task, from_source
from kexp.data.targets import MOST_INTEGER_CLASSES, check_resolution, index_targets, is_one_hot
from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["arrays", "image_shape_of", "with_classes"]

_with_classes: WeakKeyDictionary[Data, Data] = WeakKeyDictionary()  # trials of a sweep share it


def arrays(
    x: ArrayLike,
    y: ArrayLike,
    *,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    image_shape: Sequence[int] | None = None,
    splits: GivenSplits | None = None,
    feature_names: Sequence[str] | None = None,
    target_names: Sequence[str] | None = None,
    weights: ArrayLike | None = None,
    key: str = "data",
) -> Data:
    """Data from arrays in memory.

    Args:
        x: features, shape (rows, ...), numbers; converted to float32.
        y: targets. Integers, booleans or strings of shape (rows,) or (rows, 1) are classes, indexed by sorted value,
            and so are floats of 0 and 1, and one-hot rows. Numbers 0 and 1 of shape (rows, labels) are several labels a
            row. Integers at each step or pixel of the features are a class at each. Other numbers are a regression.
        task: the task, instead of the inferred one.
        classes: names by class index, if `y` has indices; or the order of the names, if `y` has names.
        image_shape: (height, width, channels) of the image that a row of flat features is.
        splits: row numbers of "train", "validation" and "test"; None to split by seed.
        feature_names: one name for each feature.
        target_names: one name for each column of `y`; of one-hot rows they are the names of the classes.
        weights: sample weights, shape (rows,); each at least 0.
        key: the config key, for messages.

    Raises:
        DataError: lengths differ, a value is not a finite number, or there is only one class.
    """
    features = _features(x, key)
    y = np.asarray(y)
    if classes is None and target_names is not None and task in (None, "classification") and is_one_hot(y):
        classes = target_names
    targets = index_targets(y, task, classes, key, np.asarray(x))
    if targets.task == "regression" and y.size:
        check_resolution(y, key)
    if len(features) != len(targets.values):
        raise DataError(f"{key}: x and y must have as many rows, got {len(features)} and {len(targets.values)}")
    spec = targets.spec(
        features.shape[1:],
        image_shape=image_shape_of(image_shape, features.shape[1:], key),
        feature_names=None if feature_names is None else tuple(str(name) for name in feature_names),
        target_names=tuple(target_names) if target_names and targets.classes is None else None,
    )
    given = None if weights is None else np.asarray(weights)
    return from_source(ArraySource(features, targets.values), spec, splits=splits, weights=given, key=key)


def with_classes(data: Data) -> Data:
    """Return data from arrays with its targets as classes, if they can be classes; else the data as it is.

    Whole numbers at steps that the features do not have, or a few whole numbers that came as floats, may be classes or
    quantities. A loss that takes classes decides.
    """
    source, spec = data.source, data.spec
    if spec.task == "classification" or not isinstance(source, ArraySource) or data.encoder is not None:
        return data
    if data not in _with_classes:
        y = source.y
        whole = bool((y >= 0).all() and (y == np.round(y)).all())
        if not whole or (y.size == len(y) and len(np.unique(y)) > MOST_INTEGER_CLASSES):
            return data
        _with_classes[data] = arrays(
            source.x,
            y.astype(np.int64),
            task="classification",
            image_shape=spec.image_shape,
            splits=data.splits,
            feature_names=spec.feature_names,
            weights=data.weights,
        )
    return _with_classes[data]


def _features(x: ArrayLike, key: str) -> NDArray[np.float32]:
    if isinstance(x, np.memmap) and x.dtype == np.float32 and x.ndim > 1:
        return x  # stays on disk
    values = np.asarray(x)
    if values.dtype.kind == "c":
        raise DataError(f"{key}: features must be real numbers, got {values.dtype.name}")
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
    if values.dtype == np.float32 and values.flags.c_contiguous and not values.flags.writeable:
        return values  # nobody changes it later: large arrays of a file are not held twice
    with np.errstate(over="ignore"):  # a value outside float32 becomes infinity, which is refused later
        return np.array(values, dtype=np.float32, order="C")


def image_shape_of(given: Sequence[int] | None, shape: tuple[int, ...], key: str) -> tuple[int, int, int] | None:
    """Return (height, width, channels) of a row's image: as given, or the shape if it has three dimensions, else None.

    Raises:
        DataError: the given image does not fit the features.
    """
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
