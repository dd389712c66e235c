"""Detect the kind of each column of a table, with one DuckDB query over all rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kexp.data.table.kinds.days import CLOCKS, COMPACT, FORMATS, moment_in
from kexp.data.table.kinds.numbers import COMMA, FORMS, GROUPED, SCALED, affixes_fit, number_in
from kexp.data.table.kinds.strays import no_measurements, stray_words
from kexp.data.table.options import MISSING_WORDS, ReadOptions
from kexp.data.table.sql import SAMPLE, first_fit, outside, quoted, text, types_of
from kexp.data.table.stored import Kind
from kexp.errors import DataError
from kexp.serving.cells import numbers_in

if TYPE_CHECKING:
    import duckdb

__all__ = ["Found", "find_kinds", "number_forms"]

NUMBERS = frozenset(
    "TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT FLOAT DOUBLE DECIMAL".split()
)
_FEWEST_MONTHS = 10  # distinct numbers such as 202401 from which they are months
_DIGITS = 0.7  # share of values with digits from which a column may be numbers or dates with stray words


@dataclass(frozen=True)
class Found:
    """A column and its kind.

    Attributes:
        name: its name in DuckDB.
        kind: its kind.
        expression: SQL of its stored values.
        format: the format of its dates or numbers, if it had to be detected.
        missing: texts that mean a missing value in it, besides the usual ones.
    """

    name: str
    kind: Kind
    expression: str
    format: str | None = None
    missing: tuple[str, ...] = ()


def find_kinds(connection: duckdb.DuckDBPyConnection, how: ReadOptions) -> list[Found]:
    """Detect the kinds of the columns of the table `rows`.

    A text column is a column of numbers if all its values are numbers or texts for a missing value, and a column of
    dates if one format fits all values. Otherwise it is text, in which only empty fields are missing.

    Raises:
        DataError: a value does not have the kind that the options require.
    """
    described = types_of(connection, "rows")
    found: dict[str, Found] = {}
    texts = []
    for name, kind in described.items():
        wanted = (how.kinds or {}).get(outside(name))
        known = _typed(name, kind)
        if known is None or wanted == "text" or (wanted == "date" and known.kind != "date"):
            texts.append(name)  # read as text first
        else:
            found[name] = known
    if texts:
        found |= _of_texts(connection, texts, how)
    for name, kind in described.items():
        if found[name].kind == "number" and kind in ("BIGINT", "INTEGER") and outside(name) not in (how.kinds or {}):
            found[name] = _compact(connection, name) or found[name]
    columns = _without_codes(connection, [found[name] for name in described], how)
    for column in columns:
        wanted = (how.kinds or {}).get(outside(column.name))
        if wanted is not None and wanted != column.kind and {wanted, column.kind} != {"number", "boolean"}:
            raise DataError(_misfit(connection, column.name, wanted, how))
    return [replace(column, name=outside(column.name)) for column in columns]


def _typed(name: str, kind: str) -> Found | None:
    """Return a column of a type other than text; None for text."""
    column, base = quoted(name), kind.partition("(")[0]
    if base in NUMBERS:
        return Found(name, "number", f"{column}::double")
    if base == "BOOLEAN":
        return Found(name, "boolean", f"{column}::int::double")
    if base in ("DATE", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP WITH TIME ZONE"):
        return Found(name, "date", f"epoch({column})::double")
    if base == "TIME":
        return Found(name, "number", f"epoch({column})::double", CLOCKS[1])  # seconds since midnight
    return None


def _without_codes(connection: duckdb.DuckDBPyConnection, columns: list[Found], how: ReadOptions) -> list[Found]:
    """Return the columns, with NULL for a number that means a missing value: -999."""
    plain = [column for column in columns if column.kind == "number" and column.format is None]
    if how.na_values is not None:
        known = dict.fromkeys((column.name for column in plain), numbers_in(how.na_values))
    elif how.missing is not None:
        known = {column.name: numbers_in(how.missing.get(outside(column.name), ())) for column in plain}
    else:
        codes = no_measurements(connection, [column.expression for column in plain])
        known = {column.name: [code] for column, code in zip(plain, codes, strict=True) if code is not None}
    whole = []
    for column in columns:
        expression = column.expression
        for code in known.get(column.name, ()):
            expression = f"nullif({expression}, {code})"
        told = () if how.na_values is not None else tuple(f"{code:.12g}" for code in known.get(column.name, ()))
        whole.append(replace(column, expression=expression, missing=(*column.missing, *told)))
    return whole


def _of_texts(connection: duckdb.DuckDBPyConnection, names: list[str], how: ReadOptions) -> dict[str, Found]:
    # The first rows show that most columns of text are not numbers; all rows are read only for the others.
    some = _counted(connection, names, how, f"(select * from rows limit {SAMPLE})")
    likely = [name for name in names if some[name][0] in some[name][1:3]]
    whole = _counted(connection, likely, how, "rows") if likely else {}
    found = {}
    for name in names:
        present, numbers, truths, digits, codes = whole.get(name, some[name])
        numbers, truths = (numbers, truths) if name in whole else (-1, -1)
        wanted, given = (how.kinds or {}).get(outside(name)), (how.formats or {}).get(outside(name))
        if wanted == "text" or (wanted is None and (not present or codes)):
            found[name] = Found(name, "text", _value(name, how))
        elif (
            wanted in (None, "number") and numbers == present and how.decimal != "," and given not in (*FORMS, *CLOCKS)
        ):
            found[name] = Found(name, "number", _number(name, how))
        elif wanted in (None, "boolean") and truths == present and truths:
            found[name] = Found(name, "boolean", f"(lower({_present(name, how)}) = 'true')::int::double")
        else:
            written = _written(connection, name, how) if digits and wanted in (None, "number") else None
            dates = _date(connection, name, how) if digits and written is None else None
            if dates is None and written is None and digits and wanted in (None, "number"):
                dates = _clock(connection, name, how)
            strays = None
            if wanted is None and not (written or dates) and digits >= _DIGITS * present:
                strays = _with_strays(connection, name, how)
            found[name] = written or dates or strays or Found(name, "text", _value(name, how))
    return found


def _with_strays(connection: duckdb.DuckDBPyConnection, name: str, how: ReadOptions) -> Found | None:
    """Return the column as numbers or dates, if nearly all its values are; the few words among them are missing."""
    if how.na_values is not None or how.missing is not None:
        return None
    words = stray_words(connection, quoted(name), _present(name, how))
    found = _of_texts(connection, [name], replace(how, missing={outside(name): words}))[name] if words else None
    return None if found is None or found.kind == "text" else replace(found, missing=words)


def _counted(
    connection: duckdb.DuckDBPyConnection, names: list[str], how: ReadOptions, source: str
) -> dict[str, tuple[int, ...]]:
    """Count the values of each column: all, numbers, true or false, values with a digit; and whether all are codes.

    Codes are digits, as many in each value, some of which begin with 0: 02139.
    """
    asked = []
    for name in names:
        value, present = _value(name, how), _present(name, how)
        words = f"count(*) filter (lower({value}) in ('true', 'false'))"
        digits = f"count(*) filter (regexp_matches({present}, '[0-9]'))"
        zeros = f"bool_or(regexp_full_match({present}, '0[0-9]+'))"
        codes = f"{zeros} and bool_and(regexp_full_match({present}, '[0-9]+'))"
        codes = f"coalesce({codes} and min(length({present})) = max(length({present})), false)::int"
        asked += [f"count({present})", f"count({_number(name, how)})", words, digits, codes]
    (row,) = connection.execute(f"select {', '.join(asked)} from {source}").fetchall()
    return {name: tuple(row[5 * at : 5 * at + 5]) for at, name in enumerate(names)}


def number_forms(connection: duckdb.DuckDBPyConnection, table: str, how: ReadOptions) -> dict[str, str]:
    """Return the form of the numbers in each column of a table that may have fractions."""
    types = types_of(connection, table)
    found = {name: GROUPED for name, kind in types.items() if kind == "DOUBLE"}
    kinds = how.kinds or {}
    texts = [name for name, kind in types.items() if kind == "VARCHAR" and kinds.get(outside(name)) != "text"]
    some = _counted(connection, texts, how, f"(select * from {table} limit {SAMPLE})") if texts else {}
    likely = [name for name, (*_, digits, _) in some.items() if digits]
    whole = _counted(connection, likely, how, table) if likely else {}
    for name, (present, numbers, _, digits, codes) in whole.items():
        if present and numbers == present and not codes:
            found[name] = GROUPED
        elif digits and not codes and (written := _written(connection, name, how, table)):
            found[name] = str(written.format)
    return found


def _written(connection: duckdb.DuckDBPyConnection, name: str, how: ReadOptions, table: str = "rows") -> Found | None:
    """Return the column as formatted numbers, if one form fits every value.

    1,234 is above a thousand, unless semicolons separate the fields, which suggests a decimal comma.
    """
    given = (how.formats or {}).get(outside(name))
    ((mark,),) = connection.execute("select getvariable('mark')").fetchall()
    forms: tuple[str, ...] = (COMMA, SCALED, GROUPED) if mark == ";" else (SCALED, GROUPED, COMMA)
    if how.decimal is not None:
        forms = (COMMA,) if how.decimal == "," else (SCALED, GROUPED)
    if given in FORMS:
        forms = (given, *(form for form in forms if form != given))
    value = _present(name, how)
    checks = {
        form: f"count({number_in('v', form)}) = count(v) and {affixes_fit('v', form, form == given)}" for form in forms
    }
    fits = first_fit(connection, value, checks, table)
    return Found(name, "number", number_in(value, fits), fits) if fits else None


def _value(name: str, how: ReadOptions) -> str:
    """Return SQL of a column's text; NULL for an empty field."""
    plain = f"nullif(trim({quoted(name)}::varchar), '')"
    if how.na_values:
        listed = ", ".join(text(each) for each in how.na_values)
        plain = f"case when {plain} in ({listed}) then null else {plain} end"
    return f"({plain})"


