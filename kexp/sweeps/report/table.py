"""The ranked table as text cells, from which each format is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kexp.sweeps.compare.comparison import Comparison, Row
from kexp.sweeps.compare.grouping import short_names, show_value
from kexp.sweeps.report.numbers import number_format, show_p, tidy

__all__ = ["Column", "more_seeds_text", "table_columns"]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        heading: the heading, which may be a shortened name.
        cells: one text for each row.
        param: whether it shows a parameter, whose text may be cut; results are never cut.
        right: whether the cells are aligned right, as numbers are.
        optional: priority for leaving the column out if the table is too wide: the highest first; 0 never.
        title: the whole name of a parameter.
    """

    heading: str
    cells: list[str]
    param: bool = False
    right: bool = True
    optional: int = 0
    title: str = ""


def table_columns(comparison: Comparison, rows: Sequence[Row], compact: bool = False) -> list[Column]:
    """Returns the columns of these rows, left to right.

    If each choice ran once, the rows are trials: without standard deviation, verdict and number of seeds.

    Args:
        comparison: the comparison.
        rows: the rows to show.
        compact: whether the mean and its interval are in one column (`0.091 ± 0.003`).
    """
    metric = comparison.objective.metric
    columns = [Column("rank", [str(row.rank or "-") for row in rows])]
    if comparison.single and any(trial.name for row in rows for trial in row.trials.values()):
        names = [next((trial.name for trial in row.trials.values()), "") for row in rows]
        columns.append(Column("trial", names, right=False, optional=20))
    for key, short in short_names(comparison.columns).items():
        values = [row.params[key] for row in rows]
        numeric = not any(isinstance(value, (str, bool)) for value in values)
        cells = [show_value(value, comparison.digits[key]) for value in values]
        columns.append(Column(short, cells, param=True, right=numeric, title=key))
    several = any(row.summary.n > 1 for row in rows)
    interval = f"{comparison.confidence:.0%} interval"
    if several and compact:
        columns.append(Column(f"{metric} ± {interval.split(maxsplit=1)[0]}", [_plus_minus(row) for row in rows]))
    else:
        columns.append(Column(metric, [_tidy(row, row.summary.mean) for row in rows]))
    if several:
        columns.append(Column("sd", [_tidy(row, row.summary.sd) for row in rows], optional=1))
    if several and not compact:
        columns.append(Column(interval, [_interval(row) for row in rows]))
    columns += [] if comparison.single else _verdicts(rows)
    for place, name in enumerate(comparison.metrics):
        found = [row.others[name].mean for row in rows]
        columns.append(Column(name, [tidy(mean, number_format(mean)) for mean in found], optional=10 + place))
    return columns


def _verdicts(rows: Sequence[Row]) -> list[Column]:
    """Returns the columns on the seeds and the tests of each row."""
    columns = [Column("n", [str(row.summary.n) for row in rows])]
    if any(row.lost for row in rows):
        columns.append(Column("lost", [str(row.lost or "") for row in rows]))
    columns.append(Column("verdict", [row.judgement.verdict for row in rows], right=False))
    if not all(math.isnan(row.judgement.p) for row in rows):
        columns.append(Column("p", [show_p(row.judgement.p) for row in rows], optional=2))
    more = [more_seeds_text(row) for row in rows]
    if any(more):
        columns.append(Column("more seeds", more, right=False))
    return columns


def more_seeds_text(row: Row) -> str:
    """Returns how many more seeds would decide, or why there is no such number."""
    judged = row.judgement
    if judged.remark.startswith("no test"):
        return "needs 2 shared"
    return judged.remark if judged.more_seeds is None else f"{judged.more_seeds:,}"


def _tidy(row: Row, value: float) -> str:
    """Returns a value with as many decimals as the row's mean."""
    return tidy(value, number_format(row.summary.mean))


def _interval(row: Row) -> str:
    return f"[{_tidy(row, row.summary.low)}, {_tidy(row, row.summary.high)}]" if row.summary.n > 1 else "-"


def _plus_minus(row: Row) -> str:
    mean = _tidy(row, row.summary.mean)
    if row.summary.n < 2:
        return mean + " " * (len(f" ± {mean}") if row.summary.n else 0)
    return f"{mean} ± {_tidy(row, (row.summary.high - row.summary.low) / 2)}"
