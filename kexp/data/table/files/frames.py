"""Convert the columns of a pandas data frame whose types DuckDB does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["readable"]


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with periods as dates, time differences in seconds, and intervals and mixed values as texts.

    Raises:
        DataError: a column holds complex numbers.
    """
    plain = frame.copy(deep=False)
    for place, name in enumerate(frame.columns):  # by place, for two columns may have one name
        values = frame.iloc[:, place]
        if _is_odd(values):
            plain.isetitem(place, _column(name, values))
    return plain


def _is_odd(values: pd.Series[Any]) -> bool:
    import pandas as pd

    # pandas' own types of periods and intervals are objects too
    return values.dtype.kind in "mcO" or isinstance(values.dtype, pd.SparseDtype)


def _column(name: str, values: pd.Series[Any]) -> Any:
    import pandas as pd

    if values.dtype.kind == "c":
        raise DataError(f"data: column {name!r} must hold real numbers, got {values.dtype}")
    if values.dtype.kind == "m":
        return values.dt.total_seconds()
    if isinstance(values.dtype, pd.PeriodDtype):
        return values.dt.to_timestamp()
    if isinstance(values.dtype, pd.IntervalDtype) or _has_intervals(values):
        return values.astype(str).where(values.notna(), None)
    if isinstance(values.dtype, pd.SparseDtype):
        return np.asarray(values)
    kinds = {type(each) for each in values.dropna()}
    mixed = len(kinds) > 1 and bool(kinds & {bool, str}) and not any(hasattr(each, "__len__") for each in kinds - {str})
    return values.map(str, na_action="ignore") if mixed else values


def _has_intervals(values: pd.Series[Any]) -> bool:
    import pandas as pd

    return isinstance(values.dtype, pd.CategoricalDtype) and isinstance(values.cat.categories.dtype, pd.IntervalDtype)
