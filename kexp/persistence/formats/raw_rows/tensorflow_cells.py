"""Parses single values of raw rows inside a TensorFlow graph, as `kexp.serving.cells` does, with RE2 patterns."""

from __future__ import annotations

import calendar
import re
from typing import Any

import numpy as np
import tensorflow as tf

from kexp.persistence.formats.raw_rows.columns import CLOCK, ISO, pattern_of
from kexp.serving.cells import COMMA, FORMS, MINUSES, MISSING_WORDS, SCALED, SCALES, grouped

__all__ = ["days_from_civil", "moments", "numbers", "refuse", "trimmed", "year_of"]

DAY_S = 86400.0

_MISSING = "|".join(map(re.escape, MISSING_WORDS))
_PLAIN = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SPACES = " '\u00a0\u202f"  # further separators of thousands
_MONTHS = [name.lower() for name in calendar.month_abbr[1:]]


def trimmed(texts: Any) -> Any:
    """Removes the spaces around texts."""
    return tf.strings.regex_replace(texts, "^ +| +$", "")


def refuse(wrong: Any, shown: Any, sentence: str) -> None:
    """Stops the computation if a value of a batch is wrong.

    Args:
        wrong: bool for each value.
        shown: the values.
        sentence: the error's message, followed by the first wrong value.
    """
    tf.debugging.Assert(tf.logical_not(tf.reduce_any(wrong)), [sentence, tf.boolean_mask(shown, wrong)[:1]])


def numbers(texts: Any, name: str, form: str | None) -> Any:
    """Parses texts as numbers; see `kexp.serving.cells.number_of`.

    Args:
        texts: of shape (rows,).
        name: the column's name, for messages.
        form: how the numbers are written; None for plain numbers.

    Returns:
        float64, NaN for missing values.
    """
    texts = trimmed(texts)
    missing = _missing(texts)
    plain = _written(texts, form) if form in FORMS else _truths_as_numbers(tf.strings.regex_replace(texts, "_", ""))
    valid = tf.strings.regex_full_match(plain, _PLAIN)
    found = _number(plain, valid)
    clock = form is not None and form.startswith("%")
    for pattern in (*([pattern_of(str(form))] if clock else []), *([] if form in FORMS else [CLOCK])):
        fits, parts = _parts(texts, pattern)
        valid, found = valid | fits, tf.where(fits & ~valid, _seconds_of_the_day(parts), found)
    refuse(~(valid | missing), texts, f"column {name!r} must hold numbers, got")
    return tf.where(missing, tf.constant(np.nan, tf.float64), found)


def moments(texts: Any, name: str, form: str | None) -> Any:
    """Parses texts as dates; see `kexp.serving.cells.dates_of`.

    Args:
        texts: of shape (rows,).
        name: the column's name, for messages.
        form: a `strptime` format; None for ISO 8601.

    Returns:
        Seconds since 1970, float64, NaN for missing values.
    """
    texts = trimmed(texts)
    missing = _missing(texts)
    valid, parts = _parts(texts, pattern_of(form) if form else ISO)
    year, month, day = _civil(parts)
    length = tf.gather(tf.constant([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], tf.int64), month - 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0)) & (month == 2)
    valid &= (day >= 1) & (day <= length + tf.cast(leap, tf.int64))
    refuse(~(valid | missing), texts, f"column {name!r} must hold dates, got")
    found = tf.cast(days_from_civil(year, month, day), tf.float64) * DAY_S + _seconds_of_the_day(parts)
    return tf.where(missing, tf.constant(np.nan, tf.float64), found)


def days_from_civil(year: Any, month: Any, day: Any) -> Any:
    """Computes days since 1970 of dates of the Gregorian calendar, int64.

    Years are counted from March, so that the leap day is the last of a year, and in cycles of 400 years, which have
    equal lengths.
    """
    year -= tf.cast(month <= 2, tf.int64)
    cycle = year // 400
    of_cycle = year - cycle * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return cycle * 146097 + of_cycle * 365 + of_cycle // 4 - of_cycle // 100 + of_year - 719468


