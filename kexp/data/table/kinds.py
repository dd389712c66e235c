"""Detect the kind of each column of a table, with one DuckDB query over all rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kexp.data.table.numbers import COMMA, FORMS, GROUPED, affixes_fit, number_in
from kexp.data.table.options import MISSING_WORDS, ReadOptions
from kexp.data.table.sql import outside, quoted, text
from kexp.data.table.stored import Kind
from kexp.errors import DataError

if TYPE_CHECKING:
    import duckdb

__all__ = ["Found", "find_kinds"]

NUMBERS: tuple[str, ...] = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)
NUMBERS += ("UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
# How people write days, besides what DuckDB finds by itself. Months before days where both would do, as in pandas.
_DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%m/%d/%y", "%d/%m/%y"),
    *(
        "%d.%m.%y",
        "%d-%m-%y",
        "%m-%d-%y",
        "%b %d %Y",
        "%b %d, %Y",
        "%d %b %Y",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%B %d %Y",
        "%B %d, %Y",
        "%d %B %Y",
    ),
    *("%a %b %d %Y", "%A, %B %d, %Y", "%Y %b %d", "%d %b, %Y", "%d. %B %Y", "%b-%d-%Y"),
)
_MONTHS = ("%Y-%m", "%b-%y", "%b %Y", "%B %Y", "%b-%Y", "%m/%Y", "%Y/%m")
_WITH_ZONES = ("%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %Z", "%Y%m%dT%H%M%S")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", ", %H:%M", ", %H:%M:%S")
FORMATS = (*(day + time for time in _TIMES for day in _DAYS), *_MONTHS, *_WITH_ZONES)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")  # the time of a day: seconds since midnight
_COMPACT = "%Y%m%d"
_SAMPLE = 200  # rows that a format must fit before all are tried


@dataclass(frozen=True)
class Found:
    """A column: its name, its kind, the SQL of its stored values, and the format of its dates or numbers."""

    name: str
    kind: Kind
    expression: str
    format: str | None = None


def find_kinds(connection: duckdb.DuckDBPyConnection, how: ReadOptions) -> list[Found]:
    """Detect the kinds of the columns of the table `rows`.

    A text column is a column of numbers if all its values are numbers or texts for a missing value, and a column of
    dates if one format fits all values. Otherwise it is text, in which only empty fields are missing.

    Raises:
        DataError: a value does not have the kind that the options require.
    """
    described = connection.execute("select column_name, column_type from (describe rows)").fetchall()
    found: dict[str, Found] = {}
    texts = []
    for name, kind in described:
        wanted = (how.kinds or {}).get(outside(name))
        known = _typed(name, kind)
        if known is None or wanted == "text" or (wanted == "date" and known.kind != "date"):
            texts.append(name)  # as text first
        else:
            found[name] = known
    if texts:
        found |= _of_texts(connection, texts, how)
    for name, kind in described:
        if found[name].kind == "number" and kind in ("BIGINT", "INTEGER") and outside(name) not in (how.kinds or {}):
            found[name] = _compact(connection, name) or found[name]
    columns = [found[name] for name, _ in described]
    for column in columns:
        wanted = (how.kinds or {}).get(outside(column.name))
        if wanted is not None and wanted != column.kind and {wanted, column.kind} != {"number", "boolean"}:
            raise DataError(_misfit(connection, column.name, wanted, how))
    return [replace(column, name=outside(column.name)) for column in columns]


def _typed(name: str, kind: str) -> Found | None:
    """A column that has a type other than text."""
    column, base = quoted(name), kind.partition("(")[0]
    if base in NUMBERS:
        return Found(name, "number", f"{column}::double")
    if base == "BOOLEAN":
        return Found(name, "boolean", f"{column}::int::double")
    if base in ("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP WITH TIME ZONE"):
        return Found(name, "date", f"epoch({column})::double")
    if base == "TIME":
        return Found(name, "number", f"epoch({column})::double", _CLOCKS[1])  # seconds since midnight
    return None


def _of_texts(connection: duckdb.DuckDBPyConnection, names: list[str], how: ReadOptions) -> dict[str, Found]:
    # Most columns of text are not numbers from the first rows on; only of the others all rows are asked.
    some = _counted(connection, names, how, f"(select * from rows limit {_SAMPLE})")
    likely = [name for name in names if some[name][0] in some[name][1:3]]
    whole = _counted(connection, likely, how, "rows") if likely else {}
    found = {}
    for name in names:
        present, numbers, truths, digits = whole.get(name, some[name])
        numbers, truths = (numbers, truths) if name in whole else (-1, -1)
        wanted, given = (how.kinds or {}).get(outside(name)), (how.formats or {}).get(outside(name))
        if wanted == "text" or (not present and wanted is None):
            found[name] = Found(name, "text", _value(name, how))
        elif (
            wanted in (None, "number") and numbers == present and how.decimal != "," and given not in (*FORMS, *_CLOCKS)
        ):
            found[name] = Found(name, "number", _number(name, how))
        elif wanted in (None, "boolean") and truths == present and truths:
            found[name] = Found(name, "boolean", f"(lower({_present(name, how)}) = 'true')::int::double")
        else:
            written = _written(connection, name, how) if digits and wanted in (None, "number") else None
            dates = _date(connection, name, how) if digits and written is None else None
            if dates is None and written is None and digits and wanted in (None, "number"):
                dates = _clock(connection, name, how)
            found[name] = written or dates or Found(name, "text", _value(name, how))
    return found


def _counted(
    connection: duckdb.DuckDBPyConnection, names: list[str], how: ReadOptions, source: str
) -> dict[str, tuple[int, int, int, int]]:
    """Of each column: how many values are there, are numbers, are true or false, and have a digit."""
    asked = []
    for name in names:
        value, present = _value(name, how), _present(name, how)
        words = f"count(*) filter (lower({value}) in ('true', 'false'))"
        digits = f"count(*) filter (regexp_matches({present}, '[0-9]'))"
        asked += [f"count({present})", f"count({_number(name, how)})", words, digits]
    (row,) = connection.execute(f"select {', '.join(asked)} from {source}").fetchall()
    return {name: (row[4 * at], row[4 * at + 1], row[4 * at + 2], row[4 * at + 3]) for at, name in enumerate(names)}


def _written(connection: duckdb.DuckDBPyConnection, name: str, how: ReadOptions) -> Found | None:
    """The column as numbers that are written for people, where one form fits every value.

    1,234 is a thousand and more, unless fields are separated by semicolons, as where the comma is the decimal mark.
    """
    given = (how.formats or {}).get(outside(name))
    ((mark,),) = connection.execute("select getvariable('mark')").fetchall()
    forms: tuple[str, ...] = (COMMA, GROUPED) if mark == ";" else (GROUPED, COMMA)
    if how.decimal is not None:
        forms = (COMMA,) if how.decimal == "," else (GROUPED,)
    if given in FORMS:
        forms = (given,)
    value = _present(name, how)
    for rows in (f"limit {_SAMPLE}", ""):
        counts = ", ".join(f"count({number_in('v', form)})" for form in forms)
        source = f"(select {value} as v from rows where {value} is not null {rows})"
        (row,) = connection.execute(f"select {affixes_fit('v')}, count(v), {counts} from {source}").fetchall()
        forms = tuple(form for form, fits in zip(forms, row[2:], strict=True) if fits == row[1] and row[0])
        if not forms or not row[1]:
            return None
    return Found(name, "number", number_in(value, forms[0]), forms[0])


def _value(name: str, how: ReadOptions) -> str:
    """The text of a column, missing where its field is empty."""
    plain = f"nullif(trim({quoted(name)}::varchar), '')"
    if how.na_values:
        listed = ", ".join(text(each) for each in how.na_values)
        plain = f"case when {plain} in ({listed}) then null else {plain} end"
    return f"({plain})"


def _present(name: str, how: ReadOptions) -> str:
    """The text of a column where it is no word for a missing number."""
    if how.na_values is not None:
        return _value(name, how)
    listed = ", ".join(text(each) for each in MISSING_WORDS)
    value = _value(name, how)
    return f"(case when lower({value}) in ({listed}) then null else {value} end)"


def _number(name: str, how: ReadOptions) -> str:
    return f"try_cast({_present(name, how)} as double)"


def _date(connection: duckdb.DuckDBPyConnection, name: str, how: ReadOptions) -> Found | None:
    """The column as dates, where a format fits every value."""
    value, given = _value(name, how), (how.formats or {}).get(outside(name))
    wanted = (how.kinds or {}).get(outside(name)) == "date"
    formats = (given,) if given and given not in (*FORMS, *_CLOCKS) else FORMATS + ((_COMPACT, "%Y") if wanted else ())
    fits = _fitting(connection, value, formats)
    return Found(name, "date", f"epoch(try_strptime({value}, {text(fits)}))::double", fits) if fits else None


def _compact(connection: duckdb.DuckDBPyConnection, name: str) -> Found | None:
    """A column of whole numbers as dates, where each is one: 20240131."""
    value = f"{quoted(name)}::varchar"
    some = f"(select {quoted(name)} as v from rows where {quoted(name)} is not null"
    asked = "select count(distinct v) > 1 and min(v) >= 18000101 and max(v) <= 21001231 and "
    asked += f"count(*) = count(try_strptime(v::varchar, {text(_COMPACT)})) from "
    for rows in (f" limit {_SAMPLE})", ")"):
        if not connection.execute(f"{asked}{some}{rows}").fetchall()[0][0]:
            return None
    return Found(name, "date", f"epoch(try_strptime({value}, {text(_COMPACT)}))::double", _COMPACT)


def _clock(connection: duckdb.DuckDBPyConnection, name: str, how: ReadOptions) -> Found | None:
    """The column as times of the day, in seconds since midnight; DuckDB has them on the first day of 1900."""
    value, given = _value(name, how), (how.formats or {}).get(outside(name))
    fits = _fitting(connection, value, (given,) if given in _CLOCKS else _CLOCKS)
    seconds = f"((epoch(try_strptime({value}, {text(fits or '')})) + 2208988800) % 86400)::double"
    return Found(name, "number", seconds, fits) if fits else None


def _fitting(connection: duckdb.DuckDBPyConnection, value: str, formats: tuple[str, ...]) -> str | None:
    """The first format that all values have."""
    for rows in (f"limit {_SAMPLE}", ""):
        counts = ", ".join(f"count({_read_by(each)})" for each in formats)
        source = f"(select {value} as v from rows where {value} is not null {rows})"
        (row,) = connection.execute(f"select count(v), {counts} from {source}").fetchall()
        formats = tuple(each for each, fits in zip(formats, row[1:], strict=True) if fits == row[0])
        if not formats:
            return None
    return formats[0]


def _read_by(form: str) -> str:
    """SQL of a value `v` as a moment; DuckDB alone takes the 20 of 05.01.20 for the year 20 of our era."""
    read = f"try_strptime(v, {text(form)})"
    return f"case when regexp_matches(v, '[0-9]{{4}}') then {read} end" if "%Y" in form else read


def _misfit(connection: duckdb.DuckDBPyConnection, name: str, wanted: str, how: ReadOptions) -> str:
    """The sentence about the first value that is not of the kind wanted."""
    tried = {"date": f"try_cast({_value(name, how)} as timestamp)", "number": _number(name, how)}
    value = tried.get(wanted, "null")
    rows = connection.execute(
        f"select n, v from (select row_number() over () as n, {_present(name, how)} as v, {value} as t from rows) "
        "where v is not null and t is null limit 1"
    ).fetchall()
    words = {"number": "numbers", "date": "dates", "boolean": "true and false"}.get(wanted, wanted)
    told = f", got {rows[0][1]!r} in row {rows[0][0]}" if rows else ""
    key = "data.dates" if wanted == "date" else "data.path"
    return f"{key}: column {outside(name)!r} must hold {words}{told}"
