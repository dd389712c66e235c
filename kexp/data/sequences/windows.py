"""Windows over the rows of series in order: where each begins, what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.table.encoding.encoder import EncodedTable
from kexp.data.table.order import groups_of, times_of
from kexp.data.table.plan import Plan
from kexp.data.table.stored import Table
from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SeriesPlan", "Windows", "in_order", "series_name", "starts_of"]


@dataclass(frozen=True)
class SeriesPlan(Plan):
    """The settings of `data=series`; see `series_component.series`."""

    time: str = ""
    window: int = 16
    horizon: int = 1
    stride: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("window", "horizon", "stride"):
            if getattr(self, key) < 1:
                raise DataError(f"data.{key}: must be a positive integer, got {getattr(self, key)!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each output: the target and the number of steps ahead."""
        if self.horizon == 1:
            return self.target
        return tuple(f"{name} +{step + 1}" for step in range(self.horizon) for name in self.target)


class Windows:
    """Windows over encoded rows; a Source.

    Args:
        encoded: the rows, sorted by series and time.
        starts: the position of each window's first row, shape (windows,).
        size: steps of a window.
        targets: the targets of each window.
    """

    def __init__(
        self, encoded: EncodedTable, starts: NDArray[np.intp], size: int, targets: NDArray[np.float32]
    ) -> None:
        self.encoded, self.starts, self.size, self.targets = encoded, starts, size, targets
        self.table, self.rows, self.unseen = encoded.table, encoded.rows, encoded.unseen

    def __len__(self) -> int:
        return len(self.starts)

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Source.read`."""
        steps = self.starts[rows][:, None] + np.arange(self.size)
        x, _ = self.encoded.read(steps.ravel())
        return x.reshape(len(rows), self.size, -1), self.targets[rows]


def in_order(table: Table, plan: SeriesPlan) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return the rows of the table sorted by series and time, and the group and time of each."""
    rows = np.arange(len(table), dtype=np.intp)
    times = times_of(table, plan.time, rows)
    groups = groups_of(table, plan.group, rows)
    assert times is not None
    if groups is None:
        groups = np.zeros(len(rows), dtype=np.intp)
    order = np.lexsort((times, groups)).astype(np.intp)
    times, groups = times[order], groups[order]
    twice = np.flatnonzero((np.diff(times) == 0) & (np.diff(groups) == 0))
    if len(twice):
        row = order[twice[0]]
        which = "data.group names the column that tells series apart" if plan.group is None else "one row a time"
        raise DataError(
            f"data.time: a time must not occur twice in {series_name(table, plan, row)}, got "
            f"{table.columns[plan.time].shown(row)} twice; {which}"
        )
    return order, groups, times


def starts_of(groups: NDArray[np.intp], plan: SeriesPlan) -> tuple[NDArray[np.intp], int]:
    """Return the first position of each window, and the number of series that are too short for one."""
    ends = np.append(np.flatnonzero(np.diff(groups)) + 1, len(groups))
    begins = np.append(0, ends[:-1])
    need = plan.window + plan.horizon
    longest = int((ends - begins).max())
    if longest < need:
        raise DataError(
            f"data.window: a window of {plan.window} and a horizon of {plan.horizon} need {need} rows of one series, "
            f"but the longest has {longest}"
        )
    starts = [np.arange(begin, end - need + 1, plan.stride) for begin, end in zip(begins, ends, strict=True)]
    return np.concatenate(starts).astype(np.intp), int((ends - begins < need).sum())


def series_name(table: Table, plan: SeriesPlan, row: Any) -> str:
    """Return what to call the series of a row in a message."""
    return "the series" if plan.group is None else f"{plan.group} {table.columns[plan.group].shown(row)!r}"
