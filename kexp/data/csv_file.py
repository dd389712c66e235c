"""Data from CSV files: numbers and categories, missing values, files larger than memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from kexp.data.csv_table import CsvTable
    from kexp.data.source import Data

__all__ = ["csv", "csv_encoded"]


def csv(
    path: str,
    target: str | list[str],
    *,
    task: Literal["auto", "classification", "regression"] = "auto",
    columns: list[str] | None = None,
    drop: list[str] | None = None,
    categorical: list[str] | None = None,
    classes: list[str] | None = None,
    delimiter: str = ",",
    validation_path: str | None = None,
    test_path: str | None = None,
    max_categories: int = 100,
) -> Data:
    """A CSV file with a header line. Rows are read when they are needed, so that it may be larger than memory.

    Columns of numbers are features as they are, their missing values the median of the training rows; all other columns
    are categories, one feature each. What this takes is learned from the training rows and kept with the run.

    Args:
        path: the file, or a pattern that matches several; UTF-8.
        target: column to predict, or several columns of numbers.
        task: classification or regression; auto takes text, and whole numbers of at most 20 kinds, for classes.
        columns: feature columns; all but the target by default.
        drop: columns to leave out.
        categorical: columns of numbers that are categories nevertheless.
        classes: order of the class names; sorted by default.
        delimiter: character between fields; tab for a tab.
        validation_path: file of validation rows; taken from `path` by default.
        test_path: file of test rows; taken from `path` by default.
        max_categories: most categories that one column may have in the training rows; > 0.
    """
    from kexp.data.csv_data import read_csv_data

    table, splits = _table(path, delimiter, {"validation": validation_path, "test": test_path})
    targets = [target] if isinstance(target, str) else [str(name) for name in target]
    return read_csv_data(
        table,
        targets,
        task=task,
        columns=columns,
        drop=drop,
        categorical=categorical,
        classes=classes,
        splits=splits,
        max_categories=max_categories,
    )


def csv_encoded(path: str, encoding: Mapping[str, Any], *, key: str = "data.path") -> Data:
    """Other rows, with the encoding that a run learned: its `data_encoding.json`.

    Args:
        path: CSV file with the feature columns; the target's columns may be missing, and targets are zeros then.
        encoding: as `Splits.encoding` had it.
        key: config key or argument that a complaint begins with.

    Returns:
        Data whose features are the run's, in the order of the file's rows.

    Raises:
        DataError: a column of the encoding is not there, or holds text where the run had numbers.
    """
    from kexp.data.csv_data import read_encoded
    from kexp.data.csv_table import CsvTable
    from kexp.data.files import matching

    return read_encoded(CsvTable([(file, key) for file in matching(path, key)], encoding["delimiter"]), encoding, key)


def _table(path: str, delimiter: str, others: Mapping[str, str | None]) -> tuple[CsvTable, dict[str, Any] | None]:
    """All files as one table, and which rows came from which where several parts are given."""
    import numpy as np

    from kexp.data.csv_table import CsvTable
    from kexp.data.files import matching

    files, parts = [], []
    for part, name in (("train", path), *others.items()):
        if name is not None:
            key = "data.path" if part == "train" else f"data.{part}_path"
            found = matching(name, key)
            files += [(file, key) for file in found]
            parts += [part] * len(found)
    table = CsvTable(files, delimiter)
    if set(parts) == {"train"}:
        return table, None
    splits = {
        part: np.concatenate([table.file_rows(file) for file, of in enumerate(parts) if of == part])
        for part in dict.fromkeys(parts)
    }
    return table, splits
