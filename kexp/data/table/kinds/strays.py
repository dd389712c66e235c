"""Detect values that mean a missing value in one column: a word among numbers or dates, or -999 among numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["no_measurements", "stray_words"]

_FEWEST = 10  # distinct numbers or dates from which a word among them is not a class
_ONE_WORD, _FEW_WORDS = 0.2, 0.05  # the largest share of strays, if they are one word, or up to three
_BEYOND = "[<>]=? *[0-9.,]+"  # a value beyond what an instrument measures: <0.5
_CODES = (-999.0, -9999.0, -99999.0, -999999.0, -999.25)  # what instruments and agencies write for a missing value


def stray_words(connection: duckdb.DuckDBPyConnection, column: str, value: str) -> tuple[str, ...]:
    """Return the few words in a column whose other values are numbers or dates.

    Values beyond a limit, such as <0.5 and >100, are among these words, however many there are.

    Args:
        connection: the connection to DuckDB, which has the table `rows`.
        column: the quoted name of the column.
        value: SQL of the column's text; NULL for a missing value.
    """
    # Counting distinct texts first is faster: the checks of each text would take long for millions of rows.
    distinct = f"select {value} as v, n from (select {column}, count(*) as n from rows group by all)"
    connection.execute(
        f"create or replace temp table counted as select v, sum(n) as n, try_cast(v as double) is not null as number, "
        f"regexp_matches(v, '[0-9]') as digits from ({distinct}) where v is not null group by v"
    )
    for regular in ("number", "digits"):
        asked = f"sum(n), count(*) filter ({regular}), list((v, n) order by n desc, v) filter (not {regular})"
        ((total, others, found),) = connection.execute(f"select {asked} from counted").fetchall()
        if found and others >= _FEWEST:
            counts = [count for word, count in found if not re.fullmatch(_BEYOND, word)]
            if sum(counts) <= total * {0: 1, 1: _ONE_WORD, 2: _FEW_WORDS, 3: _FEW_WORDS}.get(len(counts), 0):
                return tuple(word for word, _ in found)
    return ()


def no_measurements(connection: duckdb.DuckDBPyConnection, numbers: Sequence[str]) -> list[float | None]:
    """Find the number in each column that means a missing value: it repeats, and is far below all other numbers.

    Args:
        connection: the connection to DuckDB, which has the table `rows`.
        numbers: SQL of each column of numbers.

    Returns:
        For each column, the number; None if there is none.
    """
    if not numbers:
        return []
    (lowest,) = connection.execute(f"select {', '.join(f'min({each})' for each in numbers)} from rows").fetchall()
    return [
        low if low in _CODES and _stands_apart(connection, number, low) else None
        for number, low in zip(numbers, lowest, strict=True)
    ]


def _stands_apart(connection: duckdb.DuckDBPyConnection, number: str, low: float) -> bool:
    ((count, next_lowest),) = connection.execute(
        f"select count(*) filter (v = {low}), min(v) filter (v > {low}) from (select {number} as v from rows)"
    ).fetchall()
    return count > 1 and next_lowest is not None and next_lowest > low / 10
