"""Formats numbers for people: counts, four significant digits, and an interval with the decimals of its mean."""

from __future__ import annotations

import math

from kexp.system.wording import plural

__all__ = ["count_of", "number_format", "show_p", "tidy"]

_DIGITS = 4  # significant ones


def count_of(name: str, count: int) -> str:
    """Returns a count of things with their name: `1 trial`, `2,000 trials`."""
    return f"{count:,} {plural(name, count)}"


def number_format(value: float) -> str:
    """Returns the format of a value and of its interval: `.4f`, or `.3e` for very small and very large values."""
    size = abs(value)
    if not size or not math.isfinite(size):
        return f".{_DIGITS}f"
    if size < 1e-4 or size >= 1e7:
        return f".{_DIGITS - 1}e"
    return f".{max(0, _DIGITS - 1 - math.floor(math.log10(size)))}f"


def tidy(value: float, form: str) -> str:
    """Returns a number in a format; `-` for NaN."""
    if math.isnan(value):
        return "-"
    return f"{value:{form}}" if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def show_p(p: float) -> str:
    """Returns a p-value with two or three decimals; `<0.001` if it is smaller."""
    if math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
