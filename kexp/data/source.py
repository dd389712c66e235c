"""What data is: a source of rows, a description of them, a digest of their content, what must yet be learned of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CHUNK_ROWS", "ArraySource", "Data", "DataSpec", "Encoded", "Encoder", "Source", "from_source"]

Task = Literal["classification", "regression", "labels"]
GivenSplits = Mapping[str, "NDArray[np.intp]"]

CHUNK_ROWS = 8192
PART_NAMES = ("train", "validation", "test")


@runtime_checkable
class Source(Protocol):
    """Rows in any order. Must be safe to read from several threads at once."""

    def __len__(self) -> int: ...

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The given rows, in the given order.

        Args:
            rows: row numbers, shape (k,), each in [0, len).

        Returns:
            Features (k, *feature_shape), float32 unless the spec says otherwise, and targets: class indices
            (k, *positions) int64 for classification, (k, *positions, outputs) float32 for regression and labels.
        """
        ...


@dataclass(frozen=True)
class DataSpec:
    """What one row looks like.

    Args:
        feature_shape: shape of one row's features, for example (64,).
        task: classification, regression, or labels: several in a row, each 0 or 1.
        classes: class names by class index; None where the task is not classification.
        outputs: columns of a regression's targets; number of classes for classification; number of labels.
        positions: where in a row targets stand: () for one target a row, (12,) for one at each of 12 steps, (16, 16)
            for one at each pixel.
        target_names: one name an output, where a regression's or the labels have names.
        image_shape: how flat features fold to (height, width, channels), where they are an image.
        feature_names: one name a feature where they are flat and named.
        feature_dtype: NumPy name of the features' type.
        words: how many numbers of words there are, where features are such; None where they are not.
    """

    feature_shape: tuple[int, ...]
    task: Task
    classes: tuple[str, ...] | None
    outputs: int
    positions: tuple[int, ...] = ()
    target_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int, int] | None = None
    feature_names: tuple[str, ...] | None = None
    feature_dtype: str = "float32"
    words: int | None = None

    @property
    def is_stratified(self) -> bool:
        """Whether a row has one class, which a split can hold to its proportions."""
        return self.task == "classification" and not self.positions


@dataclass(frozen=True, eq=False)
class Data:
    """What a data component returns.

    Args:
        source: the rows.
        spec: what a row looks like. While `encoder` is set, the features' shape is not final: `split` settles it.
        digest: SHA-256 of features and targets in row order, hexadecimal; the same through either feed and file format.
        targets: targets of all rows, in memory, as `Source.read` gives them.
        splits: row numbers of "train", "validation" and "test" where the data comes with them, else None.
        encoder: what must still be fitted on the training rows before features are numbers, or None.
        weights: how much each row counts, float32, shape (rows,) or (rows, *positions), or None where all count alike.
        times: when each row begins and ends, shape (rows, 2), or None where rows have no time.
        groups: number of each row's group, shape (rows,), or None where there are no groups.
        split_by: how parts are cut unless the config says so: "random", "time" or "group".
    """

    source: Source
    spec: DataSpec
    digest: str
    targets: NDArray[Any]
    splits: GivenSplits | None = None
    encoder: Encoder | None = None
    weights: NDArray[np.float32] | None = None
    times: NDArray[np.float64] | None = None
    groups: NDArray[np.intp] | None = None
    split_by: Literal["random", "time", "group"] = "random"

    def __len__(self) -> int:
        return len(self.source)

    def class_name(self, index: int) -> str:
        """The name of a class."""
        return str(index) if self.spec.classes is None else self.spec.classes[index]


@dataclass(frozen=True)
class Encoded:
    """A fitted encoder's work.

    Attributes:
        source: reads encoded features.
        spec: what a row looks like now.
        encoding: what was learned, as plain JSON.
        words: what was done with the columns, in a line.
    """

    source: Source
    spec: DataSpec
    encoding: dict[str, Any]
    words: str = ""


class Encoder(Protocol):
    """Learns vocabularies, medians and the like, from training rows only."""

    def fit(self, rows: NDArray[np.intp]) -> Encoded:
        """What these training rows teach, and the source that applies it."""
        ...


