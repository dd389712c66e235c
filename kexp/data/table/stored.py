"""A table's columns in memory-mapped files, for fast random access to rows."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kexp.errors import DataError, suggestion
from kexp.serving.cells import COMMA
from kexp.serving.periods import PERIODS, period_of
from kexp.system.large_arrays import gathered

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BLOCKS", "FEWEST_IDENTIFIERS", "HEAD", "Column", "Head", "Kind", "Table", "write_head"]

Kind = Literal["number", "boolean", "date", "text"]

HEAD = "table.json"
BLOCKS = {"numbers": np.float64, "codes": np.int32}  # the files of columns, shape (columns, rows)
FEWEST_IDENTIFIERS = 10  # rows; the values of fewer rows may all differ by chance


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: its name.
        kind: "number", "boolean" (0 and 1), "date" (seconds since 1970) as float64, NaN where missing; "text" as int32
            codes into `words`, -1 where missing.
        folder: the folder of its values.
        place: its index among the columns of its block.
        format: the format of its dates, if it had to be detected.
        opened: name -> block, for blocks that are mapped already.
    """

    name: str
    kind: Kind
    folder: Path
    place: int
    format: str | None = None
    opened: dict[str, NDArray[Any]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def block(self) -> str:
        """The name of the file of all columns of its type."""
        return "codes" if self.kind == "text" else "numbers"

    @property
    def words_file(self) -> Path:
        """The file of its texts."""
        return self.folder / f"words-{self.place}.arrow"

    @property
    def values(self) -> NDArray[Any]:
        """The values of all rows, shape (rows,)."""
        if self.block not in self.opened:
            self.opened[self.block] = np.load(self.folder / f"{self.block}.npy", mmap_mode="r")
        values: NDArray[Any] = self.opened[self.block][self.place]
        return values

    @cached_property
    def words(self) -> list[str]:
        """The distinct texts, in sorted order."""
        import pyarrow as pa

        with pa.memory_map(str(self.words_file)) as source:
            words: list[str] = pa.ipc.open_file(source).read_all().column(0).to_pylist()
            return words

    def shown(self, row: int) -> str:
        """Returns the value of a row as text for the user."""
        return self.named(self.values[row])

    def named(self, value: Any) -> str:
        """Returns a value of the column as text, which is also the name of its category."""
        if self.kind == "text":
            return str(self.words[value])
        if self.kind == "boolean":
            return str(bool(value)).lower()
        if self.kind == "date":
            return str(np.datetime64(int(value), "s")).replace("T00:00:00", "")
        return str(int(value)) if value == int(value) else repr(float(value))

    def present(self, rows: NDArray[np.intp], key: str) -> NDArray[Any]:
        """Returns the values of rows that must all have one.

        Raises:
            DataError: a value is missing; the message names its row.
        """
        values = gathered(self.values, rows)
        missing = self.missing(values)
        if missing.any():
            row = int(rows[np.argmax(missing)]) + 1
            raise DataError(f"{key}: column {self.name!r} must have a value in every row, got none in row {row}")
        return values

    def sent(self, row: int) -> str | float | bool | None:
        """Returns the value of a row as in JSON or a file, in the column's own format."""
        value = self.values[row]
        if self.missing(value):
            return None
        if self.kind == "text":
            return str(self.words[value])
        if self.kind == "boolean":
            return bool(value)
        if self.kind == "date":
            return self._date_sent(float(value))
        number = int(value) if value == int(value) else float(value)
        return number if self.format is None else self._written(number)

    def _written(self, number: float) -> str:
        """Returns a number in the column's format: with thousands separators, or as a time of the day."""
        if str(self.format).startswith("%"):
            return (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=number)).strftime(str(self.format))
        grouped = f"{number:,}"
        return grouped.translate(str.maketrans(",.", ".,")) if self.format == COMMA else grouped

    def _date_sent(self, seconds: float) -> str:
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
        if self.format is None:
            return moment.isoformat(" ").removesuffix(" 00:00:00")
        return period_of(moment, self.format) if self.format in PERIODS else moment.strftime(self.format)

    def missing(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Returns whether each of these values of the column is missing."""
        return values < 0 if self.kind == "text" else np.isnan(values)


class Table:
    """A table of columns.

    Args:
        folder: the folder of its columns.
        name: the table's name in messages, usually the file's name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        self.name = name
        self.file_rows: list[int] = head["files"]
        self.notes: list[str] = head["notes"]
        self.has_header: bool | None = head["header"]
        self.missing: dict[str, list[str]] = head["missing"]
        opened: dict[str, NDArray[Any]] = {}
        self.columns = {each["name"]: Column(folder=folder, opened=opened, **each) for each in head["columns"]}

    def __len__(self) -> int:
        return sum(self.file_rows)

    def column(self, name: str, key: str) -> Column:
        """Returns the column of that name.

        Raises:
            DataError: the column does not exist; the message has the nearest name.
        """
        if name not in self.columns:
            raise DataError(f"{key}: there is no column {name!r} in {self.name}{suggestion(name, self.columns)}")
        return self.columns[name]


@dataclass(frozen=True)
class Head:
    """A description of the files that a table was read from.

    Attributes:
        files: the number of rows of each file.
        notes: notices for the user on how they were read.
        header: whether the first line of a CSV file names its columns; None for other files.
        missing: column -> texts that mean a missing value in it alone.
    """

    files: list[int]
    notes: list[str] = field(default_factory=list)
    header: bool | None = None
    missing: dict[str, tuple[str, ...]] = field(default_factory=dict)


def write_head(folder: Path, head: Head, columns: list[Column]) -> None:
    """Write the head of a table, which `Table` reads first. The files of the columns must exist already."""
    listed = [{name: getattr(each, name) for name in ("name", "kind", "place", "format")} for each in columns]
    told = {**asdict(head), "columns": listed}
    (folder / HEAD).write_text(json.dumps(told), encoding="utf-8")
