from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kexp.data import arrays, split, table_encoded
from kexp.data.table.component import csv
from kexp.data.table.files.matching import TableFile
from kexp.data.table.options import ReadOptions
from kexp.data.table.reading import read_table
from kexp.errors import DataError


def _houses(random: np.random.Generator, rows: int = 400) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "area": random.normal(100, 30, rows),
            "rooms": random.integers(1, 6, rows).astype(float),
            "town": random.choice(["Ulm", "Bonn, West", 'the "Hague"', "two\nlines"], rows),
            "price": random.normal(size=rows),
        }
    )
    frame.loc[random.random(rows) < 0.1, "rooms"] = np.nan
    frame.loc[random.random(rows) < 0.1, "town"] = None
    return frame


def test_csv_of_numbers_equals_the_arrays(tmp_path: Path, random: np.random.Generator) -> None:
    x, y = random.normal(size=(300, 4)), random.permutation(np.arange(300) % 3)
    pd.DataFrame(x, columns=list("abcd")).assign(y=y).to_csv(tmp_path / "a.csv", index=False)
    table, plain = csv(str(tmp_path / "a.csv"), "y"), arrays(x, y)
    assert table.digest == plain.digest
    left, right = split(table, seed=4), split(plain, seed=4)
    assert left.spec.feature_names == ("a", "b", "c", "d")
    for name in ("train", "validation", "test"):
        for found, expected in zip(getattr(left, name).arrays(), getattr(right, name).arrays(), strict=True):
            assert np.array_equal(found, expected)


def test_csv_encodes_missing_values_and_categories_by_the_training_rows(
    tmp_path: Path, random: np.random.Generator
) -> None:
    frame = _houses(random)
    frame.loc[0, "town"] = "Atlantis"
    path = tmp_path / "houses.csv"
    frame.to_csv(path, index=False)
    splits = split(csv(str(path), "price"), seed=1)
    train = frame.iloc[splits.train.rows]
    towns = sorted(train.town.dropna().unique())
    columns = [frame.area, frame.rooms.fillna(train.rooms.median()), frame.rooms.isna()]
    columns += [frame.town == town for town in towns] + [frame.town.isna()]
    expected = np.stack([column.to_numpy(dtype=np.float64) for column in columns], axis=1).astype(np.float32)
    assert splits.spec.feature_shape == (expected.shape[1],)
    assert splits.spec.feature_names == (
        *("area", "rooms", "rooms is missing"),
        *(f"town={town}" for town in towns),
        "town is missing",
    )
    for part in (splits.train, splits.validation, splits.test):
        assert part is not None
        x, y = part.arrays()
        assert np.array_equal(x, expected[part.rows])
        assert np.array_equal(y[:, 0], frame.price.to_numpy()[part.rows].astype(np.float32))
    assert np.isfinite(expected).all()


def test_table_encoded_applies_a_runs_encoding_to_other_rows(tmp_path: Path, random: np.random.Generator) -> None:
    frame = _houses(random)
    frame.to_csv(tmp_path / "houses.csv", index=False)
    splits = split(csv(str(tmp_path / "houses.csv"), "price"))
    encoding = json.loads(json.dumps(splits.encoding))
    rows = splits.test.rows if splits.test else None
    frame.iloc[rows][["town", "rooms", "area"]].to_csv(tmp_path / "new.csv", index=False)
    new = table_encoded(str(tmp_path / "new.csv"), {**encoding, "target": []})
    assert new.spec.feature_names == splits.spec.feature_names
    with pytest.raises(DataError, match=r"^data\.path: there is no column 'price' in new\.csv"):
        table_encoded(str(tmp_path / "new.csv"), encoding)
    assert np.array_equal(new.source.read(np.arange(len(new)))[0], splits.test.arrays()[0])  # type: ignore[union-attr]
    frame.iloc[rows].to_csv(tmp_path / "known.csv", index=False)
    assert np.array_equal(table_encoded(str(tmp_path / "known.csv"), encoding).targets, splits.test.labels)  # type: ignore[union-attr]
    (tmp_path / "odd.csv").write_text("area,rooms,town\n1,2,Nowhere\n,,\n")
    odd = table_encoded(str(tmp_path / "odd.csv"), {**encoding, "target": []}).source.read(np.arange(2))[0]
    names = splits.spec.feature_names or ()
    assert odd[0].tolist() == [1, 2] + [0] * (len(names) - 2)
    assert odd[1, names.index("rooms")] == np.float32(frame.rooms.iloc[splits.train.rows].median())
    assert odd[1, names.index("rooms is missing")] == odd[1, names.index("town is missing")] == 1


