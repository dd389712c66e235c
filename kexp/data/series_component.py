"""`data=series`: the component."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kexp.data.source import Data

__all__ = ["series"]


def series(
    path: str | None = None,
    target: str | list[str] | None = None,
    *,
    time: str,
    group: str | None = None,
    window: int = 16,
    horizon: int = 1,
    stride: int = 1,
    query: str | None = None,
    columns: list[str] | None = None,
    drop: list[str] | None = None,
    categorical: list[str] | None = None,
    dates: list[str] | None = None,
    na_values: list[str] | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    names: list[str] | None = None,
    max_categories: int = 100,
) -> Data:
    """Series in a table, a row a step: the next steps from a window of steps before them.

    A row of features is a window, shape (steps, columns), its columns encoded as those of a table; targets are the
    columns to forecast at each of the next steps. Windows stay within a series. Parts are cut by time: no training
    target lies in the time of the test part; windows that lie across the cut are in no part.

    Args:
        path: a file, a pattern that matches several, a folder of them, or an address, as of `data=table`.
        target: column to forecast, or several, of numbers.
        time: column of dates or numbers that orders the rows.
        group: column that tells series apart; one series unless given.
        window: steps that a forecast is made from; > 0.
        horizon: steps ahead that are forecast; > 0.
        stride: steps between the beginnings of two windows; > 0.
        query: SQL that gives the rows instead.
        columns: feature columns; all but time and group by default, the target too.
        drop: columns to leave out.
        categorical: columns that are categories whatever they hold.
        dates: columns that must be dates.
        na_values: what is missing, in every column.
        delimiter: between fields of a CSV file; found by default; tab for a tab.
        decimal: the decimal mark, . or , ; found by default.
        encoding: of a CSV file, for example latin-1; found by default.
        header: whether the first line of a CSV file names its columns; found by default.
        names: of the columns of a CSV file, in place of those of its header; without one they are column_1 and so on.
        max_categories: most categories of a column: the most frequent, and one more for all others.
    """
    from kexp.data.series import Plan, series_data
    from kexp.data.table.options import ReadOptions

    plan = Plan(
        target=(target,) if isinstance(target, str) else tuple(target or ()),
        time=time,
        group=group,
        window=window,
        horizon=horizon,
        stride=stride,
        columns=None if columns is None else tuple(columns),
        drop=tuple(drop or ()),
        categorical=tuple(categorical or ()),
        dates=tuple(dates or ()),
        max_categories=max_categories,
    )
    how = ReadOptions.of(delimiter, decimal, encoding, na_values, header, names)
    return series_data(path, query, how, plan)
