"""The component `data=series`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kexp.data.source import Data

__all__ = ["series"]


def series(
    path: str | None = None,
    target: str | float | list[str | float] | None = None,
    *,
    time: str | float,
    group: str | float | None = None,
    window: int = 16,
    horizon: int = 1,
    stride: int = 1,
    query: str | None = None,
    columns: str | float | list[str | float] | None = None,
    drop: str | float | list[str | float] | None = None,
    categorical: str | float | list[str | float] | None = None,
    dates: str | float | list[str | float] | None = None,
    na_values: str | float | list[str | float] | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    names: list[str | float] | None = None,
    max_categories: int = 100,
) -> Data:
    """Time series in a table with one row for each step: forecast the next steps from a window of steps before them.

    Features are windows, shape (steps, columns), with columns encoded as in `data=table`. Targets are the columns to
    forecast at each of the next steps. A window stays within a series. Parts are split by time: no training target lies
    in the time of the test part, and windows across the split are in no part.

    Args:
        path: a file, a pattern that matches several, a folder of files, or a URL, as for `data=table`.
        target: column to forecast, or several; numbers.
        time: column of dates or numbers that orders the rows.
        group: column that identifies the series of a row; one series unless given.
        window: steps that a forecast is made from; > 0.
        horizon: steps to forecast; > 0.
        stride: steps between the starts of two windows; > 0.
        query: SQL that returns the rows, instead of a path.
        columns: feature columns; by default all except time and group, including the target.
        drop: columns to leave out.
        categorical: columns to treat as categories, whatever they contain.
        dates: columns that must be dates.
        na_values: texts that mean a missing value, in every column.
        delimiter: delimiter of a CSV file; detected by default; tab for a tab.
        decimal: the decimal mark, . or , ; detected by default.
        encoding: encoding of a CSV file, for example latin-1; detected by default.
        header: whether the first line of a CSV file names its columns; detected by default.
        names: names of the columns of a CSV file, instead of its header; without a header, column_1 and so on.
        max_categories: most categories of a column: the most frequent ones, and one for all others.
    """
    from kexp.data.sequences.series import series_data
    from kexp.data.sequences.windows import SeriesPlan
    from kexp.data.table.options import ReadOptions, check_source, listed, named

    check_source(path, query)
    plan = SeriesPlan(
        target=listed(target) or (),
        time=str(time),
        group=named(group),
        window=window,
        horizon=horizon,
        stride=stride,
        columns=listed(columns),
        drop=listed(drop) or (),
        categorical=listed(categorical) or (),
        dates=listed(dates) or (),
        max_categories=max_categories,
    )
    how = ReadOptions(delimiter, decimal, encoding, listed(na_values), header, listed(names))
    return series_data(path, query, how, plan)
