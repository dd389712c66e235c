"""Splits that do not leak, and folds, held against scikit-learn's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, StratifiedKFold

from kexp.data import arrays, split
from kexp.data.source import Data
from kexp.data.sources.builtin import iris
from kexp.data.table.component import csv
from kexp.errors import DataError


def _table(folder: Path, rows: int, groups: int, random: np.random.Generator) -> Path:
    """Groups of uneven sizes in mixed order, days in mixed order, three classes."""
    plots = random.choice(groups, size=rows, p=np.arange(1, groups + 1) / np.arange(1, groups + 1).sum())
    plots[:groups] = np.arange(groups)
    days = np.datetime64("2024-01-01") + random.integers(0, 40, size=rows)
    lines = [
        f"p{plot},{day},{random.normal():.4f},{'abc'[random.integers(3)]}"
        for plot, day in zip(plots, days, strict=True)
    ]
    file = folder / "table.csv"
    file.write_text("\n".join(["plot,day,x,kind", *lines]))
    return file


def _parts(data: Data, **how: object) -> list[np.ndarray]:
    splits = split(data, **how)  # type: ignore[arg-type]
    return [part.rows for part in (splits.train, splits.validation, splits.test) if part is not None]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_group_stands_in_one_part_alone(tmp_path: Path, random: np.random.Generator, seed: int) -> None:
    data = csv(str(_table(tmp_path, 400, 30, random)), "kind", group="plot")
    parts = _parts(data, seed=seed)
    assert data.groups is not None and len(np.concatenate(parts)) == 400
    held = [set(data.groups[rows]) for rows in parts]
    assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]
    largest = np.bincount(data.groups).max()
    assert abs(len(parts[2]) - 80) <= largest
    assert "plot" not in " ".join(split(data).spec.feature_names or ())


def test_a_split_by_time_tests_on_the_last_rows(tmp_path: Path, random: np.random.Generator) -> None:
    data = csv(str(_table(tmp_path, 400, 10, random)), "kind", time="day")
    train, validation, test = _parts(data)
    assert data.times is not None
    day = data.times[:, 0]
    assert day[train].max() < day[validation].min() <= day[validation].max() < day[test].min()
    assert abs(len(test) - 80) <= np.unique(day, return_counts=True)[1].max()
    assert len(np.concatenate([train, validation, test])) == 400
    by_chance = _parts(data, by="random")
    assert day[by_chance[0]].max() > day[by_chance[2]].min()


def test_folds_are_as_stratified_as_those_of_scikit_learn(random: np.random.Generator) -> None:
    y = random.permutation(np.repeat([0, 1, 2], [131, 60, 23]))
    data = arrays(np.zeros((len(y), 1)), y)
    ours = [_parts(data, folds=5, fold=fold, seed=3) for fold in range(5)]
    left = np.concatenate([ours[0][0], ours[0][1]])
    tests = [rows[2].tolist() for rows in ours]
    assert all(rows == tests[0] for rows in tests)
    assert np.array_equal(np.sort(np.concatenate([rows[1] for rows in ours])), np.sort(left))
    for train, validation, _ in ours:
        assert np.array_equal(np.sort(np.concatenate([train, validation])), np.sort(left))
    counts = np.array([np.bincount(y[rows[1]], minlength=3) for rows in ours])
    theirs = StratifiedKFold(5, shuffle=True, random_state=0).split(np.zeros((len(left), 1)), y[left])
    spread = np.ptp(np.array([np.bincount(y[left][rows], minlength=3) for _, rows in theirs]), axis=0)
    assert (np.ptp(counts, axis=0) <= np.maximum(spread, 1)).all()
    assert np.ptp(counts.sum(axis=1)) <= 1


def test_grouped_folds_are_as_even_as_those_of_scikit_learn(random: np.random.Generator) -> None:
    groups = random.choice(25, size=500, p=np.arange(1, 26) / 325)
    data = arrays(np.zeros((500, 1)), random.normal(size=500))
    object.__setattr__(data, "groups", groups)
    object.__setattr__(data, "split_by", "group")
    ours = [_parts(data, folds=4, fold=fold, test=0.0) for fold in range(4)]
    for train, validation in ours:
        assert not set(groups[train]) & set(groups[validation])
    theirs = [len(rows) for _, rows in GroupKFold(4).split(np.zeros((500, 1)), groups=groups)]
    assert np.ptp([len(rows[1]) for rows in ours]) <= np.ptp(theirs) + 1
    assert sum(len(rows[1]) for rows in ours) == 500


def test_the_splits_of_one_seed_are_the_same_whatever_the_fold(random: np.random.Generator) -> None:
    data = iris()
    assert np.array_equal(_parts(data, folds=3, fold=0, seed=4)[2], _parts(data, seed=4)[2])
    assert not np.array_equal(_parts(data, folds=3, fold=0, seed=4)[2], _parts(data, folds=3, fold=0, seed=5)[2])


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"by": "time"}, "data.split: time needs data.time"),
        ({"by": "group"}, "data.split: group needs data.group"),
        ({"folds": 5}, r"data.fold: must be given with data.folds; data.fold=range\(5\)"),
        ({"fold": 1}, "data.fold: needs data.folds"),
        ({"folds": 5, "fold": 5}, r"data.fold: must be in \[0, 5\), got 5"),
        ({"folds": 1, "fold": 0}, "data.folds: must be at least 2, got 1"),
        ({"folds": 45, "fold": 0}, "data.folds: each of 45 folds needs a row of every class, but 'setosa' has 40"),
        ({"folds": 121, "fold": 0}, "data.folds: must be at most the 120 rows besides the test part, got 121"),
    ],
)
def test_what_cannot_be_split_is_told_in_a_sentence(how: dict[str, object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        split(iris(), **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("column", "options", "told"),
    [
        (
            "plot",
            {"time": "plot"},
            "data.time: column 'plot' must hold dates or numbers, which have an order, got text",
        ),
        ("plot", {"group": "plott"}, "data.group: there is no column 'plott' in table.csv; did you mean 'plot'?"),
        ("day", {"time": "dya"}, "data.time: there is no column 'dya' in table.csv; did you mean 'day'?"),
    ],
)
def test_a_column_that_does_not_serve_is_named(
    tmp_path: Path, random: np.random.Generator, column: str, options: dict[str, str], told: str
) -> None:
    with pytest.raises(DataError, match=told.replace("?", r"\?")):
        csv(str(_table(tmp_path, 60, 5, random)), "kind", **options)  # type: ignore[arg-type]


def test_a_row_without_time_or_group_and_a_table_of_one_group_are_told(tmp_path: Path) -> None:
    file = tmp_path / "gaps.csv"
    file.write_text(
        "g,t,x,y\n"
        + "\n".join(f"{'' if row == 3 else 'a'},{'' if row == 5 else row},{row},{row / 3}" for row in range(30))
    )
    with pytest.raises(DataError, match=r"data\.group: column 'g' must have a value in every row, got none in row 4"):
        csv(str(file), "y", group="g")
    with pytest.raises(DataError, match=r"data\.time: column 't' must have a value in every row, got none in row 6"):
        csv(str(file), "y", time="t")
    file.write_text("g,t,x,y\n" + "\n".join(f"a,1,{row},{row / 3}" for row in range(30)))
    with pytest.raises(DataError, match=r"data\.group: leaves no group for the test part"):
        split(csv(str(file), "y", group="g"))
    with pytest.raises(DataError, match=r"data\.time: leaves no rows before the test part, got 1 times in 30 rows"):
        split(csv(str(file), "y", time="t"))
