"""The comparison as Markdown, for a pull request or a lab notebook."""

from __future__ import annotations

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.report.numbers import count_of
from kexp.sweeps.report.table import table_columns

__all__ = ["markdown_report"]

_MOST_ROWS, _MOST_LOST = 100, 50


def markdown_report(comparison: Comparison) -> str:
    """Returns a heading, the conclusion, the ranked table, the method of the tests, and the trials without a result."""
    ranked = [
        row for row in comparison.rows if row.values
    ] or comparison.rows  # the trials of the others are listed below
    rows = ranked[:_MOST_ROWS]
    columns = table_columns(comparison, rows)
    objective = comparison.objective
    counts = f"{count_of('trial', len(comparison.trials))}, {count_of('choice', len(comparison.rows))}"
    lines = [
        f"# {_escape(comparison.title) or 'Sweep'}",
        "",
        _escape(comparison.conclusion()),
        "",
        f"{counts}, by `{objective.metric}` ({'less' if objective.direction == 'minimize' else 'more'} is better).",
        "",
        "| " + " | ".join(_escape(column.heading) for column in columns) + " |",
        "|" + "|".join(" ---: " if column.right else " --- " for column in columns) + "|",
    ]
    for cells in zip(*(column.cells for column in columns), strict=True):
        lines.append("| " + " | ".join(_escape(cell) for cell in cells) + " |")
    if len(rows) < len(ranked):
        lines += ["", f"The best {len(rows):,} of {len(ranked):,} rows; `trials.csv` has every trial."]
    lines += ["", *(f"- {_escape(note)}" for note in (*comparison.notes, method_note(comparison)) if note)]
    if comparison.lost:
        lines += [
            "",
            f"## Trials without a result ({len(comparison.lost):,})",
            "",
            "| trial | state | reason |",
            "| --- | --- | --- |",
        ]
        for trial, why in comparison.lost[:_MOST_LOST]:
            lines.append(f"| {_escape(trial.name or trial.run_id)} | {trial.state.lower()} | {_escape(why)} |")
        if len(comparison.lost) > _MOST_LOST:
            lines += ["", f"... and {len(comparison.lost) - _MOST_LOST:,} more, in `trials.csv`."]
    return "\n".join(lines) + "\n"


def method_note(comparison: Comparison) -> str:
    """Returns two sentences on the method of the tests; empty if there are no verdicts."""
    if comparison.single:
        return ""
    if comparison.draws == "fold":
        return (
            "Rows are means over folds with t-intervals; verdicts are corrected resampled t-tests against the best row "
            "(Nadeau and Bengio, 2003), over shared folds, two-sided, corrected after Holm, at "
            f"{1 - comparison.confidence:.0%}; they take differences for about normal."
        )
    return (
        f"Rows are means over seeds with t-intervals; verdicts are paired t-tests against the best row, over shared "
        f"seeds, two-sided, corrected after Holm, at {1 - comparison.confidence:.0%}; they take seeds for independent "
        f"and differences for about normal. "
        f"More seeds: as many as would tell with a chance of 80%, should difference and spread stay as they are."
    )


def _escape(text: str) -> str:
    flat = " ".join(text.split())
    for letter in "\\`*|<>":
        flat = flat.replace(letter, "\\" + letter)
    return flat
