"""Options for reading the text of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.errors import DataError
from kexp.serving.cells import MISSING_WORDS

__all__ = ["MISSING_WORDS", "ReadOptions"]


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
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    na_values: tuple[str, ...] | None = None
    header: bool | None = None
    names: tuple[str, ...] | None = None
    kinds: Mapping[str, str] | None = None
    formats: Mapping[str, str] | None = None

    @staticmethod
    def of(
        delimiter: str | None,
        decimal: str | None,
        encoding: str | None,
        na_values: Sequence[str] | None,
        header: bool | None,
        names: Sequence[str] | None,
    ) -> ReadOptions:
        """Creates options from config values."""
        missing = None if na_values is None else tuple(map(str, na_values))
        return ReadOptions(
            delimiter, decimal, encoding, missing, header, None if names is None else tuple(map(str, names))
        )

    @staticmethod
    def as_kept(encoding: Mapping[str, Any]) -> ReadOptions:
        """Creates the options with which a run read its table, from the run's encoding."""
        kept = dict(encoding.get("reading") or {})
        for name in ("na_values", "names"):
            kept[name] = None if kept.get(name) is None else tuple(kept[name])
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

    def kept(self, table_has_header: bool | None) -> dict[str, Any]:
        """Returns the options to store in a run's encoding, as JSON."""
        named = {name: getattr(self, name) for name in ("delimiter", "decimal", "encoding", "na_values", "names")}
        return {name: value for name, value in {**named, "header": table_has_header}.items() if value is not None}

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise DataError(f"data.decimal: must be . or , got {self.decimal!r}")
        if self.delimiter is not None:
            mark = {"\\t": "\t", "tab": "\t"}.get(self.delimiter, self.delimiter)
            if len(mark) != 1 or mark in '"\r\n' or ord(mark) > 127:
                raise DataError(f"data.delimiter: must be one ASCII character, got {self.delimiter!r}")
            object.__setattr__(self, "delimiter", mark)
