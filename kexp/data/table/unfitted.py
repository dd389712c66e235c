"""A table before its encoding is fitted: a placeholder for its source, the kinds of its columns, its digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.source import CHUNK_ROWS, ContentHash, DataSpec, GivenSplits
from kexp.data.table.stored import Column
from kexp.errors import DataError
from kexp.system.large_arrays import gathered

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["Unfitted", "digest_of", "kinds_read", "spec_kept"]


class Unfitted:
    """A placeholder for the source until `split` has fitted the encoding on the training rows."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        raise TypeError("the encoding of this data is fitted on its training rows: call kexp.data.split first")


def kinds_read(used: Sequence[Column], targets: Sequence[Column]) -> dict[str, list[str | None]]:
    """Return the kinds of columns and the formats of their dates, so that other files are read in the same way."""
    return {column.name: [column.kind, column.format] for column in (*used, *targets)}


def spec_kept(encoding: Mapping[str, Any], feature_shape: tuple[int, ...], **more: Any) -> DataSpec:
    """Return the description of a row from its shape and the targets in a run's encoding."""
    classes, targets = encoding["classes"], tuple(encoding["target"])
    named = {"classes": None, "target_names": targets} if classes is None else {"classes": tuple(classes)}
    return DataSpec(feature_shape, encoding["task"], outputs=encoding["outputs"], **named, **more)


def digest_of(
    columns: Sequence[Column],
    rows: NDArray[np.intp],
    y: NDArray[Any],
    task: str,
    splits: GivenSplits | None,
    weights: NDArray[Any] | None,
) -> str:
    """Compute the digest of a table before encoding, so that it does not depend on the split.

    A table of numbers has the same digest as these numbers in any other file format.
    """
    hashed = ContentHash()
    numbers = [column for column in columns if column.kind in ("number", "boolean")]
    for start in range(0, len(rows) if numbers else 0, CHUNK_ROWS):
        there = rows[start : start + CHUNK_ROWS]
        block = np.empty((len(there), len(numbers)), dtype=np.float32)
        for place, column in enumerate(numbers):
            with np.errstate(over="ignore"):  # what does not fit float32 becomes infinity, and is refused as such
                block[:, place] = column.values[there]
        endless = np.isinf(block)
        if endless.any():
            row, place = (int(index[0]) for index in np.nonzero(endless))
            name = numbers[place].name
            raise DataError(f"data.path: column {name!r} must be finite, got infinity in row {there[row] + 1}")
        block[np.isnan(block)] = np.nan  # one NaN, whatever its bits were
        hashed.add("features", block)
    for column in columns:
        if column.kind in ("text", "date"):
            hashed.add(f"column {column.name}", gathered(column.values, rows))
        if column.kind == "text":
            words = "".join(f"{len(word)}:{word}" for word in column.words).encode()
            hashed.add(f"words {column.name}", np.frombuffer(words, dtype=np.uint8))
    hashed.add("targets", y)
    if weights is not None:
        hashed.add("weights", weights)
    return hashed.digest(task, splits)
