"""The page: one HTML file that needs nothing else, no network, no library."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence

from kexp.sweeps.comparison import Comparison, Row
from kexp.sweeps.report.curves import COLOURED, DRAWN, curve_metrics, draw_curves
from kexp.sweeps.report.importance import FEWEST_TRIALS, draw_importance, parameter_importance
from kexp.sweeps.report.markdown import method_note
from kexp.sweeps.report.numbers import column_format, tidy
from kexp.sweeps.report.parallel import MOST_AXES, MOST_LINES, draw_parallel
from kexp.sweeps.report.style import SCRIPT, STYLE
from kexp.sweeps.report.svg import Scale, escape
from kexp.sweeps.report.table import Column, table_columns
from kexp.sweeps.results import History

__all__ = ["html_page"]

_MOST_ROWS, _MOST_LOST = 500, 200


def html_page(comparison: Comparison, histories: Mapping[str, History], figures: Sequence[tuple[str, str]] = ()) -> str:
    """The whole page.

    Args:
        comparison: what to report.
        histories: of the runs that the curves need (`curves.run_ids`); those that lack are not drawn.
        figures: further figures as (heading, trusted HTML), put behind ours: a search's own plots.
    """
    title = escape(comparison.title or "Sweep")
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="soft">{_counts(comparison)}</p>',
        f'<p class="answer">{escape(comparison.conclusion())}</p>',
        *(f'<p class="note">{escape(note)}</p>' for note in comparison.notes),
        *_table_section(comparison),
        *_curves_section(comparison, histories),
        *_parameters_section(comparison),
        *(f'<h2>{escape(heading)}</h2><div class="wide">{picture}</div>' for heading, picture in figures),
        *_lost_section(comparison),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<title>{title}</title><style>{STYLE}</style></head>\n'
        f"<body><main>\n{chr(10).join(parts)}\n</main><script>{SCRIPT}</script></body></html>\n"
    )


def _counts(comparison: Comparison) -> str:
    states: dict[str, int] = {}
    for trial in comparison.trials:
        states[trial.state.lower()] = states.get(trial.state.lower(), 0) + 1
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items(), key=lambda item: -item[1]))
    spent = math.fsum(trial.duration_s or 0.0 for trial in comparison.trials)
    objective = comparison.objective
    less = "less is better" if objective.direction == "minimize" else "more is better"
    made = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    choices = f"{len(comparison.rows):,} choice{'s' * (len(comparison.rows) != 1)}"
    return (
        f"{len(comparison.trials):,} trials ({told}) of {choices}, "
        f"ranked by <b>{escape(objective.metric)}</b> ({less}); "
        f"{datetime.timedelta(seconds=round(spent))} of training in all. Written {made}."
    )


def _table_section(comparison: Comparison) -> Iterator[str]:
    rows = comparison.rows[:_MOST_ROWS]
    columns = table_columns(comparison, rows)
    scale = _whisker_scale(rows)
    yield "<h2>Ranking</h2>"
    if len(rows) < len(comparison.rows):
        yield f'<p class="soft small">The best {len(rows):,} of {len(comparison.rows):,}; trials.csv has all.</p>'
    yield '<div class="table"><table><thead><tr>'
    behind = 1 + next(place for place, column in enumerate(columns) if column.heading == comparison.objective.metric)
    yield "".join(map(_heading, columns[:behind])) + "<th></th>" + "".join(map(_heading, columns[behind:]))
    yield "</tr></thead><tbody>"
    for place, (row, cells) in enumerate(
        zip(rows, zip(*(column.cells for column in columns), strict=True), strict=True)
    ):
        kind = "" if row.values else ' class="lost"'
        shown = [_cell(column, text, place) for column, text in zip(columns, cells, strict=True)]
        shown.insert(behind, f"<td>{_whisker(row, scale)}</td>")
        yield f'<tr data-r="{place}"{kind}>{"".join(shown)}</tr>'
    yield "</tbody></table></div>"
    yield f'<p class="soft small">{escape(method_note(comparison))} Click a heading to sort.</p>'


def _heading(column: Column) -> str:
    title = f' title="{escape(column.title)}"' if column.title and column.title != column.heading else ""
    return f"<th data-sort{title}{_classes(column)}>{escape(column.heading)}</th>"


def _cell(column: Column, text: str, place: int) -> str:
    swatch = ""
    if column.heading == "rank" and place < COLOURED and text != "-":
        swatch = f'<span class="swatch c{place}"></span> '
    verdict = ""
    if column.heading == "verdict":
        verdict = "best-word" if text == "best" else text.split(" ", maxsplit=1)[0]
    title = f' title="{escape(text)}"' if column.kind == "param" and len(text) > 28 else ""
    value = f' data-v="{text}"' if swatch else ""
    return f"<td{_classes(column, verdict)}{title}{value}>{swatch}{escape(text)}</td>"


def _classes(column: Column, more: str = "") -> str:
    classes = [name for name in ("r" * column.right, "param" * (column.kind == "param"), more) if name]
    return f' class="{" ".join(classes)}"' if classes else ""


def _whisker_scale(rows: Sequence[Row]) -> Scale | None:
    """Over the intervals of the better half: one diverged row must not squeeze all others."""
    ends = sorted(
        value
        for row in rows[: max(8, len(rows) // 2)]
        for value in (row.summary.low, row.summary.high, row.summary.mean)
        if math.isfinite(value)
    )
    if len(ends) < 2 or ends[0] == ends[-1]:
        return None
    middle = ends[len(ends) // 2]
    reach = 6 * max(abs(ends[len(ends) // 4] - middle), abs(ends[3 * len(ends) // 4] - middle), 1e-300)
    low, high = max(ends[0], middle - reach), min(ends[-1], middle + reach)
    return Scale(low, high, 4, 126) if high > low else None


def _whisker(row: Row, scale: Scale | None) -> str:
    summary = row.summary
    if scale is None or not row.values:
        return ""
    line = ""
    if summary.n > 1:
        line = f'<line class="whisker" x1="{scale(summary.low):.1f}" x2="{scale(summary.high):.1f}" y1="8" y2="8"/>'
    inside = scale.low <= summary.mean <= scale.high
    dot = f'<circle class="mean" cx="{scale(summary.mean):.1f}" cy="8" r="3.4"/>' if inside else ""
    form = column_format([summary.mean])
    label = f"{tidy(summary.mean, form)} [{tidy(summary.low, form)}, {tidy(summary.high, form)}]"
    return f'<svg viewBox="0 0 130 16" role="img" aria-label="{label}">{line}{dot}</svg>'


def _curves_section(comparison: Comparison, histories: Mapping[str, History]) -> Iterator[str]:
    charts = [draw_curves(comparison, histories, metric) for metric in curve_metrics(comparison, histories)]
    charts = [chart for chart in charts if chart]
    if not charts:
        return
    with_results = [row for row in comparison.rows if row.values]
    several = any(row.summary.n > 1 for row in with_results)
    yield "<h2>Learning curves</h2>"
    yield f'<p class="soft small">{_curves_note(len(with_results), several)}</p>'
    yield '<div class="grid2">' + "".join(f"<div>{chart}</div>" for chart in charts) + "</div>"
    yield '<ul class="key">'
    for place, row in enumerate(with_results[:COLOURED]):
        label = escape(f"{place + 1}: {comparison.label(row)}")
        yield f'<li data-r="{place}"><span class="swatch c{place}"></span>{label}</li>'
    if len(with_results) > COLOURED:
        others = min(len(with_results), DRAWN) - COLOURED
        yield f'<li><span class="swatch" style="--c:var(--grey)"></span>{others:,} others</li>'
    yield "</ul>"


def _curves_note(rows: int, several: bool) -> str:
    told = (
        "Lines are means over seeds, bands reach from the lowest seed to the highest."
        if several
        else "One line a choice."
    )
    if several:
        told += " A mean ends where fewer than half of the seeds are left."
    if rows > DRAWN:
        told += f" The best {DRAWN} of {rows:,} choices are drawn."
    return told


def _parameters_section(comparison: Comparison) -> Iterator[str]:
    importance = parameter_importance(comparison)
    columns = list(comparison.columns)
    if importance is not None and len(columns) > MOST_AXES:
        by_share = sorted(columns, key=lambda key: -importance.shares.get(key, 0.0))[:MOST_AXES]
        columns = [key for key in columns if key in by_share]
    picture = draw_parallel(comparison, columns[:MOST_AXES])
    if picture:
        yield "<h2>Parallel coordinates</h2>"
        yield f'<p class="soft small">{_parallel_note(comparison)}</p>{_fifths()}{picture}'
    yield "<h2>Parameter importance</h2>"
    if importance is None:
        yield f'<p class="soft">Needs at least {FEWEST_TRIALS} results, and two of parameters and seed that vary.</p>'
        return
    told = (
        f"it explains {importance.explained:.0%} of the variance of trials that it was not shown"
        if importance.explained >= 0.05
        else "it explains nothing of trials that it was not shown, so do not read much into the bars"
    )
    yield (
        f'<p class="soft small">A random forest predicts the rank of a trial from its parameters and seed; {told}. '
        f"Bars share out what it loses when a parameter's values are shuffled.</p>"
        f'<div class="narrow">{draw_importance(importance)}</div>'
    )


def _parallel_note(comparison: Comparison) -> str:
    count = sum(bool(row.values) for row in comparison.rows)
    told = "A line a choice; better is higher on the last axis."
    if count > MOST_LINES:
        half = MOST_LINES // 2
        told += f" Of {count:,} choices the best {half} and an even sample of {half} others are drawn."
    if len(comparison.columns) > MOST_AXES:
        told += f" Of {len(comparison.columns)} parameters the {MOST_AXES} most important have an axis."
    return told


def _fifths() -> str:
    names = ["best fifth", "", "", "", "last fifth"]
    boxes = "".join(
        f'<li style="gap:5px"><span class="swatch box" style="--c:var(--q{place})"></span>{name}</li>'
        for place, name in enumerate(names)
    )
    best = '<li><span class="swatch box" style="--c:var(--best)"></span>the best</li>'
    return f'<ul class="key fifths" style="column-gap:6px">{best}{boxes}</ul>'


def _lost_section(comparison: Comparison) -> Iterator[str]:
    if not comparison.lost:
        return
    yield f"<h2>Trials without a result ({len(comparison.lost):,})</h2>"
    if len(comparison.lost) > _MOST_LOST:
        yield f'<p class="soft small">The first {_MOST_LOST}; trials.csv has all.</p>'
    yield '<div class="table"><table><thead><tr><th data-sort>trial</th><th data-sort>state</th>'
    yield "<th data-sort>choice</th><th>reason</th></tr></thead><tbody>"
    choices = _choices(comparison)
    for trial, why in comparison.lost[:_MOST_LOST]:
        name = escape(trial.name or trial.run_id)
        yield (
            f'<tr><td title="{escape(trial.run_id)}">{name}</td><td>{escape(trial.state.lower())}</td>'
            f'<td class="wrap">{escape(choices(trial.params))}</td><td class="wrap">{escape(why)}</td></tr>'
        )
    yield "</tbody></table></div>"


def _choices(comparison: Comparison):  # type: ignore[no-untyped-def]
    """A function from a trial's parameters to a few words."""
    from kexp.sweeps.grouping import SEED, short_names, show_value
    from kexp.sweeps.results import parameter_value

    short = short_names(comparison.columns) | {SEED: SEED}

    def told(params: Mapping[str, object]) -> str:
        return ", ".join(
            f"{name}={show_value(parameter_value(params[key]))}" for key, name in short.items() if key in params
        )

    return told