def _present(name: str, how: ReadOptions) -> str:
    """Return SQL of a column's text; NULL for a word that means a missing number."""
    if how.na_values is not None:
        return _value(name, how)
    words = (*MISSING_WORDS, *(how.missing or {}).get(outside(name), ()))
    listed = ", ".join(text(each.lower()) for each in words)
    value = _value(name, how)
    return f"(case when lower({value}) in ({listed}) then null else {value} end)"


def _number(name: str, how: ReadOptions) -> str:
    return f"try_cast({_present(name, how)} as double)"


def _date(connection: duckdb.DuckDBPyConnection, name: str, how: ReadOptions) -> Found | None:
    """Return the column as dates, if one format fits every value."""
    value, given = _present(name, how), (how.formats or {}).get(outside(name))
    wanted = (how.kinds or {}).get(outside(name)) == "date"
    formats = (given,) if given and given not in (*FORMS, *CLOCKS) else FORMATS + ((*COMPACT, "%Y") if wanted else ())
    fits = first_fit(connection, value, _moments(formats))
    return Found(name, "date", f"epoch({moment_in(value, fits)})::double", fits) if fits else None


def _compact(connection: duckdb.DuckDBPyConnection, name: str) -> Found | None:
    """Return a column of whole numbers as dates, if each is one: 20240131, or 202401 if there are many."""
    value = f"{quoted(name)}::varchar"
    some = f"(select {quoted(name)} as v from rows where {quoted(name)} is not null"
    for form, (first, last) in COMPACT.items():
        fewest = 1 if form == "%Y%m%d" else _FEWEST_MONTHS
        asked = f"select count(distinct v) > {fewest} and min(v) >= {first} and max(v) <= {last} and "
        asked += f"count(*) = count({moment_in('v::varchar', form)}) from "
        if all(connection.execute(f"{asked}{some}{rows}").fetchall()[0][0] for rows in (f" limit {SAMPLE})", ")")):
            return Found(name, "date", f"epoch({moment_in(value, form)})::double", form)
    return None


