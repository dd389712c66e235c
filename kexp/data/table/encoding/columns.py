"""Choose the encoding of each feature column from its values in the training rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.table.plan import Plan
from kexp.data.table.stored import FEWEST_IDENTIFIERS, Column
from kexp.errors import DataError
from kexp.system.large_arrays import gathered, selected

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fit_column"]

MOST_FOR_MEDIAN = 2_000_000  # rows; the median of more rows is that of a sample, evenly spread
MOST_EXACT = 2**53  # 64-bit floats do not represent all whole numbers above
_FIRST = "column_1"  # the first column of a file without a header
WORDS_OF_TEXT = 4  # words in a value, on average, from which a column is text and not categories

# id, customer_id, PassengerId, S. No., the row numbers that pandas and R write
_NAMES_ROWS = re.compile(
    r"(?i:^(id|index|row|rownames?|key|no\.?|nr\.?|s\.? ?no\.?|serial|seq|sequence|obs|observation|record|case|#)$"
    r"|^unnamed: \d+(\.\d+)?$|[ _.-](id|no\.?|nr\.?|number)$)|[a-z](I[dD]|No)$"
)

Decision = dict[str, Any]


def fit_column(column: Column, rows: NDArray[np.intp], plan: Plan) -> Decision:
    """Learn the encoding of a column.

    Args:
        column: the column.
        rows: the training rows.
        choices: the user's plan.

    Returns:
        The encoding as JSON: `left_out` with the reason, or `kind` with its parameters:
        number: `median` replaces missing values; `missing` adds a feature that is 1 if the value is missing.
        category: one feature for each of `categories`, in sorted order; one for `others`; one for `missing`.
        date: `median` and `first`, in days since 1970; `times` if the column has times of day.

    Raises:
        DataError: a number is not finite.
    """
    values = gathered(column.values, rows)
    missing = column.missing(values)
    present = selected(values, ~missing) if missing.any() else values
    base: Decision = {"name": column.name, "missing": bool(missing.any())}
    if not len(present):
        return {**base, "left_out": "empty"}
    if column.kind == "text" or column.name in plan.categorical:
        return {**base, **_categories(column, present, plan, alone=not base["missing"])}
    if np.isinf(present).any():
        row = int(rows[np.argmax(np.isinf(values))]) + 1
        raise DataError(f"data.path: column {column.name!r} must be finite, got infinity in row {row}")
    if not base["missing"] and present[0] == present[-1] and (present == present[0]).all():
        return {**base, "left_out": f"{column.named(present[0])} in every row"}
    if column.name not in (plan.columns or ()) and _is_identifier(column, present):
        return {**base, "left_out": "another in every row"}
    if column.kind == "date":
        days = present / 86400.0
        timed = bool((present % 86400 != 0).any())
        first, median = float(np.floor(days.min())), float(_median(days))
        return {**base, "kind": "date", "first": first, "median": median, "times": timed, "format": column.format}
    return {**base, "kind": column.kind, "median": float(_median(present))}


def _categories(column: Column, present: NDArray[Any], plan: Plan, *, alone: bool) -> Decision:
    codes, counts = np.unique(present, return_counts=True)
    forced = column.name in plan.categorical
    if len(codes) == 1 and alone and len(present) > 1 and not forced:
        return {"left_out": f"{column.words[codes[0]]!r} in every row"}
    if not forced and (reason := _no_category(column, codes, counts, plan)):
        return {"left_out": reason}
    named = [(column.named(code), int(count)) for code, count in zip(codes, counts, strict=True)]
    frequent = sorted(named, key=lambda each: (-each[1], each[0]))[: plan.max_categories]
    return {
        "kind": "category",
        "categories": sorted(name for name, _ in frequent),
        "others": len(named) > plan.max_categories,
    }


def _is_identifier(column: Column, present: NDArray[Any]) -> bool:
    """Return whether whole numbers identify rows: the column has such a name, or has none and counts the rows."""
    if column.kind != "number" or len(present) < FEWEST_IDENTIFIERS:
        return False
    if not _NAMES_ROWS.search(column.name) and not (column.name == _FIRST and _counts_rows(column)):
        return False
    if not (present == np.round(present)).all():
        return False
    return bool(np.abs(present).max() >= MOST_EXACT) or len(np.unique(present)) == len(present)


def _counts_rows(column: Column) -> bool:
    values = np.asarray(column.values)
    return bool(values[0] in (0, 1) and (np.diff(values) == 1).all())


def _no_category(column: Column, codes: NDArray[Any], counts: NDArray[Any], plan: Plan) -> str:
    """Return why a text column is not encoded as categories: it is prose or identifies rows. Empty if it is encoded."""
    if column.name in plan.text:
        return "text"
    rare = len(codes) > 0.5 * counts.sum()
    some = [column.words[code] for code in codes[:: max(1, len(codes) // 500)]]
    if rare and counts.sum() >= FEWEST_IDENTIFIERS and _mean_words(some) >= WORDS_OF_TEXT:
        return "text"
    if len(codes) == counts.sum() and len(codes) >= FEWEST_IDENTIFIERS:
        return "another in every row"
    return ""


def _mean_words(texts: Sequence[str]) -> float:
    return sum(len(text.split()) for text in texts) / max(1, len(texts))


def _median(values: NDArray[Any]) -> float:
    if len(values) > MOST_FOR_MEDIAN:
        values = values[np.linspace(0, len(values) - 1, MOST_FOR_MEDIAN).astype(np.intp)]
    return float(np.median(values))
