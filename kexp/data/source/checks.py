"""Data from a source, read once: its digest, and the checks of targets, classes, weights and given splits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.source.model import PART_NAMES, Data, DataSpec, GivenSplits, Source, chunks
from kexp.errors import DataError
from kexp.system.large_arrays import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "ContentHash",
    "check_classes",
    "check_splits",
    "check_targets",
    "check_weights",
    "from_source",
]


class ContentHash:
    """The digest of rows that are added in chunks; it does not depend on the sizes of chunks."""

    def __init__(self) -> None:
        self._columns: dict[str, Any] = {}

    def add(self, column: str, values: NDArray[Any]) -> None:
        hashed = self._columns.setdefault(column, hashlib.sha256())
        hashed.update(np.ascontiguousarray(values).view(np.uint8).reshape(-1).data)

    def digest(self, task: str, splits: GivenSplits | None) -> str:
        """Returns the digest as 64 hexadecimal digits. Given splits are part of the content; splits by seed are not."""
        whole = hashlib.sha256(task.encode())
        for name, hashed in sorted(self._columns.items()):
            whole.update(f"|{name}:{hashed.hexdigest()}".encode())
        for name in PART_NAMES if splits else ():
            if splits and name in splits:
                whole.update(f"|{name}:".encode() + np.asarray(splits[name], dtype="<i8").tobytes())
        return whole.hexdigest()


def from_source(
    source: Source,
    spec: DataSpec,
    *,
    splits: GivenSplits | None = None,
    weights: NDArray[Any] | None = None,
    key: str = "data",
    any_classes: bool = False,
) -> Data:
    """Create Data from a source. Reads it once in chunks, for its digest and targets, and checks every value.

    Args:
        source: the rows.
        spec: the description of a row.
        splits: part name -> row numbers of given parts, which must include "train"; None to split by seed.
        weights: sample weights; None if all are equal.
        key: the config key, for messages.
        any_classes: whether a single class is enough, as where a model is only evaluated.

    Raises:
        DataError: there are no rows, a feature or target is not finite, there is only one class, or splits overlap.
    """
    n = len(source)
    if n == 0:
        raise DataError(f"{key}: has no rows")
    if splits is not None:
        splits = check_splits(splits, n, key)
    hashed, targets = ContentHash(), []
    bad_rows, bad_feature = 0, 0
    for rows in chunks(n):
        x, y = source.read(rows)
        finite = np.isfinite(x).reshape(len(x), -1)
        if not finite.all():
            if not bad_rows:
                bad_feature = int(np.argmin(finite.all(axis=0)))
            bad_rows += int((~finite.all(axis=1)).sum())
        check_targets(y, int(rows[0]), key)
        hashed.add("features", x)
        hashed.add("targets", y)
        targets.append(y)
    if bad_rows:
        name = spec.feature_names[bad_feature] if spec.feature_names else bad_feature
        raise DataError(
            f"{key}: features must be finite, got NaN or infinity in {bad_rows} of {n} rows, first in feature {name!r}"
        )
    all_targets = np.concatenate(targets)
    if not any_classes:
        check_classes(all_targets, spec, key)
    if weights is not None:
        weights = check_weights(weights, all_targets, spec, f"{key}.weight")
        hashed.add("weights", weights)
    return Data(source, spec, hashed.digest(spec.task, splits), all_targets, splits, weights=weights)


def check_targets(y: NDArray[Any], start: int, key: str) -> None:
    """Refuse targets that are not finite; `start` is the number of the first row."""
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = start + int(np.argmin(np.isfinite(y).reshape(len(y), -1).all(axis=1)))
        raise DataError(f"{key}: targets must be finite, got NaN or infinity in row {row}")


def check_classes(targets: NDArray[Any], spec: DataSpec, key: str) -> None:
    """Refuse a classification with fewer than two classes, or with an index out of range."""
    if spec.task != "classification":
        return
    low, high = targets.min(), targets.max()
    if low < 0 or high >= spec.outputs:
        raise DataError(f"{key}: class indices must be in [0, {spec.outputs}), got {low} to {high}")
    present = np.flatnonzero(counted(targets, spec.outputs))
    if len(present) < 2:
        name = spec.classes[int(present[0])] if spec.classes else str(present[0])
        raise DataError(
            f"{key}: classification needs at least 2 classes, got the single class {name!r} in {len(targets)} rows"
        )


def check_weights(weights: NDArray[Any], targets: NDArray[Any], spec: DataSpec, key: str) -> NDArray[np.float32]:
    """Check sample weights and convert them to float32.

    Args:
        weights: one for each row, or one for each position of each row.
        targets: the targets of all rows.
        spec: the description of a row.
        key: the config key, for messages.

    Raises:
        DataError: the shape is wrong, a weight is below 0, or all are 0.
    """
    found = np.asarray(weights)
    if found.dtype.kind not in "fiub":
        raise DataError(f"{key}: must be numbers, got {found.dtype.name}")
    if found.ndim == 2 and found.shape[1] == 1 and spec.positions != (1,):
        found = found[:, 0]
    if found.shape not in {(len(targets),), (len(targets), *spec.positions)}:
        raise DataError(f"{key}: must be one number a row, shape ({len(targets)},), got the shape {found.shape}")
    bad = ~np.isfinite(found) | (found < 0)
    if bad.any():
        row = int(np.argmax(bad.reshape(len(found), -1).any(axis=1)))
        raise DataError(f"{key}: must be numbers of 0 or more, got {found[bad].flat[0]:g} in row {row + 1}")
    if not found.any():
        raise DataError(f"{key}: must not be 0 in every row")
    return np.ascontiguousarray(found, dtype=np.float32)


def check_splits(splits: GivenSplits, n: int, key: str) -> dict[str, NDArray[np.intp]]:
    """Check given splits, and return them as row numbers in the order train, validation, test.

    Raises:
        DataError: a part is unknown or empty, there is no "train", rows are out of range, or parts overlap.
    """
    for name in splits:
        if name not in PART_NAMES:
            raise DataError(f"{key}: given splits must be named train, validation or test, got {name!r}")
    if "train" not in splits:
        raise DataError(f"{key}: given splits must hold training rows, got {', '.join(splits) or 'none'}")
    seen = np.zeros(n, dtype=bool)
    checked = {}
    for name in PART_NAMES:
        if name not in splits:
            continue
        rows = np.asarray(splits[name])
        if rows.dtype.kind not in "iu" or rows.ndim != 1 or not len(rows):
            raise DataError(f"{key}: the {name} split must be a list of at least one row number")
        if rows.min() < 0 or rows.max() >= n:
            raise DataError(f"{key}: the {name} split must hold rows in [0, {n}), got {rows.min()} to {rows.max()}")
        if seen[rows].any() or len(np.unique(rows)) < len(rows):
            raise DataError(f"{key}: a row must be in one split once, but row {_repeated(rows, seen)} is repeated")
        seen[rows] = True
        checked[name] = rows.astype(np.intp)
    return checked


def _repeated(rows: NDArray[Any], seen: NDArray[np.bool_]) -> int:
    if seen[rows].any():
        return int(rows[seen[rows]][0])
    values, counts = np.unique(rows, return_counts=True)
    return int(values[counts > 1][0])