def year_of(days: Any) -> Any:
    """Computes the year of days since 1970, int64."""
    shifted = days + 719468
    cycle = shifted // 146097
    of_cycle = shifted - cycle * 146097
    year = (of_cycle - of_cycle // 1460 + of_cycle // 36524 - of_cycle // 146096) // 365
    since_march = of_cycle - (365 * year + year // 4 - year // 100)
    return year + cycle * 400 + tf.cast(since_march >= 306, tf.int64)  # the first of January after


def _missing(texts: Any) -> Any:
    return tf.strings.regex_full_match(tf.strings.lower(texts), _MISSING)


def _truths_as_numbers(texts: Any) -> Any:
    for word, number in (("true", "1"), ("false", "0")):
        texts = tf.strings.regex_replace(texts, f"(?i)^{word}$", number)
    return texts


def _written(texts: Any, form: str | None) -> Any:
    """Converts numbers with grouped thousands, currency or decimal commas to plain ones; empty for other texts."""
    group, mark = (".", ",") if form == COMMA else (",", ".")
    assert form in FORMS
    texts = tf.strings.regex_replace(texts, f"[{MINUSES}]", "-")
    signed = tf.strings.regex_replace(texts, r"^([^-].*?)[- ]*-$", r"-\1")
    signed = tf.strings.regex_replace(signed, r"^\((.*)\)$", r"-\1")
    bare = tf.strings.regex_replace(signed, "[^0-9]*$", "", replace_global=False)
    bare = tf.strings.regex_replace(bare, r"^[^0-9.,+-]*([+-]?)[^0-9.,]*", r"\1", replace_global=False)
    apart = f"[{re.escape(group)}{_SPACES}]"
    fits = tf.strings.regex_full_match(bare, f"[+-]?([0-9]*|{grouped(group + _SPACES)})([{mark}][0-9]+)?")
    plain = tf.strings.regex_replace(tf.strings.regex_replace(bare, apart, ""), ",", ".")
    for letter, exponent in SCALES.items() if form == SCALED else ():
        scaled = tf.strings.regex_full_match(signed, f".*[0-9.]{letter}")
        plain = tf.where(scaled, tf.strings.join([plain, exponent]), plain)
    return tf.where(fits, plain, "")


def _number(texts: Any, valid: Any) -> Any:
    return tf.strings.to_number(tf.where(valid, texts, "0"), tf.float64)


def _parts(texts: Any, pattern: str) -> tuple[Any, dict[str, Any]]:
    """Returns which texts match a pattern, and the texts of its groups, empty for texts that do not match."""
    pattern = f"(?i)^(?:{pattern})$"
    valid = tf.strings.regex_full_match(texts, pattern)
    groups = re.compile(pattern).groupindex
    taken = {each: tf.strings.regex_replace(texts, pattern, rf"\{place}") for each, place in groups.items()}
    return valid, {each: tf.where(valid, found, "") for each, found in taken.items()}


def _civil(parts: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Returns year, month and day; a missing one is the first."""
    year = _integer(parts["Y"], 1970) if "Y" in parts else _integer(parts["y"], 70)
    if "Y" not in parts:
        year += tf.where(year < 69, tf.constant(2000, tf.int64), tf.constant(1900, tf.int64))
    month = (
        _integer(parts["m"], 1) if "m" in parts else _month_named(parts["b"]) if "b" in parts else tf.ones_like(year)
    )
    day = _integer(parts["d"], 1) if "d" in parts else tf.ones_like(year)
    return year, tf.clip_by_value(month, 1, 12), tf.where((month < 1) | (month > 12), tf.zeros_like(day), day)


def _month_named(texts: Any) -> Any:
    names = tf.strings.substr(tf.strings.lower(texts), 0, 3)
    return tf.argmax(tf.equal(names[:, None], tf.constant(_MONTHS)[None, :]), axis=1) + 1


def _seconds_of_the_day(parts: dict[str, Any]) -> Any:
    """Returns seconds since midnight, minus the offset of the time zone from UTC."""
    some = next(iter(parts.values()))
    hours = _integer(parts["H"] if "H" in parts else parts["I"], 0) if {"H", "I"} & set(parts) else _zeros(some)
    if "p" in parts and "H" not in parts:
        afternoon = tf.cast(tf.equal(tf.strings.upper(parts["p"]), "PM"), tf.int64)
        hours = hours % 12 + 12 * afternoon
    minutes, whole = (_integer(parts[each], 0) if each in parts else _zeros(some) for each in "MS")
    seconds = tf.cast(hours * 3600 + minutes * 60 + whole, tf.float64)
    if "f" in parts:
        seconds += tf.strings.to_number(tf.strings.join(["0.", parts["f"], "0"]), tf.float64)
    if "z" in parts:
        digits = tf.strings.regex_replace(parts["z"], "[^0-9]", "")
        ahead = _ahead(digits)
        sign = tf.where(tf.strings.regex_full_match(parts["z"], r"-.*"), -1.0, 1.0)
        seconds -= tf.cast(sign, tf.float64) * tf.cast(ahead, tf.float64)
    return seconds


def _ahead(digits: Any) -> Any:
    """Returns the seconds of a time zone's four digits, 0 for an empty text."""
    number = _integer(digits, 0)
    return (number // 100) * 3600 + (number % 100) * 60


def _integer(digits: Any, default: int) -> Any:
    valid = tf.strings.length(digits) > 0
    return tf.strings.to_number(tf.where(valid, digits, str(default)), tf.int64)


def _zeros(texts: Any) -> Any:
    return tf.zeros_like(tf.strings.length(texts), tf.int64)
