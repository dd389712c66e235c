"""Quote names and texts in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

__all__ = ["inside", "outside", "quoted", "sentence", "text", "types_of"]

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


def sentence(error: Exception) -> str:
    """Return the first line of a DuckDB error, without the name of the error class."""
    line = str(error).strip().splitlines()[0]
    return line.partition("Error: ")[2] or line
