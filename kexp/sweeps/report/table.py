"""The ranked table as cells of text, from which each format is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kexp.sweeps.comparison import Comparison, Row
from kexp.sweeps.grouping import short_names, show_value
from kexp.sweeps.report.numbers import column_format, show_p, tidy

__all__ = ["Column", "more_seeds_text", "table_columns"]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        heading: what stands above it.
        cells: one text a row.
        kind: `param` or `result`; parameters may be cut, results may not.
        right: whether it is set flush right, as numbers are.
        optional: columns with a higher number are left out first where there is no room; 0 never is.
        title: the whole name, where the heading is short for it.
    """

    heading: str
    cells: list[str]
    kind: str = "result"
    right: bool = True
    optional: int = 0
    title: str = ""


def table_columns(comparison: Comparison, rows: Sequence[Row], compact: bool = False) -> list[Column]:
    """The columns of these rows, left to right; `compact` joins the mean and its interval (`0.091 ± 0.003`)."""
    metric = comparison.objective.metric
    means = [row.summary.mean for row in rows]
    form = column_format(means)
    columns = [Column("rank", [str(row.rank or "-") for row in rows])]
    for key, short in short_names(comparison.columns).items():
        values = [row.params[key] for row in rows]
        numeric = not any(isinstance(value, (str, bool)) for value in values)
        columns.append(Column(short, [show_value(value) for value in values], "param", numeric, title=key))
    several = any(row.summary.n > 1 for row in rows)
    interval = f"{comparison.confidence:.0%} interval"
    if several and compact:
        columns.append(Column(f"{metric} ± {interval.split(maxsplit=1)[0]}", [_plus_minus(row, form) for row in rows]))
    else:
        columns.append(Column(metric, [tidy(mean, form) for mean in means]))
    if several:
        columns.append(Column("sd", [tidy(row.summary.sd, form) for row in rows], optional=1))
    if several and not compact:
        columns.append(Column(interval, [_interval(row, form) for row in rows]))
    columns.append(Column("n", [str(row.summary.n) for row in rows]))
    if any(row.lost for row in rows):
        columns.append(Column("lost", [str(row.lost or "") for row in rows]))
    columns.append(Column("verdict", [row.judgement.verdict for row in rows], right=False))
    if not all(math.isnan(row.judgement.p) for row in rows):
        columns.append(Column("p", [show_p(row.judgement.p) for row in rows], optional=2))
    more = [more_seeds_text(row) for row in rows]
    if any(more):
        columns.append(Column("more seeds", more, right=False))
    for place, name in enumerate(comparison.metrics):
        found = [row.others[name].mean for row in rows]
        shown = column_format(found)
        columns.append(Column(name, [tidy(mean, shown) for mean in found], optional=10 + place))
    return columns


def more_seeds_text(row: Row) -> str:
    """How many more seeds would tell; a few words where that is no number."""
    judged = row.judgement
    if judged.remark.startswith("no test"):
        return "needs 2 shared"
    return judged.remark if judged.more_seeds is None else f"{judged.more_seeds:,}"


def _interval(row: Row, form: str) -> str:
    return f"[{tidy(row.summary.low, form)}, {tidy(row.summary.high, form)}]" if row.summary.n > 1 else "-"


def _plus_minus(row: Row, form: str) -> str:
    mean = tidy(row.summary.mean, form)
    if row.summary.n < 2:
        return mean + " " * (len(f" ± {row.summary.mean:{form}}") if row.summary.n else 0)
    return f"{mean} ± {tidy((row.summary.high - row.summary.low) / 2, form)}"
