"""SQL: quoted names and texts, the types of columns, and the first form that all values have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["SAMPLE", "first_fit", "inside", "outside", "quoted", "sentence", "text", "types_of"]

SAMPLE = 200  # rows that a form must fit before all rows are read

_APART = "\x1f"  # between a name and its number, where DuckDB would take two names for one


def inside(names: Iterable[str]) -> list[str]:
    """Make column names unique for DuckDB, which ignores case."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        number = seen[name.lower()] = seen.get(name.lower(), -1) + 1
        told.append(f"{name}{_APART}{number}" if number else name)
    return told


def outside(name: str) -> str:
    """Return the original name of a column from its name in DuckDB."""
    return name.partition(_APART)[0]


def quoted(name: str) -> str:
    """Quote the name of a column."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Quote a text."""
    return "'" + value.replace("'", "''") + "'"


def types_of(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    """Return column -> DuckDB's type, for a table or a query in parentheses."""
    query = f"select column_name, column_type from (describe select * from {source})"
    return dict(connection.execute(query).fetchall())


def first_fit(
    connection: duckdb.DuckDBPyConnection, value: str, checks: Mapping[str, str], table: str = "rows"
) -> str | None:
    """Return the first form that all values have: of many values a sample is tried first.

    Args:
        connection: the connection to DuckDB.
        value: SQL of the values; NULL for a missing one.
        checks: form -> SQL that checks whether all values `v` have it.
        table: the table of the values.
    """
    for rows in (f"limit {SAMPLE}", ""):
        source = f"(select {value} as v from {table} where {value} is not null {rows})"
        ((count, *fits),) = connection.execute(
            f"select count(v), {', '.join(checks.values())} from {source}"
        ).fetchall()
        checks = {form: check for (form, check), fit in zip(checks.items(), fits, strict=True) if fit and count}
        if not checks:
            return None
    return next(iter(checks))


def sentence(error: Exception) -> str:
    """Return the first line of a DuckDB error, without the name of the error class."""
    line = str(error).strip().splitlines()[0]
    return line.partition("Error: ")[2] or line
