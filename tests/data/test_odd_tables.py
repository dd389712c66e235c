"""Tables with what real ones have besides numbers and names: units, periods, codes, words for nothing, no header."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kexp.data import Splits, as_data, split, table_encoded
from kexp.data.table.component import table
from kexp.errors import DataError
from kexp.experiment.logging.serving import rows_of
from kexp.serving.encoding import encode

ROWS = 60
random = np.random.default_rng(0)
X = random.normal(12, 3, ROWS).round(2)
KIND = np.array(["ash", "birch"])[np.arange(ROWS) % 2]


def made(folder: Path, content: str, target: Any = "kind", **options: Any) -> Splits:
    (folder / "t.csv").write_text(content, encoding="utf-8")
    return split(table(str(folder / "t.csv"), target, **options), test=0.0, validation=0.0)


def written(column: Any, name: str = "value") -> str:
    """A table of a column, a number and a class."""
    return pd.DataFrame({name: column, "x": X, "kind": KIND}).to_csv(index=False)


def column_of(splits: Splits, name: str) -> np.ndarray:
    at = (splits.spec.feature_names or ()).index(name)
    return splits.data.source.read(np.arange(len(splits.data)))[0][:, at]


def answers_alike(splits: Splits, folder: Path) -> None:
    """Rows in a file of their own, and sent as texts to a served model, are encoded as those of the run."""
    content = (folder / "t.csv").read_text(encoding="utf-8")
    expected = splits.data.source.read(np.arange(len(splits.data)))[0]
    (folder / "again.csv").write_text(content, encoding="utf-8")
    again = table_encoded(str(folder / "again.csv"), splits.encoding)
    np.testing.assert_array_equal(again.source.read(np.arange(len(again)))[0], expected)
    sent = pd.read_csv(folder / "t.csv", dtype=str, keep_default_na=False)
    served = rows_of("csv", splits.encoding, expected.shape[1:], splits.spec.feature_names)["encoding"]
    np.testing.assert_array_equal(encode(sent, json.loads(json.dumps(served))), expected)


ROWS_ALONE = {
    "iris": "5.1,3.5,1.4,0.2,setosa\n4.9,3.0,1.4,0.2,setosa\n7.0,3.2,4.7,1.4,versicolor\n",
    "measures": "1.5,2.5,3.5\n2.5,3.1,4.5\n3.3,4.4,9.1\n",
    "whole": "1,2,3\n4,5,6\n7,8,9\n",
    "two columns": "5,10\n7,3\n2,8\n",
    "a value missing": "6,148,,33.6\n1,85,66,26.6\n8,183,64,23.3\n",
    "names between": "1,red,2.5\n2,blue,3.5\n3,red,1.5\n",
    "days": "2024-01-01,9.88,off\n2024-01-02,8.69,on\n",
    "decimal comma": "5,1;3,5;setosa\n4,9;3,0;versicolor\n",
}
NAMED = {
    "names": "x,y,kind\n1,2,a\n2,4,b\n",
    "years": "country,2019,2020,2021\nA,1.5,2.5,3.5\nB,2.5,1.5,1\n",
    "places": "0,1,2\n-1.24,-1.17,1\n0.25,-1.42,0\n",
    "wavelengths": "400.5,401.0,401.5,402.0\n0.1,0.9,0.3,1\n0.4,0.2,0.7,0\n",
    "counts of rows and columns": "150,4,setosa,versicolor\n5.1,3.5,1.4,0\n4.9,3.0,1.4,0\n",
}


@pytest.mark.parametrize("name", [*ROWS_ALONE, *NAMED])
def test_a_first_line_is_a_row_where_it_is_like_the_rows(name: str, tmp_path: Path) -> None:
    content = {**ROWS_ALONE, **NAMED}[name]
    with pytest.raises(DataError) as raised:
        made(tmp_path, content, "nothing of that name")
    listed = str(raised.value).rpartition("there are: ")[2].split(", ")
    mark = ";" if ";" in content else ","
    first = content.split("\n", 1)[0].split(mark)
    assert listed == (first if name in NAMED else [f"column_{place}" for place in range(1, len(first) + 1)])


def test_a_header_in_the_comments_names_the_columns(tmp_path: Path) -> None:
    rows = "\n".join(f"{x:.2f} {row % 7} {kind}" for row, (x, kind) in enumerate(zip(X, KIND, strict=True)))
    for before in ("# x n kind\n", "# made by a station\n# x n kind\n", "% x n kind\n".replace("%", "#")):
        assert made(tmp_path, before + rows).spec.feature_names == ("x", "n")
    assert made(tmp_path, "# x,n,kind\n" + rows.replace(" ", ",")).spec.feature_names == ("x", "n")
    assert made(tmp_path, "# one, two, three\nx,n,kind\n" + rows.replace(" ", ",")).spec.feature_names == ("x", "n")


@pytest.mark.parametrize(
    "units", ["(m/s),(kg),()", "[m/s],[kg],[-]", "m/s,kg,", "%,°C,-", "metres per second,kilograms,class", "5s,15s,6s"]
)
def test_a_line_of_units_below_the_header_is_left_out_and_said(units: str, tmp_path: Path) -> None:
    rows = "\n".join(f"{x:.2f},{row % 7},{kind}" for row, (x, kind) in enumerate(zip(X, KIND, strict=True)))
    splits = made(tmp_path, f"speed,mass,kind\n{units}\n{rows}\n")
    assert (
        splits.summary == f"60 rows: 2 numbers; units below its header left out: {units.rstrip(',').replace(',', ', ')}"
    )
    np.testing.assert_array_equal(column_of(splits, "speed"), X.astype(np.float32))


def test_a_first_row_without_numbers_is_no_line_of_units(tmp_path: Path) -> None:
    assert len(made(tmp_path, "name,x,kind\nAnna,absent,ash\n" + written(KIND).partition("\n")[2]).data) == ROWS + 1
    assert len(made(tmp_path, "a,b,kind\nmissing,?,ash\n" + written(X).partition("\n")[2]).data) == ROWS + 1


def test_lines_that_repeat_the_header_are_left_out_and_said(tmp_path: Path) -> None:
    header, *rows = written(X).splitlines()
    splits = made(tmp_path, "\n".join([header, *rows[:20], header, *rows[20:]]))
    assert splits.summary == "60 rows: 2 numbers; lines that repeat its header left out"


PERIODS: dict[str, Callable[[datetime.date], str]] = {
    "1974Q1": lambda day: f"{day.year}Q{(day.month + 2) // 3}",
    "2020-Q3": lambda day: f"{day.year}-Q{(day.month + 2) // 3}",
    "Q1 1974": lambda day: f"Q{(day.month + 2) // 3} {day.year}",
    "1974M01": lambda day: f"{day.year}M{day.month:02}",
    "2020-01": lambda day: f"{day.year}-{day.month:02}",
    "202001": lambda day: f"{day.year}{day.month:02}",
    "Jan-2020": lambda day: f"{day:%b-%Y}",
    "20200131": lambda day: f"{day:%Y%m%d}",
    "Friday 31 January 2020": lambda day: f"{day:%A %d %B %Y}",
    "31/Jan/2020": lambda day: f"{day:%d/%b/%Y}",
}


@pytest.mark.parametrize("form", PERIODS)
def test_periods_are_the_first_of_their_days(form: str, tmp_path: Path) -> None:
    days = [stamp.date() for stamp in pd.date_range("1999-01-01", periods=ROWS, freq="QS")]
    splits = made(tmp_path, written([PERIODS[form](day) for day in days]))
    found = column_of(splits, "value (days since the first)")
    np.testing.assert_array_equal(found, [(day - days[0]).days for day in days])
    answers_alike(splits, tmp_path)


@pytest.mark.parametrize("form", ["%G-W%V", "%GW%V", "%G-W%V-%u"])
def test_weeks_are_those_of_the_calendar(form: str, tmp_path: Path) -> None:
    days = [stamp.date() for stamp in pd.date_range("2018-12-31", periods=ROWS, freq="7D")]  # Mondays
    splits = made(tmp_path, written([day.strftime(form) for day in days]))
    found = column_of(splits, "value (days since the first)")
    np.testing.assert_array_equal(found, [(day - days[0]).days for day in days])
    answers_alike(splits, tmp_path)


def test_a_few_words_among_dates_or_numbers_are_missing_and_said(tmp_path: Path) -> None:
    days = pd.date_range("2021-01-31", periods=ROWS).strftime("%d/%m/%Y").to_numpy(dtype=object)
    days[[4, 20]] = "not yet"
    splits = made(tmp_path, written(days))
    assert splits.summary.endswith("; taken for missing: not yet in value (data.na_values says otherwise)")
    np.testing.assert_array_equal(np.flatnonzero(column_of(splits, "value is missing")), [4, 20])
    answers_alike(splits, tmp_path)
    measured = np.where(np.arange(ROWS) % 9 == 0, "<0.05", X.astype(str))
    splits = made(tmp_path, written(measured))
    np.testing.assert_array_equal(column_of(splits, "value is missing"), np.arange(ROWS) % 9 == 0)
    answers_alike(splits, tmp_path)
    # Values below and above what an instrument measures, however many limits and values there are.
    limits = ["<0.05", "< 0.1", "<=0.2", "<0.3", "<1", ">100"]
    beyond = np.array([limits[row % 6] if row % 5 < 2 else x for row, x in enumerate(X.astype(str))])
    splits = made(tmp_path, written(beyond))
    assert splits.summary.endswith(" and 3 more in value (data.na_values says otherwise)")
    np.testing.assert_array_equal(column_of(splits, "value is missing"), np.arange(ROWS) % 5 < 2)
    answers_alike(splits, tmp_path)
    assert "value=>65" in (made(tmp_path, written(["<18", "18-25", "26-65", ">65"] * 15)).spec.feature_names or ())
    # Of few numbers the word may be one class more; where the user says what is missing, nothing else is.
    assert "value=many" in (made(tmp_path, written(["1", "2", "3", "many"] * 15)).spec.feature_names or ())
    assert "value=<0.05" in (made(tmp_path, written(measured), na_values=["?"]).spec.feature_names or ())


@pytest.mark.parametrize("code", ["-999", "-9999.0", "-99999"])
def test_what_instruments_write_in_place_of_nothing_is_missing_and_said(code: str, tmp_path: Path) -> None:
    values = np.where(np.arange(ROWS) % 7 == 0, code, X.astype(str))
    splits = made(tmp_path, written(values))
    assert splits.summary.endswith(f"taken for missing: {float(code):g} in value (data.na_values says otherwise)")
    np.testing.assert_array_equal(column_of(splits, "value is missing"), np.arange(ROWS) % 7 == 0)
    answers_alike(splits, tmp_path)
    as_it_is = made(tmp_path, written(values), na_values=[])
    assert column_of(as_it_is, "value").min() == float(code) and "taken" not in as_it_is.summary
    told = made(tmp_path, written(values), na_values=[int(float(code))])
    np.testing.assert_array_equal(column_of(told, "value"), column_of(splits, "value"))


def test_a_low_number_among_low_numbers_is_a_number(tmp_path: Path) -> None:
    splits = made(tmp_path, written(np.where(np.arange(ROWS) % 7 == 0, -999, -900 + np.arange(ROWS))))
    assert "taken" not in splits.summary and column_of(splits, "value").min() == -999


def test_codes_with_zeros_in_front_are_categories(tmp_path: Path) -> None:
    zips = np.array(["02139", "02140", "10001", "94110"])[np.arange(ROWS) % 4]
    splits = made(tmp_path, written(zips))
    np.testing.assert_array_equal(column_of(splits, "value=02139"), zips == "02139")
    answers_alike(splits, tmp_path)
    # Without them, or where some have more digits, they are numbers.
    assert "value" in (made(tmp_path, written(np.arange(ROWS) % 12)).spec.feature_names or ())
    assert "value" in (made(tmp_path, written([f"0{row}" for row in range(ROWS)])).spec.feature_names or ())


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (lambda value: f"\N{MINUS SIGN}{value:.2f}", lambda value: -value),
        (lambda value: f"\N{EN DASH}{value:.2f}", lambda value: -value),
        (lambda value: f"{value * 1e4:,.0f}", lambda value: round(value * 1e4)),
        (lambda value: f"12,34,{100 + int(value)}", lambda value: 1234100 + int(value)),
        (lambda value: f"-${value:.2f}", lambda value: -value),
        (lambda value: f"{value:.2f}-", lambda value: -value),
        (lambda value: f"{value:.2f}{'KMB'[int(value) % 3]}", lambda value: value * 1e3 ** (1 + int(value) % 3)),
        (lambda value: f"${value:.2f}{'k' if int(value) % 2 else ''}", lambda value: value * 1e3 ** (int(value) % 2)),
        (lambda value: f"{value:.2f}K", lambda value: value),
    ],
    ids=[
        "a typeset minus",
        "a dash for a minus",
        "thousands",
        "lakhs",
        "a currency behind its sign",
        "a minus behind",
        "thousands, millions, billions",
        "thousands in letters, where there are some",
        "one letter is a unit",
    ],
)
def test_numbers_are_read_however_they_are_written(
    write: Callable[[float], str], read: Callable[[float], float], tmp_path: Path
) -> None:
    splits = made(tmp_path, written([write(value) for value in X]))
    np.testing.assert_allclose(column_of(splits, "value"), [read(value) for value in X], rtol=1e-6)
    answers_alike(splits, tmp_path)


def test_a_mark_in_some_rows_is_a_feature_and_ratios_are_no_times(tmp_path: Path) -> None:
    marked = made(tmp_path, written(np.where(np.arange(ROWS) % 3 == 0, "x", "")))
    np.testing.assert_array_equal(column_of(marked, "value=x"), np.arange(ROWS) % 3 == 0)
    assert "value=1000M12" in (made(tmp_path, written(["1000M12", "1000M10"] * 30)).spec.feature_names or ())
    assert "value=3:1" in (made(tmp_path, written(["3:1", "1:1", "2:1"] * 20)).spec.feature_names or ())


@pytest.mark.parametrize("name", ["no", "S. No.", "row", "Unnamed: 0.1", "customer_id", "orderNo"])
def test_a_column_that_numbers_the_rows_is_left_out(name: str, tmp_path: Path) -> None:
    assert made(tmp_path, written(np.arange(1, ROWS + 1), name)).spec.feature_names == ("x",)
    too_large = 10**18 + np.arange(ROWS)  # for 64-bit floats to tell apart
    assert made(tmp_path, written(too_large, name)).spec.feature_names == ("x",)


def test_what_databases_write_for_nothing_is_missing_among_numbers(tmp_path: Path) -> None:
    gone = np.arange(ROWS) % 3 == 0
    splits = made(tmp_path, written(np.where(gone, r"\N", X.astype(str))))
    np.testing.assert_array_equal(column_of(splits, "value is missing"), gone)
    answers_alike(splits, tmp_path)


def test_names_of_columns_may_be_numbers(tmp_path: Path) -> None:
    rows = "\n".join(f"{row % 5},{row * 1.5},{row % 3}" for row in range(ROWS))
    splits = made(tmp_path, f"a,2020,2021\n{rows}\n", 2021, drop=[2020])
    assert splits.spec.feature_names == ("a",) and splits.spec.outputs == 3
    assert made(tmp_path, f"0.25,0.5,y\n{rows}\n", 0.5, drop="y", task="regression").spec.feature_names == ("0.25",)


def test_other_names_take_the_place_of_those_of_the_header(tmp_path: Path) -> None:
    zips = np.array(["02139", "10001"])[np.arange(ROWS) % 2]
    expected = ("zip=02139", "zip=10001", "x")
    lines = written(zips).splitlines()
    for content in ("\n".join(lines), "\n".join(lines[1:]), "\n".join([lines[0], "(),(m),()", *lines[1:]])):
        assert made(tmp_path, content, names=["zip", "x", "kind"]).spec.feature_names == expected
    words = "\n".join(["red,round,ash", "blue,square,birch"] * 10)  # a first line of words may be a row
    assert len(made(tmp_path, words, names=["colour", "form", "kind"]).data) == 20


def test_rows_that_end_early_have_missing_values_and_it_is_said(tmp_path: Path) -> None:
    header, *rows = pd.DataFrame({"kind": KIND, "x": X, "y": X}).to_csv(index=False).splitlines()
    short = [row.rpartition(",")[0] if place in (3, 30) else row for place, row in enumerate(rows)]
    splits = made(tmp_path, "\n".join([header, *short]))
    assert splits.summary.endswith("; what is missing at the end of 2 rows taken for missing values")
    np.testing.assert_array_equal(np.flatnonzero(column_of(splits, "y is missing")), [3, 30])
    mostly = [row.rpartition(",")[0] if place % 12 else row for place, row in enumerate(rows)]
    assert len(made(tmp_path, "\n".join([header, *mostly])).spec.feature_names or ()) == 3
    with pytest.raises(DataError, match=r"must have the 3 fields of its header, got 4 in row 2$"):
        made(tmp_path, "a,b,kind\n1,2,x\n1,2,y,z\n3,4\n")


def test_a_first_column_without_a_name_is_left_out_where_it_counts_the_rows(tmp_path: Path) -> None:
    rows = [f"{x:.2f},{kind}" for x, kind in zip(X, KIND, strict=True)]
    counted = made(tmp_path, "\n".join(f"{place},{row}" for place, row in enumerate(rows, 1)), "column_3")
    assert "left out: column_1 (another in every row)" in counted.summary
    years = made(tmp_path, "\n".join(f"{1700 + place},{row}" for place, row in enumerate(rows)), "column_3")
    assert years.spec.feature_names == ("column_1", "column_2")


def test_a_backslash_in_front_of_a_quote(tmp_path: Path) -> None:
    rows = "\n".join(f'"he said \\"{kind}\\", then left",{x},{kind}' for x, kind in zip(X, KIND, strict=True))
    assert 'note=he said "ash", then left' in (made(tmp_path, f"note,x,kind\n{rows}\n").spec.feature_names or ())


def test_classes_of_a_row_each_leave_none_to_validate_on(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(written([f"k{row}" for row in range(ROWS)]), encoding="utf-8")
    data = table(str(tmp_path / "t.csv"), "value", task="classification")
    with pytest.raises(
        DataError, match=r"^trainer\.validation_split: leaves no validation rows, for the only row of a"
    ):
        split(data, test=0.0)


FRAMES: dict[str, tuple[Any, str, Any]] = {
    "periods": (pd.period_range("1990Q1", periods=ROWS, freq="Q"), "v (year)", 1990 + np.arange(ROWS) // 4),
    "time differences": (pd.to_timedelta(np.arange(ROWS), unit="h"), "v", 3600 * np.arange(ROWS)),
    "sparse numbers": (pd.arrays.SparseArray(np.arange(ROWS) % 3), "v", np.arange(ROWS) % 3),
    "intervals": (pd.cut(np.arange(ROWS), [-1, 29, 59]), "v=(-1, 29]", np.arange(ROWS) < 30),
    "truths among numbers": ([1, 2.5, True] * (ROWS // 3), "v=True", np.arange(ROWS) % 3 == 2),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_of_a_data_frame_are_read_whatever_pandas_has_in_them(kind: str) -> None:
    values, name, expected = FRAMES[kind]
    frame = pd.DataFrame({"v": values, "x": X})
    np.testing.assert_allclose(column_of(split(as_data((frame, KIND)), test=0, validation=0), name), expected)
    frame.columns = pd.Index(["v", "v"])  # DuckDB tells them apart
    assert name in (split(as_data((frame, KIND))).spec.feature_names or ())
    with pytest.raises(DataError, match=r"^data: column 'z' must hold real numbers, got complex128$"):
        as_data((pd.DataFrame({"z": X + 1j}), KIND))
