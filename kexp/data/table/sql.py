"""Words of SQL."""

from __future__ import annotations

__all__ = ["quoted", "sentence", "text"]


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
