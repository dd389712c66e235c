"""The ranking as a table for a notebook."""

from __future__ import annotations

from html import escape

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.report.table import table_columns
from kexp.system.notebook import table

__all__ = ["ShownComparison", "table_html"]

_MOST_ROWS = 20


class ShownComparison(Comparison):
    """A comparison that shows itself in a notebook."""

    def _repr_html_(self) -> str:
        return table_html(self)


def table_html(comparison: Comparison) -> str:
    """Returns the conclusion, the notes and the best rows as HTML without scripts."""
    rows = comparison.rows[:_MOST_ROWS]
    columns = table_columns(comparison, rows, compact=True)
    notes = "".join(f"<p>{escape(text)}</p>" for text in (comparison.conclusion(), *comparison.notes))
    ranked = table([column.heading for column in columns], zip(*(column.cells for column in columns), strict=True))
    left = len(comparison.rows) - len(rows)
    return notes + ranked + (f"<p>... and {left:,} more rows in <code>.frame()</code></p>" if left else "")
