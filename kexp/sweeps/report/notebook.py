"""The ranking as a small table for a notebook, as `_repr_html_` gives it."""

from __future__ import annotations

from html import escape

from kexp.sweeps.comparison import Comparison
from kexp.sweeps.report.table import table_columns

__all__ = ["table_html"]


def table_html(comparison: Comparison, most: int = 20) -> str:
    """The conclusion and the best rows: plain HTML, no script."""
    rows = comparison.rows[:most]
    columns = table_columns(comparison, rows, compact=True)
    heads = "".join(f'<th title="{escape(column.title)}">{escape(column.heading)}</th>' for column in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in cells) + "</tr>"
        for cells in zip(*(column.cells for column in columns), strict=True)
    )
    left = len(comparison.rows) - len(rows)
    more = f"<p>... and {left:,} more rows in <code>.frame()</code></p>" if left else ""
    told = "".join(f"<p>{escape(text)}</p>" for text in (comparison.conclusion(), *comparison.notes))
    return f"{told}<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>{more}"
