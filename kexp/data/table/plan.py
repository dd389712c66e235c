"""The settings of a table's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kexp.data.table.stored import Table
from kexp.errors import DataError

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """The settings of the columns; see `component.table`.

    Raises:
        DataError: there is no target, a column is named twice, or `max_categories` is not positive.
    """

    target: tuple[str, ...]
    task: str = "auto"
    columns: Sequence[str] | None = None
    drop: Sequence[str] = ()
    categorical: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    classes: Sequence[str] | None = None
    weight: str | None = None
    time: str | None = None
    group: str | None = None
    missing_target: str = "drop"
    max_categories: int = 100

    def kinds(self) -> dict[str, str]:
        """Returns column -> kind, for columns whose kind the user sets."""
        return dict.fromkeys(self.dates, "date") | dict.fromkeys((*self.categorical, *self.text), "text")

    def __post_init__(self) -> None:
        if self.max_categories < 1:
            raise DataError(f"data.max_categories: must be a positive integer, got {self.max_categories!r}")
        if not self.target:
            raise DataError("data.target: must name at least one column")
        for name in self.target:
            if self.target.count(name) > 1:
                raise DataError(
                    f"data.target: must name each column once, got {name!r} {self.target.count(name)} times"
                )
        listed = {"categorical": self.categorical, "dates": self.dates, "text": self.text}
        for (key, names), (other, others) in (
            ((a, listed[a]), (b, listed[b])) for a in listed for b in listed if a < b
        ):
            both = sorted(set(names) & set(others))
            if both:
                raise DataError(f"data.{key}: must not name {both[0]!r}, which data.{other} names too")

    def refuse_unknown(self, table: Table) -> None:
        """Refuses columns that the table does not have.

        Raises:
            DataError: there is one; the message has the nearest name.
        """
        for key in ("columns", "drop", "categorical", "dates", "text"):
            for name in getattr(self, key) or ():
                table.column(name, f"data.{key}")