def test_table_encoded_keeps_the_runs_classes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{i},{'cba'[i % 3]}\n" for i in range(30)))
    encoding = split(csv(str(tmp_path / "a.csv"), "y")).encoding
    (tmp_path / "b.csv").write_text("x,y\n1,c\n2,c\n")
    assert table_encoded(str(tmp_path / "b.csv"), encoding).targets.tolist() == [2, 2]
    (tmp_path / "c.csv").write_text("x,y\n1,d\n")
    with pytest.raises(DataError, match="there is no class 'd' of 'y' in the run"):
        table_encoded(str(tmp_path / "c.csv"), encoding)
    (tmp_path / "d.csv").write_text("z\n1\n")
    with pytest.raises(DataError, match=r"there is no column 'x' in d\.csv"):
        table_encoded(str(tmp_path / "d.csv"), encoding)


def test_csv_takes_given_files(tmp_path: Path, random: np.random.Generator) -> None:
    frame = _houses(random, 60)
    for name, rows in (("train", slice(0, 40)), ("validation", slice(40, 50)), ("test", slice(50, 60))):
        part = frame.iloc[rows]
        (part[part.columns[::-1]] if name == "test" else part).to_csv(tmp_path / f"{name}.csv", index=False)
    splits = split(
        csv(
            str(tmp_path / "train.csv"),
            "price",
            validation_path=str(tmp_path / "validation.csv"),
            test_path=str(tmp_path / "test.csv"),
        )
    )
    assert splits.train.rows.tolist() == list(range(40))
    assert splits.validation is not None and splits.validation.rows.tolist() == list(range(40, 50))
    assert splits.test is not None and splits.test.rows.tolist() == list(range(50, 60))
    assert np.array_equal(splits.test.arrays()[0][:, 0], frame.area.to_numpy()[50:].astype(np.float32))
    shuffled = random.permutation(10)
    assert np.array_equal(splits.test.batch(shuffled)[0], splits.test.arrays()[0][shuffled])


@pytest.mark.parametrize(
    ("values", "task", "expected"),
    [
        (["no", "yes"] * 10, "auto", ("no", "yes")),
        ([True, False] * 10, "auto", ("False", "True")),
        ([1, 7] * 10, "auto", ("1", "7")),
        ([1.0, 7.0] * 10, "auto", ("1", "7")),
        (range(40), "auto", None),
        ([0.5, 1.0] * 10, "auto", None),
        ([1, 7] * 10, "regression", None),
    ],
)
def test_csv_tells_classes_from_numbers(values: Any, task: Any, expected: object, tmp_path: Path) -> None:
    pd.DataFrame({"x": range(len(values)), "y": list(values)}).to_csv(tmp_path / "a.csv", index=False)
    assert csv(str(tmp_path / "a.csv"), "y", task=task).spec.classes == expected


