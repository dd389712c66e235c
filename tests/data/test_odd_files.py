"""Tables in files that are written in other ways: the same rows come out, and what was guessed is said."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kexp.data import Splits, split, table_encoded
from kexp.data.table.component import table
from kexp.errors import DataError

ROWS = 60
random = np.random.default_rng(0)
PLAIN = pd.DataFrame(
    {
        "width": random.normal(12, 3, ROWS).round(2),
        "height": random.normal(30, 3, ROWS).round(2),
        "site": np.array(["north", "south", "east"])[random.integers(0, 3, ROWS)],
        "kind": np.array(["ash", "birch", "cedar"])[np.arange(ROWS) % 3],
    }
)
CSV = PLAIN.to_csv(index=False)
HEADER, *LINES = CSV.splitlines()
DAYS = pd.date_range("2021-01-01", periods=ROWS, freq="37h")


def spaced(gap: str, names: str = "width height site kind") -> str:
    return "\n".join([gap.join(names.split()), *(line.replace(",", gap) for line in LINES)]) + "\n"


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("data/table.csv", CSV)
        archive.writestr("README.md", "about it")
        archive.writestr("__MACOSX/._table.csv", "x")
    return content.getvalue()


def r_rows(mark: str) -> str:
    return "\n".join(
        [HEADER.replace(",", mark), *(f"{n}{mark}{line.replace(',', mark)}" for n, line in enumerate(LINES, 1))]
    )


SAME: dict[str, str | bytes] = {
    "spaces.txt": spaced("   "),
    "tabs_twice.dat": spaced("\t").replace("\t", "\t\t", 40),
    "r_write_table.txt": r_rows(" "),
    "r_write_csv.csv": r_rows(","),
    "preamble.csv": f"Report of the station\nMade on 2024-01-02\n\n{CSV}",
    "preamble_of_a_sheet.csv": f"Report of the station,,,\n,,,\n{CSV}",
    "comments.csv": "# one\n# two, three, four, five\n" + CSV.replace("\n", "\n# note\n", 5),
    "notes_below.csv": f"{CSV}\nSource: the station\nAll rights reserved\n",
    "header_ends_in_a_comma.csv": CSV.replace("kind\n", "kind,\n", 1),
    "utf16.csv": CSV.encode("utf-16"),
    "utf16_unmarked.csv": CSV.encode("utf-16-le"),
    "carriage_returns.csv": CSV.replace("\n", "\r"),
    "mixed_ends.csv": CSV.replace("\n", "\r\n", 10),
    "caret.csv": CSV.replace(",", "^"),
    "pipe.txt": CSV.replace(",", "|"),
    "all_quoted.csv": PLAIN.to_csv(index=False, quoting=1),
    "space_after_comma.csv": CSV.replace(",", ", "),
    "packed.csv.gz": gzip.compress(CSV.encode()),
    "packed_unnamed": gzip.compress(CSV.encode()),
    "packed.csv.bz2": bz2.compress(CSV.encode()),
    "packed.csv.xz": lzma.compress(CSV.encode()),
    "packed.zip": zipped(),
    "array.json": PLAIN.to_json(orient="records"),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_rows_come_out_however_they_are_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text(CSV)
    content = SAME[name]
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    expected = table(str(tmp_path / "plain.csv"), "kind", columns=["width", "height", "site"])
    assert table(str(tmp_path / name), "kind", columns=["width", "height", "site"]).digest == expected.digest


def made(tmp_path: Path, content: str | bytes, target: Any, name: str = "t.csv", **options: Any) -> Splits:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return split(table(str(tmp_path / name), target, **options))


def feature(splits: Splits, name: str) -> np.ndarray:
    at = (splits.spec.feature_names or ()).index(name)
    return splits.data.source.read(np.arange(len(splits.data)))[0][:, at]


def test_a_file_without_a_header_is_read_from_its_first_row_and_said_so(tmp_path: Path) -> None:
    splits = made(tmp_path, "\n".join(LINES), "column_4")
    assert splits.summary.endswith("no header, so that its columns are column_1 to column_4")
    assert len(splits.data) == ROWS and splits.spec.classes == ("ash", "birch", "cedar")
    named = made(tmp_path, "\n".join(LINES), "kind", names=["width", "height", "site", "kind"])
    assert named.data.digest == table(str(_plain(tmp_path)), "kind").digest and "header" not in named.summary
    (tmp_path / "one.csv").write_text(LINES[0] + "\n")
    alone = table_encoded(str(tmp_path / "one.csv"), {**splits.encoding, "target": []})
    np.testing.assert_array_equal(alone.source.read(np.arange(1))[0], splits.data.source.read(np.arange(1))[0])


def _plain(folder: Path) -> Path:
    (folder / "plain.csv").write_text(CSV)
    return folder / "plain.csv"


@pytest.mark.parametrize(
    "header",
    ["country,1990,1991,1992", "id,a,b,c", ",0,1,2", "0,1,2,3"],
    ids=["years", "names", "row numbers", "places"],
)
def test_a_header_of_numbers_is_a_header(header: str, tmp_path: Path) -> None:
    rows = [f"{row % 7},{row * 1.5},{row % 4},{row % 3}" for row in range(40)]
    splits = made(tmp_path, "\n".join([header, *rows]), header.rpartition(",")[2])
    assert len(splits.data) == 40 and "header" not in splits.summary


def test_fields_of_fixed_width_are_cut_at_their_places(tmp_path: Path) -> None:
    sides = [None if row % 7 == 0 else f"{site} side" for row, site in enumerate(PLAIN.site)]
    rows = zip(PLAIN.width, PLAIN.height, sides, PLAIN.kind, strict=True)
    lines = [f"{'width':<8}{'height':<8}{'site':<12}{'kind':<8}"]
    lines += [f"{width:<8}{height:<8}{side or '':<12}{kind:<8}" for width, height, side, kind in rows]
    splits = made(tmp_path, "\n".join(lines), "kind", "t.txt")
    np.testing.assert_array_equal(feature(splits, "width"), PLAIN.width.to_numpy(np.float32))
    np.testing.assert_array_equal(feature(splits, "site=east side"), [side == "east side" for side in sides])
    assert feature(splits, "site is missing").sum() == sum(side is None for side in sides)


def test_text_that_is_no_utf8_is_read_as_windows_western_and_said_so(tmp_path: Path) -> None:
    splits = made(tmp_path, CSV.replace("width", "größe").encode("latin-1"), "kind")
    assert "größe" in (splits.spec.feature_names or ())
    assert splits.summary.endswith("read as cp1252, for it is no UTF-8 (data.encoding says otherwise)")
    cyrillic = made(tmp_path, CSV.replace("north", "север").encode("cp1251"), "kind", encoding="cp1251")
    assert "site=север" in (cyrillic.spec.feature_names or ())


DATES: dict[str, Callable[[pd.Timestamp], str]] = {
    "zulu": lambda day: day.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "microseconds": lambda day: day.strftime("%Y-%m-%d %H:%M:%S.%f"),
    "twitter": lambda day: day.strftime("%a %b %d %H:%M:%S +0000 %Y"),
    "mail": lambda day: day.strftime("%a, %d %b %Y %H:%M:%S +0000"),
    "half_days": lambda day: day.strftime("%m/%d/%Y %I:%M:%S %p"),
    "compact_time": lambda day: day.strftime("%Y%m%dT%H%M%S"),
}


@pytest.mark.parametrize("way", DATES)
def test_times_are_read_in_the_ways_they_are_written(way: str, tmp_path: Path) -> None:
    frame = PLAIN.assign(seen=[DATES[way](day) for day in DAYS])
    splits = made(tmp_path, frame.to_csv(index=False), "kind")
    angle = 2 * np.pi * (DAYS.hour * 3600 + DAYS.minute * 60 + DAYS.second) / 86400
    np.testing.assert_allclose(feature(splits, "seen (time of the day, sine)"), np.sin(angle), atol=1e-6)
    np.testing.assert_array_equal(feature(splits, "seen (year)"), DAYS.year)


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y-%m", "%b-%y", "%B %Y", "%d.%m.%y", "%d/%m/%y", "%d-%m-%y"])
def test_days_and_months_without_a_time_are_dates(form: str, tmp_path: Path) -> None:
    days = pd.date_range("2019-01-01", periods=ROWS, freq="MS")
    splits = made(tmp_path, PLAIN.assign(seen=days.strftime(form)).to_csv(index=False), "kind")
    np.testing.assert_array_equal(feature(splits, "seen (year)"), days.year)


@pytest.mark.parametrize("form", ["%H:%M", "%H:%M:%S", "%I:%M %p"])
def test_times_of_the_day_are_seconds_since_midnight(form: str, tmp_path: Path) -> None:
    splits = made(tmp_path, PLAIN.assign(at=DAYS.strftime(form)).to_csv(index=False), "kind")
    np.testing.assert_array_equal(feature(splits, "at"), DAYS.hour * 3600 + DAYS.minute * 60)


def test_accounts_write_what_is_owed_in_parentheses(tmp_path: Path) -> None:
    paid = np.where(np.arange(ROWS) % 5 == 0, -PLAIN.width, PLAIN.width)
    written = [f"(${-value:.2f})" if value < 0 else f"${value:.2f}" for value in paid]
    splits = made(tmp_path, PLAIN.assign(paid=written).to_csv(index=False), "kind")
    np.testing.assert_allclose(feature(splits, "paid"), paid, rtol=1e-6)


@pytest.mark.parametrize("missing", [-999, -999.0])
def test_a_number_for_a_missing_value_is_found_however_it_is_written(missing: float, tmp_path: Path) -> None:
    gaps = np.arange(ROWS) % 4 == 0
    frame = PLAIN.assign(width=PLAIN.width.mask(gaps, missing), site=PLAIN.site.mask(gaps, "unknown"))
    splits = made(tmp_path, frame.to_csv(index=False), "kind", na_values=["-999", "unknown"])
    np.testing.assert_array_equal(feature(splits, "width is missing"), gaps)
    np.testing.assert_array_equal(feature(splits, "site is missing"), gaps)


def test_columns_that_differ_in_case_are_two(tmp_path: Path) -> None:
    splits = made(tmp_path, CSV.replace("height", "Width", 1), "kind")
    np.testing.assert_array_equal(feature(splits, "width"), PLAIN.width.to_numpy(np.float32))
    np.testing.assert_array_equal(feature(splits, "Width"), PLAIN.height.to_numpy(np.float32))


def test_records_in_records_become_columns_and_lists_are_left_out(tmp_path: Path) -> None:
    rows = [{**row, "place": {"lat": row["width"]}, "tags": ["a"]} for row in PLAIN.to_dict("records")]
    splits = made(tmp_path, json.dumps(rows), "kind", "t.json")
    np.testing.assert_array_equal(feature(splits, "place.lat"), PLAIN.width.to_numpy(np.float32))
    assert splits.summary.endswith("left out, for they hold lists or the like: tags")


def test_few_whole_numbers_that_do_not_repeat_are_no_classes(tmp_path: Path) -> None:
    rows = "\n".join(f"{row * 1.5},{row}" for row in range(14))
    assert made(tmp_path, f"a,y\n{rows}\n", "y").spec.task == "regression"
    numbers = made(tmp_path, PLAIN.assign(day=np.arange(ROWS) % 30).to_csv(index=False), "day", missing_target="error")
    assert numbers.spec.task == "regression"


def test_how_a_run_read_its_table_goes_for_other_rows(tmp_path: Path) -> None:
    frame = PLAIN.assign(width=PLAIN.width.astype(str).where(np.arange(ROWS) % 4 > 0, "unknown"))
    splits = made(tmp_path, frame.to_csv(index=False), "kind", na_values=["unknown"])
    (tmp_path / "new.csv").write_text(frame.head(5).to_csv(index=False))
    other = table_encoded(str(tmp_path / "new.csv"), splits.encoding)
    np.testing.assert_array_equal(other.source.read(np.arange(5))[0], splits.data.source.read(np.arange(5))[0])


SAID: dict[str, tuple[str | bytes, str]] = {
    "book.xlsx": (b"PK\x03\x04", "book.xlsx is an Excel file: CSV, TSV, Parquet, Feather and JSON are read"),
    "rows.txt": ("1 1:0.5 3:2\n0 2:1.5 3:1\n", "rows.txt is a LIBSVM file: CSV, TSV"),
    "page.csv": ("<!DOCTYPE html><html></html>", "page.csv is a web page, not a table"),
    "columns.json": (PLAIN.to_json(), "columns.json must hold a list of objects, or an object a line"),
    "long.csv": (CSV.replace("ash\n", "ash,1,2\n", 1), "must have the 4 fields of its header, got 6 in row 1"),
    "blank.csv": ("\n\n", "blank.csv is empty"),
    "one_name_a_row.csv": ("a,kind\n" + "\n".join(f"{n},k{n}" for n in range(40)), "must have names that repeat"),
    "alone.csv": ("kind\na\nb\n", "leaves no feature columns; alone.csv has 'kind'"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_no_table_is_one_sentence(name: str, tmp_path: Path) -> None:
    content, said = SAID[name]
    with pytest.raises(DataError) as raised:
        made(tmp_path, content, "kind", name)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_an_archive_of_two_tables_and_names_that_are_too_few_are_one_sentence(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("b.csv", CSV)
    with pytest.raises(DataError, match=r"^data\.path: two\.zip must hold one table, got 2: a\.csv, b\.csv; unpack"):
        table(str(tmp_path / "two.zip"), "kind")
    with pytest.raises(DataError, match=r"^data\.names: must name the 4 columns, got 2 names$"):
        made(tmp_path, CSV, "kind", names=["a", "b"])
    with pytest.raises(DataError, match=r"^data\.encoding: there is no encoding 'nothing'"):
        made(tmp_path, CSV, "kind", encoding="nothing")


def test_what_would_change_nothing_is_refused(tmp_path: Path) -> None:
    PLAIN.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"^data\.delimiter: is of CSV files, and must be left out here, got ';'$"):
        table(str(tmp_path / "t.parquet"), "kind", delimiter=";")
    with pytest.raises(DataError, match=r"^data\.header: is of CSV files"):
        table(target="kind", query=f"select * from '{tmp_path / 't.parquet'}'", header=False)


@pytest.mark.parametrize("name", ["w", "v", "n", "t", "c0", "rows", "select", "tried", "frame"])
def test_a_column_may_have_any_name(name: str, tmp_path: Path) -> None:
    frame = PLAIN.rename(columns={"width": name}).assign(site=PLAIN.site.where(np.arange(ROWS) % 5 > 0))
    frame.loc[3, name] = np.nan
    splits = made(tmp_path, frame.to_csv(index=False), "kind")
    found, expected = feature(splits, name), frame[name].to_numpy(np.float32)
    np.testing.assert_array_equal(found[~np.isnan(expected)], expected[~np.isnan(expected)])
    assert feature(splits, "site is missing").sum() == frame.site.isna().sum()


def test_requests_are_read_as_the_table_was(tmp_path: Path) -> None:
    from kexp.serving.encoding import encode

    frame = PLAIN.assign(
        width=PLAIN.width.astype(str).where(np.arange(ROWS) % 4 > 0, "unknown"),
        at=[f"{row % 12 + 1:02}:30 PM" for row in range(ROWS)],
        owed=[f"($1,{row:03}.50)" if row % 2 else f"$1,{row:03}.50" for row in range(ROWS)],
        seen=[int(day.strftime("%Y%m%d")) for day in DAYS],
    )
    splits = made(tmp_path, frame.to_csv(index=False), "kind", na_values=["unknown"])
    expected = splits.data.source.read(np.arange(ROWS))[0]
    np.testing.assert_array_equal(encode(frame.drop(columns="kind"), splits.encoding), expected)


def test_files_of_a_pattern_may_differ_in_delimiter_and_decimal_mark(tmp_path: Path) -> None:
    frame = PLAIN.assign(long=(PLAIN.height * 100).round(1))
    frame.loc[::7, "width"] = np.nan
    (tmp_path / "plain.csv").write_text(frame.to_csv(index=False))
    expected = table(str(tmp_path / "plain.csv"), "kind").digest
    comma, point = frame[: ROWS // 2], frame[ROWS // 2 :].assign(long=[f"{x:,.1f}" for x in frame.long[ROWS // 2 :]])
    written = {
        "comma": comma.to_csv(index=False, sep=";", decimal=",", na_rep="NA"),
        "point": point.to_csv(index=False, na_rep="NA"),
    }
    for first, second in (("comma", "point"), ("point", "comma")):
        (tmp_path / f"{first}-first").mkdir()
        (tmp_path / f"{first}-first" / "1.csv").write_text(written[first])
        (tmp_path / f"{first}-first" / "2.csv").write_text(written[second])
    assert table(str(tmp_path / "comma-first"), "kind").digest == expected
    found = split(table(str(tmp_path / "point-first"), "kind"))
    assert np.isclose(np.sort(feature(found, "long")), np.sort(frame.long.to_numpy(np.float32))).all()


def test_a_comma_is_the_decimal_mark_whatever_file_comes_after(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("x;y\n" + "\n".join(f"{n},125;{n},500" for n in range(20)))
    (tmp_path / "2.csv").write_text("x,y\n" + "\n".join(f"{n},{n}" for n in range(20)))
    np.testing.assert_array_equal(np.sort(table(str(tmp_path), "y").targets[:, 0])[:4], [0, 0.5, 1, 1.5])


def test_numbers_of_another_decimal_mark_than_the_one_given_are_named(tmp_path: Path) -> None:
    comma, point = tmp_path / "comma.csv", tmp_path / "point.csv"
    comma.write_text("x;y\n" + "\n".join(f"{n},5;{n},25" for n in range(20)))
    point.write_text("x,y\n" + "\n".join(f"{n}.5,{n}.25" for n in range(20)))
    with pytest.raises(DataError) as raised:
        table(str(tmp_path), "y", decimal=".")
    rule = "data.target: column 'y' must hold numbers with one decimal mark, that of data.decimal if it is given"
    assert str(raised.value) == f"{rule}, got '0,25' and '0.25'"
    encoding = split(table(str(comma), "y", decimal=",")).encoding
    with pytest.raises(DataError) as raised:
        table_encoded(str(point), encoding)
    rule = "data.path: column 'x' must hold numbers with the decimal mark ,, which data.decimal gives"
    assert str(raised.value) == f"{rule}, got '0.5' in row 1"


def test_a_folder_of_partitions_is_read_with_the_values_in_their_names(tmp_path: Path) -> None:
    for year, rows in ((2020, slice(0, 40)), (2021, slice(40, None))):
        (tmp_path / "birds" / f"year={year}").mkdir(parents=True)
        PLAIN[rows].to_parquet(tmp_path / "birds" / f"year={year}" / "part-0.parquet")
    splits = split(table(str(tmp_path / "birds"), "kind"))
    np.testing.assert_array_equal(feature(splits, "year"), [2020] * 40 + [2021] * (ROWS - 40))
