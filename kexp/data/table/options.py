"""Options for reading the text of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.errors import DataError
from kexp.serving.cells import MISSING_WORDS

__all__ = ["MISSING_WORDS", "ReadOptions", "check_source", "listed", "named"]


def named(name: str | float | None) -> str | None:
    """Return the name of a column as text; a config may have it as a number: 2021."""
    return None if name is None else str(name)


def listed(names: str | float | Sequence[str | float] | None) -> tuple[str, ...] | None:
    """Return the names or texts that a config lists, as texts; a config may have a single one without a list."""
    if names is None or not isinstance(names, Sequence) or isinstance(names, str):
        return None if names is None else (str(names),)
    return tuple(map(str, names))


def check_source(path: str | None, query: str | None) -> None:
    """Refuse a config that gives neither a path nor a query, or both.

    Raises:
        DataError: it does.
    """
    if (path is None) == (query is None):
        raise DataError("data.path: must be given, or data.query in its place, and not both")


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading text.

    Attributes:
        delimiter: delimiter of a CSV file; detected unless given.
        decimal: the decimal mark; detected unless given.
        encoding: encoding of a CSV file; detected unless given.
        na_values: texts that mean a missing value in every column, besides the empty field; None for the usual texts in
            columns of numbers.
        header: whether the first line of a CSV file names the columns; detected unless given.
        names: names of the columns of a CSV file, instead of its header.
        kinds: column -> "number", "boolean", "date" or "text", for columns whose kind is given.
        formats: column -> format of its dates, for columns whose format is given.
        missing: column -> texts that mean a missing value in it alone, where they are known.
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    na_values: tuple[str, ...] | None = None
    header: bool | None = None
    names: tuple[str, ...] | None = None
    kinds: Mapping[str, str] | None = None
    formats: Mapping[str, str] | None = None
    missing: Mapping[str, tuple[str, ...]] | None = None

    @staticmethod
    def as_kept(encoding: Mapping[str, Any]) -> ReadOptions:
        """Creates the options with which a run read its table, from the run's encoding."""
        kept = dict(encoding.get("reading") or {})
        for name in ("na_values", "names"):
            kept[name] = listed(kept.get(name))
        kept["missing"] = {name: tuple(words) for name, words in kept.get("missing", {}).items()}
        kinds = {name: kind for name, (kind, _) in encoding["kinds"].items()}
        formats = {name: form for name, (_, form) in encoding["kinds"].items() if form}
        return ReadOptions(**kept, kinds=kinds, formats=formats)

    def refuse_unused(self, forms: Iterable[str]) -> None:
        """Refuses options of CSV files if no file is a CSV file.

        Raises:
            DataError: such an option is given.
        """
        for name in ("delimiter", "encoding", "header", "names"):
            if getattr(self, name) is not None and "csv" not in forms:
                raise DataError(f"data.{name}: is of CSV files, and must be left out here, got {getattr(self, name)!r}")

    def kept(self, has_header: bool | None, missing: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Returns the options to store in a run's encoding, as JSON.

        Args:
            has_header: whether the table has a header.
            missing: column -> texts that mean a missing value in it alone.
        """
        named = {name: getattr(self, name) for name in ("delimiter", "decimal", "encoding", "na_values", "names")}
        found = {"header": has_header, "missing": dict(missing) or None}
        return {name: value for name, value in {**named, **found}.items() if value is not None}

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise DataError(f"data.decimal: must be . or , got {self.decimal!r}")
        if self.delimiter is not None:
            mark = {"\\t": "\t", "tab": "\t"}.get(self.delimiter, self.delimiter)
            if len(mark) != 1 or mark in '"\r\n' or ord(mark) > 127:
                raise DataError(f"data.delimiter: must be one ASCII character, got {self.delimiter!r}")
            object.__setattr__(self, "delimiter", mark)