def _clock(connection: duckdb.DuckDBPyConnection, name: str, how: ReadOptions) -> Found | None:
    """Return the column as times of the day, in seconds since midnight; DuckDB parses them as times of 1900-01-01."""
    value, given = _present(name, how), (how.formats or {}).get(outside(name))
    value = f"(case when regexp_matches({value}, '^[0-9]+:[0-9]$') then 'no time' else {value} end)"  # 3:1 is a ratio
    fits = first_fit(connection, value, _moments((str(given),) if given in CLOCKS else CLOCKS))
    seconds = f"((epoch(try_strptime({value}, {text(fits or '')})) + 2208988800) % 86400)::double"
    return Found(name, "number", seconds, fits) if fits else None


def _moments(formats: tuple[str, ...]) -> dict[str, str]:
    """Return format -> SQL that checks whether all values `v` have it."""
    return {each: f"count({moment_in('v', each)}) = count(v)" for each in formats}


def _misfit(connection: duckdb.DuckDBPyConnection, name: str, wanted: str, how: ReadOptions) -> str:
    """Return the message about the first value that does not have the required kind."""
    number = number_in(_present(name, how), COMMA) if how.decimal == "," else _number(name, how)
    tried = {"date": f"try_cast({_value(name, how)} as timestamp)", "number": number}
    value = tried.get(wanted, "null")
    rows = connection.execute(
        f"select n, v from (select row_number() over () as n, {_present(name, how)} as v, {value} as t from rows) "
        "where v is not null and t is null limit 1"
    ).fetchall()
    words = {"number": "numbers", "date": "dates", "boolean": "true and false"}.get(wanted, wanted)
    told = f", got {rows[0][1]!r} in row {rows[0][0]}" if rows else ""
    key = "data.dates" if wanted == "date" else "data.path"
    if wanted == "number" and how.decimal is not None:
        words += f" with the decimal mark {how.decimal}, which data.decimal gives"
    return f"{key}: column {outside(name)!r} must hold {words}{told}"
