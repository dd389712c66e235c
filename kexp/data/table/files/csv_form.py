"""Read CSV files with DuckDB: detect the dialect, check the header, and report the first invalid row."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.data.table.files.comments import has_comments, header_again, without_comments
from kexp.data.table.files.layout import Layout, fields_of, layout_of, most_fields
from kexp.data.table.files.matching import TableFile
from kexp.data.table.files.plain_text import (
    Split,
    encoding_of,
    ends_alike,
    first_lines,
    places_of,
    rewritten,
    split_at_places,
    split_at_spaces,
)
from kexp.data.table.options import ReadOptions
from kexp.data.table.sql import inside, quoted, sentence, text
from kexp.errors import DataError
from kexp.system.wording import counted

if TYPE_CHECKING:
    import duckdb

__all__ = ["TRIED", "UNNAMED", "ReadCsv", "read_csv"]

TRIED = "select * from tried"  # the rows of the last attempt to read a file
UNNAMED = "column_1"  # what a first column without a name is called: row names, as R and pandas write them
_RARE_MARKS = "^~\x01:"
_FEWEST_LINES = 5  # lines from which fields may begin at fixed positions
_SAME = 0.98  # share of lines with equally many words from which spaces separate fields


@dataclass(frozen=True)
class ReadCsv:
    """The result of reading a CSV file into the table `tried`.

    Attributes:
        has_header: whether the first line names the columns.
        notes: notices for the user on how the file was read.
    """

    has_header: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Dialect:
    mark: str
    quote: str
    escape: str
    types: tuple[str, ...] = ()

    def options(self, skip: int) -> str:
        return (
            f"auto_detect=false, header=false, skip={skip}, delim={text(self.mark)}, quote={text(self.quote)}, "
            f"escape={text(self.escape)}"
        )


def read_csv(connection: duckdb.DuckDBPyConnection, file: TableFile, how: ReadOptions, folder: Path) -> ReadCsv:
    """Read a file's rows into the table `tried`. A column has a type if all rows agree with it, else it is text.

    Args:
        connection: the connection to DuckDB.
        file: a plain local file.
        how: the user's options.
        folder: the folder for a copy of a file that DuckDB cannot read directly.

    Raises:
        DataError: a column occurs twice, or a row has another number of fields.
    """
    import duckdb

    encoding, note = encoding_of(file, how.encoding)
    lines = first_lines(file.path, encoding)
    if not any(line.strip() for line in lines):
        raise DataError(f"{file.key}: {file.name} is empty")
    alike = ends_alike(lines)
    lines = lines if alike else [line.replace("\r\n", "\n") for line in lines]
    comments, told = without_comments(lines)
    try:
        dialect = _sniffed(connection, told, how, folder)
        spaced = _by_spaces(told, dialect) if how.delimiter is None else None
        layout = _layout(told, dialect, how, spaced)
        path, marked, skip = file.path, has_comments(told, layout), int(layout.has_header)
        again = header_again(told, layout)
        plain = layout.begin == skip and not (comments or marked or again or spaced)
        if not plain or not alike or encoding != "utf-8-sig":
            before, copied, skip = comments + layout.begin, folder / "rows.csv", 0
            path = rewritten(file.path, encoding, copied, skip=before, comments=marked, without=again, split=spaced)
        dialect = _typed(connection, path, _Dialect("\t", '"', '"') if spaced else dialect, skip)
    except duckdb.Error as error:
        raise DataError(f"{file.key}: {file.name} cannot be read: {sentence(error)}") from None
    connection.execute(f"set variable mark = {text(dialect.mark)}")  # tells how numbers are written
    names = _checked(list(layout.names), file)
    notes = [note] if note else []
    if not layout.has_header and how.header is None and how.names is None:
        notes.append(f"no header, so that its columns are {names[0]} to {names[-1]}")
    if layout.units:
        notes.append(f"units below its header left out: {', '.join(filter(None, layout.units))}")
    if again:
        notes.append("lines that repeat its header left out")
    codes = {name for name, told in zip(names, layout.names, strict=True) if told in layout.codes}
    notes += _load(connection, file, path, dialect, names, how, skip, codes)
    return ReadCsv(layout.has_header, tuple(notes))


def _load(
    connection: duckdb.DuckDBPyConnection,
    file: TableFile,
    path: str,
    dialect: _Dialect,
    names: list[str],
    how: ReadOptions,
    skip: int,
    codes: set[str],
) -> list[str]:
    """Read all rows with the detected types, or as text if some rows have other types or are codes."""
    typed = dict.fromkeys(names, "VARCHAR")
    if len(dialect.types) == len(names):
        # Yes and no are names, not booleans.
        pairs = zip(names, dialect.types, strict=True)
        typed = {name: "VARCHAR" if kind == "BOOLEAN" or name in codes else kind for name, kind in pairs}
    for name, kind in (how.kinds or {}).items():
        if name in typed and (kind == "text" or (how.formats or {}).get(name)):
            typed[name] = "VARCHAR"  # as the run read the column
    if _reads(connection, _query(path, dialect, typed, how, skip)):
        early = _of_the_first_century(connection, typed)
        if not early or _reads(connection, _query(path, dialect, typed | dict.fromkeys(early, "VARCHAR"), how, skip)):
            return []
    plain = _query(path, dialect, dict.fromkeys(names, "VARCHAR"), how, skip)
    return [] if _reads(connection, plain) else _without_end(connection, file, plain, len(names), skip)


def _sniffed(connection: duckdb.DuckDBPyConnection, lines: list[str], how: ReadOptions, folder: Path) -> _Dialect:
    """Detect delimiter and quote with DuckDB, in the first lines, or else in later ones."""
    start = folder / "start.csv"
    found = _Dialect(how.delimiter or ",", '"', '"')
    for begin in (0, len(lines) // 2):
        start.write_text("".join(lines[begin:]), encoding="utf-8", newline="")
        given = f", delim={text(how.delimiter)}" if how.delimiter else ""
        (row,) = connection.execute(
            f"select Delimiter, Quote, Escape, len(Columns) from sniff_csv({text(str(start))}, header={begin == 0}, "
            f"ignore_errors=true{given})"
        ).fetchall()
        mark, quote, escape, columns = row
        quote = '"' if quote == "(empty)" else quote
        mark = how.delimiter or _beside_decimal_commas(lines[begin:]) or mark
        found = _Dialect(mark, quote, quote if escape == "(empty)" else escape)
        if columns > 1 or how.delimiter:
            return found
    # DuckDB finds no delimiter: use another mark that occurs equally often in every line.
    marks = (each for each in _RARE_MARKS if len({line.count(each) for line in lines if line.strip()} - {0}) == 1)
    return replace(
        found, mark=next((each for each in marks if all(each in line for line in lines if line.strip())), found.mark)
    )


def _beside_decimal_commas(lines: list[str]) -> str:
    """Return a mark that occurs equally often in every line, if all commas are between digits; else an empty text."""
    there = [line for line in lines if line.strip()]
    if not any("," in line for line in there) or any(re.search(r"(?<!\d),|,(?!\d)", line) for line in there[1:]):
        return ""
    counts = {mark: {line.count(mark) for line in there} for mark in ";\t|"}
    return next((mark for mark, found in counts.items() if len(found) == 1 and found != {0}), "")


def _typed(connection: duckdb.DuckDBPyConnection, path: str, dialect: _Dialect, skip: int) -> _Dialect:
    """Return the dialect with the type of each column as DuckDB detects it."""
    (row,) = connection.execute(
        f"select Columns from sniff_csv({text(path)}, header=false, skip={skip}, "
        f"delim={text(dialect.mark)}, quote={text(dialect.quote)}, escape={text(dialect.escape)}, ignore_errors=true)"
    ).fetchall()
    return _Dialect(dialect.mark, dialect.quote, dialect.escape, tuple(each["type"] for each in row[0]))


def _layout(lines: list[str], dialect: _Dialect, how: ReadOptions, spaced: Split | None) -> Layout:
    if spaced:
        rows = list(spaced(lines))
        ends = list(range(1, len(lines) + 1))
    else:
        rows, ends = fields_of(lines, dialect.mark, dialect.quote, dialect.escape)
    known = frozenset(how.kinds or ()) if how.header is False else frozenset()
    layout = layout_of(rows, ends, how.header, known, renamed=how.names is not None)
    if how.names is None:
        return layout
    if len(how.names) != len(layout.names):
        raise DataError(f"data.names: must name the {len(layout.names)} columns, got {len(how.names)} names")
    codes = frozenset(name for name, told in zip(how.names, layout.names, strict=True) if told in layout.codes)
    return replace(layout, names=how.names, codes=codes)


def _by_spaces(lines: list[str], dialect: _Dialect) -> Split | None:
    """Return how spaces separate fields, as runs or by position, if no delimiter does, or tabs do so unevenly."""
    rows, _ = fields_of(lines, dialect.mark, dialect.quote)
    fields, agree = most_fields(rows)
    words, share = most_fields(list(split_at_spaces(lines, dialect.quote)))
    wide = sum("  " in line.strip() for line in lines) > _SAME * len(lines)
    if words > 1 and share >= _SAME:
        uneven = dialect.mark in "\t " and (agree < _SAME or (wide and words > fields))
        return partial(split_at_spaces, quote=dialect.quote) if fields < 2 or uneven else None
    places = places_of(lines) if fields < 2 and wide and len(lines) >= _FEWEST_LINES else []
    return partial(split_at_places, starts=places) if len(places) > 1 else None


def _checked(names: list[str], file: TableFile) -> list[str]:
    # A column without a name in the header is named by its position.
    names = [name or f"column_{place}" for place, name in enumerate(names, 1)]
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"{file.key}: {file.name} must have each column once, got {name!r} {names.count(name)} times"
            )
    return names


def _query(path: str, dialect: _Dialect, types: Mapping[str, str], how: ReadOptions, skip: int) -> str:
    columns = ", ".join(f"{text(name)}: {text(types[real])}" for name, real in zip(inside(types), types, strict=True))
    nulls = ", ".join(text(each) for each in ("", *(how.na_values or ())))
    return f"select * from read_csv({text(path)}, {dialect.options(skip)}, nullstr=[{nulls}], columns={{{columns}}})"


def _reads(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    """Return whether every row has the types, which are detected from the first thousands of rows."""
    import duckdb

    try:
        connection.execute(f"create or replace temp table tried as {query}")
    except duckdb.Error:
        return False
    return True


def _of_the_first_century(connection: duckdb.DuckDBPyConnection, typed: Mapping[str, str]) -> list[str]:
    """Return columns of dates in which DuckDB read 05/01/20 as the year 5; they must be read as text."""
    pairs = zip(inside(typed), typed.items(), strict=True)
    dates = {name: told for told, (name, kind) in pairs if kind in ("DATE", "TIMESTAMP")}
    if not dates:
        return []
    asked = ", ".join(f"min(year({quoted(told)}))" for told in dates.values())
    (years,) = connection.execute(f"select {asked} from tried").fetchall()
    return [name for name, year in zip(dates, years, strict=True) if year is not None and year < 100]


def _without_end(
    connection: duckdb.DuckDBPyConnection, file: TableFile, query: str, fields: int, skip: int
) -> list[str]:
    """Read a file without the notes at its end, lines of a single field, or with missing values in rows that end early.

    Raises:
        DataError: a row cannot be read; the message is about the first one.
    """
    import duckdb

    try:
        connection.execute(f"create or replace temp table tried as {query[:-1]}, store_rejects=true)")
        found = connection.execute(
            "select line, min(error_type), case when min(error_type) like 'MISSING%' "
            "then arg_min(error_message, column_idx) else max(error_message) end, "
            "max(error_message like '%Found: 1') from reject_errors "
            "group by line order by line"
        ).fetchall()
        ((good,),) = connection.execute("select count(*) from tried").fetchall()
    except duckdb.Error as error:
        raise DataError(f"{file.key}: {file.name} cannot be read: {sentence(error)}") from None
    if not found:
        raise DataError(f"{file.key}: {file.name} changed while it was read")
    line, kind, message, _ = found[0]
    if fields > 2 and good and line > good + skip and all(single for *_, single in found):
        count = "1 line" if len(found) == 1 else f"{len(found)} lines"
        return [f"{count} at its end left out, which {'is no row' if len(found) == 1 else 'are no rows'}"]
    padded = f"{query[:-1]}, null_padding=true, parallel=false)"
    if good and all("MISSING" in each for _, each, *_ in found) and _reads(connection, padded):
        return [f"what is missing at the end of {counted(len(found), 'row')} taken for missing values"]
    if "COLUMN" in kind:
        got = message.rpartition("Found: ")[2]
        raise DataError(
            f"{file.key}: every row of {file.name} must have the {fields} fields of its header, got {got} in row "
            f"{line - skip}"
        )
    raise DataError(f"{file.key}: {file.name} has a quoted field in row {line - skip} that does not end")
