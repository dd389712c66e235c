"""Words of SQL."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["inside", "outside", "quoted", "sentence", "text"]

_APART = "\x1f"  # between a name and its number, where DuckDB would take two names for one


def inside(names: Iterable[str]) -> list[str]:
    """Names of columns as DuckDB is told them, to which A and a are one."""
    seen: dict[str, int] = {}
    told = []
    for name in names:
        number = seen[name.lower()] = seen.get(name.lower(), -1) + 1
        told.append(f"{name}{_APART}{number}" if number else name)
    return told


def outside(name: str) -> str:
    """The name of a column that DuckDB is told as this."""
    return name.partition(_APART)[0]


def quoted(name: str) -> str:
    """A column's name."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text."""
    return "'" + value.replace("'", "''") + "'"


def sentence(error: Exception) -> str:
    """The first line of what DuckDB says, without the name of the error's kind."""
    line = str(error).strip().splitlines()[0]
    return line.partition("Error: ")[2] or line
