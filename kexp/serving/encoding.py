"""Encodes a table's columns as features, with what was learned from the training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .cells import RequestError, dates_of, numbers_in, numbers_of, texts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "encode",
    "feature_names",
    "fill_category",
    "fill_date",
    "fill_number",
    "is_required",
    "places_of_numbers",
    "used_columns",
]

DAY_S = 86400.0

Column = Mapping[str, Any]


def feature_names(column: Column) -> list[str]:
    """Returns the names of a column's features: its name, `column=category`, `column (year)`, `column is missing`."""
    name, kind = column["name"], column.get("kind")
    if "left_out" in column:
        return []
    if kind == "category":
        names = [f"{name}={category}" for category in column["categories"]]
        names += [f"{name}=(others)"] if column["others"] else []
    elif kind == "date":
        parts = ["year", "day of the year, sine", "day of the year, cosine", "day of the week, sine"]
        parts += ["day of the week, cosine", "days since the first"]
        parts += ["time of the day, sine", "time of the day, cosine"] if column["times"] else []
        names = [f"{name} ({part})" for part in parts]
    else:
        names = [name]
    return [*names, f"{name} is missing"] if column["missing"] else names


def used_columns(encoding: Mapping[str, Any]) -> list[Column]:
    """Returns the columns that become features."""
    return [column for column in encoding["columns"] if "left_out" not in column]


def is_required(column: Column) -> bool:
    """Returns whether rows must have the column: if it had no missing value in the training rows."""
    return not column["missing"]


def fill_number(encoded: NDArray[np.float32], at: int, values: NDArray[np.float64], fitted: Column) -> None:
    """Writes the features of a column of numbers.

    Args:
        encoded: the features of all columns, shape (rows, features).
        at: the index of the column's first feature.
        values: the numbers, shape (rows,), NaN for missing ones.
        fitted: the column, with what was learned.
    """
    missing = np.isnan(values)
    if missing.any():
        values = np.where(missing, fitted["median"], values)
    encoded[:, at] = values
    if fitted["missing"]:
        encoded[:, at + 1] = missing


def fill_category(
    encoded: NDArray[np.float32], at: int, place: NDArray[np.intp], missing: NDArray[np.bool_], fitted: Column
) -> None:
    """Writes the features of a column of categories, one-hot.

    Args:
        encoded: the features, zeros so far.
        at: the index of the column's first feature.
        place: the index of each row's category, -1 for a category that the training rows did not have.
        missing: whether each row's value is missing.
        fitted: the column, with what was learned.
    """
    count = len(fitted["categories"])
    if fitted["others"]:
        place = np.where(place < 0, count, place)
    place = np.where(missing, count + fitted["others"] if fitted["missing"] else -1, place)
    hit = np.flatnonzero(place >= 0)
    encoded[hit, at + place[hit]] = 1.0


def fill_date(encoded: NDArray[np.float32], at: int, seconds: NDArray[np.float64], fitted: Column) -> None:
    """Writes the features of a column of dates: year, day of the year, day of the week, days, time of the day.

    Args:
        encoded: the features of all columns, shape (rows, features).
        at: the index of the column's first feature.
        seconds: the dates in seconds since 1970, shape (rows,), NaN for missing ones.
        fitted: the column, with what was learned.
    """
    missing = np.isnan(seconds)
    seconds = np.where(missing, fitted["median"] * DAY_S, seconds)
    days = np.floor(seconds / DAY_S)
    day = days.astype("datetime64[D]")
    year = day.astype("datetime64[Y]")
    through = (day - year.astype("datetime64[D]")).astype(np.float64)
    length = ((year + 1).astype("datetime64[D]") - year.astype("datetime64[D]")).astype(np.float64)
    week = (days + 3) % 7  # 1970 began on a Thursday; Monday is 0
    encoded[:, at] = year.astype(np.int64) + 1970
    parts = [through / length, week / 7]
    parts += [(seconds % DAY_S) / DAY_S] if fitted["times"] else []
    places = [at + 1, at + 3, at + 6]
    for place, share in zip(places, parts, strict=False):
        encoded[:, place], encoded[:, place + 1] = np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)
    encoded[:, at + 5] = days - fitted["first"]
    if fitted["missing"]:
        encoded[:, at + 6 + 2 * fitted["times"]] = missing


