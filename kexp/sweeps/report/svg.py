"""Small means to draw SVG by hand: text that cannot break out, scales, ticks. Colours are the page's CSS variables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from kexp.sweeps.grouping import shorten

__all__ = ["Scale", "axis_scale", "escape", "number_label", "points", "svg", "text", "ticks"]

DECADES = 1.5
"""Positive values that span more decades than this are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Scale:
    """Maps values to places.

    Attributes:
        low, high: the values at the ends.
        start, end: the places of the ends.
        log: whether decades are equally long.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; what is outside stands at the nearer end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def axis_scale(
    values: Iterable[float], start: float, end: float, *, room: float = 0.04, log: bool | None = None
) -> Scale:
    """A scale over finite values, logarithmic where they are positive and span decades.

    Args:
        values: what will be drawn.
        start, end: places of the ends.
        room: what to leave at both ends, as a share of the range.
        log: forces the kind.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if log is None:
        log = low > 0 and math.log10(high / low) >= DECADES
    if log:
        factor = (high / low) ** room if high > low else 2.0
        return Scale(low / factor, high * factor, start, end, True)
    margin = (high - low) * room if high > low else abs(high) * 0.1 or 1.0
    return Scale(low - margin, high + margin, start, end)


def ticks(scale: Scale, count: int = 6) -> list[float]:
    """Round values inside a scale: decades (with 2 and 5 where there are few), or steps of 1, 2 or 5."""
    if scale.log:
        first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
        every = max(1, math.ceil((last - first) / count))
        decades = [10.0**power for power in range(first, last + 1, every)]
        inside = [value for value in decades if scale.low <= value <= scale.high]
        if len(inside) >= 3:
            return inside
        fine = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
        return [value for value in fine if scale.low <= value <= scale.high]
    span = scale.high - scale.low
    rough = span / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = math.ceil(scale.low / step - 1e-9)
    return [place * step for place in range(first, math.floor(scale.high / step + 1e-9) + 1)]


def number_label(value: float) -> str:
    """A tick's label: `0.001`, `1e-05`, `2,000`."""
    if value == 0 or abs(value) < 1e-12:
        return "0"
    if 1000 <= abs(value) < 1e6 and value == round(value):
        return f"{value:,.0f}"
    shown = f"{value:.4g}"
    return shown.replace("e-0", "e-").replace("e+0", "e")


def points(places: Iterable[tuple[float, float]]) -> str:
    """Coordinates for `points=`; a tenth of a pixel is enough."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def text(x: float, y: float, label: str, *, anchor: str = "start", kind: str = "", most: int = 0) -> str:
    """A text; one longer than `most` letters is shortened, and whole when pointed at."""
    shown = shorten(label, most) if most else label
    title = f"<title>{escape(label)}</title>" if shown != label else ""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(shown)}{title}</text>'


def svg(width: float, height: float, parts: Sequence[str], label: str, kind: str = "") -> str:
    """A whole picture that scales with the page."""
    named = f' class="{kind}"' if kind else ""
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}"{named}>'
    return head + "".join(parts) + "</svg>"
