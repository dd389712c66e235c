"""Texts as numbers of words: as Keras' TextVectorization makes them, learned of the training rows alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kexp.data import split
from kexp.data.sequences.text import text_encoded, texts_of, tokens, vocabulary
from kexp.data.sequences.text_component import text
from kexp.errors import DataError

WORDS = ["Room", "cold!", "it's", "a", "fine", "day,", "the", "(bright)", "São", "x-y", "42"]


@pytest.fixture
def texts(random: np.random.Generator) -> list[str]:
    sizes = random.integers(1, 30, 80)
    return ["  ".join(random.choice(WORDS, size)) + random.choice(["", "\tend.", "\nnew line"]) for size in sizes]


def test_words_are_those_of_text_vectorization(texts: list[str]) -> None:
    import keras

    layer = keras.layers.TextVectorization(max_tokens=10, output_sequence_length=12)
    layer.adapt(texts)
    known = vocabulary(texts, 10)
    assert ["", "[UNK]", *known] == layer.get_vocabulary()
    new = [*texts, "never seen: words", ""]
    assert np.array_equal(tokens(new, known, 12), np.asarray(layer(new)))


def test_a_column_of_a_table_is_read_and_its_words_are_of_the_training_rows(tmp_path: Path, texts: list[str]) -> None:
    import pandas as pd

    file = tmp_path / "reviews.csv"
    frame = pd.DataFrame({"id": range(80), "review": texts, "verdict": ["good", "bad"] * 40})
    frame.to_csv(file, index=False)
    data = text(str(file), "verdict", length=12)
    splits = split(data)
    cleaned = [each.strip() for each in texts]
    assert splits.encoding["text"]["vocabulary"] == vocabulary((texts[row] for row in splits.train.rows), 10000)
    assert (
        splits.encoding["text"]["column"] == "review"
        and splits.spec.words == len(splits.encoding["text"]["vocabulary"]) + 2
    )
    x, y = splits.data.source.read(np.arange(80))
    assert np.array_equal(x, tokens(cleaned, splits.encoding["text"]["vocabulary"], 12))
    assert np.array_equal(y, np.array([1, 0] * 40))
    again = text_encoded(str(file), splits.encoding)
    assert np.array_equal(again.source.read(np.arange(80))[0], x) and np.array_equal(again.targets, y)
    lines = tmp_path / "new.txt"
    lines.write_text("a fine day\nthe cold room\n")
    assert texts_of(lines, splits.encoding, "INPUT")[0] == ["a fine day", "the cold room"]


@pytest.mark.parametrize("form", ["list", "array", "bytes", "column", "series", "frame", "dataset", "batches", "parts"])
def test_texts_of_a_function_are_texts_in_whatever_form_it_returns_them(form: str, texts: list[str]) -> None:
    import pandas as pd

    from kexp.data import as_data

    y, weights = np.arange(80) % 2, np.linspace(0.5, 2, 80)
    expected = split(as_data((texts, y, weights)))
    if form == "parts":
        data = as_data({"train": (texts[:60], y[:60]), "test": (texts[60:], y[60:])})
        assert data.spec.words is not None and data.splits is not None
        return
    made: dict[str, Any] = {
        "list": lambda: (texts, y, weights),
        "array": lambda: (np.array(texts), y, weights),
        "bytes": lambda: (np.array([text.encode() for text in texts]), y, weights),
        "column": lambda: (np.array(texts, dtype=object)[:, None], y, weights),
        "series": lambda: (pd.Series(texts), y, weights),
        "frame": lambda: (pd.DataFrame({"review": texts}), y, weights),
        "dataset": lambda: _dataset((texts, y, weights)),
        "batches": lambda: (
            (texts[start : start + 9], y[start : start + 9], weights[start : start + 9]) for start in range(0, 80, 9)
        ),
    }
    found = split(as_data(made[form]()))
    rows = np.arange(80)
    assert np.array_equal(found.data.source.read(rows)[0], expected.data.source.read(rows)[0])
    assert found.spec.words == expected.spec.words and found.data.digest == expected.data.digest
    assert np.array_equal(found.train.weights, weights.astype(np.float32)[found.train.rows])  # type: ignore[arg-type]
    assert expected.encoding["text"]["vocabulary"] == vocabulary((texts[row] for row in expected.train.rows), 10000)


def _dataset(rows: Any) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(rows).batch(7)


def test_an_earlier_run_teaches_its_words_to_texts_alone(tmp_path: Path, texts: list[str]) -> None:
    import pandas as pd

    from kexp.data.table.component import csv

    file = tmp_path / "reviews.csv"
    pd.DataFrame({"review": texts, "size": range(80), "verdict": ["good", "bad"] * 40}).to_csv(file, index=False)
    earlier = {"text": {"column": "review", "length": 12, "vocabulary": ["fine", "new"]}}
    data = text(str(file), "verdict", length=12)
    x = split(replace(data, encoder=data.encoder.with_encoding(earlier, "a"))).data.source.read(np.arange(80))[0]
    assert np.array_equal(x, tokens([each.strip() for each in texts], ["fine", "new"], 12))
    with pytest.raises(DataError, match=r"data.length: must be 12 as in a, got 200"):
        text(str(file), "verdict").encoder.with_encoding(earlier, "a")
    with pytest.raises(DataError, match=r"data: must be a table as in a, got texts"):
        data.encoder.with_encoding({"columns": []}, "a")
    with pytest.raises(DataError, match=r"data: must be texts \(data=text\) as in a, got a table"):
        csv(str(file), "verdict").encoder.with_encoding(earlier, "a")


def test_a_folder_for_each_class_is_read(tmp_path: Path, texts: list[str]) -> None:
    for place, content in enumerate(texts):
        folder = tmp_path / "reviews" / ("good" if place % 2 else "bad")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place:03}.txt").write_text(content)
    (tmp_path / "reviews" / "README.txt").write_text("where these come from")
    splits = split(text(str(tmp_path / "reviews")))
    assert splits.spec.classes == ("bad", "good") and len(splits.data) == 80
    assert np.bincount(splits.data.targets).tolist() == [40, 40]
    found, labels = texts_of(tmp_path / "reviews" / "good", splits.encoding, "INPUT")
    assert len(found) == 40 and labels["file"][0] == "001.txt"


def test_folders_of_parts_hold_folders_of_classes(tmp_path: Path) -> None:
    for part, count in (("train", 5), ("test", 3)):
        for name in ("neg", "pos"):
            (tmp_path / "reviews" / part / name).mkdir(parents=True)
            for place in range(count):
                (tmp_path / "reviews" / part / name / f"{place}.txt").write_text(f"{name} words {place}")
    splits = split(text(str(tmp_path / "reviews")), validation=0)
    assert splits.spec.classes == ("neg", "pos") and splits.test is not None
    assert (len(splits.train), len(splits.test)) == (10, 6)
    assert len(text_encoded(str(tmp_path / "reviews"), splits.encoding)) == 16


def test_several_columns_of_a_table_are_labels_of_its_texts(tmp_path: Path) -> None:
    import pandas as pd

    file = tmp_path / "comments.csv"
    marks = {"toxic": [0, 1] * 20, "rude": [True, False, False, True] * 10}
    pd.DataFrame({"comment": ["a fine day", "you cold room"] * 20, **marks}).to_csv(file, index=False)
    splits = split(text(str(file), ["toxic", "rude"], length=4))
    assert splits.spec.task == "labels" and splits.spec.target_names == ("toxic", "rude")
    again = text_encoded(str(file), splits.encoding)
    assert np.array_equal(again.targets, np.array(list(marks.values()), dtype=np.float32).T)


def test_folders_that_are_no_classes_are_told_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "one").mkdir(parents=True)
    (folder / "one" / "a.txt").write_text("words")
    with pytest.raises(DataError, match=r"data.path: must hold a folder for each of two classes at least, got one in"):
        text(str(folder))
    (folder / "two").mkdir()
    with pytest.raises(DataError, match=r"data.path: the folder of class 'two' holds no file \(\.txt\)"):
        text(str(folder))
    (folder / "two" / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"data.path: b.txt must be UTF-8 text"):
        text(str(folder))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, r"data.target: must name the column to predict"),
        ({"target": "verdict", "words": 2}, r"data.words: must be at least 3, got 2"),
        ({"target": "verdict", "text": "verdict"}, r"data.text: must not be the target, got .verdict.$"),
        ({"target": "verdict", "text": "number"}, r"data.text: column 'number' must hold text, got number"),
        ({"target": "verdict", "text": "reviw"}, r"data.text: there is no column 'reviw'.*did you mean 'review'"),
    ],
)
def test_what_is_no_text_is_told_in_a_sentence(tmp_path: Path, given: dict[str, str], told: str) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text(
        "review,number,verdict\n" + "\n".join(f"word {row} more,{row},{'ab'[row % 2]}" for row in range(20))
    )
    with pytest.raises(DataError, match=told):
        text(str(file), **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "given", "told"),
    [
        ("utf-8-sig", None, ""),
        ("utf-16", None, ""),
        ("cp1252", None, "20 files read as cp1252"),
        ("cp1251", "cp1251", ""),
    ],
)
def test_files_in_other_encodings_are_read_as_an_editor_reads_them(
    tmp_path: Path, written: str, given: str | None, told: str
) -> None:
    letters = "щ" if written == "cp1251" else "é"
    for row in range(20):
        file = tmp_path / "texts" / ("good" if row % 2 else "bad") / f"{row:02}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"caf{letters} {row}", encoding=written)
    splits = split(text(str(tmp_path / "texts"), encoding=given))
    assert f"caf{letters}" in splits.encoding["text"]["vocabulary"]
    assert told in splits.summary and ("read as" in splits.summary) == bool(told)
    assert texts_of(file, splits.encoding, "INPUT")[0] == [f"caf{letters} 19"]
    again = text_encoded(str(tmp_path / "texts"), splits.encoding)
    assert np.array_equal(again.source.read(np.arange(20))[0], splits.data.source.read(np.arange(20))[0])


def test_files_that_are_not_in_the_given_encoding_are_refused(tmp_path: Path) -> None:
    for kind in ("good", "bad"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "a.txt").write_bytes("café".encode("cp1252"))
    with pytest.raises(DataError, match=r"^data\.encoding: a\.txt must be text in utf-8-sig, which it is not$"):
        text(str(tmp_path), encoding="utf-8")
