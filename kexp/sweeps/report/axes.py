"""Axes of figures: ranges that a few diverged trials cannot flatten, decades, and a line of categories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.sweeps.compare.grouping import ABSENT, is_number, marked, show_value

__all__ = ["Extent", "Figure", "extent", "label", "marks", "parameter_axis"]

Figure = dict[str, Any]
"""A figure of Plotly's: `data`, its traces, and `layout`."""

_DECADES = 1.5  # a logarithmic axis where positive values span more
_FENCE, _TIMES = 3.0, 1000.0
_MOST_TICKS = 14
_DOUBLING = {"dtick": math.log10(2), "tickformat": ".3~g"}


@dataclass(frozen=True)
class Extent:
    """What an axis shows.

    Attributes:
        low, high: its ends.
        log: whether decades are equally long.
    """

    low: float
    high: float
    log: bool = False

    def shows(self, value: float) -> bool:
        """Whether a value is within."""
        return self.low <= value <= self.high

    def clip(self, value: float) -> float:
        """The value, or the end that is nearer to it."""
        return min(max(value, self.low), self.high)

    def place(self, value: float) -> float:
        """The clipped value in the axis' own numbers, which are logarithms where it has decades."""
        inside = self.clip(value)
        return math.log10(inside) if self.log else inside

    def axis(self, title: str) -> dict[str, Any]:
        """The axis for Plotly, with a little room at both ends."""
        ends = [self.place(self.low), self.place(self.high)]
        room = 0.04 * (ends[1] - ends[0]) or 0.1 * abs(ends[0]) or 1.0
        # Ticks at 1, 10, 100, or at 1, 2, 4, 8: between decades Plotly's own ones have a first digit alone.
        decades = ends[1] - ends[0] > 2
        kind = {"type": "log", **({"exponentformat": "power", "dtick": 1} if decades else _DOUBLING)}
        return {"title": {"text": title}, "range": [ends[0] - room, ends[1] + room], **(kind if self.log else {})}


def extent(values: Iterable[float], *, minimize: bool = True) -> Extent:
    """The range of values, without what has diverged.

    All that is better than the middle half is within. Of the worse, what lies further from the middle half than three
    times its width is outside, and what is a thousand times the better quarter.

    Args:
        values: any; what is not finite does not count.
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
    """A text for Plotly, which takes some HTML for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def parameter_axis(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """One axis of parallel coordinates.

    Numbers stand at their place, or at that of their logarithm, and a parameter that a line does not have beneath them.
    Texts, and numbers that include zero beside decades, stand one after the other.

    Args:
        name: what stands above it.
        values: one a line.
    """
    known = {marked(value): value for value in values}.values()
    numbers = sorted(filter(is_number, known))
    others = [value for value in known if not is_number(value)]
    spans = [abs(value) for value in numbers if value]
    among_decades = len(spans) < len(numbers) and max(spans, default=1) / min(spans, default=1) > 10**_DECADES
    if len(numbers) > 2 and not among_decades and set(others) <= {ABSENT}:
        shown = Extent(numbers[0], numbers[-1], _in_decades(numbers))
        low, high = shown.place(shown.low), shown.place(shown.high)
        below = low - 0.12 * (high - low)
        places = [below if value is ABSENT else shown.place(value) for value in values]
        ticks = marks(numbers, shown) if others or shown.log or len(numbers) <= _MOST_TICKS else {}
        if others:
            ticks = {"tickvals": [below, *ticks["tickvals"]], "ticktext": [show_value(ABSENT), *ticks["ticktext"]]}
        named = name + (" (log)" if shown.log else "")
        return {"label": label(named), "values": places, "range": [below if others else low, high], **ticks}
    ordered = [*numbers, *sorted(others, key=lambda value: (value is ABSENT, show_value(value)))]
    order = {marked(value): place for place, value in enumerate(ordered)}
    every = -(-len(ordered) // _MOST_TICKS)
    return {
        "label": label(name),
        "values": [order[marked(value)] for value in values],
        "range": [0, len(ordered) - 1] if len(ordered) > 1 else [-1, 1],
        "tickvals": list(range(0, len(ordered), every)),
        "ticktext": [label(show_value(value)) for value in ordered[::every]],
    }


def marks(numbers: Sequence[float], shown: Extent) -> dict[str, Any]:
    """Ticks at the values themselves where they are few; else at round ones."""
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
    """Whether numbers are spread over decades rather than over their range: the place of the middle one tells."""
    low, middle, high = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    if low <= 0 or high / low <= 10**_DECADES:
        return False
    share, of_decades = (middle - low) / (high - low), math.log(middle / low) / math.log(high / low)
    return abs(of_decades - 0.5) < abs(share - 0.5)
