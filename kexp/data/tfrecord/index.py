"""Find the byte ranges of the records in a TFRecord file.

Source of the format: https://www.tensorflow.org/tutorials/load_data/tfrecord - a length (uint64), a masked CRC-32C of
the length (uint32), the data, and a masked CRC-32C of the data (uint32), all little-endian.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["index_records"]

HEADER_BYTES, FOOTER_BYTES = 12, 4
CASTAGNOLI = 0x82F63B78  # the polynomial of CRC-32C, bits reversed
MASK_DELTA = 0xA282EAD8


def index_records(path: Path, key: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the byte ranges of the records' data.

    Args:
        path: the file.
        key: the config key, for messages.

    Returns:
        The start and the end (exclusive) of each record's data, each of shape (records,).

    Raises:
        DataError: the file is compressed, truncated, damaged in a length, empty, or not a TFRecord file.
    """
    size = path.stat().st_size
    starts: list[int] = []
    headers: list[bytes] = []
    at = 0
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise DataError(f"{key}: {path.name} must not be compressed, as its rows are read in any order")
        while at < size:
            file.seek(at)
            header = file.read(HEADER_BYTES)
            length = int.from_bytes(header[:8], "little")
            if len(header) < HEADER_BYTES or at + HEADER_BYTES + length + FOOTER_BYTES > size:
                break
            starts.append(at + HEADER_BYTES)
            headers.append(header)
            at += HEADER_BYTES + length + FOOTER_BYTES
    raw = np.frombuffer(b"".join(headers), dtype=np.uint8).reshape(-1, HEADER_BYTES)
    stored = raw[:, 8:].copy().view("<u4")[:, 0]
    wrong = np.flatnonzero(_masked_crc(raw[:, :8]) != stored)
    if len(wrong) or at < size:
        first = wrong[0] if len(wrong) else len(starts)
        raise DataError(f"{key}: {path.name} is not a TFRecord file, or is damaged at record {first}")
    if not starts:
        raise DataError(f"{key}: {path.name} has no records")
    start = np.array(starts, dtype=np.int64)
    return start, start + raw[:, :8].copy().view("<u8")[:, 0].astype(np.int64)


def _masked_crc(rows: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Compute the masked CRC-32C of each row of bytes."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ np.where(table & np.uint32(1), np.uint32(CASTAGNOLI), np.uint32(0))
    crc = np.full(len(rows), 0xFFFFFFFF, dtype=np.uint32)
    for column in rows.T:
        crc = table[(crc ^ column) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    crc = ~crc
    masked: NDArray[np.uint32] = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(MASK_DELTA)
    return masked
