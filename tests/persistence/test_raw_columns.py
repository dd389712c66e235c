"""A SavedModel takes raw columns by name: read inside the graph into the very features that a run made of its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kexp.data import split
from kexp.data.table.component import table
from kexp.persistence import save_model
from kexp.persistence.formats.raw_rows.columns import why_encoded
from kexp.persistence.formats.raw_rows.sample_rows import sample_rows
from kexp.persistence.formats.saved_model import saved_model
from kexp.serving.cells import FORMS, MISSING_WORDS
from kexp.serving.outputs import Outputs

CASES = Path(__file__).parents[1] / "data" / "cases"
TABLES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "tab_single_quotes": ("kind", {}, {"sep": "\t", "quotechar": "'"}),
    "missing_words": ("kind", {}, {}),
    "true_false": ("width", {}, {}),
    "dates": ("kind", {}, {}),
    "dates_in_words": ("kind", {}, {}),
    "many_categories": ("kind", {"max_categories": 5}, {}),
    "several_labels": (["tall", "wide"], {}, {}),
    "weather": ("storm", {}, {"comment": "#"}),
    "houses": ("Art", {}, {"sep": ";"}),
    "survey": ("again", {}, {}),
    "stocks": ("rose", {}, {}),
    "plain": ("kind", {"categorical": ["mass"], "max_categories": 30, "na_values": ["b", "4.5"]}, {}),
}


def raw_rows(rows: dict[str, Any]) -> Any:
    """Imports TensorFlow, which collecting tests must not."""
    from kexp.persistence.formats.raw_rows.tensorflow_rows import RawRows

    return RawRows(rows)


def rows_of(encoding: Any, width: int) -> dict[str, Any]:
    return {"kind": "table", "shape": [width], "encoding": encoding}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_graph_reads_fields_as_the_file_was_read(name: str) -> None:
    target, options, how = TABLES[name]
    path = CASES / f"{name}.csv"
    splits = split(table(str(path), target, **options), test=0, validation=0)
    source: Any = splits.train.data.source
    expected = source.read(np.arange(len(source)))[0]
    rows = rows_of(splits.encoding, expected.shape[1])
    assert why_encoded(rows) == ""
    raw = raw_rows(rows)
    given, features = sample_rows(rows)
    np.testing.assert_array_equal(raw.features(tensors(given)), features)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True, **how).rename(columns=str.strip)
    fields = {name: frame[name].iloc[source.rows] for name in raw.inputs()}
    for column in [column for column, spec in raw.inputs().items() if spec.dtype.is_floating]:
        missing = fields[column].str.strip().str.lower().isin(MISSING_WORDS)
        fields[column] = fields[column].mask(missing).astype(float)
    np.testing.assert_array_equal(raw.features(tensors(fields)), expected)


def tensors(columns: Any) -> dict[str, Any]:
    import tensorflow as tf

    return {name: tf.constant(np.asarray(values)) for name, values in columns.items()}


PEOPLE: dict[str, Any] = {
    "columns": [
        {"name": "age (years)", "missing": True, "kind": "number", "median": 40.0},
        {"name": "class", "missing": False, "kind": "category", "categories": ["a", "b"], "others": True},
        {"name": "née", "missing": True, "kind": "date", "first": 0.0, "median": 12.5, "times": True, "format": None},
        {"name": "price", "missing": False, "kind": "number", "median": 2.0},
        {"name": "woke", "missing": False, "kind": "number", "median": 3600.0},
        {"name": "member", "missing": False, "kind": "boolean", "median": 1.0},
    ],
    "kinds": {
        "age (years)": ["number", None],
        "class": ["text", None],
        "née": ["date", None],
        "price": ["number", "1.234,5"],
        "woke": ["number", "%I:%M %p"],
        "member": ["boolean", None],
    },
}
FEW = {
    "age (years)": [31.0, np.nan],
    "class": ["a", "seldom"],
    "née": ["2024-02-29 23:30", ""],
    "price": ["1.250,50 EUR", "980"],
    "woke": ["6:30 am", "12:05 PM"],
    "member": ["true", "False"],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_graph_reads_numbers_written_for_people(form: str) -> None:
    column = {"name": "sold", "missing": True, "kind": "number", "median": 1234.5}
    encoding = {"columns": [column], "kinds": {"sold": ["number", form]}}
    given, features = sample_rows(rows_of(encoding, 2))
    np.testing.assert_array_equal(raw_rows(rows_of(encoding, 2)).features(tensors(given)), features)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The SavedModel of a small model, loaded by TensorFlow alone, and the model."""
    import keras
    import tensorflow as tf

    from kexp.serving.encoding import encode

    features = encode(pd.DataFrame(FEW), PEOPLE)
    model = keras.Sequential([keras.Input(features.shape[1:]), keras.layers.Dense(3)])
    outputs = Outputs(("no", "so so", "yes"), (), "linear", True)
    kept = {"rows": rows_of(PEOPLE, features.shape[1]), "outputs": outputs.as_json()}
    folder = tmp_path_factory.mktemp("saved")
    (path,) = save_model(model, folder, {"saved_model": saved_model().serving(kept)}, features)  # type: ignore[attr-defined]
    return tf.saved_model.load(str(path)), model, features, outputs


