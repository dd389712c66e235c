"""Read batches once into arrays; large features go to a memory-mapped temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["materialise", "of_columns"]

MEMORY_BYTES = 256 * 2**20
MOST_BYTES = 2**36  # size at which a generator is taken to be endless


def materialise(made: Any, key: str, memory_bytes: int = MEMORY_BYTES) -> tuple[NDArray[Any], ...]:
    """Read all elements of a dataset, in order.

    Args:
        made: a finite tf.data.Dataset of (x, y) or (x, y, weight), batched or not; a keras.utils.PyDataset; or a
            generator of batches or of rows. `x` may be a mapping: one array, or columns.
        key: the config key, for messages.
        memory_bytes: features of at least this size go to a temporary file.

    Returns:
        Features (rows, ...), as a `numpy.memmap` of float32 if they are large, and as a structured array if they are
        columns; targets (rows, ...); and weights
        (rows,), if there are any.

    Raises:
        DataError: the dataset is endless or empty, or its elements are not pairs or triples of arrays.
    """
    held: list[NDArray[Any]] = []
    rest: list[tuple[NDArray[Any], ...]] = []
    file: IO[bytes] | None = None
    size = 0
    for x, *others in _batches(made, key):
        if rest and (len(others) != len(rest[0]) or x.shape[1:] != held[0].shape[1:]):
            raise DataError(f"{key}: every batch must be like the first, but batch {len(rest) + 1} is not")
        rest.append(tuple(others))
        size += x.nbytes
        if size > MOST_BYTES:
            raise DataError(f"{key}: must end, but gave {len(rest)} batches and {size >> 30} GiB so far")
        if file is None and (size <= memory_bytes or x.dtype.kind in "OUSV"):  # texts are objects, which no file maps
            held.append(x)
            continue
        if file is None:
            file = tempfile.TemporaryFile(prefix="kexp-data-")  # noqa: SIM115 - stays open as long as its map
            for earlier in held:
                file.write(_float32(earlier).data)
        held = [x[:0]]
        file.write(_float32(x).data)
    if not rest:
        raise DataError(f"{key}: has no rows")
    targets, *weights = (np.concatenate(arrays) for arrays in zip(*rest, strict=True))
    if file is None:
        return np.concatenate(held), targets, *weights
    with file:  # the map keeps the file open
        file.flush()
        mapped = np.memmap(file, dtype=np.float32, mode="r", shape=(len(targets), *held[0].shape[1:]))
        return mapped, targets, *weights


def of_columns(x: Mapping[Any, Any], key: str, batched: bool = True) -> NDArray[Any]:
    """Return a mapping of arrays as one array: the only one of them, or a structured array of columns.

    Raises:
        DataError: one of several is not a column of single values.
    """
    arrays = {str(name): np.asarray(values) for name, values in x.items()}
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    for name, values in arrays.items():
        column = values if batched else values[None]
        if column.ndim != 1 and column.shape[1:] != (1,):
            others = ", ".join(repr(each) for each in arrays if each != name)
            raise DataError(
                f"{key}: x must be one array, or columns of one value a row, because a model has one input, got "
                f"{name!r} of the shape {column.shape[1:]} beside {others}"
            )
        arrays[name] = column.reshape(-1)
    if len({len(column) for column in arrays.values()}) > 1:
        sizes = ", ".join(f"{name} {len(column)}" for name, column in arrays.items())
        raise DataError(f"{key}: x must have columns of one length, got {sizes}")
    kinds = [(name, object if column.dtype.kind in "OUS" else column.dtype) for name, column in arrays.items()]
    rows = np.empty(len(next(iter(arrays.values()))), dtype=kinds)
    for name, column in arrays.items():
        rows[name] = column
    return rows if batched else rows[0]


def _float32(x: NDArray[Any]) -> NDArray[np.float32]:
    return np.array(x, dtype=np.float32, order="C")


def _batches(made: Any, key: str) -> Iterator[tuple[NDArray[Any], ...]]:
    """Yield batches of two or three arrays with equal numbers of rows."""
    if hasattr(made, "element_spec"):
        elements, batched = _of_dataset(made, key)
    elif isinstance(made, Iterator):
        elements, batched = made, True
    else:
        count = made.num_batches
        if count is None:
            raise DataError(f"{key}: a keras.utils.PyDataset must be finite, got one without a length")
        elements, batched = (made[index] for index in range(count)), True
    for number, element in enumerate(elements, 1):
        if not isinstance(element, (tuple, list)) or len(element) not in (2, 3):
            got = f"{len(element)} things" if isinstance(element, (tuple, list)) else type(element).__name__
            raise DataError(f"{key}: every batch must be (x, y) or (x, y, weight), got {got} in batch {number}")
        x = of_columns(element[0], key, batched) if isinstance(element[0], Mapping) else np.asarray(element[0])
        arrays = (x, *(np.asarray(part) for part in element[1:]))
        if not batched or arrays[1].ndim == 0:  # a row
            arrays = tuple(part[None] for part in arrays)
        if any(part.ndim == 0 or len(part) != len(arrays[0]) for part in arrays):
            shapes = ", ".join(str(part.shape) for part in arrays)
            raise DataError(f"{key}: every batch must have as many targets as rows, got {shapes} in batch {number}")
        yield arrays


def _of_dataset(dataset: Any, key: str) -> tuple[Iterator[Any], bool]:
    """Return an iterator over a tf.data.Dataset's elements, and whether they are batches."""
    spec = dataset.element_spec
    parts = [*spec[0].values(), *spec[1:]] if isinstance(spec, tuple) and isinstance(spec[0], Mapping) else spec
    tensors = isinstance(spec, tuple) and all(type(part).__name__ == "TensorSpec" for part in parts)
    if not tensors or len(spec) not in (2, 3):
        raise DataError(f"{key}: a tf.data.Dataset must give pairs (x, y) of tensors, or (x, y, weight), got {spec}")
    if int(dataset.cardinality()) == -1:
        raise DataError(f"{key}: a tf.data.Dataset must be finite, got one that repeats for ever")
    return dataset.as_numpy_iterator(), _is_batched(spec)


def _is_batched(spec: Any) -> bool:
    """Return whether the leading dimension of all tensors is the batch.

    A pair of vectors of equal length is ambiguous. It is taken for one row, because batches of scalar features are
    rare.
    """
    if isinstance(spec[0], Mapping) and len(spec[0]) > 1:
        return all(part.shape.rank for part in (*spec[0].values(), spec[1]))
    x, y = (next(iter(part.values())).shape if isinstance(part, Mapping) else part.shape for part in spec[:2])
    if x.rank is None or y.rank is None or x.rank < 1 or y.rank < 1:
        return x.rank != 0 and y.rank is None
    if x[0] is None or y[0] is None:
        return True
    if len(spec) == 3:  # the weight of a single row is a scalar
        return bool(spec[2].shape.rank)
    return bool(x.rank >= 2 and x[0] == y[0])
