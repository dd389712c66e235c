"""Extract targets from a table's columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kexp.data.source import CHUNK_ROWS, Task
from kexp.data.table.stored import FEWEST_IDENTIFIERS, Column, Table
from kexp.data.targets import MOST_INTEGER_CLASSES, Targets, check_resolution, index_targets
from kexp.errors import DataError
from kexp.system.large_arrays import counted, gathered, numbered, selected

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["known_targets", "numbers_of", "rows_with", "targets_of"]


def rows_with(columns: Sequence[Column], count: int) -> NDArray[np.intp]:
    """Return which of the rows 0..count-1 have a value in every column."""
    there = np.ones(count, dtype=bool)
    for column in columns:
        for start in range(0, count, CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            there[chunk] &= ~column.missing(column.values[chunk])
    return numbered(count) if there.all() else selected(numbered(count), there)


def targets_of(columns: Sequence[Column], rows: NDArray[np.intp], task: str, classes: Sequence[str] | None) -> Targets:
    """Return the targets of rows that all have targets.

    Unless `task` says otherwise, text, true and false, and repeating whole numbers with at most 20 distinct values are
    classes; several columns of 0 and 1, or of true and false, are labels; other numbers are a regression.

    Raises:
        DataError: a column has text but the task needs numbers, or `classes` lacks a class.
    """
    asked = None if task == "auto" else cast(Task, task)
    for column in columns:
        if column.kind in ("text", "date") and (len(columns) > 1 or asked in ("regression", "labels")):
            what = "a regression" if asked != "labels" else "labels"
            raise DataError(f"data.target: column {column.name!r} must hold numbers for {what}, got {column.kind}")
    if len(columns) > 1:
        wide = np.stack([_numbers(column, rows) for column in columns], axis=1)
        whole = bool(((wide == 0) | (wide == 1)).all())
        if whole and asked is None:
            asked = "labels"
        check_resolution(wide, "data.target")
        return index_targets(wide, asked or "regression", classes, "data")
    (column,) = columns
    if column.kind == "text":
        codes, names = _coded(column, rows)
        order = [str(name) for name in classes] if classes else names
        unknown = sorted(set(names) - set(order))
        if unknown:
            raise DataError(f"data.classes: must name every class, but {unknown[0]!r} of {column.name!r} is not there")
        if asked is None and not classes and len(rows) >= FEWEST_IDENTIFIERS and 2 * len(names) > len(rows):
            raise DataError(f"data.target: column {column.name!r} must {_instead_of_classes(names, len(rows))}")
        at = {name: index for index, name in enumerate(order)}
        place = np.array([at[name] for name in names], dtype=np.int64)
        return Targets(gathered(place, codes), "classification", tuple(order), len(order))
    values = _numbers(column, rows)
    if column.kind == "boolean" and asked != "regression":
        return index_targets(values.astype(bool).astype(str), "classification", classes, "data")
    whole = bool((values == np.round(values)).all())
    if asked is None:
        kinds = len(np.unique(values))
        few = whole and kinds <= MOST_INTEGER_CLASSES and 2 * kinds <= max(4, len(values))
        asked = "classification" if few or classes else "regression"
    if asked == "classification" and whole:
        y = values.astype(np.int64)
        named = classes and set(map(str, np.unique(y))) <= set(map(str, classes))
        return index_targets(y.astype(str) if named else y, "classification", classes, "data")
    check_resolution(values, "data.target")
    return index_targets(values, asked, classes, "data")


def _instead_of_classes(names: Sequence[str], rows: int) -> str:
    """Return the rule that a column of as many names as rows breaks."""
    if all(re.fullmatch(r"[-+]?\d+([.,]\d+)?", name) for name in names):
        some = [next((name for name in names if mark in name), "") for mark in ",."]
        got = " and ".join(repr(name) for name in some if name)
        return f"hold numbers with one decimal mark, that of data.decimal if it is given, got {got}"
    return f"have names that repeat, to be classes, got {len(names)} in {rows} rows; data.task=classification insists"


def known_targets(table: Table, encoding: Mapping[str, Any], rows: NDArray[np.intp], key: str) -> NDArray[Any]:
    """Return the targets of another table, with the class indices of the run.

    Raises:
        DataError: the table has a class that the run's data did not have, or a value is missing.
    """
    columns = [table.column(name, key) for name in encoding["target"]]
    if encoding["task"] != "classification":
        wide = np.stack([_numbers(column, rows, key) for column in columns], axis=1)
        return index_targets(wide, encoding["task"], None, key).values
    (column,) = columns
    if column.kind == "text":
        codes, found = _coded(column, rows)
    else:
        values, codes = np.unique(_numbers(column, rows, key), return_inverse=True)
        found = [str(bool(value)) if column.kind == "boolean" else f"{value:g}" for value in values]
    names = encoding["classes"]
    place = {name: index for index, name in enumerate(names)}
    by_number = {_as_number(name): index for index, name in enumerate(names)}  # 1.0 in this file, 1 in the run's
    index = [place.get(name, by_number.get(_as_number(name), -1)) for name in found]
    if -1 in index:
        raise DataError(f"{key}: there is no class {found[index.index(-1)]!r} of {column.name!r} in the run")
    return gathered(np.array(index, dtype=np.int64), codes)


def numbers_of(column: Column, rows: NDArray[np.intp], key: str) -> NDArray[np.float64]:
    """Return the values of a column of numbers.

    Raises:
        DataError: the column does not have numbers, or a value is missing.
    """
    if column.kind not in ("number", "boolean"):
        raise DataError(f"{key}: column {column.name!r} must hold numbers, got {column.kind}")
    return column.present(rows, key)


def _numbers(column: Column, rows: NDArray[np.intp], key: str = "data.target") -> NDArray[np.float64]:
    values = numbers_of(column, rows, key)
    if not np.isfinite(values).all():
        row = int(rows[np.argmin(np.isfinite(values))]) + 1
        raise DataError(f"{key}: targets must be finite, got NaN or infinity in row {row}")
    return values


def _coded(column: Column, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], list[str]]:
    """Return the codes of the rows' words, and these words."""
    values = gathered(column.values, rows)
    present = np.flatnonzero(counted(values, len(column.words)))
    place = np.zeros(len(column.words), dtype=np.intp)
    place[present] = np.arange(len(present))
    return gathered(place, values), [column.words[index] for index in present]


def _as_number(name: str) -> float | str:
    try:
        return float(name)
    except ValueError:
        return name
