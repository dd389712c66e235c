"""Figures of all trials: the objective in the order of the trials, and several objectives against each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.objective import Objective
from kexp.sweeps.report.figures.axes import Figure, extent, label

__all__ = ["front_figure", "history_figure"]

_BLUE, _ORANGE, _GREY = "#2f7de1", "#d9480f", "#8b949e"


def history_figure(comparison: Comparison) -> tuple[Figure, str] | None:
    """Draws each trial's objective, and the best value so far; None for fewer than three results.

    Returns:
        The figure, and a sentence on the trials outside its range; empty if there are none.
    """
    objective, minimize = comparison.objective, comparison.objective.direction == "minimize"
    places = _places(comparison)
    found = sorted(
        (places[trial.run_id], row.values[seed], row.rank - 1, trial.name or trial.run_id, comparison.label(row))
        for row in comparison.rows
        for seed, trial in row.trials.items()
    )
    if len(found) < 3:
        return None
    lost = [(places[trial.run_id], math.nan, None, trial.name or trial.run_id, why) for trial, why in comparison.lost]
    shown = extent([value for _, value, *_ in found], minimize=minimize)
    inside = [point for point in found if shown.shows(point[1])]
    outside = [point for point in found if not shown.shows(point[1])]
    edge = shown.high if minimize else shown.low
    arrow = {"color": _ORANGE, "size": 9, "symbol": "triangle-up" if minimize else "triangle-down"}
    cross = {"color": _GREY, "size": 8, "symbol": "x-thin", "line": {"width": 1.5, "color": _GREY}}
    traces = [
        _points(inside, "trials", {"color": _BLUE, "size": 7, "opacity": 0.7}),
        _points(outside, "outside the picture", arrow, edge),
        _points(lost, "no result", cross, edge),
        _best_so_far(inside, objective),
    ]
    layout = {
        "height": 420,
        "margin": {"t": 20, "b": 50, "l": 70, "r": 16},
        "xaxis": {"title": {"text": "trial"}},
        "yaxis": shown.axis(label(objective.metric) + (" (log)" if shown.log else "")),
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
    }
    note = _left_out(comparison, outside, minimize)
    return {"data": [trace for trace in traces if trace["x"]], "layout": layout}, note


def front_figure(comparison: Comparison, objectives: Sequence[Objective]) -> Figure | None:
    """Draws two or three objectives against each other, and marks the rows that no other row dominates.

    Returns:
        The figure; None for other numbers of objectives, and for fewer than two rows with all of them.
    """
    metrics = [each.metric for each in objectives[1:]]
    rows = [
        (row, [row.summary.mean, *(row.others[name].mean for name in metrics)])
        for row in comparison.rows
        if row.values and all(name in row.others and row.others[name].n for name in metrics)
    ]
    if len(objectives) not in (2, 3) or len(rows) < 2:
        return None
    keys = [[each.rank_key(value) for each, value in zip(objectives, values, strict=True)] for _, values in rows]
    beaten = [
        any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in keys) for own in keys
    ]
    shown = [
        extent(column, minimize=each.direction == "minimize")
        for each, column in zip(objectives, zip(*(v for _, v in rows), strict=True), strict=True)
    ]
    axes = [each.axis(label(objective.metric)) for each, objective in zip(shown, objectives, strict=True)]
    traces: list[Figure] = []
    for name, colour, wanted in (("others", _BLUE, True), ("Pareto front", _ORANGE, False)):
        picked = [pair for pair, each in zip(rows, beaten, strict=True) if each is wanted]
        columns = zip(*(values for _, values in picked), strict=True)
        trace: Figure = dict(zip("xyz", map(list, columns), strict=False))
        trace |= {
            "type": "scatter3d" if len(objectives) == 3 else "scatter",
            "mode": "markers",
            "name": name,
            "marker": {"color": colour, "size": 8 if len(objectives) == 2 else 4},
            "text": [label(f"{row.rank}: {comparison.label(row)}") for row, _ in picked],
            "customdata": [row.rank - 1 for row, _ in picked],
            "hovertemplate": "%{text}<br>%{x:.4g}, %{y:.4g}"
            + (", %{z:.4g}" if len(objectives) == 3 else "")
            + "<extra></extra>",
        }
        traces.append(trace)
    names = ["xaxis", "yaxis", "zaxis"]
    placed: Figure = dict(zip(names, axes, strict=False))
    layout: Figure = {"height": 480, "margin": {"t": 20, "b": 50, "l": 70, "r": 16}, "hovermode": "closest"}
    return {"data": traces, "layout": layout | (placed if len(objectives) == 2 else {"scene": placed})}


def _best_so_far(points: Sequence[tuple[Any, ...]], objective: Objective) -> Figure:
    """Returns the line of the best value up to each trial."""

    def better(a: float, b: float) -> float:
        return b if objective.better(b, a) else a

    return {
        "x": [place for place, *_ in points],
        "y": list(itertools.accumulate((value for _, value, *_ in points), better)),
        "name": "best until then",
        "mode": "lines",
        "line": {"shape": "hv", "color": _ORANGE, "width": 2},
        "hoverinfo": "skip",
    }


def _places(comparison: Comparison) -> dict[str, int]:
    """Returns run id -> the trial's number, which its name ends in, or its place if names are not unique."""
    ends = [trial.name.rpartition("-")[2] for trial in comparison.trials]
    numbers = [int(end) for end in ends if end.isdecimal()]
    if len(set(numbers)) < len(ends):
        numbers = list(range(len(ends)))
    return dict(zip((trial.run_id for trial in comparison.trials), numbers, strict=True))


def _points(points: Sequence[tuple[Any, ...]], name: str, marker: Figure, edge: float | None = None) -> Figure:
    """Returns trials as points; those outside the range are drawn at its edge."""
    values = ["" if math.isnan(value) else f"{value:.4g}" for _, value, *_ in points]
    return {
        "x": [place for place, *_ in points],
        "y": [value if edge is None else edge for _, value, *_ in points],
        "customdata": [row for _, _, row, *_ in points],
        "text": [
            label(f"{trial}: {value}\n{comment}").replace("\n", "<br>")
            for (*_, trial, comment), value in zip(points, values, strict=True)
        ],
        "name": name,
        "mode": "markers",
        "type": "scattergl" if len(points) > 3000 else "scatter",
        "marker": marker,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _left_out(comparison: Comparison, outside: Sequence[tuple[Any, ...]], minimize: bool) -> str:
    """Returns a sentence on the trials that are drawn at the edge."""
    notes = []
    if outside:
        end = (max if minimize else min)(value for _, value, *_ in outside)
        notes.append(
            f"{len(outside):,} of {len(comparison.trials):,} trials stand at the edge, because their "
            f"{comparison.objective.metric} is far from the others' (as far as {end:.3g})"
        )
    if comparison.lost:
        notes.append(f"{len(comparison.lost):,} without a result stand there too")
    return "; ".join(notes) + "." if notes else ""
