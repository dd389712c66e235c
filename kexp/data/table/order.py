"""The times and groups of rows, for splits by time or group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kexp.data.table.stored import Table
from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["groups_of", "times_of"]


def times_of(table: Table, name: str | None, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """Return the times of rows as numbers, shape (rows,); None if no column is named.

    Raises:
        DataError: the column does not exist or has text, or a row has no time.
    """
    if name is None:
        return None
    column = table.column(name, "data.time")
    if column.kind not in ("date", "number"):
        raise DataError(
            f"data.time: column {name!r} must hold dates or numbers, which have an order, got {column.kind}; "
            f"data.dates=[{name}] says what in it is no date"
        )
    return np.asarray(column.present(rows, "data.time"), dtype=np.float64)


def groups_of(table: Table, name: str | None, rows: NDArray[np.intp]) -> NDArray[np.intp] | None:
    """Return the group number of each row, from 0, shape (rows,); None if no column is named.

    Raises:
        DataError: the column does not exist, or a row has no group.
    """
    if name is None:
        return None
    values = table.column(name, "data.group").present(rows, "data.group")
    numbers: NDArray[np.intp] = np.unique(values, return_inverse=True)[1].astype(np.intp)
    return numbers