class ArraySource:
    """Rows that are in memory.

    Args:
        x: features, shape (rows, *feature_shape).
        y: targets, shape (rows,) or (rows, outputs).
    """

    def __init__(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Source.read`."""
        return self.x[rows], self.y[rows]


class ContentHash:
    """Digest of rows that arrive in chunks; where the chunks are cut makes no difference."""

    def __init__(self) -> None:
        self._columns: dict[str, Any] = {}

    def add(self, column: str, values: NDArray[Any]) -> None:
        hashed = self._columns.setdefault(column, hashlib.sha256())
        hashed.update(np.ascontiguousarray(values).view(np.uint8).reshape(-1).data)

    def digest(self, task: str, splits: GivenSplits | None) -> str:
        """The whole content as 64 hexadecimal digits; given splits are content, splits by seed are not."""
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
) -> Data:
    """Data over a source: reads it once, in chunks, for its digest and its targets, and checks every value.

    Args:
        source: the rows.
        spec: what a row looks like.
        splits: row numbers of given parts, by name; "train" is required when any is given.
        weights: how much each row counts.
        key: config key that a complaint begins with.

    Raises:
        DataError: no rows, features or targets that are not finite, a single class, splits that overlap.
    """
    n = len(source)
    if n == 0:
        raise DataError(f"{key}: has no rows")
    if splits is not None:
        splits = check_splits(splits, n, key)
    hashed, targets = ContentHash(), []
    bad_rows, bad_feature = 0, 0
    for start in range(0, n, CHUNK_ROWS):
        x, y = source.read(np.arange(start, min(start + CHUNK_ROWS, n)))
        finite = np.isfinite(x).reshape(len(x), -1)
        if not finite.all():
            if not bad_rows:
                bad_feature = int(np.argmin(finite.all(axis=0)))
            bad_rows += int((~finite.all(axis=1)).sum())
        check_targets(y, start, key)
        hashed.add("features", x)
        hashed.add("targets", y)
        targets.append(y)
    if bad_rows:
        name = spec.feature_names[bad_feature] if spec.feature_names else bad_feature
        raise DataError(
            f"{key}: features must be finite, got NaN or infinity in {bad_rows} of {n} rows, first in feature {name!r}"
        )
    known = np.concatenate(targets)
    check_classes(known, spec, key)
    if weights is not None:
        weights = check_weights(weights, known, spec, f"{key}.weight")
        hashed.add("weights", weights)
    return Data(source, spec, hashed.digest(spec.task, splits), known, splits, weights=weights)


def check_targets(y: NDArray[Any], start: int, key: str) -> None:
    """Refuse targets that are not numbers; `start` is the number of the first row."""
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        row = start + int(np.argmin(np.isfinite(y).reshape(len(y), -1).all(axis=1)))
        raise DataError(f"{key}: targets must be finite, got NaN or infinity in row {row}")


def check_classes(targets: NDArray[Any], spec: DataSpec, key: str) -> None:
    """Refuse a classification with fewer than two classes present, or an index beyond the classes."""
    if spec.task != "classification":
        return
    present = np.unique(targets)
    if present[0] < 0 or present[-1] >= spec.outputs:
        raise DataError(f"{key}: class indices must be in [0, {spec.outputs}), got {present[0]} to {present[-1]}")
    if len(present) < 2:
        name = spec.classes[int(present[0])] if spec.classes else str(present[0])
        raise DataError(
            f"{key}: classification needs at least 2 classes, got the single class {name!r} in {len(targets)} rows"
        )


def check_weights(weights: NDArray[Any], targets: NDArray[Any], spec: DataSpec, key: str) -> NDArray[np.float32]:
    """Weights as they are fed: one a row, or one a position of each row; none below 0, not all of them 0."""
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
    """Given splits as row numbers, in the order train, validation, test; disjoint and within the rows."""
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
            raise DataError(f"{key}: a row must stand in one split once, but row {_repeated(rows, seen)} is repeated")
        seen[rows] = True
        checked[name] = rows.astype(np.intp)
    return checked


def _repeated(rows: NDArray[Any], seen: NDArray[np.bool_]) -> int:
    if seen[rows].any():
        return int(rows[seen[rows]][0])
    values, counts = np.unique(rows, return_counts=True)
    return int(values[counts > 1][0])
