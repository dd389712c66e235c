"""Formats of days, months and periods, and the SQL that parses them."""

from __future__ import annotations

from kexp.data.table.sql import text
from kexp.serving.periods import PERIODS

__all__ = ["CLOCKS", "COMPACT", "FORMATS", "moment_in"]

# Besides what DuckDB finds by itself. Months before days where both would do, as in pandas.
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
    *("%a %b %d %Y", "%A, %B %d, %Y", "%Y %b %d", "%d %b, %Y", "%d. %B %Y", "%b-%d-%Y", "%Y.%m.%d", "%d/%b/%Y"),
    *("%a %d %b %Y", "%a, %d %b %Y", "%A %d %B %Y", "%A, %d %B %Y", "%A %B %d, %Y", "%d-%B-%Y", "%Y-%b-%d"),
)
_MONTHS = ("%Y-%m", "%b-%y", "%b %Y", "%B %Y", "%b-%Y", "%m/%Y", "%Y/%m", "%Y %b", "%Y-%b", "%B-%Y", "%b %y", "%m-%Y")
_WITH_ZONES = (
    "%a %b %d %H:%M:%S %z %Y",
    "%a, %d %b %Y %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S %Z",
    "%Y%m%dT%H%M%S",
    "%Y%m%dT%H%M%SZ",
)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", ", %H:%M", ", %H:%M:%S", " %H:%M:%S.%f")
FORMATS = (*(day + time for time in _TIMES for day in _DAYS), *_MONTHS, *_WITH_ZONES, *PERIODS)
CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")  # the time of a day: seconds since midnight
COMPACT = {"%Y%m%d": (18000101, 21001231), "%Y%m": (180001, 210012)}  # whole numbers that are days or months


def moment_in(value: str, form: str) -> str:
    """Return SQL of the moment that a text of this format names; NULL if the text does not have the format."""
    if form not in PERIODS:
        read = f"try_strptime({value}, {text(form)})"
        # DuckDB alone takes the 20 of 05.01.20 for the year 20 of our era.
        return f"case when regexp_matches({value}, '[0-9]{{4}}') then {read} end" if "%Y" in form else read
    pattern, names = PERIODS[form]
    part = {
        name: f"try_cast(regexp_extract({value}, {text(pattern)}, {place}) as int)"
        for place, name in enumerate(names.split(), 1)
    }
    if "week" in part:
        fourth = f"make_date({part['year']}, 1, 4)"  # of January, which is in the first week
        days = f"7 * ({part['week']} - 1) + {part.get('day', '1')} - isodow({fourth})"
        day = f"case when {part['week']} between 1 and 53 then {fourth} + ({days})::int end"
    else:
        month = part.get("month") or f"(3 * {part.get('quarter')} - 2)"
        day = f"case when {month} between 1 and 12 then make_date({part['year']}, {month}, 1) end"
    return f"(case when regexp_full_match({value}, {text(pattern)}) then ({day})::timestamp end)"
