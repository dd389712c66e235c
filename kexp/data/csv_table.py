"""Rows of CSV files as data frames, any rows in any order, parsed when they are asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.csv_index import index_records
from kexp.data.files import ByteRows
from kexp.errors import DataError, suggestion

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["CsvTable"]

TEXT, NUMBER = "text", "number"


class CsvTable:
    """Records of one or more CSV files with the same columns, one file's rows after another's.

    Only byte positions are held, 16 bytes a row.

    Args:
        files: the files, each with the config key that names it.
        delimiter: one character between fields.

    Raises:
        DataError: no header, no rows, a column twice, a row with another number of fields, files with other columns.
    """

    def __init__(self, files: Sequence[tuple[Path, str]], delimiter: str = ",") -> None:
        delimiter = {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
        if len(delimiter) != 1 or delimiter in '"\r\n' or ord(delimiter) > 127:
            raise DataError(f"data.delimiter: must be one ASCII character, got {delimiter!r}")
        self.delimiter = delimiter
        self._headers: list[list[str]] = []
        starts, ends = [], []
        for path, key in files:
            records = index_records(path, delimiter, key)
            header = _header(path, key, delimiter, records.starts, records.ends)
            if len(records.starts) < 2:
                raise DataError(f"{key}: {path.name} has no rows below its header")
            wrong = np.flatnonzero(records.fields != len(header))
            if len(wrong):
                raise DataError(
                    f"{key}: every row of {path.name} must have the {len(header)} fields of its header, "
                    f"got {records.fields[wrong[0]]} in row {wrong[0]}"
                )
            if self._headers and sorted(header) != sorted(self._headers[0]):
                other = sorted(set(header) ^ set(self._headers[0]))[0]
                raise DataError(f"{key}: {path.name} must have the columns of {files[0][0].name}, not so {other!r}")
            self._headers.append(header)
            starts.append(records.starts[1:])
            ends.append(records.ends[1:])
        self.bytes = ByteRows([path for path, _ in files], starts, ends)
        self.columns = self._headers[0]

    def __len__(self) -> int:
        return len(self.bytes)

    def file_rows(self, file: int) -> NDArray[np.intp]:
        """Row numbers of one of the files."""
        return np.arange(self.bytes.first[file], self.bytes.first[file + 1], dtype=np.intp)

    def frame(
        self, rows: NDArray[np.intp], columns: Sequence[str], kinds: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        """Some rows and columns.

        Args:
            rows: row numbers, shape (k,).
            columns: which columns, in the order wanted.
            kinds: "number" (float64) or "text" by column; what is not named is as pandas reads it.

        Raises:
            DataError: a column of numbers holds something else; the file is not UTF-8.
        """
        import pandas as pd

        files = self.bytes.file_of(rows)
        parts, places = [], []
        for file in np.unique(files):
            where = np.flatnonzero(files == file)
            parts.append(self._parse(int(file), rows[where], columns, kinds or {}))
            places.append(where)
        if len(parts) == 1:
            return parts[0]
        whole = pd.concat(parts, ignore_index=True)
        return whole.iloc[np.argsort(np.concatenate(places), kind="stable")].reset_index(drop=True)

    def _parse(
        self, file: int, rows: NDArray[np.intp], columns: Sequence[str], kinds: Mapping[str, str]
    ) -> pd.DataFrame:
        import pandas as pd

        raw = io.BytesIO(b"\n".join(self.bytes.read(rows)) + b"\n")
        types: dict[Any, Any] = {name: np.float64 if kind == NUMBER else object for name, kind in kinds.items()}
        name = self.bytes.paths[file].name
        try:
            frame = pd.read_csv(
                raw,
                header=None,
                names=self._headers[file],
                usecols=list(columns),
                index_col=False,
                skip_blank_lines=False,
                sep=self.delimiter,
                dtype=types,
                float_precision="round_trip",  # a number in a file is the number that Python reads from it
                low_memory=False,
            )
        except UnicodeDecodeError:
            raise DataError(f"data.path: {name} must be UTF-8 text") from None
        except pd.errors.ParserError as error:
            raise DataError(f"data.path: {name} is no CSV file ({error})".replace("\n", " ")) from None
        except ValueError as error:
            raise DataError(f"data.path: {name} holds text where numbers were expected ({error})") from None
        if len(frame) != len(rows):
            raise DataError(f"data.path: {name} changed while it was read")
        return frame[list(columns)]


def _header(path: Path, key: str, delimiter: str, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[str]:
    if not len(starts):
        raise DataError(f"{key}: {path.name} is empty")
    with path.open("rb") as file:
        file.seek(int(starts[0]))
        raw = file.read(int(ends[0] - starts[0]))
    try:
        names = next(csv.reader(io.StringIO(raw.decode("utf-8"), newline=""), delimiter=delimiter))
    except UnicodeDecodeError:
        raise DataError(f"{key}: {path.name} must be UTF-8 text") from None
    names = [name.strip() for name in names]
    for name in names:
        if not name:
            raise DataError(f"{key}: every column of {path.name} must have a name in the first line")
        if names.count(name) > 1:
            raise DataError(f"{key}: {path.name} must have each column once, got {name!r} {names.count(name)} times")
    return names


def known_column(name: str, table: CsvTable, key: str) -> str:
    """`name`, where it is a column.

    Raises:
        DataError: it is none; names the nearest.
    """
    if name not in table.columns:
        file = table.bytes.paths[0].name
        raise DataError(f"{key}: there is no column {name!r} in {file}{suggestion(name, table.columns)}")
    return name
