"""Large arrays in temporary files that are mapped: the system writes their pages out when it needs the memory.

Row numbers, targets and the orders of epochs grow with the rows of a table. In files they do not grow the memory that a
process must have. Each function works in chunks, so that it needs no second large array either.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.system.folders import cache_folder

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["LARGE_BYTES", "counted", "empty_array", "filled", "gathered", "moved", "numbered", "selected"]

LARGE_BYTES = 2**23
_CHUNK = 2**18  # values


def empty_array(shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array that is not filled: in memory, or in a mapped temporary file from `LARGE_BYTES` on.

    The file is in the cache folder if there is one, because `/tmp` may be in memory. It has no name, and ends with the
    array. On a full disk the array is in memory.
    """
    wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    size = int(np.prod(wanted)) * np.dtype(dtype).itemsize
    if size < LARGE_BYTES:
        return np.empty(wanted, dtype)
    folder = cache_folder()
    try:
        with tempfile.TemporaryFile(prefix="kexp-", dir=folder if folder.is_dir() else None) as file:
            if hasattr(os, "posix_fallocate"):  # a mapped page that the disk has no place for would end the process
                os.posix_fallocate(file.fileno(), 0, size)
            mapped: NDArray[Any] = np.memmap(file, dtype=dtype, mode="r+", shape=wanted)
            return np.asarray(mapped)
    except OSError:
        return np.empty(wanted, dtype)


def numbered(count: int) -> NDArray[np.intp]:
    """Return 0..count-1."""
    numbers = empty_array(count, np.intp)
    for start, stop in _chunks(count):
        numbers[start:stop] = np.arange(start, stop, dtype=np.intp)
    return numbers


def gathered(values: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
    """Return `values[rows]`."""
    found = empty_array((len(rows), *values.shape[1:]), values.dtype)
    for start, stop in _chunks(len(rows)):
        found[start:stop] = values[rows[start:stop]]
    return found


def moved(values: NDArray[Any]) -> NDArray[Any]:
    """Return the array, in a file if it is large."""
    if values.nbytes < LARGE_BYTES:
        return values
    found = empty_array(values.shape, values.dtype)
    found[...] = values
    return found


def filled(rows: int, batches: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Return the batches as one array of `rows` rows."""
    found: NDArray[Any] | None = None
    at = 0
    for batch in batches:
        if found is None:
            found = empty_array((rows, *batch.shape[1:]), batch.dtype)
        found[at : at + len(batch)] = batch
        at += len(batch)
    assert found is not None and at == rows, (at, rows)
    return found


def selected(values: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[Any]:
    """Return `values[where]`."""
    found = empty_array(int(np.count_nonzero(where)), values.dtype)
    at = 0
    for start, stop in _chunks(len(values)):
        chunk = values[start:stop][where[start:stop]]
        found[at : at + len(chunk)] = chunk
        at += len(chunk)
    return found


def counted(values: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Return how often each of 0..count-1 is among whole numbers."""
    counts = np.zeros(count, dtype=np.intp)
    for start, stop in _chunks(len(values)):
        counts += np.bincount(values[start:stop].ravel(), minlength=count)
    return counts


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, _CHUNK):
        yield start, min(start + _CHUNK, count)
