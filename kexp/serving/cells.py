"""Reads single values of a request as numbers, dates or texts, as DuckDB reads the text of a file."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from .periods import PERIODS, day_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "COMMA",
    "FORMS",
    "GROUPED",
    "MINUSES",
    "MISSING_WORDS",
    "SCALED",
    "SCALES",
    "RequestError",
    "dates_of",
    "grouped",
    "number_of",
    "numbers_in",
    "numbers_of",
    "shown",
    "text_of",
    "texts_of",
]

# Words for a missing number in people's files. In a column of text they may be names.
MISSING_WORDS = (
    *("na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "-nan", "null", "(null)", "\\n", "nil", "none", "missing"),
    *("unknown", "undefined", "not available", "#value!", "#div/0!", "#ref!", "#name?", "#num!", "#null!"),
    *("0000-00-00", "0000-00-00 00:00:00", "?", "-", "--", "---", ".", "..", "...", ""),
)

GROUPED, COMMA, SCALED = "1,234.5", "1.234,5", "1.2K"  # ways to write a number, each named by an example
FORMS = (GROUPED, COMMA, SCALED)
SCALES = {"K": "e3", "k": "e3", "M": "e6", "B": "e9"}  # thousands, millions and billions

_SPACES = " '\u00a0\u202f"  # further separators of thousands
MINUSES = "\u2212\u2013"  # other characters for a minus: the minus sign and the en dash


def grouped(marks: str) -> str:
    """Returns the pattern of a number with separated thousands, or, as in India, lakhs and crores."""
    return f"[0-9]{{1,3}}([{marks}][0-9]{{3}})+|[0-9]{{1,2}}([{marks}][0-9]{{2}})+[{marks}][0-9]{{3}}"


_PLAIN = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.ASCII | re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?", re.ASCII)
_PATTERNS = {
    form: re.compile(rf"[+-]?([0-9]*|{grouped(group + _SPACES)})([{mark}][0-9]+)?")
    for form, group, mark in ((GROUPED, ",", "."), (COMMA, ".", ","), (SCALED, ",", "."))
}


class RequestError(ValueError):
    """The request cannot be answered. The message is one sentence."""


def is_missing(value: Any) -> bool:
    """Returns whether a value is missing: None, NaN, NaT or pandas' NA."""
    if value is None:
        return True
    try:
        return bool(value != value)  # noqa: PLR0124  # NaN and NaT differ from themselves
    except (TypeError, ValueError):  # pandas' NA is neither true nor false; an array has many truths
        return not isinstance(value, (list, tuple, np.ndarray))


def number_of(value: Any, form: str | None = None) -> float | None:
    """Returns a value as a number: NaN if it is missing, None if it is not a number.

    Args:
        value: a number, a boolean, a time of the day, or a text of one of these.
        form: the format of the column's numbers, one of `FORMS`, or of its times of the day: %I:%M %p.
    """
    if isinstance(value, str):
        return _number_in(value.strip(" "), form)
    if isinstance(value, datetime.time):
        return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    try:
        return math.nan if is_missing(value) else float(value)
    except (TypeError, ValueError):
        return None


def _number_in(text: str, form: str | None) -> float | None:
    """Parses a number, a boolean, a time of day in seconds, or a missing value (NaN). Returns None for other texts."""
    lower = text.lower()
    if lower in MISSING_WORDS:
        return math.nan
    if form in FORMS:
        return _formatted_number(text, str(form))
    if form is not None and form.startswith("%") and (seconds := _since_midnight(text, form)) is not None:
        return seconds
    if _PLAIN.fullmatch(text):
        return float(text)
    if lower in ("true", "false"):
        return float(lower == "true")
    clock = _CLOCK.fullmatch(text)
    units = (3600, 60, 1)
    return (
        None
        if clock is None
        else sum(float(part or 0) * unit for part, unit in zip(clock.groups(), units, strict=True))
    )


def _since_midnight(text: str, form: str) -> float | None:
    """Returns a time of the day as seconds since midnight; None if the text does not have the format."""
    try:
        moment = datetime.datetime.strptime(text, form)  # a time of the day has no zone
    except ValueError:
        return None
    return moment.hour * 3600.0 + moment.minute * 60 + moment.second


def _formatted_number(text: str, form: str) -> float | None:
    """Parses a number with separated thousands, a currency, a percent sign or a unit. Returns None for other texts."""
    text = text.translate(dict.fromkeys(map(ord, MINUSES), "-"))
    if text.startswith("(") and text.endswith(")"):  # a negative number in accounting
        text = f"-{text[1:-1]}"
    elif text.endswith("-") and not text.startswith("-"):  # some accounts write the minus last
        text = f"-{text.rstrip('- ')}"
    scale = SCALES.get(text[-1:], "") if form == SCALED and text[-2:-1] in {*"0123456789."} else ""
    bare = re.sub(r"[^0-9]*$", "", text)
    bare = re.sub(r"^[^0-9.,+-]*([+-]?)[^0-9.,]*", r"\1", bare, count=1)
    if not _PATTERNS[form].fullmatch(bare):
        return None
    group = "." if form == COMMA else ","
    plain = re.sub(f"[{re.escape(group)}{_SPACES}]", "", bare).replace(",", ".")
    try:
        return float(plain + scale)
    except ValueError:
        return None


