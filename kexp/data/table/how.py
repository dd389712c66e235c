"""How the text of a table is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kexp.errors import DataError

__all__ = ["MISSING_WORDS", "Reading"]

# What stands for a missing number in files that people keep; in a column of text these may be names.
MISSING_WORDS = ("na", "n/a", "#n/a", "nan", "null", "none", "?", "-", "--", ".", "")


@dataclass(frozen=True)
class Reading:
    """How text is read.

    Attributes:
        delimiter: between fields of a CSV file; found unless given.
        decimal: the decimal mark; found unless given.
        encoding: of a CSV file.
        na_values: what stands for a missing value, in every column, besides the empty field; None for the usual words
            in columns of numbers.
        kinds: what columns are to be read as, where that is known: "number", "boolean", "date" or "text".
        formats: how dates of columns are written, where that is known.
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str = "utf-8"
    na_values: tuple[str, ...] | None = None
    kinds: Mapping[str, str] | None = None
    formats: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise DataError(f"data.decimal: must be . or , got {self.decimal!r}")
        if self.delimiter is not None:
            mark = {"\\t": "\t", "tab": "\t"}.get(self.delimiter, self.delimiter)
            if len(mark) != 1 or mark in '"\r\n' or ord(mark) > 127:
                raise DataError(f"data.delimiter: must be one ASCII character, got {self.delimiter!r}")
            object.__setattr__(self, "delimiter", mark)
