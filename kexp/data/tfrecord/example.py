"""Read serialized tf.train.Example messages without TensorFlow.

An Example is a protocol buffer: features (1) holds a map (1) from name (1) to feature (2), and a feature is a list of
bytes (1), of floats (2, 4 bytes each) or of integers (3, variable length), packed or not.
Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto and
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.source import chunks
from kexp.errors import DataError, suggestion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kexp.data.files import ByteRows

__all__ = ["ExampleSource", "parse_example"]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3


class ExampleSource:
    """Examples by position; a Source once `targets` is set.

    Args:
        rows: the byte ranges of the records.
        x: name of the feature with a row's features.
        y: name of the feature with its target.
        shape: shape of a row's features; None for flat.
        dtype: NumPy type of features stored as raw bytes.

    Raises:
        DataError: the shape does not fit the values, the type is unknown, or a feature does not exist.
    """

    def __init__(self, rows: ByteRows, x: str, y: str, shape: tuple[int, ...] | None, dtype: str | None) -> None:
        self.rows, self.x, self.y, self.shape = rows, x, y, shape
        self.targets: NDArray[Any] = np.zeros(len(rows), dtype=np.int64)
        try:
            self.dtype = None if dtype is None else np.dtype(dtype)
        except TypeError:
            raise DataError(f"data.dtype: must be the name of a NumPy type, got {dtype!r}") from None
        self._size = len(self._values(parse_example(rows.read(np.zeros(1, dtype=np.intp))[0]), x, "data.x", 0))
        if shape is not None and int(np.prod(shape)) != self._size:
            raise DataError(f"data.shape: must hold the {self._size} values of {x!r}, got {list(shape)}")

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Source.read`."""
        x = np.empty((len(rows), self._size), dtype=np.float32)
        for place, (row, record) in enumerate(zip(rows.tolist(), self.rows.read(rows), strict=True)):
            values = self._values(parse_example(record), self.x, "data.x", row)
            if len(values) != self._size:
                raise DataError(
                    f"data.x: {self.x!r} must have as many values in every record, got {self._size} in the first "
                    f"and {len(values)} in record {row}"
                )
            x[place] = values
        return x if self.shape is None else x.reshape(len(rows), *self.shape), self.targets[rows]

    def raw_targets(self) -> NDArray[Any]:
        """Returns the targets of all rows as stored: integers, floats or text, shape (rows,) or (rows, outputs)."""
        stacked: list[NDArray[Any]] = []
        for rows in chunks(len(self)):
            found: list[NDArray[Any]] = []
            for row, record in zip(rows.tolist(), self.rows.read(rows), strict=True):
                values = self._feature(parse_example(record), self.y, "data.y", row)
                if isinstance(values, list):
                    values = np.array([value.decode("utf-8", "replace") for value in values])
                like = found[0] if found else stacked[0][0] if stacked else values
                if values.shape != like.shape or values.dtype.kind != like.dtype.kind:
                    raise DataError(f"data.y: {self.y!r} must be alike in every record, but record {row} differs")
                found.append(values)
            stacked.append(np.stack(found))
        targets = np.concatenate(stacked)
        return targets[:, 0] if targets.shape[1] == 1 else targets

    def _values(self, example: dict[str, Any], name: str, key: str, row: int) -> NDArray[Any]:
        values: NDArray[Any] | list[bytes] = self._feature(example, name, key, row)
        if not isinstance(values, list):
            return values
        if self.dtype is None:
            raise DataError(f"data.dtype: must be given, for {name!r} is stored as raw bytes")
        raw = b"".join(values)
        if len(raw) % self.dtype.itemsize:
            raise DataError(f"data.dtype: must fit the {len(raw)} bytes of {name!r}, got {self.dtype.name}")
        return np.frombuffer(raw, dtype=self.dtype)

    def _feature(self, example: dict[str, Any], name: str, key: str, row: int) -> Any:
        if name not in example:
            raise DataError(f"{key}: there is no feature {name!r} in record {row}{suggestion(name, example)}")
        if not len(example[name]):
            raise DataError(f"{key}: feature {name!r} is empty in record {row}")
        return example[name]


def parse_example(record: bytes) -> dict[str, NDArray[Any] | list[bytes]]:
    """Parse an Example.

    Returns:
        Name -> feature: float32 or int64 of shape (values,), or a list of bytes.

    Raises:
        DataError: the bytes are not an Example.
    """
    try:
        found: dict[str, NDArray[Any] | list[bytes]] = {}
        for _, features in _fields(record, 1):
            for _, entry in _fields(features, 1):
                name, feature = b"", b""
                for field, value in _fields(entry, 1, 2):
                    name, feature = (value, feature) if field == 1 else (name, value)
                found[name.decode()] = _list(feature)
        return found
    except (IndexError, ValueError, TypeError):
        raise DataError("data.path: has a record that is not a tf.train.Example") from None


def _list(feature: bytes) -> NDArray[Any] | list[bytes]:
    for kind, values in _fields(feature, BYTES_LIST, FLOAT_LIST, INT64_LIST):
        if kind == BYTES_LIST:
            return [value for _, value in _fields(values, 1)]
        if kind == FLOAT_LIST:
            return np.frombuffer(b"".join(value for _, value in _fields(values, 1)), dtype="<f4")
        whole: list[int] = []
        for _, value in _fields(values, 1):
            whole.extend([value] if isinstance(value, int) else _varints(value))
        return np.array([value - (1 << 64) if value >> 63 else value for value in whole], dtype=np.int64)
    return []


def _fields(message: bytes, *wanted: int) -> Iterator[tuple[int, Any]]:
    """Yield the wanted fields of a message in order: integers as int, all else as bytes."""
    at, size = 0, len(message)
    while at < size:
        tag, at = _varint(message, at)
        field, kind = tag >> 3, tag & 7
        value: Any
        if kind == VARINT:
            value, at = _varint(message, at)
        else:
            if kind == BYTES:
                length, at = _varint(message, at)
            else:
                length = {FIXED64: 8, FIXED32: 4}[kind] if kind in (FIXED64, FIXED32) else size + 1
            if at + length > size:
                raise ValueError("a field goes beyond its message")
            value, at = message[at : at + length], at + length
        if field in wanted:
            yield field, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    byte = message[at]
    if byte < 128:
        return byte, at + 1
    value, shift = byte & 127, 7
    while True:
        at += 1
        byte = message[at]
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at + 1
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")


def _varints(packed: bytes) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value
