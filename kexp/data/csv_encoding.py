"""Encoding a table's columns as numbers, learned from training rows and kept as plain JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.csv_table import NUMBER, TEXT, CsvTable
from kexp.data.encoder import Encoded
from kexp.data.source import CHUNK_ROWS, DataSpec
from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CsvEncoder", "EncodedTable", "feature_names"]

MEDIAN_CELLS = 10_000_000
VERSION = 1


@dataclass(frozen=True)
class CsvEncoder:
    """Learns medians and category vocabularies of a table from its training rows.

    A numeric column becomes one feature: its number, or where it is missing the training rows' median; and where it is
    missing in some training row, a second feature that is 1 there. A categorical column becomes one feature a category,
    in sorted order, 1 for the row's; and one for "missing" where training rows had it. What training rows did not have
    is all zeros.

    Args:
        table: the rows.
        targets: targets of all rows.
        spec: task and classes; its feature shape is settled here.
        kinds: "number" or "text" by feature column, in the order of the features.
        max_categories: most categories that a column may have.
        about: what else is kept with the encoding: the target's columns, the delimiter.
    """

    table: CsvTable
    targets: NDArray[Any]
    spec: DataSpec
    kinds: Mapping[str, str]
    max_categories: int
    about: Mapping[str, Any]

    def fit(self, rows: NDArray[np.intp]) -> Encoded:
        """The encoding learned from these rows, and the table as it encodes it.

        Raises:
            DataError: a column is missing in every training row, or has more categories than allowed.
        """
        numbers = [name for name, kind in self.kinds.items() if kind == NUMBER]
        texts = [name for name, kind in self.kinds.items() if kind == TEXT]
        medians = self._medians(rows, numbers)
        missing, categories = self._survey(rows, numbers, texts)
        columns: list[dict[str, Any]] = []
        for name, kind in self.kinds.items():
            if kind == NUMBER:
                columns.append({"name": name, "kind": NUMBER, "median": medians[name], "missing": missing[name]})
            else:
                found = sorted(categories[name])
                columns.append({"name": name, "kind": TEXT, "categories": found, "missing": missing[name]})
        encoding: dict[str, Any] = {
            "version": VERSION,
            **self.about,
            "task": self.spec.task,
            "classes": None if self.spec.classes is None else list(self.spec.classes),
            "outputs": self.spec.outputs,
            "columns": columns,
        }
        spec = encoded_spec(encoding)
        return Encoded(EncodedTable(self.table, self.targets, encoding), spec, encoding)

    def _medians(self, rows: NDArray[np.intp], names: Sequence[str]) -> dict[str, float]:
        """Medians over all training rows, or over rows evenly spread among them where they would not fit in memory."""
        if not names:
            return {}
        most = max(1000, MEDIAN_CELLS // len(names))
        if len(rows) > most:
            rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.intp)]
        frames = [self.table.frame(part, names, dict.fromkeys(names, NUMBER)) for part in _chunks(rows)]
        medians = {}
        for name in names:
            values = np.concatenate([frame[name].to_numpy() for frame in frames])
            values = values[~np.isnan(values)]
            if not len(values):
                raise DataError(f"data.drop: column {name!r} is missing in every training row; drop it")
            medians[name] = float(np.median(values))
        return medians

    def _survey(
        self, rows: NDArray[np.intp], numbers: Sequence[str], texts: Sequence[str]
    ) -> tuple[dict[str, bool], dict[str, set[str]]]:
        """Which columns are missing in some row, and the categories of each text column."""
        missing = dict.fromkeys([*numbers, *texts], False)
        categories: dict[str, set[str]] = {name: set() for name in texts}
        for part in _chunks(rows):
            frame = self.table.frame(part, list(missing), self.kinds)
            for name in missing:
                missing[name] = missing[name] or bool(frame[name].isna().any())
            for name in texts:
                categories[name].update(frame[name].dropna().unique().tolist())
                if len(categories[name]) > self.max_categories:
                    raise DataError(
                        f"data.max_categories: column {name!r} must have at most {self.max_categories} categories "
                        "in the training rows, got more; drop the column with data.drop, or allow more"
                    )
        return missing, categories


class EncodedTable:
    """Rows of a table with an encoding applied; a Source.

    Args:
        table: the rows.
        targets: targets of all rows.
        encoding: as `CsvEncoder.fit` made it.
    """

    def __init__(self, table: CsvTable, targets: NDArray[Any], encoding: Mapping[str, Any]) -> None:
        self.table, self.targets = table, targets
        self._kinds = {column["name"]: column["kind"] for column in encoding["columns"]}
        self._texts: dict[str, dict[str | None, int]] = {}
        numbers: list[tuple[Mapping[str, Any], int]] = []  # each with its feature
        flagged: list[tuple[int, int]] = []  # which number, and the feature that is 1 where it is missing
        at = 0  # the next feature
        for column in encoding["columns"]:
            if column["kind"] == NUMBER:
                flagged += [(len(numbers), at + 1)] if column["missing"] else []
                numbers.append((column, at))
                at += 1 + column["missing"]
            else:
                names: list[str | None] = [*column["categories"], *([None] if column["missing"] else [])]
                self._texts[column["name"]] = {name: at + place for place, name in enumerate(names)}
                at += len(names)
        self._numbers = [column["name"] for column, _ in numbers]
        self._medians = np.array([column["median"] for column, _ in numbers], dtype=np.float64)
        self._number_at = [feature for _, feature in numbers]
        self._flagged, self._flag_at = [number for number, _ in flagged], [feature for _, feature in flagged]
        self._width = at

    def __len__(self) -> int:
        return len(self.table)

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Source.read`."""
        frame = self.table.frame(rows, list(self._kinds), self._kinds)
        encoded = np.zeros((len(rows), self._width), dtype=np.float32)
        if self._numbers:
            values = frame[self._numbers].to_numpy(dtype=np.float64)
            missing = np.isnan(values)
            encoded[:, self._number_at] = np.where(missing, self._medians, values)
            encoded[:, self._flag_at] = missing[:, self._flagged]
        for name, places in self._texts.items():
            for row, value in enumerate(frame[name].tolist()):
                at = places.get(value if isinstance(value, str) else None)
                if at is not None:
                    encoded[row, at] = 1.0
        return encoded, self.targets[rows]


def feature_names(encoding: Mapping[str, Any]) -> tuple[str, ...]:
    """One name a feature: the column's, `column=category`, or `column is missing`."""
    names: list[str] = []
    for column in encoding["columns"]:
        name = column["name"]
        names += [name] if column["kind"] == NUMBER else [f"{name}={category}" for category in column["categories"]]
        names += [f"{name} is missing"] if column["missing"] else []
    return tuple(names)


def encoded_spec(encoding: Mapping[str, Any]) -> DataSpec:
    """What a row looks like once encoded."""
    names = feature_names(encoding)
    classes = encoding["classes"]
    return DataSpec(
        feature_shape=(len(names),),
        task=encoding["task"],
        classes=None if classes is None else tuple(classes),
        outputs=encoding["outputs"],
        feature_names=names,
    )


def _chunks(rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(rows), CHUNK_ROWS):
        yield rows[start : start + CHUNK_ROWS]
