"""Detect the layout of a CSV file from its first lines: where rows start, and whether there is a header."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kexp.data.table.options import MISSING_WORDS

__all__ = ["Layout", "layout_of", "most_fields"]

_AGREE = 0.9  # share of lines with equally many fields from which a header may follow other lines
_FEWEST_ROWS = 5  # rows from which a first line of words that other rows have too is a row
_FEW_NUMBERS = 3  # whole numbers in even steps from which they may be names of columns
_LONGEST_UNIT = 24
_MOST_PATTERNS = 3  # formats of a column's values, besides plain numbers
_DIGITS_FIRST = re.compile(r"[-+(]?[$\u20ac\u00a3\u00a5]?\d")
_RULER = re.compile(r":?[-=]{2,}:?")  # the line below the header of a Markdown table
_BRACKETS = re.compile(r"\(.*\)|\[.*\]|<.*>|\{.*\}")

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Layout:
    """The layout of a CSV file.

    Attributes:
        skip: number of lines before the header, or before the first row.
        names: names of the columns in order; empty if there are none.
        has_header: whether the first line that is not skipped names the columns.
        begin: lines before the first row: those skipped, the header, and one of units below it.
        units: the units in the line below the header; empty if there are none.
        codes: columns of codes, not numbers: equally many digits in each value, and some begin with 0.
    """

    skip: int
    names: tuple[str, ...]
    has_header: bool
    begin: int
    units: tuple[str, ...] = ()
    codes: frozenset[str] = frozenset()


def most_fields(rows: Rows) -> tuple[int, float]:
    """Return the most common number of fields, and the fraction of lines that have it; the first line is ignored."""
    counts = Counter(len(row) for row in rows[1:] if row) or Counter(len(row) for row in rows if row)
    if not counts:
        return 0, 0.0
    fields, count = counts.most_common(1)[0]
    return fields, count / counts.total()


def layout_of(
    rows: Rows, ends: Sequence[int], header: bool | None, known: frozenset[str], *, renamed: bool = False
) -> Layout:
    """Detect the layout of a file.

    The header is the first line with as many fields as nearly all lines. It may have one field less, if rows start with
    a row name that the header omits, as R writes them, or end with a delimiter.

    Args:
        rows: the fields of the first lines.
        ends: for each of these, the number of lines of the file up to its end.
        header: whether there is a header; None to detect it.
        known: names of columns that the file should have; a line of these is a header.
        renamed: whether the columns get other names. Then a header is one only if it is sure to be none of the rows:
            above a column of numbers it has a word.
    """
    fields, share = most_fields(rows)
    first = next((place for place, row in enumerate(rows) if row), 0)
    longest = max(map(len, rows), default=0)
    if sum(len(row) == longest for row in rows) > 1 and rows[first] and _are_names(rows[first], longest):
        pass  # the header has as many fields as the longest row, and most rows end early
    elif share >= _AGREE and fields > 1:
        first = next((place for place, row in enumerate(rows) if _may_begin(row, fields)), first)
    if not rows:
        return Layout(0, (), True, 0)
    begin, after = rows[first], [row for row in rows[first + 1 :] if row]
    skip = ends[first - 1] if first else 0
    if header is not True and known and known <= {name.strip() for name in begin}:
        header = True
    if header is None:
        alike = [row for row in after if len(row) == len(begin)]
        measured = any(map(_are_values, _columns(alike[1:], len(begin))))  # the first may be a line of units
        header = not _is_row(begin, alike) and (measured or not renamed)
    rows_after = after if header else [begin, *after]
    units: tuple[str, ...] = ()
    if not header:
        names, start = [f"column_{place}" for place in range(1, len(begin) + 1)], skip
    else:
        names, start = _names(begin, after, fields, share), ends[first]
        below = next((place for place in range(first + 1, len(rows)) if rows[place]), 0)
        if below and _are_units(rows[below], after[1:]):
            units, start, rows_after = tuple(field.strip() for field in rows[below]), ends[below], after[1:]
    columns = _columns([row for row in rows_after if len(row) == len(names)], len(names))
    codes = frozenset(name for name, column in zip(names, columns, strict=True) if _are_codes(column))
    return Layout(skip, tuple(names), header, start, units, codes)


def _names(header: Sequence[str], after: Rows, fields: int, share: float) -> list[str]:
    names = [name.strip() for name in header]
    if len(names) == fields + 1 and not names[-1]:
        names.pop()
    elif len(names) == fields - 1 and share >= _AGREE:
        ends_empty = all(not row[-1].strip() for row in after if len(row) == fields)
        names = [*names, ""] if ends_empty else ["", *names]
    return names


def _are_names(row: Sequence[str], fields: int) -> bool:
    return len(row) == fields and all(field.strip() and _number(field) is None for field in row)


def _may_begin(row: Sequence[str], fields: int) -> bool:
    told = sum(bool(field.strip()) for field in row)
    fits = len(row) in (fields, fields - 1) or (len(row) == fields + 1 and not row[-1].strip())
    return fits and told > (1 if fields > 2 else 0)


def _is_row(first: Sequence[str], after: Rows) -> bool:
    """Return whether the first line is a row: numbers where other rows have numbers, names that other rows have too."""
    after = [row for row in after if list(row) != list(first)]  # a header may be repeated further down
    if not after or len(first) < 2:
        return False
    columns = _columns(after, len(first))
    fields = [field.strip() for field in first]
    measured = [place for place, column in enumerate(columns) if _are_values(column)]
    told = [place for place in measured if fields[place].lower() not in MISSING_WORDS]
    repeated = all(
        fields[place] in columns[place] for place in range(len(first)) if fields[place] and place not in measured
    )
    if not told:
        return not measured and repeated and len(after) >= _FEWEST_ROWS
    if not all(_fits(fields[place], columns[place]) for place in told):
        return False
    counts = _counts_on([fields[place] for place in told]) and not _counts_on([columns[place][0] for place in told])
    return not counts or (repeated and len(measured) < len(first))


def _are_units(line: Sequence[str], after: Rows) -> bool:
    """Return whether the line below the header has units: a word for each number, or brackets around each field."""
    after = [row for row in after if len(row) == len(line)]
    if not after:
        return False
    columns = _columns(after, len(line))
    told = {place: field.strip() for place, field in enumerate(line) if field.strip()}
    if not told or any(field in columns[place] or len(field) > _LONGEST_UNIT for place, field in told.items()):
        return False
    if all(_BRACKETS.fullmatch(field) or _RULER.fullmatch(field) for field in told.values()):
        return True
    measured = [place for place in told if _are_values(columns[place])]
    words = [told[place] for place in measured if told[place].lower() not in MISSING_WORDS]
    names = [field for place, field in told.items() if place not in measured and field.lower() not in MISSING_WORDS]
    # A single word beside names may be the value of a row: "Anna, absent".
    alone = len(words) == 1 and bool(names)
    return bool(words) and not alone and not any(_fits(told[place], columns[place]) for place in measured)


def _are_codes(texts: Sequence[str]) -> bool:
    """Return whether these are digits, as many in each, and some begin with 0: 02139."""
    there = [text for text in texts if text.lower() not in MISSING_WORDS]
    alike = len(set(map(len, there))) == 1 and all(text.isdecimal() for text in there)
    return alike and len(there[0]) > 1 and any(text.startswith("0") for text in there)


def _columns(rows: Rows, width: int) -> list[list[str]]:
    return [[row[place].strip() for row in rows] for place in range(width)]


def _are_values(texts: Sequence[str]) -> bool:
    """Return whether texts are numbers, or have digits in the same places, as dates do; missing values are ignored."""
    there = [text for text in texts if text.lower() not in MISSING_WORDS]
    if not there:
        return False
    if all(_number(text) is not None for text in there):
        return True
    return (
        all(_DIGITS_FIRST.match(text) for text in there) and len({_pattern(text) for text in there}) <= _MOST_PATTERNS
    )


def _fits(text: str, column: Sequence[str]) -> bool:
    """Return whether a text is written as the values of a column are."""
    return _number(text) is not None or (_DIGITS_FIRST.match(text) and _pattern(text) in map(_pattern, column)) is True


def _pattern(text: str) -> str:
    return re.sub(r"\d+", "0", text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _counts_on(texts: Sequence[str]) -> bool:
    """Return whether texts are numbers in even steps, such as years or wavelengths: 1990, 1991, 1992.

    One or two numbers count only if they are years, or places from 0 or 1 on.
    """
    numbers = [number for text in texts if (number := _number(text)) is not None]
    if not numbers or len(numbers) < len(texts):
        return False
    steps = {round(b - a, 6) for a, b in itertools.pairwise(numbers)}
    if len(steps) > 1 or min(steps, default=1) <= 0:
        return False
    if len(numbers) > _FEW_NUMBERS or (len(numbers) == _FEW_NUMBERS and all(text.isdigit() for text in texts)):
        return True
    return all(text.isdigit() and len(text) == 4 for text in texts) or (numbers[0] in (0, 1) and steps <= {1})


def fields_of(lines: Sequence[str], mark: str, quote: str, escape: str = "") -> tuple[list[list[str]], list[int]]:
    """Return the fields of each record, and for each record the number of lines up to its end."""
    slash = escape if escape == "\\" else None
    reader = csv.reader(
        lines, delimiter=mark, quotechar=quote, skipinitialspace=True, escapechar=slash, doublequote=slash is None
    )
    rows, ends = [], []
    for row in reader:
        rows.append([] if row == [""] else row)
        ends.append(reader.line_num)
    return rows, ends
