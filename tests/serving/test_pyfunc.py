"""MLflow models answer raw rows in a process without kexp, with the values that `kexp predict` writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scoring import asked, scoring, wait_for
from served_kinds import Kind

KINDS = ("table", "regression", "labels", "own", "iris", "array", "images", "text", "series")


def predicted(kind: Kind, rows: str, tmp_path: Path) -> pd.DataFrame:
    """What `kexp predict` writes, in its own precision."""
    from kexp.cli import main

    with pytest.raises(SystemExit) as end:
        main(["predict", kind.run_id, rows, str(tmp_path / "out.csv")])
    assert not end.value.code
    return pd.read_csv(tmp_path / "out.csv", dtype=str)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("table", "odd.csv"),
        ("regression", "odd.csv"),
        ("labels", "odd.csv"),
        ("own", "odd.csv"),
        ("iris", "iris.csv"),
        ("array", "some.npz"),
        ("images", "pictures"),
        ("text", "said.csv"),
        ("series", "shops.csv"),
    ],
)
def test_answers_are_those_of_kexp_predict(name: str, rows: str, served: dict[str, Kind], tmp_path: Path) -> None:
    expected = predicted(served[name], rows, tmp_path)
    expected = expected.drop(columns=[column for column in expected if column == "file"])
    answer = served[name].answers[0]
    assert isinstance(answer, pd.DataFrame), answer
    assert list(answer) == list(expected)
    for column in answer:
        np.testing.assert_array_equal(answer[column].to_numpy().astype(str), expected[column].to_numpy().astype(str))


def test_however_rows_are_sent_the_answer_is_the_same(served: dict[str, Kind]) -> None:
    _, frame, dates, one, records, values, *_ = served["table"].answers
    pd.testing.assert_frame_equal(dates, frame)
    for few in (one, records, values):
        assert isinstance(few, pd.DataFrame), few
        assert few["class"].tolist() == frame["class"].head(len(few)).tolist()
        np.testing.assert_allclose(few["p_yes"], frame["p_yes"].head(len(few)), rtol=1e-5)
    assert len(served["table"].answers[6]) == len(frame), "columns that had missing values may be left out"
    iris = served["iris"].answers
    pd.testing.assert_frame_equal(iris[1], iris[0])
    pd.testing.assert_frame_equal(iris[2], iris[0])
    array = served["array"].answers
    np.testing.assert_array_equal(array[1], array[0])
    files, pixels, shares, coded, frame, named, *_, listed = served["images"].answers
    for same in (pixels, coded, frame, named, listed):
        pd.testing.assert_frame_equal(same, files)
    np.testing.assert_allclose(shares["p_dark"], files["p_dark"], rtol=1e-4)
    text = served["text"].answers
    for same in text[1:5]:
        pd.testing.assert_frame_equal(same, text[0])
    pd.testing.assert_frame_equal(served["series"].answers[1], served["series"].answers[0])


@pytest.mark.parametrize(
    ("name", "place", "sentence"),
    [
        ("table", 7, "the column 'fare' must be there, got 'age', 'children', 'city'"),
        ("table", 8, "column 'fare' must hold numbers, got 'cheap' in row 1"),
        ("table", 9, "column 'since' must hold dates, got 'soon' in row 1"),
        ("table", 10, "column 'fare' must be finite, got infinity in row 1"),
        ("table", 11, "must have a row at least, got none"),
        ("iris", 3, "the column 'sepal width (cm)' must be there"),
        ("array", 2, "rows must have the shape (4, 3), got (2, 3)"),
        ("images", 6, "image 1 must be of the size 16 x 16 x 3, got 8 x 16 x 3"),
        ("images", 7, "image 1 is not a readable image"),
        ("text", 6, "column 'said' must hold text, got 3 in row 1"),
        ("series", 2, "every series must have the 5 rows of a window, got 3 in shop 'b'"),
        ("series", 3, "the column 'day' must be there"),
    ],
)
def test_a_bad_request_is_refused_in_a_sentence(name: str, place: int, sentence: str, served: dict[str, Kind]) -> None:
    code, message = served[name].answers[place]
    assert code == "INVALID_PARAMETER_VALUE"
    assert message.startswith(sentence)
    assert "\n" not in message


@pytest.mark.parametrize("name", KINDS)
def test_the_keras_model_is_there_too_compiled_without_a_warning(name: str, served: dict[str, Kind]) -> None:
    told = served[name].told
    if name != "own":  # whose classes mlflow.keras does not look for among the model's code
        assert told["compiled"] == ["Adam", True]
    assert told["warned"] == []


def test_signatures_have_names_types_and_what_may_be_missing(served: dict[str, Kind]) -> None:
    def read(columns: list[dict[str, Any]]) -> dict[str, tuple[str, bool]]:
        return {each["name"]: (each["type"], each["required"]) for each in columns}

    table = served["table"].told
    assert read(table["inputs"]) == {
        "age": ("double", False),
        "fare": ("double", True),
        "children": ("double", True),
        "city": ("string", False),
        "member": ("string", True),
        "since": ("string", True),
        "price": ("string", True),
        "woke": ("string", True),
        "warmth": ("double", False),  # -999 is found to mean a missing value
    }
    assert read(table["outputs"]) == {"class": ("string", True), "p_no": ("float", True), "p_yes": ("float", True)}
    assert list(read(served["regression"].told["outputs"])) == ["income", "spent"]
    assert list(read(served["labels"].told["outputs"])) == ["p_tall", "p_calm"]
    assert list(read(served["series"].told["inputs"])) == ["day", "shop", "open", "sales"]
    assert list(read(served["series"].told["outputs"])) == ["shop", "day of the last step", "sales +1", "sales +2"]
    assert served["array"].told["inputs"][0]["tensor-spec"] == {"dtype": "float32", "shape": (-1, 4, 3)}


@pytest.mark.parametrize("name", KINDS)
def test_examples_are_answered(name: str, served: dict[str, Kind]) -> None:
    assert len(served[name].told["example"])


@pytest.mark.parametrize("name", KINDS)
def test_mlflows_server_answers_each_form_of_a_request_alike(name: str, served: dict[str, Kind]) -> None:
    forms = dict(served[name].told["posted"])
    status, refusal = forms.pop("without", (400, {"message": "the column must be there"}))
    assert status == 400
    assert "must be there" in refusal["message"] and "\n" not in refusal["message"]
    if name == "images":  # whose signature takes arrays too, of which MLflow makes no CSV
        assert forms.pop("csv")[0] == 400
    answers = [json.dumps(answer) for _, answer in forms.values()]
    assert [status for status, _ in forms.values()] == [200] * len(forms), forms
    assert answers == answers[:1] * len(answers)


def test_mlflow_serves_csv_and_json_where_kexp_is_not(served: dict[str, Kind], tmp_path: Path) -> None:
    kind = served["table"]
    frame: pd.DataFrame = kind.requests[0]
    expected = kind.answers[0].to_dict("records")
    source = (Path(__file__).parent / "without_kexp.py").read_text().replace("__main__", "nobody")
    (tmp_path / "sitecustomize.py").write_text(source + "\nsys.meta_path.insert(0, NoKexp())\n")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    with scoring(kind.model, sys.executable, tmp_path, {"PYTHONPATH": str(tmp_path)}) as (port, environment):
        mlflow = [sys.executable, "-m", "mlflow", "models", "predict", "-m", kind.model, "--env-manager", "local"]
        files = ["-i", "rows.csv", "-o", "answers.json", "-t", "csv"]
        subprocess.run([*mlflow, *files], env=environment, cwd=tmp_path, check=True, capture_output=True)
        assert json.loads((tmp_path / "answers.json").read_text())["predictions"] == expected
        wait_for(port)
        split = json.loads(frame.to_json(orient="split", index=False))
        records = json.loads(frame.to_json(orient="records"))
        columns = {name: [row[name] for row in records] for name in frame}
        for body in ({"dataframe_split": split}, {"dataframe_records": records}, {"inputs": columns}):
            assert asked(port, json.dumps(body)) == (200, {"predictions": expected})
        assert asked(port, frame.to_csv(index=False), "text/csv") == (200, {"predictions": expected})
        listed = asked(port, json.dumps({"inputs": records[:2]}))
        assert [each["class"] for each in listed[1]["predictions"]] == [each["class"] for each in expected[:2]]
        for bad, told in (
            (
                {"dataframe_records": [{"age": 3}]},
                "the columns 'fare', 'children', 'member', 'since', 'price', 'woke' must be there",
            ),
            ({"dataframe_records": [{**records[3], "since": "soon"}]}, "column 'since' must hold dates, got 'soon'"),
            ({"dataframe_records": [{**records[3], "fare": "cheap"}]}, "fare"),
        ):
            status, answer = asked(port, json.dumps(bad))
            assert status == 400
            assert told in answer["message"]
            assert "Failed to predict" not in answer["message"]  # with all rows, as MLflow's server has it


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("table", "odd.csv"),
        pytest.param("labels", "odd.csv", marks=pytest.mark.slow),
        pytest.param("iris", "iris.csv", marks=pytest.mark.slow),
        pytest.param("array", "some.npz", marks=pytest.mark.slow),
        pytest.param("text", "said.csv", marks=pytest.mark.slow),
        pytest.param("series", "shops.csv", marks=pytest.mark.slow),
    ],
)
def test_a_saved_model_takes_the_rows_that_kexp_predict_takes(
    name: str, rows: str, served: dict[str, Kind], tmp_path: Path
) -> None:
    import tensorflow as tf

    from kexp.cli import main

    kind = served[name]
    with pytest.raises(SystemExit) as end:
        main(["export", kind.run_id, "--format", "saved_model", str(tmp_path)])
    assert not end.value.code
    raw = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    wanted = {column: tensor.dtype for column, tensor in zip(raw._arg_keywords, raw.inputs, strict=False)}
    if name == "array":
        given = dict.fromkeys(wanted, np.load(rows)["x"])
    else:
        frame = pd.read_csv(rows, dtype=str, keep_default_na=False)
        read = {True: lambda fields: pd.to_numeric(fields, errors="coerce"), False: lambda fields: fields}
        given = {column: read[dtype.is_floating](frame[column]).to_numpy() for column, dtype in wanted.items()}
    expected = predicted(kind, rows, tmp_path)
    if name == "series":  # the last window of each series, in the order of their names
        shop = frame["shop"].to_numpy()
        given = {each: np.stack([given[each][shop == one][-5:] for one in sorted(set(shop))]) for each in given}
    answers = raw(**{column: tf.constant(values) for column, values in given.items()})
    for column, values in answers.items():
        found = [word.decode() for word in values.numpy()] if values.dtype == tf.string else values.numpy()
        if column == "class":
            assert found == expected[column].tolist()
        else:
            np.testing.assert_allclose(found, expected[column].astype(float), rtol=1e-4, atol=1e-6)
