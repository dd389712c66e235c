"""Axes of figures: ranges without diverged trials, logarithmic axes, and axes of categories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.sweeps.compare.grouping import ABSENT, is_number, mark_bool, show_value

__all__ = ["Extent", "Figure", "axis_ticks", "extent", "label", "parameter_axis"]

Figure = dict[str, Any]
"""A figure in Plotly's format: `data`, the traces, and `layout`."""

_DECADES = 1.5  # an axis is logarithmic if positive values span more decades
_FENCE, _TIMES = 3.0, 1000.0
_MOST_TICKS = 14
_DOUBLING = {"dtick": math.log10(2), "tickformat": ".3~g"}


@dataclass(frozen=True)
class Extent:
    """The range of an axis.

    Attributes:
        low, high: the ends.
        log: whether the axis is logarithmic.
    """

    low: float
    high: float
    log: bool = False

    def shows(self, value: float) -> bool:
        """Returns whether a value is in the range."""
        return self.low <= value <= self.high

    def clip(self, value: float) -> float:
        """Returns the value, or the nearer end if it is outside."""
        return min(max(value, self.low), self.high)

    def place(self, value: float) -> float:
        """Returns the clipped value in the axis' coordinates: its logarithm on a logarithmic axis."""
        inside = self.clip(value)
        return math.log10(inside) if self.log else inside

    def axis(self, title: str) -> dict[str, Any]:
        """Returns the axis in Plotly's format, with a margin at both ends."""
        ends = [self.place(self.low), self.place(self.high)]
        room = 0.04 * (ends[1] - ends[0]) or 0.1 * abs(ends[0]) or 1.0
        # Ticks at 1, 10, 100, or at 1, 2, 4, 8, because Plotly labels ticks between decades by one digit.
        decades = ends[1] - ends[0] > 2
        kind = {"type": "log", **({"exponentformat": "power", "dtick": 1} if decades else _DOUBLING)}
        return {"title": {"text": title}, "range": [ends[0] - room, ends[1] + room], **(kind if self.log else {})}


def extent(values: Iterable[float], *, minimize: bool = True) -> Extent:
    """Returns the range of values without diverged ones.

    The range includes all values that are better than the middle half. A worse value is outside if its distance from
    the middle half is more than three times the width of that half, or if it is a thousand times the better quartile.

    Args:
        values: any values; those that are not finite are ignored.
        minimize: whether less is better.
    """
    sign = 1.0 if minimize else -1.0
    known = sorted(sign * value for value in values if math.isfinite(value))
    if not known:
        return Extent(0.0, 1.0)
    quarter, three = known[len(known) // 4], known[3 * len(known) // 4]
    fence = three + _FENCE * (three - quarter) if three > quarter else known[-1]
    if quarter:
        fence = max(quarter, min(fence, _TIMES * abs(quarter)))
    inside = [value for value in known if value <= fence]
    low, high = sorted((sign * inside[0], sign * inside[-1]))
    return Extent(low, high, low > 0 and math.log10(high / low) > _DECADES)


def label(text: str) -> str:
    """Escapes a text for Plotly, which interprets some HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def parameter_axis(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Returns one axis of parallel coordinates.

    Numbers are placed by their value or its logarithm, and absent values below them. Texts are placed one after the
    other; so are numbers that span decades and include zero.

    Args:
        name: the axis' label.
        values: one value for each line.
    """
    known = {mark_bool(value): value for value in values}.values()
    numbers = sorted(filter(is_number, known))
    others = [value for value in known if not is_number(value)]
    spans = [abs(value) for value in numbers if value]
    among_decades = len(spans) < len(numbers) and max(spans, default=1) / min(spans, default=1) > 10**_DECADES
    if len(numbers) > 2 and not among_decades and set(others) <= {ABSENT}:
        shown = Extent(numbers[0], numbers[-1], _in_decades(numbers))
        low, high = shown.place(shown.low), shown.place(shown.high)
        below = low - 0.12 * (high - low)
        places = [below if value is ABSENT else shown.place(value) for value in values]
        ticks = axis_ticks(numbers, shown) if others or shown.log or len(numbers) <= _MOST_TICKS else {}
        if others:
            ticks = {"tickvals": [below, *ticks["tickvals"]], "ticktext": [show_value(ABSENT), *ticks["ticktext"]]}
        named = name + (" (log)" if shown.log else "")
        return {"label": label(named), "values": places, "range": [below if others else low, high], **ticks}
    ordered = [*numbers, *sorted(others, key=lambda value: (value is ABSENT, show_value(value)))]
    order = {mark_bool(value): place for place, value in enumerate(ordered)}
    every = -(-len(ordered) // _MOST_TICKS)
    return {
        "label": label(name),
        "values": [order[mark_bool(value)] for value in values],
        "range": [0, len(ordered) - 1] if len(ordered) > 1 else [-1, 1],
        "tickvals": list(range(0, len(ordered), every)),
        "ticktext": [label(show_value(value)) for value in ordered[::every]],
    }


def axis_ticks(numbers: Sequence[float], shown: Extent) -> dict[str, Any]:
    """Returns ticks: at the values if they are few, else at round numbers."""
    values = sorted(set(numbers))
    if len(values) > _MOST_TICKS and shown.log:
        first, last = math.floor(math.log10(shown.low)), math.ceil(math.log10(shown.high))
        steps = (1,) if last - first > 3 else (1, 2, 5)
        round_ones = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        values = [*filter(shown.shows, round_ones)] or [shown.low, shown.high]
    elif len(values) > _MOST_TICKS:
        step = 10.0 ** math.floor(math.log10((shown.high - shown.low) / 2))
        values = [step * place for place in range(math.ceil(shown.low / step), math.floor(shown.high / step) + 1)]
    return {"tickvals": [shown.place(value) for value in values], "ticktext": [show_value(value) for value in values]}


def _in_decades(ordered: Sequence[float]) -> bool:
    """Returns whether numbers are spread over decades rather than over their range, judged by the median."""
    low, middle, high = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    if low <= 0 or high / low <= 10**_DECADES:
        return False
    share, of_decades = (middle - low) / (high - low), math.log(middle / low) / math.log(high / low)
    return abs(of_decades - 0.5) < abs(share - 0.5)