def numbers_in(words: Iterable[str]) -> list[float]:
    """Returns the words that are numbers, as numbers."""
    return [float(word) for word in words if _PLAIN.fullmatch(word)]


def text_of(value: Any) -> str | None:
    """Returns a value as trimmed text; None if it is missing or empty."""
    if isinstance(value, str):
        return value.strip(" ") or None
    if is_missing(value):
        return None
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip(" ") or None
    return str(value)


def numbers_of(values: Any, name: str, form: str | None = None) -> NDArray[np.float64]:
    """Returns a column's values as numbers, NaN for missing ones.

    Args:
        values: a pandas Series.
        name: the column's name, for messages.
        form: see `number_of`.

    Raises:
        RequestError: a value is not a number.
    """
    if values.dtype.kind in "biuf":
        numbers: NDArray[np.float64] = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers
    return _each(values, lambda value: number_of(value, form), name, "numbers")


def dates_of(values: Any, name: str, form: str | None) -> NDArray[np.float64]:
    """Returns a column's dates as seconds since 1970, NaN for missing ones.

    Args:
        values: a pandas Series of dates, or of dates as text.
        name: the column's name, for messages.
        form: the format of the dates; None for ISO 8601.

    Raises:
        RequestError: a value is not a date.
    """
    import pandas as pd

    if values.dtype.kind == "M":
        return _seconds(pd.to_datetime(values, utc=True))
    if values.dtype.kind in "iuf" and form is None and values.notna().any():
        raise RequestError(f"column {name!r} must hold dates, got the number {shown(values.dropna().iloc[0])}")

    def moments(given: list[str], form: str | None = form) -> NDArray[np.float64]:
        if form in PERIODS:
            return moments([str(day_of(each, form) or "") for each in given], None)
        return _seconds(pd.to_datetime(given, format=form or "ISO8601", utc=True, errors="coerce"))

    def seconds_of(value: Any) -> float | None:
        if is_missing(value):
            return math.nan
        if isinstance(value, datetime.date):  # a datetime is one too
            return float(moments([value.isoformat()], None)[0])
        text = f"{value:.0f}" if isinstance(value, (int, float, np.integer, np.floating)) else str(value).strip(" ")
        if text.lower() in MISSING_WORDS:
            return math.nan
        found = float(moments([text])[0])
        return None if math.isnan(found) else found

    if values.dtype.kind == "O":  # dates as text are parsed together, which is fast
        codes, unique = pd.factorize(values)
        texts = [each.strip(" ") for each in unique if isinstance(each, str)]
        found = moments(texts) if len(texts) == len(unique) else np.array([np.nan])
        if not np.isnan(found).any():
            return np.append(found, np.nan)[codes]
    return _each(values, seconds_of, name, "dates")


def texts_of(values: Any) -> tuple[NDArray[np.intp], list[str]]:
    """Returns the index of each value's text, -1 for missing values, and the distinct texts."""
    import pandas as pd

    codes, unique = pd.factorize(values)
    texts = [text_of(value) for value in unique]
    indices = {text: index for index, text in enumerate(dict.fromkeys(text for text in texts if text is not None))}
    table = np.array([*(-1 if text is None else indices[text] for text in texts), -1], dtype=np.intp)
    return table[codes], list(indices)


def shown(value: Any) -> str:
    """Returns a value for a message: its repr, cut to 60 characters."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _each(values: Any, read: Callable[[Any], float | None], name: str, what: str) -> NDArray[np.float64]:
    """Returns a column's values as numbers; `read` is called once for each distinct value.

    Raises:
        RequestError: `read` returns None for a value; the message says that the column must hold `what`.
    """
    import pandas as pd

    try:
        codes, unique = pd.factorize(values)
    except TypeError:  # lists, for example, which cannot be compared
        codes, unique = np.arange(len(values)), values.to_numpy()
    found = np.empty(len(unique) + 1)
    found[-1] = np.nan
    for place, value in enumerate(unique):
        number = read(value)
        if number is None:
            row = int(np.argmax(codes == place)) + 1
            raise RequestError(f"column {name!r} must hold {what}, got {shown(value)} in row {row}")
        found[place] = number
    taken: NDArray[np.float64] = found[codes]
    return taken


def _seconds(moments: Any) -> NDArray[np.float64]:
    """Returns dates as seconds since 1970, NaN for missing ones."""
    import pandas as pd

    index = pd.DatetimeIndex(moments).tz_convert(None).as_unit("us")
    microseconds = index.to_numpy().astype("datetime64[us]")
    seconds = microseconds.astype(np.int64) / 1e6
    return np.where(np.isnat(microseconds), np.nan, seconds)
