"""Tables as people bring them: each file has one thing that real files have."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder

from kexp.data import Splits, split, table_encoded
from kexp.data.table.component import table
from kexp.errors import DataError

CASES = Path(__file__).parent / "cases"


def parts(name: str, target: Any, **options: Any) -> Splits:
    return split(table(str(CASES / f"{name}.csv"), target, **options))


def same_rows(left: Splits, right: Splits) -> None:
    for name in ("train", "validation", "test"):
        for found, expected in zip(getattr(left, name).arrays(), getattr(right, name).arrays(), strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", ["bom_crlf", "empty_lines", "semicolon_decimal_comma", "tab_single_quotes"])
@pytest.mark.parametrize("target", ["kind", "mass"])
def test_how_a_file_is_written_makes_no_difference(name: str, target: str) -> None:
    same_rows(parts(name, target), parts("plain", target))
    assert table(str(CASES / f"{name}.csv"), target).digest == table(str(CASES / "plain.csv"), target).digest


def test_every_form_of_a_table_is_read_alike(tmp_path: Path) -> None:
    frame = pd.read_csv(CASES / "plain.csv")
    frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_feather(tmp_path / "a.feather")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    with gzip.open(tmp_path / "a.csv.gz", "wb") as packed:
        packed.write((CASES / "plain.csv").read_bytes())
    expected = table(str(CASES / "plain.csv"), "kind")
    for ending in ("tsv", "parquet", "feather", "jsonl", "csv.gz"):
        assert table(str(tmp_path / f"a.{ending}"), "kind").digest == expected.digest, ending
    queried = table(target="kind", query=f"select * from '{CASES / 'plain.csv'}' where mass > 3500")
    assert len(queried) == (frame.mass > 3500).sum()


def test_a_folder_is_all_of_its_tables(tmp_path: Path) -> None:
    lines = (CASES / "plain.csv").read_text().splitlines(keepends=True)
    (tmp_path / "1.csv").write_text("".join(lines[:41]))
    (tmp_path / "2.csv").write_text("".join([lines[0], *lines[41:]]))
    (tmp_path / "notes.md").write_text("nothing")
    assert table(str(tmp_path), "kind").digest == table(str(CASES / "plain.csv"), "kind").digest


def test_rows_without_a_target_are_left_out_and_counted() -> None:
    frame = pd.read_csv(CASES / "missing_target.csv")
    splits = parts("missing_target", "mass")
    assert len(splits.data) == frame.mass.notna().sum()
    assert splits.summary.startswith(
        f"120 rows ({frame.mass.isna().sum()} without mass left out): 2 numbers, 2 categor"
    )
    assert np.array_equal(splits.data.targets[:, 0], frame.mass.dropna().to_numpy(np.float32))
    with pytest.raises(
        DataError, match=r"^data\.target: column 'mass' must have a value in every row, got none in row 5"
    ):
        parts("missing_target", "mass", missing_target="error")


def test_words_for_a_missing_number_are_missing_in_numbers_alone() -> None:
    frame = pd.read_csv(CASES / "missing_words.csv", na_values=["?"])
    splits = parts("missing_words", "kind")
    at = (splits.spec.feature_names or ()).index("width")
    expected = frame.width.fillna(frame.width.iloc[splits.train.rows].median())
    assert np.array_equal(splits.train.arrays()[0][:, at], expected.iloc[splits.train.rows].to_numpy(np.float32))
    assert "width is missing" in (splits.spec.feature_names or ())
    names = parts("na_is_a_name", "kind").spec.feature_names or ()
    assert {"site=EU", "site=NA", "site=SA"} <= set(names) and "site is missing" not in names
    told = parts("na_is_a_name", "kind", na_values=["NA"]).spec.feature_names or ()
    assert "site=NA" not in told and "site is missing" in told
    assert len(parts("missing_words", "width").data) == frame.width.notna().sum()


def test_what_names_each_row_is_left_out_and_said_so() -> None:
    splits = parts("identifier", "kind")
    assert splits.summary == "120 rows: 3 numbers, 1 category; left out: id (another in every row)"
    same_rows(splits, parts("plain", "kind"))


@pytest.mark.parametrize("name", ["dates", "dates_in_words"])
def test_dates_are_years_days_and_the_time_since_the_first(name: str) -> None:
    splits = parts(name, "mass")
    seen = pd.to_datetime(pd.read_csv(CASES / "dates.csv").seen)
    train = splits.train.rows
    through = (seen.dt.dayofyear - 1) / np.where(seen.dt.is_leap_year, 366, 365)
    expected = {
        "seen (year)": seen.dt.year,
        "seen (day of the year, sine)": np.sin(2 * np.pi * through),
        "seen (day of the year, cosine)": np.cos(2 * np.pi * through),
        "seen (day of the week, sine)": np.sin(2 * np.pi * seen.dt.dayofweek / 7),
        "seen (day of the week, cosine)": np.cos(2 * np.pi * seen.dt.dayofweek / 7),
        "seen (days since the first)": (seen - seen.iloc[train].min()).dt.days,
    }
    names = splits.spec.feature_names or ()
    x = splits.train.arrays()[0]
    for feature, values in expected.items():
        np.testing.assert_allclose(x[:, names.index(feature)], values.to_numpy()[train], atol=1e-6, err_msg=feature)


def test_many_categories_are_the_most_frequent_and_one_for_the_others() -> None:
    splits = parts("many_categories", "mass", max_categories=5, columns=["maker"])
    frame = pd.read_csv(CASES / "many_categories.csv")[["maker"]]
    train = frame.iloc[splits.train.rows]
    theirs = OneHotEncoder(max_categories=6, handle_unknown="infrequent_if_exist", sparse_output=False).fit(train)
    counts = train.maker.value_counts()
    assert splits.spec.feature_shape == (6,)
    if counts.iloc[4] > counts.iloc[5]:  # else the libraries may choose another of those that are equally frequent
        for part in (splits.train, splits.test):
            assert part is not None
            assert np.array_equal(part.arrays()[0], theirs.transform(frame.iloc[part.rows]))


def test_labels_weights_truths_and_names_in_any_script() -> None:
    labels = parts("several_labels", ["tall", "wide", "far"]).spec
    assert (labels.task, labels.outputs, labels.target_names) == ("labels", 3, ("tall", "wide", "far"))
    weighted = parts("weighted", "kind", weight="weight")
    frame = pd.read_csv(CASES / "weighted.csv")
    assert np.array_equal(weighted.train.weights, frame.weight.to_numpy(np.float32)[weighted.train.rows])  # type: ignore[arg-type]
    assert "weight" not in (weighted.spec.feature_names or ())
    assert parts("true_false", "heavy").spec.classes == ("False", "True")
    assert parts("names_in_other_scripts", "标签").spec.feature_names == ("größe", "宽度")


def test_encoding_is_applied_to_other_rows_and_what_is_new_is_counted(tmp_path: Path) -> None:
    splits = parts("dates_in_words", "kind")
    lines = (CASES / "dates_in_words.csv").read_text().splitlines()
    fresh = [lines[0], *lines[1:4]]
    fresh[2] = fresh[2].replace("east", "nowhere")
    (tmp_path / "new.csv").write_text("\n".join(fresh) + "\n")
    data = table_encoded(str(tmp_path / "new.csv"), splits.encoding)
    assert data.source.unseen() == {"site": 1}  # type: ignore[attr-defined]
    x = data.source.read(np.arange(3))[0]
    whole = splits.data.source.read(np.arange(3))[0]
    assert np.array_equal(x[[0, 2]], whole[[0, 2]])
    assert not x[1, [name.startswith("site=") for name in splits.spec.feature_names or ()]].any()


@pytest.mark.parametrize(
    ("name", "target", "options", "said"),
    [
        ("column_twice", "kind", {}, "data.path: column_twice.csv must have each column once, got 'width' 2 times"),
        ("one_field_too_many", "kind", {}, "must have the 5 fields of its header, got 6 in row 34"),
        ("text", "verdict", {}, "'review' is text: data=text model=text reads it, and data.categorical=[review]"),
        ("plain", "kind", {"dates": ["site"]}, "data.dates: column 'site' must hold dates, got 'north' in row 1"),
        ("plain", "kind", {"weight": "site"}, "data.weight: column 'site' must hold numbers, got text"),
        ("plain", ["kind", "kind"], {}, "data.target: must name each column once, got 'kind' 2 times"),
        ("plain", "kind", {"decimal": ";"}, "data.decimal: must be . or , got ';'"),
        ("plain", "kind", {"query": "select 1"}, "data.path: must be given, or data.query in its place, and not both"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(name: str, target: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError) as raised:
        parts(name, target, **options)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_query_that_is_wrong_or_a_folder_without_tables_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data\.query: .*nothing"):
        table(target="y", query="select * from nothing")
    with pytest.raises(DataError, match=r"^data\.path: the folder .* holds no table"):
        table(str(tmp_path), "y")


def column_of(splits: Splits, name: str) -> np.ndarray:
    """A feature of all rows of the file."""
    at = (splits.spec.feature_names or ()).index(name)
    return splits.data.source.read(np.arange(len(splits.data)))[0][:, at]


@pytest.mark.parametrize(
    ("name", "target", "column", "plain"),
    [
        ("airports", "opened", "passengers", lambda text: text.replace(",", "")),
        ("stocks", "rose", "price", lambda text: text.replace(",", "").lstrip("$")),
        ("stocks", "rose", "change", lambda text: text.rstrip("%")),
        ("cars", "fuel", "power", lambda text: text.replace("kW", "")),
    ],
)
def test_numbers_are_read_as_people_write_them(name: str, target: str, column: str, plain: Any) -> None:
    frame = pd.read_csv(CASES / f"{name}.csv", dtype=str, skipinitialspace=True)
    expected = frame[column].map(lambda text: float(plain(text)))
    np.testing.assert_allclose(column_of(parts(name, target), column), expected, rtol=1e-6)


def test_a_decimal_comma_with_units_is_read_where_semicolons_separate() -> None:
    frame = pd.read_csv(CASES / "houses.csv", sep=";", dtype=str)
    splits = parts("houses", "Art")
    for column in ("Preis", "Fläche"):
        bare = frame[column].str.replace(r"[^0-9.,]", "", regex=True).str.replace(".", "").str.replace(",", ".")
        np.testing.assert_allclose(column_of(splits, column), bare.astype(float), rtol=1e-6)


def test_a_row_alone_is_read_as_the_run_read_its_own(tmp_path: Path) -> None:
    for name, target in (("airports", "opened"), ("houses", "Art"), ("stocks", "rose")):
        splits = parts(name, target)
        lines = (CASES / f"{name}.csv").read_text().splitlines(keepends=True)
        (tmp_path / "one.csv").write_text("".join(lines[:2]))
        alone = table_encoded(str(tmp_path / "one.csv"), {**splits.encoding, "target": [], "weight": None})
        np.testing.assert_array_equal(alone.source.read(np.arange(1))[0], splits.data.source.read(np.arange(1))[0])


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("airports", "opened", "24 rows: 1 number, 1 category; left out: Unnamed: 0 (another in every row)"),
        ("stocks", "rose", "24 rows: 2 numbers, 1 date"),
        ("weather", "storm", "24 rows: 1 number, 1 date"),
        ("cars", "fuel", "24 rows: 1 number, 1 category"),
        ("survey", "again", "24 rows: 1 number, 1 category; left out: id (another in every row), column_5 (empty)"),
        ("birds_utf16", "Art", "24 rows: 1 number"),
    ],
)
def test_what_real_files_have_is_said_in_a_line(name: str, target: str, words: str) -> None:
    splits = parts(name, target)
    assert splits.summary == words
    assert len(splits.spec.classes or ()) == 2


def test_few_whole_numbers_are_classes_unless_the_task_says_otherwise() -> None:
    assert parts("wine_grades", "grade").spec.classes == ("3", "4", "5", "6", "7", "8")
    assert parts("wine_grades", "grade", task="regression").spec.outputs == 1
    assert parts("survey", "again", columns=["id", "age"]).spec.feature_names == ("id", "age")
    assert parts("trees_latin1", "Art", encoding="latin-1").spec.feature_names == ("Höhe",)


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("same_target", "y", "data.target: column 'y' must vary, got the same value in all 24 rows"),
        ("header_only", "kind", "data.path: header_only.csv has no rows"),
    ],
)
def test_what_cannot_be_learned_from_is_one_sentence(name: str, target: str, said: str) -> None:
    with pytest.raises(DataError) as raised:
        parts(name, target)
    assert said in str(raised.value) and "\n" not in str(raised.value)