def test_the_signature_has_the_columns_names_whatever_they_are(served: Any) -> None:
    loaded, model, features, outputs = served
    answers = loaded.signatures["serving_default"](**tensors(FEW))
    expected = outputs.columns(model.predict(features, verbose=0))
    assert set(answers) == set(expected) == {"class", "p_no", "p_so so", "p_yes"}
    assert [word.decode() for word in answers["class"].numpy()] == expected["class"].tolist()
    for name in ("p_no", "p_so so", "p_yes"):
        np.testing.assert_allclose(answers[name], expected[name], rtol=1e-5)
    np.testing.assert_allclose(loaded.serve(features), model(features), rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("née", "soon", "column 'née' must hold dates, got"),
        ("née", "2023-02-29", "column 'née' must hold dates, got"),
        ("price", "dear", "column 'price' must hold numbers, got"),
        ("age (years)", np.inf, "column 'age (years)' must be finite, got"),
    ],
)
def test_a_bad_value_ends_the_call_with_its_column(served: Any, column: str, value: Any, sentence: str) -> None:
    import tensorflow as tf

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must") as error:
        served[0].signatures["serving_default"](**tensors({**FEW, column: [FEW[column][0], value]}))
    assert sentence in str(error.value).replace("\\'", "'")  # as TensorFlow writes it


def test_what_a_graph_cannot_read_is_told() -> None:
    zoned = {**PEOPLE, "kinds": {**PEOPLE["kinds"], "née": ["date", "%d %b %Y %Z"]}}
    told = "encoded columns, for TensorFlow does not read %Z in 'née', written %d %b %Y %Z"
    assert why_encoded(rows_of(zoned, 1)) == told
    assert why_encoded({"kind": "images", "shape": [8, 8, 3]}).startswith("arrays of pixels from 0 to 1")
    kept = {"rows": rows_of(zoned, 1), "outputs": Outputs(None, (), "linear", False, "regression").as_json()}
    assert saved_model().serving(kept).notice == f"saved_model takes {told}"  # type: ignore[attr-defined]


def test_a_graph_reads_what_is_missing_in_a_column_alone_and_says_where_it_cannot_read(tmp_path: Path) -> None:
    rows = 60
    days = pd.date_range("2021-01-31", periods=rows)
    seen = np.where(np.arange(rows) == 7, "not yet", days.strftime("%d/%m/%Y"))
    owed = [f"\N{MINUS SIGN}{row},{row % 90 + 10},{row % 900 + 100}" if row else "gone" for row in range(rows)]
    level = np.where(np.arange(rows) % 9 == 0, -999, np.arange(rows) / 4)
    frame = pd.DataFrame({"seen": seen, "owed": owed, "level": level, "kind": ["a", "b"] * (rows // 2)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    splits = split(table(str(tmp_path / "t.csv"), "kind"), test=0, validation=0)
    source: Any = splits.train.data.source
    expected = source.read(np.arange(rows))[0]
    described = rows_of(splits.encoding, expected.shape[1])
    assert why_encoded(described) == ""
    fields = {name: frame[name] for name in ("seen", "owed", "level")}
    np.testing.assert_array_equal(raw_rows(described).features(tensors(fields)), expected)
    frame.assign(seen=pd.period_range("2001Q1", periods=rows, freq="Q").astype(str)).to_csv(
        tmp_path / "q.csv", index=False
    )
    quarters = split(table(str(tmp_path / "q.csv"), "kind"), test=0, validation=0)
    assert why_encoded(rows_of(quarters.encoding, 1)).startswith(
        "encoded columns, for TensorFlow does not read periods"
    )
