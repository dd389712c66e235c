"""Quote names and texts in SQL."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["inside", "outside", "quoted", "sentence", "text"]

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


def sentence(error: Exception) -> str:
    """Return the first line of a DuckDB error, without the name of the error class."""
    line = str(error).strip().splitlines()[0]
    return line.partition("Error: ")[2] or line
