"""Rows of a request become the very features that DuckDB's reading of the file made, for each kind of table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kexp.data import split
from kexp.data.table.component import table
from kexp.serving.encoding import encode, used_columns
from kexp.serving.requests import frame_of

CASES = Path(__file__).parents[1] / "data" / "cases"

# Cases, their targets, how the run takes them, and how pandas reads them.
TABLES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "plain": ("kind", {}, {}),
    "tab_single_quotes": ("kind", {}, {"sep": "\t", "quotechar": "'"}),
    "semicolon_decimal_comma": ("kind", {}, {"sep": ";", "decimal": ","}),
    "missing_words": ("kind", {}, {}),
    "true_false": ("heavy", {}, {}),
    "true_false to width": ("width", {}, {}),
    "dates": ("kind", {}, {}),
    "dates_in_words": ("kind", {}, {}),
    "grouped": ("kind", {}, {}),
    "many_categories": ("kind", {"max_categories": 5}, {}),
    "several_labels": (["tall", "wide"], {}, {}),
    "weather": ("storm", {}, {"comment": "#"}),
    "cars": ("fuel", {}, {}),
    "houses": ("Art", {}, {"sep": ";"}),
    "survey": ("again", {}, {}),
    "wine_grades": ("grade", {}, {"sep": ";"}),
    "stocks": ("rose", {}, {}),
    "birds_utf16": (None, {}, {"encoding": "utf-16"}),
    "names_in_other_scripts": (None, {}, {}),
    "airports": (None, {}, {}),
    "plain by category": ("kind", {"categorical": ["mass"], "max_categories": 30}, {}),
}


def as_text(path: Path, options: dict[str, Any]) -> pd.DataFrame:
    """Every field as it stands."""
    return pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True, **options)


def as_pandas_reads(path: Path, options: dict[str, Any]) -> pd.DataFrame:
    return pd.read_csv(path, skipinitialspace=True, **options)


def target_of(path: Path, options: dict[str, Any]) -> str:
    return str(as_pandas_reads(path, options).columns[-1])


@pytest.mark.parametrize("read", [as_text, as_pandas_reads])
@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_frame_is_encoded_as_the_file_was(name: str, read: Callable[..., pd.DataFrame]) -> None:
    target, options, how = TABLES[name]
    path = CASES / f"{name.partition(' ')[0]}.csv"
    target = target or target_of(path, how)
    data = table(str(path), target, **options)
    splits = split(data, test=0, validation=0)
    source: Any = splits.train.data.source
    expected = source.read(np.arange(len(source)))[0]
    frame = read(path, how).iloc[source.rows]
    names = [column["name"] for column in used_columns(splits.encoding)]
    found = encode(frame_of(frame[frame.columns[::-1]], names), splits.encoding)
    np.testing.assert_array_equal(found, expected)
