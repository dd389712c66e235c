"""Single values become the numbers, dates and texts that DuckDB makes of the same text."""

from __future__ import annotations

import datetime
import math

import duckdb
import numpy as np
import pandas as pd
import pytest

from kexp.data.table.kinds.numbers import number_in
from kexp.serving.cells import COMMA, FORMS, GROUPED, RequestError, dates_of, number_of, numbers_of, texts_of

PLAIN = "1 -2 +3 .5 1. 1e5 -.5e3 1_000 1e400 1e-400 0x1A 1d 1,5 ٣ abc 007 1e 1.2.3 inf Infinity".split()
WRITTEN = [
    "1,234.5",
    "1.234,5",
    "$1,200",
    "€ 1.200,50",
    "12 %",
    "-4.9%",
    "59,5 m²",
    "1 234",
    "1'234.5",
    "1,23",
    "12,34,567",
    "kg 5",
    "5 kg",
    "-$5",
    "$-5",
    "1,234,567",
    "1.234.567",
    "0,5",
    ",5",
    ".5",
    "5,",
    "five",
    "1-2",
    "12 34",
    "1 234 567,8",
    "1.234,5-",
    "5-",
    "12.50 EUR-",
    "-5-",
    "1.2K",
    "$1,250.5M",
    "-3B",
    "(12k)",
    "5 K",
    "5m",
    "K",
]


@pytest.mark.parametrize("text", PLAIN)
def test_a_number_in_a_text_is_duckdbs(text: str) -> None:
    ((expected,),) = duckdb.connect().execute("select try_cast(trim(?) as double)", [f" {text} "]).fetchall()
    assert number_of(f" {text} ") == expected


@pytest.mark.parametrize("form", FORMS)
def test_numbers_written_for_people_are_duckdbs(form: str) -> None:
    connection = duckdb.connect()
    for text in WRITTEN:
        ((expected,),) = connection.execute(f"select {number_in('$1', form)}", [text]).fetchall()
        assert number_of(text, form) == expected, text


def test_other_values_are_numbers_too() -> None:
    values = [True, np.int64(3), datetime.time(12, 30), "12:30:15", "TRUE", "n/a", "?", None, np.nan, pd.NA, pd.NaT]
    found = [number_of(value) for value in values]
    assert found[:5] == [1, 3, 45000, 45015, 1]
    assert all(value is not None and math.isnan(value) for value in found[5:])
    assert number_of([1, 2]) is None
    mixed = pd.Series(["1", 2, None, 3.5], dtype=object)
    np.testing.assert_array_equal(numbers_of(mixed, "x"), [1, 2, np.nan, 3.5])
    np.testing.assert_array_equal(numbers_of(pd.Series([1, None], dtype="Int64"), "x"), [1, np.nan])
    assert number_of("1.234,5", COMMA) == number_of("1,234.5", GROUPED) == 1234.5


@pytest.mark.parametrize("text", ["2020-01-02", "2020/01/02", "2020-01-02 03:04:05", "2020-01-02T03:04:05+02:00"])
def test_dates_are_duckdbs(text: str) -> None:
    ((expected,),) = (
        duckdb.connect().execute("set timezone = 'UTC'; select epoch(cast(? as timestamptz))", [text]).fetchall()
    )
    for given in (pd.Series([text, None]), pd.Series([pd.Timestamp(text), None])):
        np.testing.assert_array_equal(dates_of(given, "day", None), [expected, np.nan])


def test_dates_in_another_form_are_read_by_it() -> None:
    expected = np.array([datetime.datetime(2021, 3, 4, tzinfo=datetime.UTC).timestamp()])
    for value, form in (
        ("04.03.2021", "%d.%m.%Y"),
        ("March 4, 2021", "%B %d, %Y"),
        (20210304, "%Y%m%d"),
        (" 3/4/21", "%m/%d/%y"),
    ):
        np.testing.assert_array_equal(dates_of(pd.Series([value]), "day", form), expected)
    np.testing.assert_array_equal(dates_of(pd.Series([datetime.date(2021, 3, 4)]), "day", "%d.%m.%Y"), expected)
    with pytest.raises(RequestError, match=r"^column 'day' must hold dates, got '31.02.2021' in row 2$"):
        dates_of(pd.Series(["04.03.2021", "31.02.2021"]), "day", "%d.%m.%Y")
    with pytest.raises(RequestError, match=r"^column 'day' must hold dates, got the number 4\.0$"):
        dates_of(pd.Series([4.0]), "day", None)


def test_texts_are_trimmed_and_empty_ones_are_missing() -> None:
    codes, words = texts_of(pd.Series([" a", "a ", "", None, 3, True, "b"], dtype=object))
    assert [None if code < 0 else words[code] for code in codes] == ["a", "a", None, None, "3", "true", "b"]
