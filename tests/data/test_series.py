"""Windows of series: within a series, cut by time, encoded by the training rows, read again by a run's encoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kexp.data import split
from kexp.data.sequences.series import forecasts, series_encoded
from kexp.data.sequences.series_component import series
from kexp.errors import DataError

ASKED = {"time": "day", "group": "shop", "window": 6, "horizon": 3}


@pytest.fixture
def sales(tmp_path: Path, random: np.random.Generator) -> tuple[Path, pd.DataFrame]:
    """Two shops of 60 and 40 days in mixed order, and one that is shorter than a window."""
    rows = [
        {
            "shop": shop,
            "day": f"{day:%Y-%m-%d}",
            "sold": round(float(random.normal(20, 5)), 2),
            "open": int(day.dayofweek < 6),
        }
        for shop, days in (("b", 40), ("a", 60), ("c", 4))
        for day in pd.date_range("2024-01-01", periods=days)
    ]
    frame = pd.DataFrame(rows).sample(frac=1, random_state=1)
    file = tmp_path / "sales.csv"
    frame.to_csv(file, index=False)
    return file, frame.sort_values(["shop", "day"])


def test_windows_and_targets_are_those_that_pandas_gives(sales: tuple[Path, pd.DataFrame]) -> None:
    file, frame = sales
    splits = split(series(str(file), "sold", **ASKED))  # type: ignore[arg-type]
    expected_x, expected_y = [], []
    for _, shop in frame.groupby("shop"):
        values = shop[["sold", "open"]].to_numpy(np.float32)
        for start in range(len(shop) - 9 + 1):
            expected_x.append(values[start : start + 6])
            expected_y.append(values[start + 6 : start + 9, 0])
    x, y = splits.data.source.read(np.arange(len(splits.data)))
    assert np.array_equal(x, np.stack(expected_x)) and np.array_equal(y, np.stack(expected_y))
    assert splits.spec.target_names == ("sold +1", "sold +2", "sold +3")
    assert "3 series, 84 windows of 6 steps, 3 ahead; 1 series shorter than 9 rows left out" in splits.summary
    assert len(split(series(str(file), "sold", **ASKED, stride=4)).data) == 13 + 8  # type: ignore[arg-type]


def test_no_training_target_lies_in_the_time_of_a_later_part(sales: tuple[Path, pd.DataFrame]) -> None:
    data = series(str(sales[0]), "sold", **ASKED)  # type: ignore[arg-type]
    splits = split(data)
    assert data.times is not None and splits.validation is not None and splits.test is not None
    train, validation, test = (data.times[part.rows] for part in (splits.train, splits.validation, splits.test))
    assert train.max() < validation.min() and validation.max() < test.min()
    left_out = len(data) - len(train) - len(validation) - len(test)
    assert f"{left_out} across a cut in time are in no part" in splits.summary
    grouped = split(data, by="group", validation=0)
    assert data.groups is not None and grouped.test is not None
    assert not set(data.groups[grouped.train.rows]) & set(data.groups[grouped.test.rows])
    with pytest.raises(DataError, match=r"data.folds: must not be given with a split by time"):
        split(data, folds=3, fold=0)


def test_other_series_are_read_by_the_encoding_of_a_run(sales: tuple[Path, pd.DataFrame]) -> None:
    file, frame = sales
    splits = split(series(str(file), "sold", **ASKED))  # type: ignore[arg-type]
    again = series_encoded(str(file), splits.encoding)
    rows = np.arange(len(again))
    assert np.array_equal(again.source.read(rows)[0], splits.data.source.read(rows)[0])
    assert np.array_equal(again.targets, splits.data.targets)
    later = file.with_name("later.csv")
    frame[frame["shop"] != "c"].to_csv(later, index=False)
    windows, labels = forecasts(str(later), splits.encoding, key="INPUT")
    assert labels == {"shop": ["a", "b"], "day of the last step": ["2024-02-29", "2024-02-09"]}
    last = [shop[["sold", "open"]].to_numpy(np.float32)[-6:] for name, shop in frame.groupby("shop") if name != "c"]
    assert np.array_equal(windows.read(np.arange(2))[0], np.stack(last))
    with pytest.raises(DataError, match=r"INPUT: every series must have the 6 rows of a window, got 4 in shop 'c'"):
        forecasts(str(file), splits.encoding, key="INPUT")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"window": 70}, r"data.window: a window of 70 and a horizon of 3 need 73 rows of one series.*longest has 60"),
        ({"window": 0}, r"data.window: must be a positive integer, got 0"),
        ({"horizon": 0}, r"data.horizon: must be a positive integer, got 0"),
        ({"group": None}, r"data.time: a time must not occur twice in the series.*data.group names the column"),
        ({"group": "shp"}, r"data.group: there is no column 'shp' in sales.csv; did you mean 'shop'\?"),
        ({"time": "shop"}, r"data.time: column 'shop' must hold dates or numbers, which have an order, got text"),
        ({"target": "shop"}, r"data.target: column 'shop' must hold numbers to forecast, got text"),
        ({"path": None}, r"data.path: must be given, or data.query in its place"),
    ],
)
def test_what_is_no_series_is_told_in_a_sentence(
    sales: tuple[Path, pd.DataFrame], changed: dict[str, object], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        series(**{"path": str(sales[0]), "target": "sold", **ASKED, **changed})  # type: ignore[arg-type]
