"""The components `data=csv` and `data=table`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kexp.data.source import Data

__all__ = ["csv", "table"]


def table(
    path: str | None = None,
    target: str | float | list[str | float] | None = None,
    *,
    query: str | None = None,
    task: Literal["auto", "classification", "regression", "labels"] = "auto",
    columns: str | float | list[str | float] | None = None,
    drop: str | float | list[str | float] | None = None,
    categorical: str | float | list[str | float] | None = None,
    dates: str | float | list[str | float] | None = None,
    text: str | float | list[str | float] | None = None,
    classes: list[str | float] | None = None,
    weight: str | float | None = None,
    time: str | float | None = None,
    group: str | float | None = None,
    missing_target: Literal["drop", "error"] = "drop",
    na_values: str | float | list[str | float] | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    names: list[str | float] | None = None,
    validation_path: str | None = None,
    test_path: str | None = None,
    max_categories: int = 100,
) -> Data:
    """A table: CSV, TSV, Parquet, Feather or JSON lines, compressed or not. The kinds of its columns are detected.

    Numbers are features, with missing values replaced by the median of the training rows. Text is encoded as
    categories, one feature each. A date is encoded as its year, its day of the year and of the week, and the days since
    the first date. Columns without information (a different text in every row, or always the same value) are left out.
    The encoding is learned from the training rows and stored with the run; a line at the start of a run describes it.

    Args:
        path: a file, a pattern that matches several, a folder of files, or a URL (s3://, https://).
        target: column to predict, or several: columns of 0 and 1 are labels, other numbers a regression.
        query: SQL for DuckDB that returns the rows, instead of a path: select ... from 'file.csv'.
        task: the task; auto treats text, and whole numbers with at most 20 distinct values, as classes.
        columns: feature columns; all but the target by default.
        drop: columns to leave out.
        categorical: columns to treat as categories, whatever they contain.
        dates: columns that must be dates.
        text: columns to treat as text, which is not encoded.
        classes: order of the class names; sorted by default.
        weight: column of sample weights for loss and weighted metrics; each at least 0.
        time: column of dates or numbers: the test part is the last rows in time, not random rows.
        group: column of groups: all rows of a group are in one part. It is not a feature unless `columns` names it.
        missing_target: whether to drop rows without a target, or to raise an error.
        na_values: texts that mean a missing value, in every column. Empty fields are always missing, and in columns of
            numbers so are NA, n/a, ? and similar texts.
        delimiter: delimiter of a CSV file; detected by default; tab for a tab.
        decimal: the decimal mark, . or , ; detected by default.
        encoding: encoding of a CSV file, for example latin-1; detected by default.
        header: whether the first line of a CSV file names its columns; detected by default.
        names: names of the columns of a CSV file, instead of its header; without a header, column_1 and so on.
        validation_path: rows to validate on; split from `path` by default.
        test_path: rows to test on; split from `path` by default.
        max_categories: most categories of a column: the most frequent ones, and one for all others.
    """
    from kexp.data.table.data import table_data
    from kexp.data.table.options import ReadOptions, check_source, listed, named
    from kexp.data.table.plan import Plan

    check_source(path, query)
    plan = Plan(
        target=listed(target) or (),
        task=task,
        columns=listed(columns),
        drop=listed(drop) or (),
        categorical=listed(categorical) or (),
        dates=listed(dates) or (),
        text=listed(text) or (),
        classes=listed(classes),
        weight=named(weight),
        time=named(time),
        group=named(group),
        missing_target=missing_target,
        max_categories=max_categories,
    )
    how = ReadOptions(delimiter, decimal, encoding, listed(na_values), header, listed(names))
    return table_data({"path": path, "validation_path": validation_path, "test_path": test_path}, query, how, plan)


csv = table
