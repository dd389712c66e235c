"""CSV files as DuckDB reads them: the dialect found, the header held to its rules, the first bad row named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.data.table.files import TableFile
from kexp.data.table.how import Reading
from kexp.data.table.sql import sentence, text
from kexp.errors import DataError

if TYPE_CHECKING:
    import duckdb

__all__ = ["UNNAMED", "read_csv"]

UNNAMED = "column_1"  # what a first column without a name is called: row names, as R and pandas write them


def read_csv(connection: duckdb.DuckDBPyConnection, file: TableFile, how: Reading) -> str:
    """A query that gives the file's rows, a column each, typed where all rows agree and as text where not.

    Raises:
        DataError: no header, a column without a name or twice, a row with another number of fields.
    """
    import duckdb

    if not file.is_remote and not Path(file.path).stat().st_size:
        raise DataError(f"{file.key}: {file.name} is empty")
    try:
        dialect, types = _sniffed(connection, file, how)
        names = _header(connection, file, dialect, len(types))
    except duckdb.Error as error:
        raise _told(file, error) from None
    typed = dict.fromkeys(names, "VARCHAR")
    if len(types) == len(names):
        # Yes and no are names, not truths.
        typed = {name: "VARCHAR" if kind == "BOOLEAN" else kind for name, kind in zip(names, types, strict=True)}
    for name, kind in (how.kinds or {}).items():
        if kind == "text" and name in typed:
            typed[name] = "VARCHAR"
    if not _reads(connection, _query(file, dialect, typed, how)):
        plain = _query(file, dialect, dict.fromkeys(names, "VARCHAR"), how)
        if not _reads(connection, plain):
            raise _bad_row(connection, file, plain, len(names))
    return "select * from tried"


def _sniffed(connection: duckdb.DuckDBPyConnection, file: TableFile, how: Reading) -> tuple[str, list[str]]:
    """The dialect as options of DuckDB's reader, and its guess of each column's type."""
    given = f", delim={text(how.delimiter)}" if how.delimiter else ""
    encoded = "" if how.encoding.lower() in ("utf-8", "utf8") else f", encoding={text(how.encoding)}"
    (row,) = connection.execute(
        f"select Delimiter, Quote, Escape, Columns from sniff_csv({text(file.path)}, header=true, "
        f"ignore_errors=true{given}{encoded})"
    ).fetchall()
    mark, quote, escape, columns = row
    mark = how.delimiter or mark
    quote = '"' if quote == "(empty)" else quote
    escape = quote if escape == "(empty)" else escape
    dialect = f"auto_detect=false, skip=0, delim={text(mark)}, quote={text(quote)}, escape={text(escape)}{encoded}"
    return dialect, [each["type"] for each in columns]


def _header(connection: duckdb.DuckDBPyConnection, file: TableFile, dialect: str, guessed: int) -> list[str]:
    """The names in the first line: as many as there are, whatever the rows have."""
    columns = ", ".join(f"'{index}': 'VARCHAR'" for index in range(guessed + 64))
    rows: Any = connection.execute(
        f"select * from read_csv({text(file.path)}, {dialect}, header=false, null_padding=true, strict_mode=false, "
        f"parallel=false, nullstr='\x01', columns={{{columns}}}) limit 1"
    ).fetchall()
    return _checked([name.strip() for name in rows[0] if name is not None], file)


def _checked(names: list[str], file: TableFile) -> list[str]:
    if names and not names[0]:
        names[0] = UNNAMED
    for name in names:
        if not name:
            raise DataError(f"{file.key}: every column of {file.name} must have a name in the first line")
        if names.count(name) > 1:
            raise DataError(
                f"{file.key}: {file.name} must have each column once, got {name!r} {names.count(name)} times"
            )
    return names


def _query(file: TableFile, dialect: str, types: dict[str, str], how: Reading) -> str:
    columns = ", ".join(f"{text(name)}: {text(kind)}" for name, kind in types.items())
    missing = ["", *(how.na_values or ())]
    nulls = ", ".join(text(each) for each in missing)
    return (
        f"select * from read_csv({text(file.path)}, {dialect}, header=true, nullstr=[{nulls}], columns={{{columns}}})"
    )


def _reads(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Whether every row is as the types say; types are guessed from the first thousands of rows."""
    import duckdb

    try:
        connection.execute(f"create or replace temp table tried as {query}")
    except duckdb.Error:
        return False
    return True


def _bad_row(connection: duckdb.DuckDBPyConnection, file: TableFile, query: str, fields: int) -> DataError:
    """What is wrong with the first row that cannot be read."""
    import duckdb

    try:
        connection.execute(f"create or replace temp table tried as {query[:-1]}, store_rejects=true)")
        found = connection.execute(
            "select line, error_type, error_message from reject_errors order by line limit 1"
        ).fetchall()
    except duckdb.Error as error:
        return _told(file, error)
    if not found:
        return DataError(f"{file.key}: {file.name} changed while it was read")
    line, kind, message = found[0]
    if "COLUMN" in kind:
        got = message.rpartition("Found: ")[2]
        return DataError(
            f"{file.key}: every row of {file.name} must have the {fields} fields of its header, got {got} in row "
            f"{line - 1}"
        )
    if "UNICODE" in kind or "ENCODING" in kind:
        return _not_utf8(file)
    return DataError(f"{file.key}: {file.name} has a quoted field in row {line - 1} that does not end")


def _not_utf8(file: TableFile) -> DataError:
    return DataError(f"{file.key}: {file.name} must be UTF-8 text; data.encoding=latin-1 reads another encoding")


def _told(file: TableFile, error: Exception) -> DataError:
    if "unicode" in str(error).lower() or "utf-8 encoded" in str(error).lower():
        return _not_utf8(file)
    return DataError(f"{file.key}: {file.name} cannot be read: {sentence(error)}")
