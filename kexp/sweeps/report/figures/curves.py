"""Learning curves: the mean of each row over its seeds, and a band from the lowest to the highest value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.sweeps.compare.comparison import Comparison, Row
from kexp.sweeps.compare.results import History
from kexp.sweeps.objective import direction_of
from kexp.sweeps.report.figures.axes import Extent, Figure, extent, label

__all__ = ["COLOURS", "DRAWN", "curve_metrics", "curves_figure", "run_ids"]

COLOURS = "#2f7de1", "#e0622b", "#2a9d5c", "#9b59d0", "#c9941a", "#dd4f8b", "#1a9aa8", "#8c7355"
"""The colours of the best rows, which have bands too; visible on a light and on a dark page."""

DRAWN = 60
"""The most rows that are drawn; those without a colour are thin and grey."""

_GREY = "rgba(136,144,153,0.45)"
_MOST_EPOCHS = 150
_PANEL = 330  # pixels


@dataclass(frozen=True)
class _Curve:
    place: int
    label: str
    epochs: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def curve_metrics(comparison: Comparison, histories: Mapping[str, History]) -> list[str]:
    """Returns the metrics to draw: the objective and one more metric, each on validation and on training data."""
    known = dict.fromkeys(
        name
        for history in histories.values()
        for name, found in history.items()
        if not name.startswith("test_") and found
    )
    objective = comparison.objective.metric
    others = [name for name in (*comparison.metrics, *sorted(known)) if name.startswith("val_") and name != objective]
    wanted: list[str] = []
    for name in (objective, *others[:1]):
        wanted += [name, name.removeprefix("val_")]
    wanted += [name for name in ("loss", *sorted(known)) if not name.startswith("val_")]
    return [name for name in dict.fromkeys(wanted) if name in known][:4]


def curves_figure(comparison: Comparison, histories: Mapping[str, History]) -> Figure | None:
    """Draws up to four metrics by epoch for the best rows; None if no row has any.

    A row has one entry in the legend for all panels; the grey rows share an entry.
    """
    panels = [
        (metric, curves)
        for metric in curve_metrics(comparison, histories)
        if (curves := _curves(comparison, histories, metric))
    ]
    if not panels:
        return None
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    layout: Figure = {
        "height": lines * _PANEL + 120,
        "grid": {"rows": lines, "columns": columns, "pattern": "independent", "xgap": 0.12, "ygap": 0.2},
        "margin": {"t": 20, "b": 50, "l": 60, "r": 16},
        "legend": {"orientation": "h", "y": -0.09 if lines > 1 else -0.18, "traceorder": "normal"},
        "hovermode": "closest",
    }
    traces: list[Figure] = []
    named: set[str] = set()
    for number, (metric, curves) in enumerate(panels, 1):
        end = "" if number == 1 else str(number)
        layout[f"yaxis{end}"], layout[f"xaxis{end}"] = _value_axis(metric, curves), _epoch_axis(curves)
        # The best is drawn last, on top of the others.
        for curve in sorted(curves, key=lambda curve: -curve.place):
            drawn = [*_band(curve), _line(curve)]
            group = drawn[-1]["legendgroup"]
            drawn[-1]["showlegend"] = group not in named
            named.add(group)
            traces += [{**trace, "xaxis": f"x{end}", "yaxis": f"y{end}"} for trace in drawn]
    return {"data": traces, "layout": layout}


def run_ids(rows: Sequence[Row]) -> list[str]:
    """Returns the ids of the runs whose histories the curves of these rows need."""
    return [trial.run_id for row in rows[:DRAWN] for trial in row.trials.values()]


def _curves(comparison: Comparison, histories: Mapping[str, History], metric: str) -> list[_Curve]:
    rows = enumerate(comparison.rows[:DRAWN])
    curves = (_curve(place, comparison.label(row), row, histories, metric) for place, row in rows)
    return [curve for curve in curves if curve is not None]


def _curve(place: int, label: str, row: Row, histories: Mapping[str, History], metric: str) -> _Curve | None:
    runs = [dict(histories[trial.run_id].get(metric, ())) for trial in row.trials.values() if trial.run_id in histories]
    runs = [{epoch: value for epoch, value in run.items() if math.isfinite(value)} for run in runs]
    runs = [run for run in runs if run]
    # The mean ends where fewer than half of the seeds are left, because others stopped early.
    epochs = sorted({epoch for run in runs for epoch in run})
    epochs = [epoch for epoch in epochs if 2 * sum(epoch in run for run in runs) >= len(runs)]
    if not epochs:
        return None
    step = math.ceil(len(epochs) / _MOST_EPOCHS)
    epochs = sorted({*epochs[::step], epochs[-1]})
    found = [[run[epoch] for run in runs if epoch in run] for epoch in epochs]
    mean = [math.fsum(values) / len(values) for values in found]
    return _Curve(place, label, epochs, mean, [min(values) for values in found], [max(values) for values in found])


def _epoch_axis(curves: Sequence[_Curve]) -> Figure:
    few = max(curve.epochs[-1] for curve in curves) <= 20
    return {"title": {"text": "epoch", "standoff": 4}, **({"dtick": 1} if few else {})}


def _value_axis(metric: str, curves: Sequence[_Curve]) -> dict[str, Any]:
    """Returns a metric's axis: it shows all of the best rows and the ends of the others, without diverged values."""
    minimize = direction_of(metric) != "maximize"
    last = [curve.mean[-1] for curve in curves]
    shown = extent(last, minimize=minimize)
    best = [value for curve in curves if curve.place < len(COLOURS) for value in (*curve.low, *curve.high)]
    beginnings = extent([(max if minimize else min)(curve.mean) for curve in curves], minimize=minimize)
    begun = [value for value in best if (value <= beginnings.high if minimize else value >= beginnings.low)]
    values = [*filter(shown.shows, last), *begun]
    low, high = min(values), max(values)
    falls = minimize and low > 0 and high / low > 4  # a loss falls fast at first, and its end matters
    return Extent(low, high, falls).axis(label(metric) + (" (log)" if falls else ""))


def _band(curve: _Curve) -> list[Figure]:
    if curve.place >= len(COLOURS) or curve.low == curve.high:
        return []
    return [
        {
            "x": [*curve.epochs, *curve.epochs[::-1]],
            "y": _short([*curve.high, *curve.low[::-1]]),
            "fill": "toself",
            "fillcolor": COLOURS[curve.place] + "26",
            "line": {"width": 0},
            "mode": "lines",
            "hoverinfo": "skip",
            "legendgroup": str(curve.place),
            "showlegend": False,
        }
    ]


def _line(curve: _Curve) -> Figure:
    coloured = curve.place < len(COLOURS)
    named = label(f"{curve.place + 1}: {curve.label}")
    return {
        "x": curve.epochs,
        "y": _short(curve.mean),
        "name": named if coloured else "others",
        "mode": "lines" if len(curve.epochs) > 1 else "markers",
        "line": {"color": COLOURS[curve.place] if coloured else _GREY, "width": 2 if coloured else 1},
        "legendgroup": str(curve.place) if coloured else "others",
        "legendrank": 1000 + min(curve.place, len(COLOURS)),
        "text": named,
        "hovertemplate": "%{y:.4g} after epoch %{x}<extra>%{text}</extra>",
        "meta": curve.place,
    }


def _short(values: Sequence[float]) -> list[float]:
    """Rounds values to 5 digits, which a figure can show."""
    return [float(f"{value:.5g}") for value in values]
