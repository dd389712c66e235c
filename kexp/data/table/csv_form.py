"""CSV files as DuckDB reads them: the dialect found, the header held to its rules, the first bad row named."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.data.table.files import TableFile
from kexp.data.table.how import Reading
from kexp.data.table.sql import sentence, text
from kexp.errors import DataError

if TYPE_CHECKING:
    import duckdb

__all__ = ["TRIED", "UNNAMED", "read_csv"]

TRIED = "select * from tried"  # the rows that were read to see whether all of them can be
_START_BYTES = 1 << 16

UNNAMED = "column_1"  # what a first column without a name is called: row names, as R and pandas write them


def read_csv(connection: duckdb.DuckDBPyConnection, file: TableFile, how: Reading) -> str:
    """A query that gives the file's rows, a column each, typed where all rows agree and as text where not.

    Raises:
        DataError: no header, a column twice, a row with another number of fields.
    """
    import duckdb

    if not file.is_remote and not Path(file.path).stat().st_size:
        raise DataError(f"{file.key}: {file.name} is empty")
    try:
        dialect, types = _sniffed(connection, file, how)
        names = _header(connection, file, dialect, len(types))
    except duckdb.Error as error:
        raise _told(file, error, how) from None
    typed = dict.fromkeys(names, "VARCHAR")
    if len(types) == len(names):
        # Yes and no are names, not truths.
        typed = {name: "VARCHAR" if kind == "BOOLEAN" else kind for name, kind in zip(names, types, strict=True)}
    for name, kind in (how.kinds or {}).items():
        if name in typed and (kind == "text" or (how.formats or {}).get(name)):
            typed[name] = "VARCHAR"  # read as the run read it
    if not _reads(connection, _query(file, dialect, typed, how)):
        plain = _query(file, dialect, dict.fromkeys(names, "VARCHAR"), how)
        if not _reads(connection, plain):
            raise _bad_row(connection, file, plain, len(names), how)
    return TRIED


def _sniffed(connection: duckdb.DuckDBPyConnection, file: TableFile, how: Reading) -> tuple[str, list[str]]:
    """The dialect as options of DuckDB's reader, and its guess of each column's type."""
    given = f", delim={text(how.delimiter)}" if how.delimiter else ""
    start = _start(file)
    name = "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else how.encoding
    encoded = "" if name.lower() in ("utf-8", "utf8") else f", encoding={text(name)}"
    skip = _comment_lines(start.decode(name, errors="replace"))
    (row,) = connection.execute(
        f"select Delimiter, Quote, Escape, Columns from sniff_csv({text(file.path)}, header=true, skip={skip}, "
        f"ignore_errors=true{given}{encoded})"
    ).fetchall()
    mark, quote, escape, columns = row
    mark = how.delimiter or mark
    quote = '"' if quote == "(empty)" else quote
    escape = quote if escape == "(empty)" else escape
    connection.execute(f"set variable mark = {text(mark)}")  # tells how numbers are written
    dialect = f"auto_detect=false, skip={skip}, delim={text(mark)}, quote={text(quote)}, escape={text(escape)}{encoded}"
    return dialect, [each["type"] for each in columns]


def _start(file: TableFile) -> bytes:
    """The first bytes of a file on this machine; nothing of one that is packed otherwise than by gzip."""
    if file.is_remote or file.path.endswith(".zst"):
        return b""
    opened = gzip.open if file.path.endswith(".gz") else open
    with opened(file.path, "rb") as content:
        return bytes(content.read(_START_BYTES))


def _comment_lines(start: str) -> int:
    """How many lines before the header are comments. A single one of as many fields as the next line is the header."""
    lines = start.splitlines()
    count = next((index for index, line in enumerate(lines) if not line.startswith("#")), 0)
    if count == 1 and any(lines[0].count(mark) == lines[1].count(mark) > 0 for mark in ",;\t|"):
        return 0
    return count


def _header(connection: duckdb.DuckDBPyConnection, file: TableFile, dialect: str, guessed: int) -> list[str]:
    """The names in the first line: as many as there are, whatever the rows have."""
    columns = ", ".join(f"'{index}': 'VARCHAR'" for index in range(guessed + 64))
    rows: Any = connection.execute(
        f"select * from read_csv({text(file.path)}, {dialect}, header=false, null_padding=true, strict_mode=false, "
        f"parallel=false, nullstr='\x01', columns={{{columns}}}) limit 1"
    ).fetchall()
    return _checked([name.strip() for name in rows[0] if name is not None], file)


def _checked(names: list[str], file: TableFile) -> list[str]:
    # What has no name in the header is called by its place.
    names = [name or f"column_{place}" for place, name in enumerate(names, 1)]
    known: dict[str, str] = {}
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{file.key}: {file.name} must have each column once, got {name!r} {names.count(name)} times"
            )
        other = known.setdefault(name.lower(), name)
        if other != name:
            raise DataError(
                f"{file.key}: {file.name} must have columns that differ in more than case, got {other!r} and {name!r}"
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


def _bad_row(
    connection: duckdb.DuckDBPyConnection, file: TableFile, query: str, fields: int, how: Reading
) -> DataError:
    """What is wrong with the first row that cannot be read."""
    import duckdb

    try:
        connection.execute(f"create or replace temp table tried as {query[:-1]}, store_rejects=true)")
        found = connection.execute(
            "select line, error_type, error_message from reject_errors order by line limit 1"
        ).fetchall()
    except duckdb.Error as error:
        return _told(file, error, how)
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


def _told(file: TableFile, error: Exception, how: Reading) -> DataError:
    if "unicode" in str(error).lower() or "utf-8 encoded" in str(error).lower() or not _is_utf8(file, how):
        return _not_utf8(file)
    return DataError(f"{file.key}: {file.name} cannot be read: {sentence(error)}")


def _is_utf8(file: TableFile, how: Reading) -> bool:
    """Whether the beginning of a file that is to be UTF-8 is."""
    if how.encoding.lower() not in ("utf-8", "utf8"):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(_start(file))
    except UnicodeDecodeError:
        return False
    return True
