"""Learning curves: of each row the mean over its seeds, and a band from the lowest to the highest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kexp.sweeps.comparison import Comparison, Row
from kexp.sweeps.objective import direction_of
from kexp.sweeps.report.svg import Scale, axis_scale, escape, number_label, points, svg, text, ticks
from kexp.sweeps.results import History

__all__ = ["COLOURED", "DRAWN", "curve_metrics", "draw_curves", "run_ids"]

COLOURED, DRAWN = 8, 60
"""So many rows get a colour and a band; so many are drawn at all, the others thin and grey."""

_WIDTH, _HEIGHT = 560, 310
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 34, 44
_MOST_EPOCHS = 150


@dataclass(frozen=True)
class _Curve:
    place: int
    label: str
    epochs: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]


def curve_metrics(comparison: Comparison, histories: Mapping[str, History]) -> list[str]:
    """The objective, its counterpart on training data, and the same of one more metric."""
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


def draw_curves(comparison: Comparison, histories: Mapping[str, History], metric: str) -> str:
    """One metric by epoch, for the best rows; empty where no row has it."""
    curves = [
        curve
        for place, row in enumerate(comparison.rows[:DRAWN])
        if (curve := _curve(place, comparison.label(row), row, histories, metric)) is not None
    ]
    if not curves:
        return ""
    epochs = [epoch for curve in curves for epoch in curve.epochs]
    across = Scale(min(epochs), max(*epochs, min(epochs) + 1), _LEFT, _WIDTH - _RIGHT)
    values = [value for curve in curves for value in (*curve.mean, *_banded(curve))]
    # A loss falls fast and then slowly: what tells the choices apart is at its end.
    falls = direction_of(metric) == "minimize" and min(values) > 0 and max(values) / min(values) > 4
    up = axis_scale(values, _HEIGHT - _BOTTOM, _TOP, log=True if falls else None)
    parts = _frame(across, up, metric)
    # The best is drawn last, on top of the others.
    for curve in sorted(curves, key=lambda curve: -curve.place):
        parts.append(_draw(curve, across, up))
    return svg(_WIDTH, _HEIGHT, parts, f"{metric} by epoch", "chart")


def _curve(place: int, label: str, row: Row, histories: Mapping[str, History], metric: str) -> _Curve | None:
    runs = [dict(histories[trial.run_id].get(metric, ())) for trial in row.trials.values() if trial.run_id in histories]
    runs = [{epoch: value for epoch, value in run.items() if math.isfinite(value)} for run in runs]
    runs = [run for run in runs if run]
    # Seeds that stopped early thin out the mean: it ends where fewer than half of them are left.
    epochs = sorted({epoch for run in runs for epoch in run})
    epochs = [epoch for epoch in epochs if 2 * sum(epoch in run for run in runs) >= len(runs)]
    if not epochs:
        return None
    step = math.ceil(len(epochs) / _MOST_EPOCHS)
    epochs = sorted({*epochs[::step], epochs[-1]})
    found = [[run[epoch] for run in runs if epoch in run] for epoch in epochs]
    mean = [math.fsum(values) / len(values) for values in found]
    return _Curve(place, label, epochs, mean, [min(values) for values in found], [max(values) for values in found])


def _banded(curve: _Curve) -> list[float]:
    return [*curve.low, *curve.high] if curve.place < COLOURED else []


def _frame(across: Scale, up: Scale, metric: str) -> list[str]:
    parts = [text(_LEFT, 18, metric + (" (log)" if up.log else ""), kind="name")]
    for value in ticks(up, 5):
        y = up(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(_LEFT - 8, y + 4, number_label(value), anchor="end", kind="tick"))
    for value in sorted({round(value) for value in ticks(across, 8)}):
        if across.low <= value <= across.high:
            parts.append(text(across(value), _HEIGHT - _BOTTOM + 18, f"{value:,}", anchor="middle", kind="tick"))
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, "epoch", anchor="middle", kind="tick"))
    return parts


def _draw(curve: _Curve, across: Scale, up: Scale) -> str:
    mean = [(across(epoch), up(value)) for epoch, value in zip(curve.epochs, curve.mean, strict=True)]
    coloured = curve.place < COLOURED
    kind = f"line c{curve.place}" if coloured else "line rest"
    title = f"<title>{curve.place + 1}: {escape(curve.label)}</title>"
    parts = []
    if coloured and curve.low != curve.high:
        edge = [(across(epoch), up(value)) for epoch, value in zip(curve.epochs, curve.high, strict=True)]
        back = [(across(epoch), up(value)) for epoch, value in zip(curve.epochs, curve.low, strict=True)]
        parts.append(f'<polygon class="band c{curve.place}" points="{points([*edge, *back[::-1]])}"/>')
    if len(mean) == 1:
        x, y = mean[0]
        parts.append(f'<circle class="dot c{curve.place if coloured else 0}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
    else:
        parts.append(f'<polyline class="{kind}" points="{points(mean)}"/>')
    return f'<g data-r="{curve.place}">{title}{"".join(parts)}</g>'


def run_ids(rows: Sequence[Row]) -> list[str]:
    """The runs whose histories the curves of these rows need."""
    return [trial.run_id for row in rows[:DRAWN] for trial in row.trials.values()]
