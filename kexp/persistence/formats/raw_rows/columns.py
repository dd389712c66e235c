"""Checks whether a TensorFlow graph can read raw columns, and has the patterns of dates. Does not import TensorFlow."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from typing import Any

from kexp.serving.encoding import used_columns
from kexp.serving.periods import PERIODS

__all__ = ["CLOCK", "ISO", "pattern_of", "read_as", "why_encoded"]

Column = Mapping[str, Any]

CLOCK = r"(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:\.(?P<f>\d+))?)?"
_ZONE = r"(?P<z>Z|[+-]\d{2}:?\d{2})"
ISO = rf"(?P<Y>\d{{4}})(?:[-/](?P<m>\d{{1,2}})(?:[-/](?P<d>\d{{1,2}})(?:[ T]{CLOCK})?)?)? ?{_ZONE}?"
_MONTH = "|".join(calendar.month_name[1:]) + "|" + "|".join(calendar.month_abbr[1:])
_DAY = "|".join([*calendar.day_name, *calendar.day_abbr])
_DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>1[0-2]|0[1-9]|[1-9])",
    "b": rf"(?P<b>{_MONTH})",
    "B": rf"(?P<b>{_MONTH})",
    "d": r"(?P<d>3[01]|[12]\d|0[1-9]|[1-9])",
    "a": rf"(?:{_DAY})",
    "A": rf"(?:{_DAY})",
    "H": r"(?P<H>2[0-3]|[01]\d|\d)",
    "I": r"(?P<I>1[0-2]|0[1-9]|[1-9])",
    "p": r"(?P<p>AM|PM)",
    "M": r"(?P<M>[0-5]\d|\d)",
    "S": r"(?P<S>[0-5]\d|\d)",
    "f": r"(?P<f>\d{1,6})",
    "z": _ZONE,
}


def why_encoded(rows: Mapping[str, Any]) -> str:
    """Returns what a graph takes instead of raw rows, with the reason; empty if it can take raw rows.

    Args:
        rows: the description of rows in `serving.json`.
    """
    if rows["kind"] == "images":
        return "arrays of pixels from 0 to 1, for TensorFlow scales files default"
    encoding = rows.get("encoding") or {}
    for column in used_columns(encoding) if "columns" in encoding else ():
        _, form = read_as(column, encoding)
        directives = re.findall(r"%(.)", form) if form and form.startswith("%") else []
        unknown = [f"%{each}" for each in directives if each not in _DIRECTIVES and each != "%"]  # names of time zones
        if unknown or form in PERIODS:
            what = unknown[0] if unknown else "periods"
            return f"encoded columns, for TensorFlow does not read {what} in {column['name']!r}, written {form}"
    return ""


def read_as(column: Column, encoding: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Returns the type that the run read a column as, and the format of its values; each is None if it is not known."""
    kind, form = encoding.get("kinds", {}).get(column["name"], (None, None))
    return kind, column.get("format") or form


def pattern_of(form: str) -> str:
    """Returns the pattern of a `strptime` format, with one group for each directive."""
    pattern = ""
    for directive, other in re.findall(r"%(.)|([^%]+)", form):
        if other:
            pattern += re.sub(r"(?:\\?\s)+", r"\\s+", re.escape(other))
        else:
            pattern += "%" if directive == "%" else _DIRECTIVES[directive]
    return pattern
