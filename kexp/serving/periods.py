"""Parses quarters, weeks and months: each is a date, its first day."""

from __future__ import annotations

import datetime
import re

__all__ = ["PERIODS", "day_of", "period_of"]

# Each format is named by an example. The groups of its pattern are the parts listed beside it.
PERIODS = {
    "2024Q1": (r"((?:1[6-9]|2[01])[0-9]{2})[ /:.-]?[Qq]([1-4])", "year quarter"),
    "Q1 2024": (r"[Qq]([1-4])[ /:.'-]?((?:1[6-9]|2[01])[0-9]{2})", "quarter year"),
    "2024-W05": (r"((?:1[6-9]|2[01])[0-9]{2})[ -]?[Ww]([0-9]{1,2})", "year week"),
    "2024-W05-1": (r"((?:1[6-9]|2[01])[0-9]{2})[ -]?[Ww]([0-9]{2})[ -]?([1-7])", "year week day"),
    "2024M01": (r"((?:1[6-9]|2[01])[0-9]{2})[ -]?[Mm]([0-9]{1,2})", "year month"),
}


def day_of(text: str, form: str) -> datetime.date | None:
    """Returns the first day of the period that a text names; None if it names none.

    Args:
        text: a period.
        form: one of `PERIODS`.
    """
    pattern, parts = PERIODS[form]
    found = re.fullmatch(pattern, text.strip(" "))
    if found is None:
        return None
    numbers = dict(zip(parts.split(), map(int, found.groups()), strict=True))
    try:
        if "week" in numbers:
            return datetime.date.fromisocalendar(numbers["year"], numbers["week"], numbers.get("day", 1))
        return datetime.date(numbers["year"], numbers.get("month", 3 * numbers.get("quarter", 1) - 2), 1)
    except ValueError:
        return None


def period_of(day: datetime.date, form: str) -> str:
    """Returns the text of the period that starts on a day, in a format of `PERIODS`."""
    year, week, weekday = day.isocalendar()
    quarter = (day.month + 2) // 3
    return {
        "2024Q1": f"{day.year}Q{quarter}",
        "Q1 2024": f"Q{quarter} {day.year}",
        "2024-W05": f"{year}-W{week:02}",
        "2024-W05-1": f"{year}-W{week:02}-{weekday}",
        "2024M01": f"{day.year}M{day.month:02}",
    }[form]
