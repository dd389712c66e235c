"""Rows as byte ranges of files, read by position without loading whole files into memory."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.errors import DataError, suggestion

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ByteRows", "existing", "matching"]


def existing(path: str, key: str) -> Path:
    """Return the path of an existing file.

    Args:
        path: the file's path.
        key: the config key, for messages.

    Raises:
        DataError: the file does not exist (the message has the nearest name), is a folder or cannot be read.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise DataError(f"{key}: must be a file, but {path!r} is a folder")
    if not file.exists():
        names = [entry.name for entry in file.parent.iterdir()] if file.parent.is_dir() else []
        best = suggestion(file.name, names) if names else ""
        raise DataError(f"{key}: no such file {path!r}{best if 'did you mean' in best else ''}")
    if not os.access(file, os.R_OK):
        raise DataError(f"{key}: the file {path!r} cannot be read")
    return file


def matching(path: str, key: str) -> list[Path]:
    """Return the file of this name, or all files that a pattern with `*`, `?` or `[` matches, sorted by name.

    Args:
        path: a path or a pattern.
        key: the config key, for messages.

    Raises:
        DataError: no file matches.
    """
    if glob.has_magic(path) and not Path(path).exists():
        found = [Path(name) for name in sorted(glob.glob(os.path.expanduser(path), recursive=True))]
        found = [file for file in found if file.is_file()]
        if not found:
            raise DataError(f"{key}: no file matches {path!r}")
        return found
    return [existing(path, key)]


class ByteRows:
    """Byte ranges in one or more files. Reads by position, so several threads can read at once.

    Args:
        paths: the files.
        starts: for each file, the first byte of each row; shape (rows,).
        ends: for each file, the end of each row, exclusive; shape (rows,).
    """

    def __init__(
        self, paths: Sequence[Path], starts: Sequence[NDArray[np.int64]], ends: Sequence[NDArray[np.int64]]
    ) -> None:
        self.paths = list(paths)
        self.starts, self.ends = np.concatenate(list(starts)), np.concatenate(list(ends))
        counts = [len(part) for part in starts]
        self.first = np.concatenate([[0], np.cumsum(counts)])  # first row of each file, and the end
        self._files = [os.open(path, os.O_RDONLY) for path in self.paths]

    def __len__(self) -> int:
        return len(self.starts)

    def __del__(self) -> None:
        for file in getattr(self, "_files", []):
            os.close(file)

    def __reduce__(self) -> tuple[Any, ...]:
        cuts = [slice(a, b) for a, b in zip(self.first[:-1], self.first[1:], strict=True)]
        return (ByteRows, (self.paths, [self.starts[cut] for cut in cuts], [self.ends[cut] for cut in cuts]))

    def file_of(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Returns the index of the file of each row."""
        return np.searchsorted(self.first, rows, side="right") - 1

    def read(self, rows: NDArray[np.intp]) -> list[bytes]:
        """Returns the bytes of each row, in the given order. Adjacent rows of a file are read together."""
        if not len(rows):
            return []
        files, starts, ends = self.file_of(rows), self.starts[rows], self.ends[rows]
        follows = (np.diff(rows) == 1) & (np.diff(files) == 0)
        breaks = np.concatenate([[0], np.flatnonzero(~follows) + 1, [len(rows)]])
        found: list[bytes] = []
        for first, stop in zip(breaks[:-1].tolist(), breaks[1:].tolist(), strict=True):
            begin = int(starts[first])
            block = self._read(int(files[first]), begin, int(ends[stop - 1]))
            spans = zip(starts[first:stop].tolist(), ends[first:stop].tolist(), strict=True)
            found.extend(block[start - begin : end - begin] for start, end in spans)
        return found

    def _read(self, file: int, start: int, end: int) -> bytes:
        pieces, at = [], start
        while at < end:
            piece = os.pread(self._files[file], end - at, at)
            if not piece:
                raise DataError(f"data.path: {self.paths[file].name} became shorter while it was read")
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)
