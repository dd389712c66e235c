"""The comparison as aligned text for a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.report.numbers import count_of
from kexp.sweeps.report.table import Column, table_columns
from kexp.tracking.values import shorten

__all__ = ["ranked_lines", "screen_width", "text_table"]

_GAP = "  "
_NARROWEST, _WIDEST = 8, 28  # widths of a parameter's column


def screen_width() -> int:
    """Returns the width of the terminal; 100 columns if standard output is no terminal."""
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
    return max(60, width)


def text_table(comparison: Comparison, width: int = 100, limit: int | None = 40) -> str:
    """Returns the text of `ranked_lines`, and the trials without a result."""
    return "\n".join([*ranked_lines(comparison, width, limit), *_lines_on_lost(comparison)]) + "\n"


def ranked_lines(comparison: Comparison, width: int = 100, limit: int | None = 40, command: str = "") -> list[str]:
    """Returns a heading, the ranked table, the conclusion and the notes.

    Args:
        comparison: the comparison to show.
        width: columns of the terminal; the table is wider only if the results need more.
        limit: the most rows to show; None for all.
        command: the command that shows the same with other flags; empty if the user has just typed it.
    """
    rows = comparison.rows if limit is None else comparison.rows[:limit]
    columns, dropped = _fit(table_columns(comparison, rows, compact=True), width)
    objective = comparison.objective
    before = f"{command} " if command else ""
    head = f"{comparison.title}: " if comparison.title else ""
    less = "less is better" if objective.direction == "minimize" else "more is better"
    count = f"{count_of('trial', len(comparison.trials))}, {count_of('choice', len(comparison.rows))}"
    lines = [f"{head}{count}, by {objective.metric} ({less})", ""]
    lines += _lines(columns)
    if len(rows) < len(comparison.rows):
        lines.append(f"... and {len(comparison.rows) - len(rows):,} more rows ({before}--limit 0 shows all)")
    lines += ["", comparison.conclusion()]
    lines += [f"Note: {note}" for note in comparison.notes]
    if dropped:
        lines.append(f"Not shown for lack of room: {', '.join(dropped)} ({before}--format csv has them).")
    return [line.rstrip() for line in lines]


def _lines_on_lost(comparison: Comparison, most: int = 5) -> list[str]:
    """Returns lines on the trials that have no result; empty if all have one."""
    if not comparison.lost:
        return []
    lines = ["", f"{len(comparison.lost):,} of {len(comparison.trials):,} trials have no result:"]
    for trial, why in comparison.lost[:most]:
        lines.append(f"  {trial.name or trial.run_id}  {trial.state.lower()}: {shorten(why, 120)}")
    rest = len(comparison.lost) - most
    return lines + ([f"  ... and {rest:,} more"] if rest > 0 else [])


def _fit(columns: list[Column], width: int) -> tuple[list[Column], list[str]]:
    """Cuts long parameters and leaves out optional columns until the table fits; returns also the headings left out."""
    dropped: list[str] = []
    columns = [_cut_column(column, _WIDEST) for column in columns]
    while _width(columns) > width:
        optional = [column for column in columns if column.optional]
        cuttable = [column for column in columns if column.param and _column_width(column) > _NARROWEST]
        if cuttable and (not optional or max(map(_column_width, cuttable)) > 16):
            widest = max(cuttable, key=_column_width)
            columns = [
                _cut_column(column, _column_width(column) - 1) if column is widest else column for column in columns
            ]
        elif optional:
            last = max(optional, key=lambda column: column.optional)
            columns = [column for column in columns if column is not last]
            dropped.append(last.heading)
        else:
            break
    return columns, dropped[::-1]


def _lines(columns: Sequence[Column]) -> list[str]:
    widths = [_column_width(column) for column in columns]

    def line(texts: Sequence[str]) -> str:
        pairs = zip(texts, widths, columns, strict=True)
        return _GAP.join(text.rjust(width) if column.right else text.ljust(width) for text, width, column in pairs)

    heading = line([column.heading for column in columns])
    ruler = _GAP.join("-" * width for width in widths)
    return [heading, ruler, *(line(cells) for cells in zip(*(column.cells for column in columns), strict=True))]


def _cut_column(column: Column, width: int) -> Column:
    if not column.param:
        return column
    return replace(
        column, heading=shorten(column.heading, width), cells=[shorten(cell, width) for cell in column.cells]
    )


def _column_width(column: Column) -> int:
    return max(len(column.heading), *(len(cell) for cell in column.cells)) if column.cells else len(column.heading)


def _width(columns: Sequence[Column]) -> int:
    return sum(map(_column_width, columns)) + len(_GAP) * (len(columns) - 1)