def test_csv_chooses_columns(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\tb\tc\ty\n" + "".join(f"{i}\t{i % 3}\t{-i}\t{i % 2}\n" for i in range(20)))
    path = str(tmp_path / "a.tsv")
    assert split(csv(path, "y", delimiter="tab", drop=["a"])).spec.feature_names == ("b", "c")
    assert split(csv(path, "y", delimiter="\t", columns=["c", "a"])).spec.feature_names == ("a", "c")
    named = split(csv(path, "y", delimiter="\\t", columns=["b"], categorical=["b"])).spec.feature_names
    assert named == ("b=0", "b=1", "b=2")
    assert csv(path, ["a", "c"], delimiter="\t").spec.outputs == 2


def test_csv_digest_sees_every_cell(tmp_path: Path, random: np.random.Generator) -> None:
    frame = _houses(random, 30)
    frame.loc[:3, ["rooms", "town"]] = [3.0, "Bonn"]  # nothing is missing where it is taken away
    digests = set()
    for row, column, value in (
        (0, "area", 1.5),
        (1, "rooms", np.nan),
        (2, "town", "Ulm!"),
        (3, "town", None),
        (4, "price", 9.0),
    ):
        other = frame.copy()
        other.loc[row, column] = value
        other.loc[5:6, ["rooms", "town"]] = [[1.0, "Ulm"], [2.0, "Bonn"]]
        other.to_csv(tmp_path / "a.csv", index=False)
        digests.add(csv(str(tmp_path / "a.csv"), "price").digest)
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "a,price\n1,2\n3,4\n",
            {"target": "prise"},
            "data.target: there is no column 'prise' in x.csv; did you mean 'price'?",
        ),
        ("a,price\n1,2\n3,4\n", {"target": "price", "drop": ["b"]}, "data.drop: there is no column 'b' in x.csv"),
        ("a,price\n1,2\n3,4\n", {"target": "price", "drop": ["a"]}, "data.columns: leaves no feature columns"),
        ("a,price\n1,2\n3,4\n", {"target": "price", "columns": ["price"]}, "data.columns: must not hold the target"),
        ("a,price\n1,2\n3,4\n", {"target": "price", "delimiter": ";;"}, "data.delimiter: must be one ASCII character"),
        (
            "a,y\n1,2\n3,4,5\n",
            {"target": "y"},
            "data.path: every row of x.csv must have the 2 fields of its header, got 3 in row 2",
        ),
        ("a,y\n1,2\n3,4,5\n", {"target": "y"}, "must have the 2 fields of its header, got 3 in row 2"),
        ("a,a\n1,2\n", {"target": "a"}, "data.path: x.csv must have each column once, got 'a' 2 times"),
        ("a,y\n", {"target": "y"}, "data.path: x.csv has no rows"),
        ("", {"target": "y"}, "data.path: x.csv is empty"),
        (
            "a,y\n1,u\n2,\n3,v\n",
            {"target": "y", "missing_target": "error"},
            "data.target: column 'y' must have a value in every row, got none in row 2",
        ),
        (
            "a,y\n1,0.5\n2,\n3,2\n",
            {"target": "y", "missing_target": "error"},
            "data.target: column 'y' must have a value in every row, got none in row 2",
        ),
        (
            "a,y\n1,u\n2,u\n",
            {"target": "y"},
            "data.target: classification needs at least 2 classes, got the single class 'u'",
        ),
        ("a,y\n1,0\n2,inf\n", {"target": "y"}, "data.target: targets must be finite"),
        ("a,y\n1,0\ninf,1\n", {"target": "y"}, "data.path: column 'a' must be finite, got infinity in row 2"),
        (
            "a,y\n1,u\n2,v\n",
            {"target": "y", "task": "regression"},
            "data.target: column 'y' must hold numbers for a regression",
        ),
        (
            "a,y\n1,u\n2,v\n",
            {"target": "y", "classes": ["u", "w"]},
            "data.classes: must name every class, but 'v' of 'y' is not there",
        ),
    ],
)
def test_csv_refuses_in_one_sentence(text: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError) as raised:
        csv(str(tmp_path / "x.csv"), **options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_csv_refuses_files_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"^data\.path: no such file 'x\.csv'$"):
        csv("x.csv", "y")
    Path("xs.csv").write_text("a,y\n1,2\n2,3\n")
    with pytest.raises(DataError, match=r"^data\.path: no such file 'x\.csv'; did you mean 'xs\.csv'\?$"):
        csv("x.csv", "y")
    with pytest.raises(DataError, match=r"^data\.test_path: no file matches 't\*\.csv'$"):
        csv("xs.csv", "y", test_path="t*.csv")
    Path("ys.csv").write_text("b,y\n1,2\n")
    with pytest.raises(DataError, match=r"^data\.test_path: ys\.csv must have the columns of xs\.csv, not so 'a'$"):
        csv("xs.csv", "y", test_path="ys.csv")
    Path("latin.csv").write_bytes(b"a,y\n\x81,1\nb,2\n")
    with pytest.raises(DataError, match=r"latin\.csv must be UTF-8 text"):
        csv("latin.csv", "y")


def test_making_room_in_the_cache_leaves_alone_what_another_process_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("kexp.system.cache_limit.KEPT_BYTES", 0)
    tables = tmp_path / "cache" / "tables"
    now, killed = tables / ".new-now", tables / ".new-killed"
    for folder in (now, killed):
        folder.mkdir(parents=True)
        (folder / "table.json").write_text("{}")
    os.utime(killed, (0, 0))
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"{name},y\n1,u\n2,v\n3,u\n4,v\n")
        assert len(read_table([TableFile(str(tmp_path / f"{name}.csv"), "data.path", "csv")], ReadOptions())) == 4
    assert sorted(each.name for each in tables.iterdir() if each.name.startswith(".")) == [".new-now"]
    assert len([each for each in tables.iterdir() if not each.name.startswith(".")]) == 1
