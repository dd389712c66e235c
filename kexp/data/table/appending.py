"""Append the rows of one file to those of others. The files may differ in the types of columns and in decimal marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kexp.data.table.files.csv_form import TRIED
from kexp.data.table.kinds.kinds import number_forms
from kexp.data.table.kinds.numbers import COMMA, GROUPED, number_in
from kexp.data.table.options import ReadOptions
from kexp.data.table.sql import quoted, text, types_of

if TYPE_CHECKING:
    import duckdb

__all__ = ["Rows"]


class Rows:
    """The table `rows` of a connection.

    Args:
        connection: the connection to DuckDB.
        how: how text is read.
        several: whether rows of several files follow.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, how: ReadOptions, several: bool) -> None:
        self.connection, self.how, self.several = connection, how, several
        self._exists = False
        self._forms: dict[str, str] = {}  # column -> form of its numbers

    def append(self, query: str) -> None:
        """Append the rows of a query, which is `TRIED` for a CSV file."""
        is_csv = query == TRIED
        forms = number_forms(self.connection, "tried", self.how) if is_csv and self.several else {}
        if self._exists:
            self._convert_commas(forms)
            self._widen(query)
            self.connection.execute(f"insert into rows by name {query}")
        else:
            self.connection.execute("alter table tried rename to rows" if is_csv else f"create table rows as {query}")
            self._exists = True
        self._forms = forms | self._forms
        if is_csv and self.several:  # the marks of all files so far tell how numbers are written
            self.connection.execute(f"set variable mark = {text(';' if COMMA in self._forms.values() else ',')}")

    def _convert_commas(self, forms: dict[str, str]) -> None:
        """Convert numbers with a decimal comma, if the other side has a point."""
        for name, form in forms.items():
            known = self._forms.get(name, form)
            if {form, known} != {COMMA, GROUPED}:
                continue
            table = "tried" if form == COMMA else "rows"
            number = number_in(f"trim({quoted(name)})", COMMA)
            self.connection.execute(f"alter table {table} alter {quoted(name)} type double using {number}")
            self._forms[name] = GROUPED

    def _widen(self, query: str) -> None:
        """Change the type of columns that have another type in the new rows: to text, unless both are numbers."""
        here = types_of(self.connection, "rows")
        for column, kind in types_of(self.connection, f"({query})").items():
            if kind != here[column]:
                numbers = {"BIGINT", "DOUBLE", "INTEGER"}
                to = "DOUBLE" if {kind, here[column]} <= numbers else "VARCHAR"
                self.connection.execute(f"alter table rows alter {quoted(column)} type {to}")
