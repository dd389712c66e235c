"""Detect the layout of a CSV file from its first lines: where rows start, and whether there is a header."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kexp.data.table.options import MISSING_WORDS

__all__ = ["Layout", "layout_of", "most_fields"]

_AGREE = 0.9  # of the lines must have as many fields, for a header to be looked for further down
_FEWEST_ROWS = 5  # from which a first line that is like the others is taken for a row

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Layout:
    """The layout of a CSV file.

    Attributes:
        skip: number of lines before the header, or before the first row.
        names: names of the columns in order; empty if there are none.
        has_header: whether the first line that is not skipped names the columns.
    """

    skip: int
    names: tuple[str, ...]
    has_header: bool


def most_fields(rows: Rows) -> tuple[int, float]:
    """Return the most common number of fields, and the fraction of lines that have it; the first line is ignored."""
    counts = Counter(len(row) for row in rows[1:] if row) or Counter(len(row) for row in rows if row)
    if not counts:
        return 0, 0.0
    fields, count = counts.most_common(1)[0]
    return fields, count / counts.total()


def layout_of(rows: Rows, ends: Sequence[int], header: bool | None, known: frozenset[str]) -> Layout:
    """Detect the layout of a file.

    The header is the first line with as many fields as nearly all lines. It may have one field less, if rows start with
    a row name that the header omits, as R writes them, or end with a delimiter.

    Args:
        rows: the fields of the first lines.
        ends: for each of these, the number of lines of the file up to its end.
        header: whether there is a header; None to detect it.
        known: names of columns that the file should have; a line of these is a header.
    """
    fields, share = most_fields(rows)
    first = next((place for place, row in enumerate(rows) if row), 0)
    if share >= _AGREE and fields > 1:
        first = next((place for place, row in enumerate(rows) if _may_begin(row, fields)), first)
    if not rows:
        return Layout(0, (), True)
    begin, after = rows[first], [row for row in rows[first + 1 :] if row]
    skip = ends[first - 1] if first else 0
    if header is not True and known and known <= {name.strip() for name in begin}:
        header = True
    if header is None:
        header = not _is_row(begin, [row for row in after if len(row) == len(begin)])
    if not header:
        return Layout(skip, tuple(f"column_{place}" for place in range(1, len(begin) + 1)), False)
    names = [name.strip() for name in begin]
    if len(names) == fields + 1 and not names[-1]:
        names.pop()
    elif len(names) == fields - 1 and share >= _AGREE:
        ends_empty = all(not row[-1].strip() for row in after if len(row) == fields)
        names = [*names, ""] if ends_empty else ["", *names]
    return Layout(skip, tuple(names), True)


def _may_begin(row: Sequence[str], fields: int) -> bool:
    told = sum(bool(field.strip()) for field in row)
    fits = len(row) in (fields, fields - 1) or (len(row) == fields + 1 and not row[-1].strip())
    return fits and told > (1 if fields > 2 else 0)


def _is_row(first: Sequence[str], after: Rows) -> bool:
    """Whether the first line is a row like the others: a number where they have numbers, a name that they have too."""
    if len(after) < _FEWEST_ROWS or len(first) < 2 or not all(field.strip() for field in first):
        return False
    columns = [[row[place].strip() for row in after] for place in range(len(first))]
    fields = [field.strip() for field in first]
    numeric = [place for place, column in enumerate(columns) if _are_numbers(column)]
    numbers = [fields[place] for place in numeric if fields[place].lower() not in MISSING_WORDS]
    repeated = all(fields[place] in columns[place] for place in range(len(first)) if place not in numeric)
    if not numbers:
        return not numeric and repeated
    if not _are_numbers(numbers):
        return False
    return not _counts_on(numbers) or (repeated and len(numeric) < len(first))


def _are_numbers(texts: Sequence[str]) -> bool:
    there = [text for text in texts if text.lower() not in MISSING_WORDS]
    return bool(there) and all(_number(text) is not None for text in there)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _counts_on(numbers: Sequence[str]) -> bool:
    """Whether these are years or places, in even steps: 1990, 1991, 1992."""
    if not all(number.isdigit() for number in numbers):
        return False
    steps = {int(b) - int(a) for a, b in itertools.pairwise(numbers)}
    return len(steps) <= 1 and min(steps, default=1) > 0


def fields_of(lines: Sequence[str], mark: str, quote: str) -> tuple[list[list[str]], list[int]]:
    """Return the fields of each record, and for each record the number of lines up to its end."""
    reader = csv.reader(lines, delimiter=mark, quotechar=quote, skipinitialspace=True)
    rows, ends = [], []
    for row in reader:
        rows.append([] if row == [""] else row)
        ends.append(reader.line_num)
    return rows, ends
