"""A tf.data.Dataset read once into arrays; a large one into a temporary file that memory maps."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["materialise"]

MEMORY_BYTES = 256 * 2**20


def materialise(dataset: Any, key: str, memory_bytes: int = MEMORY_BYTES) -> tuple[NDArray[Any], NDArray[Any]]:
    """Features and targets of all elements, in the dataset's order.

    Args:
        dataset: a finite tf.data.Dataset of (x, y), batched or not.
        key: config key that a complaint begins with.
        memory_bytes: size of the features from which they go to a temporary file.

    Returns:
        Features (rows, ...) float32, a `numpy.memmap` where they are large, and targets (rows,) or (rows, outputs).

    Raises:
        DataError: the dataset is endless or empty, or its elements are not pairs of tensors.
    """
    spec = dataset.element_spec
    if not (isinstance(spec, tuple) and len(spec) == 2 and all(type(part).__name__ == "TensorSpec" for part in spec)):
        raise DataError(f"{key}: a tf.data.Dataset must give pairs (x, y) of tensors, got {spec}")
    if int(dataset.cardinality()) == -1:
        raise DataError(f"{key}: a tf.data.Dataset must be finite, got one that repeats for ever")
    batched = _is_batched(spec)
    held: list[NDArray[Any]] = []
    targets: list[NDArray[Any]] = []
    file: IO[bytes] | None = None
    size = 0
    for element in dataset.as_numpy_iterator():
        x, y = (np.asarray(part) if batched else np.asarray(part)[None] for part in element)
        x = np.array(x, dtype=np.float32, order="C")
        targets.append(y)
        size += x.nbytes
        if file is None and size <= memory_bytes:
            held.append(x)
            continue
        if file is None:
            file = tempfile.TemporaryFile(prefix="kexp-data-")  # noqa: SIM115 - lives as long as the map of it
            for earlier in held:
                file.write(earlier.data)
        held = [x[:0]]
        file.write(x.data)
    if not targets:
        raise DataError(f"{key}: has no rows")
    whole = np.concatenate(targets)
    if file is None:
        return np.concatenate(held), whole
    with file:  # the map holds it open for itself
        file.flush()
        return np.memmap(file, dtype=np.float32, mode="r", shape=(len(whole), *held[0].shape[1:])), whole


def _is_batched(spec: Any) -> bool:
    """Whether the leading dimension of both tensors is the batch's.

    A pair of vectors of one length could be either; it is taken for one row, for a batch of scalar features is rare.
    """
    x, y = (part.shape for part in spec)
    if x.rank is None or y.rank is None or x.rank < 1 or y.rank < 1:
        return x.rank != 0 and y.rank is None
    if x[0] is None or y[0] is None:
        return True
    return bool(x.rank >= 2 and x[0] == y[0])
