"""`data=csv` and `data=table`: the components, and other rows read as a run read its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from kexp.data.source import Data

__all__ = ["csv", "table", "table_encoded"]


def table(
    path: str | None = None,
    target: str | list[str] | None = None,
    *,
    query: str | None = None,
    task: Literal["auto", "classification", "regression", "labels"] = "auto",
    columns: list[str] | None = None,
    drop: list[str] | None = None,
    categorical: list[str] | None = None,
    dates: list[str] | None = None,
    text: list[str] | None = None,
    classes: list[str] | None = None,
    weight: str | None = None,
    time: str | None = None,
    group: str | None = None,
    missing_target: Literal["drop", "error"] = "drop",
    na_values: list[str] | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    names: list[str] | None = None,
    validation_path: str | None = None,
    test_path: str | None = None,
    max_categories: int = 100,
) -> Data:
    """A table: CSV, TSV, Parquet, Feather or JSON lines, compressed or not. What its columns hold is found by itself.

    Numbers are features as they are, missing ones the median of the training rows; text is categories, a feature each;
    a date is its year, its days of the year and of the week, and the days since the first. Columns that say nothing,
    another text in every row or the same value, are left out. What this takes is learned from the training rows and
    kept with the run; one line at the start of a run says what was done.

    Args:
        path: a file, a pattern that matches several, a folder of them, or an address (s3://, https://).
        target: column to predict, or several: columns of 0 and 1 are labels, other numbers a regression.
        query: SQL that gives the rows instead, as DuckDB reads it: select ... from 'file.csv'.
        task: what the targets are; auto takes text, and whole numbers of at most 20 kinds, for classes.
        columns: feature columns; all but the target by default.
        drop: columns to leave out.
        categorical: columns that are categories whatever they hold.
        dates: columns that must be dates.
        text: columns that are text, which a table of numbers leaves out.
        classes: order of the class names; sorted by default.
        weight: column that says how much each row counts, in loss and weighted metrics; numbers of 0 or more.
        time: column of dates or numbers: the test part is the last in time, not a part by chance.
        group: column whose groups are kept whole: rows of one stand in one part alone. It is no feature unless
            `columns` names it.
        missing_target: whether rows without a target are left out, or an error.
        na_values: what is missing, in every column; the empty field always, and NA, n/a, ? and the like in numbers.
        delimiter: between fields of a CSV file; found by default; tab for a tab.
        decimal: the decimal mark, . or , ; found by default.
        encoding: of a CSV file, for example latin-1; found by default.
        header: whether the first line of a CSV file names its columns; found by default.
        names: of the columns of a CSV file, in place of those of its header; without one they are column_1 and so on.
        validation_path: rows to validate on; taken from `path` by default.
        test_path: rows to test on; taken from `path` by default.
        max_categories: most categories of a column: the most frequent, and one more for all others.
    """
    from kexp.data.table.data import Plan, table_data
    from kexp.data.table.options import ReadOptions

    targets = [target] if isinstance(target, str) else [str(name) for name in target or ()]
    plan = Plan(
        target=tuple(targets),
        task=task,
        columns=columns,
        drop=drop or (),
        categorical=tuple(categorical or ()),
        dates=tuple(dates or ()),
        text=tuple(text or ()),
        classes=classes,
        weight=weight,
        time=time,
        group=group,
        missing_target=missing_target,
        max_categories=max_categories,
    )
    how = ReadOptions.of(delimiter, decimal, encoding, na_values, header, names)
    return table_data({"path": path, "validation_path": validation_path, "test_path": test_path}, query, how, plan)


csv = table


def table_encoded(path: str, encoding: Mapping[str, Any], *, key: str = "data.path") -> Data:
    """Other rows, with the encoding that a run learned: its `data_encoding.json`.

    Args:
        path: a table with the feature columns; the target's columns may be missing, and targets are zeros then.
        encoding: as `Splits.encoding` had it.
        key: config key or argument that a complaint begins with.

    Returns:
        Data whose features are the run's, in the order of the file's rows; of rows without a target only those that
        have one, where the file has the target's column.

    Raises:
        DataError: a column of the encoding is not there, or holds text where the run had numbers.
    """
    from kexp.data.table.data import read_encoded

    return read_encoded(path, encoding, key)
