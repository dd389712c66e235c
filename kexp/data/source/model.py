"""Data: rows to read in any order, the description of a row, and an encoder to fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CHUNK_ROWS",
    "PART_NAMES",
    "ArraySource",
    "Data",
    "DataSpec",
    "Encoded",
    "Encoder",
    "GivenSplits",
    "Source",
    "Task",
    "chunks",
    "consecutive",
]

Task = Literal["classification", "regression", "labels"]

GivenSplits = Mapping[str, "NDArray[np.intp]"]

CHUNK_ROWS = 8192

PART_NAMES = ("train", "validation", "test")


@runtime_checkable
class Source(Protocol):
    """Rows with random access. Reading from several threads at once must be safe."""

    def __len__(self) -> int: ...

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Reads the given rows, in the given order.

        Args:
            rows: row numbers, shape (k,), each in [0, len).

        Returns:
            Features (k, *feature_shape), float32 unless the spec says otherwise, and targets: class indices
            (k, *positions) int64 for classification, (k, *positions, outputs) float32 for regression and labels.
        """
        ...


@dataclass(frozen=True)
class DataSpec:
    """The description of a row.

    Args:
        feature_shape: shape of one row's features, for example (64,).
        task: classification, regression, or labels (several in a row, each 0 or 1).
        classes: class names by class index; None if the task is not classification.
        outputs: number of regression targets, of classes, or of labels.
        positions: positions in a row that have targets: () for one target a row, (12,) for one at each of 12 steps,
            (16, 16) for one at each pixel.
        target_names: one name for each output of a regression or of labels; None if they have no names.
        image_shape: (height, width, channels) of the image that flat features are; None if they are not an image.
        feature_names: one name for each flat feature; None if they have no names.
        feature_dtype: NumPy name of the features' type.
        words: size of the vocabulary, if features are word indices; else None.
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
        """Whether each row has one class, so that a split can be stratified."""
        return self.task == "classification" and not self.positions


@dataclass(frozen=True, eq=False)
class Data:
    """The result of a data component.

    Args:
        source: the rows.
        spec: the description of a row. While `encoder` is set, the shape of features is not final; `split` sets it.
        digest: SHA-256 of features and targets in row order, hexadecimal; independent of the feed and the file format.
        targets: targets of all rows, in memory, as `Source.read` returns them.
        splits: row numbers of "train", "validation" and "test", if the data has given parts; else None.
        encoder: must be fitted on the training rows to make features numbers; None if they are numbers already.
        weights: sample weights, float32, shape (rows,) or (rows, *positions); None if all are equal.
        times: start and end of each row, shape (rows, 2); None if rows have no time.
        groups: the group number of each row, shape (rows,); None if there are no groups.
        split_by: the default kind of split: "random", "time" or "group".
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
        """Returns the name of a class."""
        return str(index) if self.spec.classes is None else self.spec.classes[index]


@dataclass(frozen=True)
class Encoded:
    """The result of fitting an encoder.

    Attributes:
        source: reads encoded features.
        spec: the description of an encoded row.
        encoding: the learned encoding, as plain JSON.
        summary: a line for the user that describes what became of the columns.
    """

    source: Source
    spec: DataSpec
    encoding: dict[str, Any]
    summary: str = ""


class Encoder(Protocol):
    """Learns an encoding (vocabularies, medians and so on) from training rows only."""

    def fit(self, rows: NDArray[np.intp]) -> Encoded:
        """Learns the encoding from these training rows, and returns it with a source that applies it."""
        ...


def chunks(count: int) -> Iterator[NDArray[np.intp]]:
    """Yield the row numbers 0..count-1 in chunks, each small enough to be read at once."""
    for start in range(0, count, CHUNK_ROWS):
        yield np.arange(start, min(start + CHUNK_ROWS, count), dtype=np.intp)


def consecutive(counts: Mapping[str, int]) -> dict[str, NDArray[np.intp]]:
    """Return the row numbers of parts that follow each other, from the number of rows of each."""
    ends = np.cumsum(list(counts.values()))
    return {
        name: np.arange(end - count, end, dtype=np.intp)
        for (name, count), end in zip(counts.items(), ends, strict=True)
    }


class ArraySource:
    """Rows in memory.

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
