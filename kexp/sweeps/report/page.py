"""The report as one HTML file that opens offline. Plotly draws the figures, and `page.js` the table."""

from __future__ import annotations

import datetime
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from kexp.sweeps.compare.comparison import Comparison, Row
from kexp.sweeps.compare.grouping import SEED, short_names, show_value
from kexp.sweeps.compare.results import Histories, History, parameter_value
from kexp.sweeps.objective import Objective
from kexp.sweeps.report.figures.axes import Figure, extent
from kexp.sweeps.report.figures.curves import COLOURS, DRAWN, curves_figure, run_ids
from kexp.sweeps.report.figures.history import front_figure, history_figure
from kexp.sweeps.report.figures.importance import FEWEST_TRIALS, importance_figure, parameter_importance
from kexp.sweeps.report.figures.parallel import MOST_AXES, MOST_LINES, parallel_figure
from kexp.sweeps.report.markdown import method_note
from kexp.sweeps.report.numbers import count_of
from kexp.sweeps.report.plotly_library import packed_library
from kexp.sweeps.report.table import table_columns

__all__ = ["report_page"]

_MOST_ROWS, _MOST_LOST = 10_000, 200


def report_page(comparison: Comparison, histories: Histories, objectives: Sequence[Objective] = ()) -> str:
    """Returns the HTML page.

    Args:
        comparison: the comparison to report.
        histories: reads the histories of the runs whose curves are drawn; runs without one are not drawn.
        objectives: all objectives of a search that has several.
    """
    title = escape(comparison.title or "Sweep")
    figures: dict[str, Figure] = {}
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="soft">{_counts(comparison)}</p>',
        f'<p class="answer">{escape(comparison.conclusion())}</p>',
        *(f'<p class="note">{escape(note)}</p>' for note in comparison.notes),
        *_table_section(comparison),
    ]
    for heading, note, name, figure in _figures(comparison, histories(run_ids(comparison.rows)), objectives):
        parts.append(f'<h2>{escape(heading)}</h2><p class="soft small">{escape(note)}</p>')
        if figure is not None:
            figures[name] = figure
            parts.append(f'<div class="figure" id="{name}" style="height:{figure["layout"]["height"]}px"></div>')
    parts += _lost_section(comparison)
    content = {"table": _table(comparison), "figures": figures, "colours": COLOURS}
    room = files(__package__)
    style, script = ((room / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    library = packed_library() if figures else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
{style}</style></head>
<body><main>
{chr(10).join(parts)}
</main>
<script type="application/json" id="content">{_json(content)}</script>
<script type="text/plain" id="library">{library}</script>
<script>
{script}</script></body></html>
"""


def _figures(
    comparison: Comparison, histories: Mapping[str, History], objectives: Sequence[Objective]
) -> Iterator[tuple[str, str, str, Figure | None]]:
    """Yields heading, explanation, id in the page, and figure. Figures that need more trials are left out."""
    importance = parameter_importance(comparison)
    columns = list(comparison.columns)
    if importance is not None and len(columns) > MOST_AXES:
        by_share = sorted(columns, key=lambda key: -importance.shares.get(key, 0.0))[:MOST_AXES]
        columns = [key for key in columns if key in by_share]
    front = front_figure(comparison, objectives)
    if front is not None:
        yield "Pareto front", "Choices that no other beats in every objective.", "front", front
    parallel = parallel_figure(comparison, columns[:MOST_AXES], objectives[1:])
    if parallel is not None:
        yield "Parallel coordinates", _parallel_note(comparison), "parallel", parallel
    curves = curves_figure(comparison, histories)
    if curves is not None:
        yield "Learning curves", _curves_note(comparison), "curves", curves
    history = history_figure(comparison)
    if history is not None:
        yield "Every trial", history[1], "history", history[0]
    shares = None if importance is None else importance_figure(importance)
    note = f"Needs at least {FEWEST_TRIALS} results, and two of parameters and seed that vary."
    if importance is not None:
        explained = (
            f"explains {importance.explained:.0%} of the variance of trials that it was not shown"
            if importance.explained >= 0.05
            else "explains nothing of trials that it was not shown, so do not read much into the bars"
        )
        note = (
            f"A random forest that predicts the rank of a trial from its parameters and seed {explained}. Bars share "
            "out what it loses when a parameter's values are shuffled."
        )
    yield "Parameter importance", note, "importance", shares


def _counts(comparison: Comparison) -> str:
    states = Counter(trial.state.lower() for trial in comparison.trials)
    note = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    spent = datetime.timedelta(seconds=round(_busy_s(comparison)))
    objective = comparison.objective
    less = "less is better" if objective.direction == "minimize" else "more is better"
    made = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return (
        f"{count_of('trial', len(comparison.trials))} ({note}) of {count_of('choice', len(comparison.rows))}, "
        f"ranked by <b>{escape(objective.metric)}</b> ({less})"
        f"{f'; training took {spent}' if spent else ''}. Written {made}."
    )


def _busy_s(comparison: Comparison) -> float:
    """Returns the seconds in which at least one trial ran."""
    spans = sorted((each.start_ms / 1000, each.duration_s) for each in comparison.trials if each.duration_s)
    busy, until = 0.0, -math.inf
    for began, lasted in spans:
        busy += max(0.0, began + lasted - max(began, until))
        until = max(until, began + lasted)
    return busy


def _table_section(comparison: Comparison) -> Iterator[str]:
    yield "<h2>Ranking</h2>"
    if len(comparison.rows) > _MOST_ROWS:
        yield f'<p class="soft small">The best {_MOST_ROWS:,} of {len(comparison.rows):,}; trials.csv has all.</p>'
    yield '<div id="table"><noscript>This table needs JavaScript; report.md has it as text.</noscript></div>'
    note = f"Click a row to mark it in the figures. {method_note(comparison)}".strip()
    yield f'<p class="soft small">{escape(note)}</p>'


def _table(comparison: Comparison) -> dict[str, Any]:
    """Returns the table for `page.js`: the columns with their cells, and the intervals of the rows."""
    rows = comparison.rows[:_MOST_ROWS]
    columns = table_columns(comparison, rows)
    objective = next(place for place, each in enumerate(columns) if each.heading == comparison.objective.metric)
    return {
        "columns": [vars(each) for each in columns],
        "whiskers": [] if comparison.single else _whiskers(comparison, rows),
        "behind": objective,
        "lost": [place for place, row in enumerate(rows) if not row.values],
        "runs": [" ".join(trial.run_id for trial in row.trials.values()) for row in rows],
    }


def _whiskers(comparison: Comparison, rows: Sequence[Row]) -> list[list[float] | None]:
    """Returns the ends of each row's interval and its mean, in percent of the column's width."""
    better = rows[: max(8, len(rows) // 2)]  # the intervals of the others may be much wider
    ends = [value for row in better for value in (row.summary.low, row.summary.high, row.summary.mean)]
    shown = extent(ends, minimize=comparison.objective.direction == "minimize")
    width = (shown.high - shown.low) or 1.0

    def place(value: float) -> float:
        return round(100 * (shown.clip(value) - shown.low) / width, 1)

    return [
        [place(low if math.isfinite(low) else row.summary.mean), place(row.summary.mean), place(high)]
        if row.values and shown.shows(row.summary.mean)
        else None
        for row in rows
        for low, high in [(row.summary.low, row.summary.high if row.summary.n > 1 else row.summary.mean)]
    ]


def _curves_note(comparison: Comparison) -> str:
    several = any(row.summary.n > 1 for row in comparison.rows)
    rows = sum(bool(row.values) for row in comparison.rows)
    note = (
        f"Lines are means over {comparison.draws}s, bands reach from the lowest {comparison.draws} to the highest; "
        f"a mean ends where fewer than half of the {comparison.draws}s are left."
        if several
        else "One line a choice."
    )
    if rows > DRAWN:
        note += f" The best {DRAWN} of {rows:,} choices are drawn."
    return f"{note} Click in the legend to hide a line, twice to see it alone."


def _parallel_note(comparison: Comparison) -> str:
    count = sum(bool(row.values) for row in comparison.rows)
    note = "A line a choice; better is higher on the last axis. Drag along an axis to choose lines: the table follows."
    if count > MOST_LINES:
        half = MOST_LINES // 2
        note += (
            f" Of {count:,} choices the best {half:,}, an even sample of {half:,} others, and those that you mark are "
            "drawn; the table chooses among all."
        )
    if len(comparison.columns) > MOST_AXES:
        note += f" Of {len(comparison.columns)} parameters the {MOST_AXES} most important have an axis."
    return note


def _lost_section(comparison: Comparison) -> Iterator[str]:
    if not comparison.lost:
        return
    yield f"<h2>Trials without a result ({len(comparison.lost):,})</h2>"
    if len(comparison.lost) > _MOST_LOST:
        yield f'<p class="soft small">The first {_MOST_LOST}; trials.csv has all.</p>'
    yield '<div class="table"><table><thead><tr><th>trial</th><th>state</th><th>choice</th><th>reason</th></tr></thead>'
    yield "<tbody>"
    short = short_names(comparison.columns) | {SEED: SEED}
    for trial, why in comparison.lost[:_MOST_LOST]:
        choice = ", ".join(
            f"{name}={show_value(parameter_value(trial.params[key]))}"
            for key, name in short.items()
            if key in trial.params
        )
        yield (
            f'<tr><td title="{escape(trial.run_id)}">{escape(trial.name or trial.run_id)}</td>'
            f'<td>{escape(trial.state.lower())}</td><td class="wrap">{escape(choice)}</td>'
            f'<td class="wrap">{escape(why)}</td></tr>'
        )
    yield "</tbody></table></div>"


def _json(content: Any) -> str:
    """Returns JSON that is safe inside an HTML element; numbers that are not finite become null."""
    text = json.dumps(_finite_or_null(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _finite_or_null(content: Any) -> Any:
    """Replaces numbers that JSON cannot represent, NaN and infinities, by null."""
    if isinstance(content, Mapping):
        return {key: _finite_or_null(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite_or_null(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
