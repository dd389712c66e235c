"""Parallel coordinates: an axis for each parameter, a line for each row, coloured by how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from kexp.sweeps.comparison import Comparison, Row
from kexp.sweeps.grouping import ABSENT, short_names, shorten, show_value
from kexp.sweeps.report.svg import Scale, axis_scale, escape, number_label, points, svg, text, ticks

__all__ = ["MOST_AXES", "MOST_LINES", "draw_parallel"]

MOST_AXES, MOST_LINES = 12, 400

_HEIGHT, _TOP, _BOTTOM = 360, 58, 26
_MOST_TICKS = 14


@dataclass(frozen=True)
class _Axis:
    name: str
    whole: str
    places: Mapping[Any, float]  # of each value that occurs
    ticks: Sequence[tuple[float, str]]


def draw_parallel(comparison: Comparison, columns: Sequence[str]) -> str:
    """The picture; empty where fewer than two rows have a result.

    Args:
        comparison: what to draw, at most `MOST_LINES` rows of it.
        columns: the parameters to draw, at most `MOST_AXES`.
    """
    every = [row for row in comparison.rows if row.values]
    if len(every) < 2 or not columns:
        return ""
    rows = chosen_rows(every)
    axes = [_axis(key, short, rows) for key, short in short_names(columns).items()]
    means = {row.summary.mean: 0.0 for row in rows}
    down = comparison.objective.direction == "minimize"  # the best is always on top
    scale = axis_scale(means, _TOP if down else _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM if down else _TOP)
    places = {mean: scale(mean) for mean in means}
    named = [(scale(value), number_label(value)) for value in ticks(scale, 7)]
    metric = comparison.objective.metric + (" (log)" if scale.log else "")
    axes.append(_Axis(metric, metric, places, named))
    spacing = max(118, min(320, 1180 / len(axes)))
    left = 14 + max(6.4 * max(len(label) for _, label in axes[0].ticks), 3.6 * len(axes[0].name))
    left = min(max(left, 60), 180)
    across = [left + place * spacing for place in range(len(axes))]
    width = across[-1] + 80
    parts = [_line(row, len(every), columns, axes, across) for row in reversed(rows)]
    for axis, x in zip(axes, across, strict=True):
        parts += _draw_axis(axis, x, int(spacing / 7.2))
    picture = svg(width, _HEIGHT, parts, "parameters and objective of each row", "chart parallel")
    return f'<div class="wide"><div style="min-width:{width * 0.8:.0f}px;max-width:{width:.0f}px">{picture}</div></div>'


def chosen_rows(rows: Sequence[Row]) -> list[Row]:
    """All rows, or the best half of what can be drawn and an even sample of the others."""
    if len(rows) <= MOST_LINES:
        return list(rows)
    half = MOST_LINES // 2
    rest = rows[half:]
    return [*rows[:half], *(rest[place * len(rest) // half] for place in range(half))]


def _axis(key: str, short: str, rows: Sequence[Row]) -> _Axis:
    """A numeric axis where values are numbers; else, or where zero stands among decades, one place for each value."""
    values = dict.fromkeys(row.params[key] for row in rows)
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    spans = [abs(value) for value in numbers if value]
    zero_among_decades = len(spans) < len(numbers) and spans and max(spans) / min(spans) > 30
    if len(numbers) == len(values) > 2 and not zero_among_decades:
        scale = axis_scale(numbers, _HEIGHT - _BOTTOM, _TOP, room=0.03)
        marks = _marks(numbers, scale)
        return _Axis(short + (" (log)" if scale.log else ""), key, {value: scale(value) for value in numbers}, marks)
    others = (value for value in values if isinstance(value, bool) or not isinstance(value, (int, float)))
    ordered = sorted(numbers) + sorted(others, key=_order)
    step = (_HEIGHT - _TOP - _BOTTOM) / max(1, len(ordered) - 1)
    middle = (_HEIGHT - _BOTTOM + _TOP) / 2
    places = {value: _HEIGHT - _BOTTOM - place * step for place, value in enumerate(ordered)}
    if len(ordered) == 1:
        places = dict.fromkeys(ordered, middle)
    every = -(-len(ordered) // _MOST_TICKS)
    return _Axis(short, key, places, [(places[value], show_value(value)) for value in ordered[::every]])


def _order(value: Any) -> tuple[bool, str]:
    return value is ABSENT, show_value(value)


def _marks(numbers: Sequence[float], scale: Scale) -> list[tuple[float, str]]:
    """The values themselves where they are few and apart; else round ones."""
    own = [(scale(value), show_value(float(value))) for value in sorted(set(numbers))]
    apart = all(abs(a[0] - b[0]) >= 14 for a, b in pairwise(own))
    if len(own) <= _MOST_TICKS and apart:
        return own
    return [(scale(value), number_label(value)) for value in ticks(scale, 7)]


def _line(row: Row, count: int, columns: Sequence[str], axes: Sequence[_Axis], across: Sequence[float]) -> str:
    found = [row.params[key] for key in columns] + [row.summary.mean]
    places = [(x, axis.places[value]) for axis, x, value in zip(axes, across, found, strict=True)]
    kind = "best" if row.rank == 1 else f"q{min(4, 5 * (row.rank - 1) // max(1, count - 1))}"
    label = ", ".join(f"{axis.name}={show_value(value)}" for axis, value in zip(axes, found, strict=True))
    title = f"<title>{row.rank}: {escape(label)}</title>"
    return f'<polyline class="{kind}" data-r="{row.rank - 1}" points="{points(places)}">{title}</polyline>'


def _draw_axis(axis: _Axis, x: float, letters: int) -> list[str]:
    parts = [f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>']
    shown = f"{escape(shorten(axis.name, letters))}<title>{escape(axis.whole)}</title>"
    parts.append(f'<text x="{x:.1f}" y="{_TOP - 26}" text-anchor="middle" class="name">{shown}</text>')
    for y, label in axis.ticks:
        most = max(8, letters - 2)
        wide = 6.3 * min(len(label), most) + 5  # lines pass behind the labels, not through them
        left = x - 6 - wide
        parts.append(f'<rect class="under" x="{left:.1f}" y="{y - 8:.1f}" width="{wide:.1f}" height="16" rx="3"/>')
        parts.append(text(x - 8, y + 4, label, anchor="end", kind="tick", most=most))
    return parts