def places_of_numbers(categories: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Returns the index of each number among categories that are numbers, -1 for other numbers."""
    numbers = np.array([float({"true": "1", "false": "0"}.get(name, name)) for name in categories])
    order = np.argsort(numbers)
    at = np.clip(np.searchsorted(numbers[order], values), 0, len(numbers) - 1)
    return np.where(numbers[order][at] == values, order[at], -1)


def encode(frame: Any, encoding: Mapping[str, Any]) -> NDArray[np.float32]:
    """Encodes the rows of a frame as features, shape (rows, features).

    Args:
        frame: a pandas DataFrame with the columns, in any order, and possibly others.
        encoding: what the run learned, its `data_encoding.json`.

    Raises:
        RequestError: a required column is missing, a value has the wrong type, or a number is infinite.
    """
    columns = used_columns(encoding)
    absent = [column["name"] for column in columns if is_required(column) and column["name"] not in frame.columns]
    if absent:
        what = f"the column {absent[0]!r}" if len(absent) == 1 else f"the columns {', '.join(map(repr, absent))}"
        available = ", ".join(repr(str(name)) for name in frame.columns) or "none"
        raise RequestError(f"{what} must be there, got {available}")
    names = [feature_names(column) for column in columns]
    encoded = np.zeros((len(frame), sum(map(len, names))), dtype=np.float32)
    at = 0
    for column, features in zip(columns, names, strict=True):
        values = _column(frame, column["name"])
        reading = encoding.get("reading", {})
        if words := [*reading.get("na_values", ()), *reading.get("missing", {}).get(column["name"], ())]:
            values = _without(values, words)
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinity, which is refused
            _fill(encoded, at, values, column, encoding)
        here = encoded[:, at : at + len(features)]
        if column["kind"] != "category" and not np.isfinite(here).all():
            row = int(np.argmin(np.isfinite(here).all(axis=1))) + 1
            raise RequestError(f"column {column['name']!r} must be finite, got infinity in row {row}")
        at += len(features)
    return encoded


def _without(values: Any, words: Sequence[str]) -> Any:
    """Returns the values with these words set to missing. A word that is a number removes it in any spelling."""
    import pandas as pd

    found = values.isin(words)
    if numbers := numbers_in(words):
        found |= pd.to_numeric(values, errors="coerce").isin(numbers)
    return values.mask(found)


def _fill(encoded: NDArray[np.float32], at: int, values: Any, column: Column, encoding: Mapping[str, Any]) -> None:
    """Encodes the values of one column into `encoded`, from its column `at` on."""
    name = column["name"]
    kind, form = encoding.get("kinds", {}).get(name, (None, None))
    if column["kind"] == "date":
        fill_date(encoded, at, dates_of(values, name, column.get("format") or form), column)
    elif column["kind"] != "category":
        fill_number(encoded, at, numbers_of(values, name, form), column)
    elif kind in ("number", "boolean"):
        numbers = numbers_of(values, name, form)
        fill_category(encoded, at, places_of_numbers(column["categories"], numbers), np.isnan(numbers), column)
    else:
        codes, words = texts_of(values)
        known = {category: place for place, category in enumerate(column["categories"])}
        table = np.array([*(_place(known, word) for word in words), -1], dtype=np.intp)
        fill_category(encoded, at, table[codes], codes < 0, column)


def _place(known: Mapping[str, int], word: str) -> int:
    """Returns the index of a category. pandas reads 3 as 3.0 in a column with missing values, and True as a boolean."""
    tried = [word, word.removesuffix(".0"), *((word.title(), word.upper()) if word in ("true", "false") else ())]
    return next((known[each] for each in tried if each in known), -1)


def _column(frame: Any, name: str) -> Any:
    """Returns a column as a Series, all missing if the frame does not have it."""
    import pandas as pd

    if name not in frame.columns:
        return pd.Series(np.full(len(frame), np.nan), dtype=object)
    values = frame[name]
    if isinstance(values, pd.DataFrame):
        raise RequestError(f"column {name!r} must be there once, got {values.shape[1]} of that name")
    return values.astype(object) if isinstance(values.dtype, pd.CategoricalDtype) else values
