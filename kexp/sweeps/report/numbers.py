"""Numbers for people: a column's values with the same decimals, so that they can be read against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["column_format", "show_p", "tidy"]


def column_format(values: Iterable[float], digits: int = 4) -> str:
    """A format for all values of a column, after the typical size of them.

    Args:
        values: any; what is not finite, and zero, do not count.
        digits: of a typical value.

    Returns:
        A format specification such as `.4f` or `.3e`.
    """
    sizes = sorted(abs(value) for value in values if math.isfinite(value) and value)
    if not sizes:
        return f".{digits}f"
    typical = sizes[len(sizes) // 2]
    if typical < 1e-4 or sizes[-1] >= 1e7:
        return f".{digits - 1}e"
    return f".{max(0, digits - 1 - max(-1, math.floor(math.log10(typical))))}f"


def tidy(value: float, form: str) -> str:
    """A number by its column's format; `-` where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:{form}}" if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def show_p(p: float) -> str:
    """A p-value: two significant digits, `<0.001` below that."""
    if math.isnan(p):
        return "-"
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
