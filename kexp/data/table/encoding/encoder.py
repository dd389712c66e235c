"""Encode a table's columns as numbers. The encoding is learned from the training rows and stored as plain JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.source import DataSpec, Encoded
from kexp.data.table.encoding.columns import fit_column
from kexp.data.table.encoding.summary import summary_line, unseen_notices
from kexp.data.table.plan import Plan
from kexp.data.table.stored import Column, Table
from kexp.data.table.unfitted import spec_kept
from kexp.errors import DataError
from kexp.serving.encoding import feature_names, fill_category, fill_date, fill_number, places_of_numbers
from kexp.system.large_arrays import gathered

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EncodedTable", "TableEncoder", "encoded_spec"]

VERSION = 2

Fill = Callable[["NDArray[np.float32]", "NDArray[np.intp]"], None]


@dataclass(frozen=True)
class TableEncoder:
    """Learns the encoding of a table's columns from its training rows.

    Args:
        table: the table.
        rows: the rows of the table that have targets.
        targets: the targets of these rows.
        spec: the spec of the targets; fitting sets its feature shape.
        features: names of the columns that may become features.
        plan: the user's choices.
        about: further content to store with the encoding.
        dropped: the number of dropped rows, and the target that they lack.
        taught: the encoding of an earlier run and the run's label; its columns are used, and nothing is learned.
    """

    table: Table
    rows: NDArray[np.intp]
    targets: NDArray[Any]
    spec: DataSpec
    features: Sequence[str]
    plan: Plan
    about: Mapping[str, Any]
    dropped: tuple[int, str] = (0, "")
    taught: tuple[Mapping[str, Any], str] | None = None

    def with_encoding(self, encoding: Mapping[str, Any], label: str) -> TableEncoder:
        """Returns this encoder with the encoding of an earlier run.

        Raises:
            DataError: a column of the run does not exist, is not a feature or has another kind, or the run's data is
                texts.
        """
        if "columns" not in encoding:
            raise DataError(f"data: must be texts (data=text) as in {label}, got a table")
        for column in encoding["columns"]:
            name = column["name"]
            if "left_out" in column:
                continue
            if name not in self.features:
                raise DataError(f"data.columns: must have {name!r}, a feature of {label}")
            there, kind = encoding["kinds"][name][0], self.table.columns[name].kind
            if there != kind and {there, kind} != {"number", "boolean"}:
                raise DataError(f"data.path: column {name!r} must hold {there} as in {label}, got {kind}")
        return replace(self, taught=(encoding, label))

    def fit(self, rows: NDArray[np.intp]) -> Encoded:
        """Learns the encoding from these rows, and returns it with the encoded table.

        Raises:
            DataError: no column becomes a feature.
        """
        training = gathered(self.rows, rows)
        if self.taught is None:
            columns = [fit_column(self.table.columns[name], training, self.plan) for name in self.features]
        else:
            columns = list(self.taught[0]["columns"])
            known = {column["name"] for column in columns}
            columns += [
                {"name": name, "left_out": f"not in {self.taught[1]}"} for name in self.features if name not in known
            ]
        encoding: dict[str, Any] = {
            "version": VERSION,
            **self.about,
            "task": self.spec.task,
            "classes": None if self.spec.classes is None else list(self.spec.classes),
            "outputs": self.spec.outputs,
            "columns": columns,
        }
        if all("left_out" in column for column in columns):
            raise DataError(f"data.columns: leaves no feature columns; {_instead(columns)}")
        source = EncodedTable(self.table, self.rows, self.targets, encoding)
        words = "; ".join([summary_line(len(self.rows) + self.dropped[0], self.dropped, columns), *self.table.notes])
        if self.taught is not None:
            words = "; ".join([words, f"encoded as in {self.taught[1]}", *unseen_notices(source.unseen())])
        return Encoded(source, encoded_spec(encoding), encoding, words)


class EncodedTable:
    """Encoded rows of a table; a Source.

    Args:
        table: the table.
        rows: the rows of the table that the data has.
        targets: the targets of these rows.
        encoding: the encoding, as `TableEncoder.fit` returns it.
    """

    def __init__(
        self, table: Table, rows: NDArray[np.intp], targets: NDArray[Any], encoding: Mapping[str, Any]
    ) -> None:
        self.table, self.rows, self.targets = table, rows, targets
        self._used = [column for column in encoding["columns"] if "left_out" not in column]
        self._fills: list[Fill] = []
        self.width = 0
        for column in self._used:
            width = len(feature_names(column))
            self._fills.append(_fill_of(table.columns[column["name"]], column, self.width))
            self.width += width

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Source.read`."""
        encoded = np.zeros((len(rows), self.width), dtype=np.float32)
        there = self.rows[rows]
        for fill in self._fills:
            fill(encoded, there)
        return encoded, self.targets[rows]

    def unseen(self) -> dict[str, int]:
        """Returns column -> number of rows with a category that the training rows did not have."""
        found = {}
        for column in self._used:
            if column["kind"] == "category" and not column["others"]:
                known = _places(self.table.columns[column["name"]], column)
                values = self.table.columns[column["name"]].values[self.rows]
                missing = self.table.columns[column["name"]].missing(values)
                found[column["name"]] = int((known(values[~missing]) < 0).sum())
        return {name: count for name, count in found.items() if count}


def encoded_spec(encoding: Mapping[str, Any]) -> DataSpec:
    """Return the description of an encoded row."""
    names = tuple(name for column in encoding["columns"] for name in feature_names(column))
    return spec_kept(encoding, (len(names),), feature_names=names)


def _fill_of(column: Column, fitted: Mapping[str, Any], at: int) -> Fill:
    """Return a function that writes rows of a column into their features, which begin at `at`."""
    if fitted["kind"] != "category":
        write = fill_date if fitted["kind"] == "date" else fill_number
        return lambda encoded, rows: write(encoded, at, np.asarray(column.values[rows]), fitted)
    known = _places(column, fitted)

    def fill(encoded: NDArray[np.float32], rows: NDArray[np.intp]) -> None:
        values = np.asarray(column.values[rows])
        missing = column.missing(values)
        fill_category(encoded, at, known(np.where(missing, 0, values)), missing, fitted)

    return fill


def _places(column: Column, fitted: Mapping[str, Any]) -> Callable[[NDArray[Any]], NDArray[np.intp]]:
    """Return a function from values to the places of their categories; -1 for those that training rows did not have."""
    if column.kind != "text":
        return lambda values: places_of_numbers(fitted["categories"], values)
    categories = {name: place for place, name in enumerate(fitted["categories"])}
    table = np.array([*(categories.get(word, -1) for word in column.words), -1], dtype=np.intp)
    return lambda values: table[values]


def _instead(columns: Sequence[Mapping[str, Any]]) -> str:
    """Return what to choose if no column becomes a feature."""
    texts = [column["name"] for column in columns if column["left_out"] == "text"]
    if texts:
        how = f"data=text model=text reads it, and data.categorical=[{texts[0]}] takes each of its texts for a category"
        return f"{texts[0]!r} is text: {how}"
    name, why = columns[0]["name"], columns[0]["left_out"]
    return f"{name!r} is left out: {why}"
