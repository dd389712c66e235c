"""Where the records of a CSV file begin and end, found in one pass that holds no more than a block of it."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Records", "index_records"]

BLOCK_BYTES = 1 << 20
LONGEST_RECORD_BYTES = 64 << 20
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Records:
    """Byte ranges of a file's records, blank ones left out, without their line ends; and how many fields each has."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    fields: NDArray[np.int64]


def index_records(path: Path, delimiter: str, key: str) -> Records:
    """Records as Python's `csv` module cuts them: a quoted field may hold line ends, a quote inside a bare one is text.

    Args:
        path: the file.
        delimiter: one character between fields.
        key: config key that a complaint begins with.

    Raises:
        DataError: a quoted field that does not end.
    """
    records = _index_plain(path, delimiter.encode())
    return records if records is not None else _index_quoted(path, delimiter, key)


def _index_plain(path: Path, delimiter: bytes) -> Records | None:
    """By NumPy, for a file whose every line is a record; None for one with quotes or old Macintosh line ends."""
    starts, ends, fields = [], [], []
    begin, line_start, delimiters = 0, 0, 0  # of the block; of the line that goes on in it, and its delimiters so far
    first = True
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            if block.endswith(b"\r"):
                block += file.read(1)
            if b'"' in block or block.count(b"\r") != block.count(b"\r\n"):
                return None
            skipped = len(BOM) if first and block.startswith(BOM) else 0
            line_start, first = (skipped, False) if first else (line_start, False)
            raw = np.frombuffer(block, dtype=np.uint8)
            breaks = np.flatnonzero(raw == 10)
            cuts = np.flatnonzero(raw == delimiter[0])
            if len(breaks):
                after = np.searchsorted(cuts, breaks)  # delimiters in the block up to each line end
                fields.append(np.diff(after, prepend=-delimiters) + 1)
                starts.append(np.concatenate([[line_start], breaks[:-1] + 1 + begin]))
                returns = (raw[breaks - 1] == 13) & (breaks > 0)
                ends.append(breaks + begin - returns)
                line_start, delimiters = begin + int(breaks[-1]) + 1, len(cuts) - int(after[-1])
            else:
                delimiters += len(cuts)
            begin += len(block)
    if line_start < begin:  # the last line has no line end
        starts.append(np.array([line_start]))
        ends.append(np.array([begin]))
        fields.append(np.array([delimiters + 1]))
    return _records(starts, ends, fields)


def _index_quoted(path: Path, delimiter: str, key: str) -> Records:
    """By a pattern that matches one record after another."""
    mark = re.escape(delimiter.encode())
    bare = rb"[^%b\r\n]*+" % mark
    field = rb'(?:"(?:[^"]++|"")*+"%b|[^"%b\r\n]%b)?+' % (bare, mark, bare)
    record = re.compile(rb"(?P<record>%b(?:%b%b)*+)(?:\r\n|\r|\n|\Z)" % (field, mark, field))
    starts: list[int] = []
    ends: list[int] = []
    fields: list[int] = []
    with path.open("rb") as file:
        block = file.read(BLOCK_BYTES)
        begin, at, whole = 0, len(BOM) if block.startswith(BOM) else 0, False
        while True:
            found = record.match(block, at)
            if found is None or (found.end() == len(block) and not whole):
                if whole or len(block) - at > LONGEST_RECORD_BYTES:
                    raise DataError(f"{key}: {path.name} has a quoted field in row {len(starts)} that does not end")
                more = file.read(max(BLOCK_BYTES, len(block) - at))
                begin, block, at, whole = begin + at, block[at:] + more, 0, not more
                continue
            text = found["record"]
            if text:
                starts.append(begin + at)
                ends.append(begin + at + len(text))
                fields.append(_field_count(text, delimiter, path, key))
            at = found.end()
            if at >= len(block) and whole:
                break
    return _records([np.array(starts)], [np.array(ends)], [np.array(fields)])


def _field_count(record: bytes, delimiter: str, path: Path, key: str) -> int:
    if b'"' not in record:
        return record.count(delimiter.encode()) + 1
    try:
        rows = list(csv.reader([record.decode("utf-8", "replace")], delimiter=delimiter, strict=False))
    except csv.Error as error:
        raise DataError(f"{key}: {path.name} is no CSV file ({error})") from None
    return len(rows[0]) if rows else 0


def _records(
    starts: list[NDArray[np.int64]], ends: list[NDArray[np.int64]], fields: list[NDArray[np.int64]]
) -> Records:
    if not starts:
        nothing = np.zeros(0, dtype=np.int64)
        return Records(nothing, nothing, nothing)
    start, end, count = (np.concatenate(parts).astype(np.int64) for parts in (starts, ends, fields))
    kept = end > start
    return Records(start[kept], end[kept], count[kept])
