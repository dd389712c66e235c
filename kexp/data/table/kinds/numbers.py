"""Parse formatted numbers: with thousands separators, a decimal comma, a currency, a percent sign or a unit."""

from __future__ import annotations

from kexp.data.table.sql import text
from kexp.serving.cells import COMMA, FORMS, GROUPED, MINUSES, grouped

__all__ = ["COMMA", "FORMS", "GROUPED", "affixes_fit", "number_in"]

_CURRENCIES = "[$€£¥₹]|US[$]|USD|EUR|GBP|CHF"
_SPACES = " '\u00a0\u202f"  # which set thousands apart too
_LONGEST_UNIT = 6


def number_in(value: str, form: str) -> str:
    """Return SQL of the number in a text of this form; NULL if the text is not such a number.

    Args:
        value: SQL of the text, trimmed.
        form: one of `FORMS`.
    """
    group, mark = (",", ".") if form == GROUPED else (".", ",")
    signed = _signed(value)
    bare = f"regexp_replace({signed}, '[^0-9]*$', '')"
    bare = f"regexp_replace({bare}, '^[^0-9.,+-]*([+-]?)[^0-9.,]*', '\\1')"
    apart = f"[{group}{_SPACES}]"
    pattern = f"[+-]?([0-9]*|{grouped(group + _SPACES)})([{mark}][0-9]+)?"
    plain = f"regexp_replace({bare}, {text(apart)}, '', 'g')"
    number = f"try_cast(replace({plain}, ',', '.') as double)"
    return f"(case when regexp_full_match({bare}, {text(pattern)}) then {number} end)"


def affixes_fit(value: str) -> str:
    """Return SQL of an aggregate: whether all numbers have at most one unit and one currency.

    Args:
        value: SQL of the text, trimmed; NULL for a missing value.
    """
    value = _signed(value)
    before = f"nullif(trim(regexp_replace(regexp_extract({value}, '^[^0-9.,]*'), '[+-]', '')), '')"
    after = f"nullif(trim(regexp_extract({value}, '[^0-9]*$')), '')"
    return (
        f"(count(distinct {before}) <= 1 and coalesce(bool_and(regexp_full_match({before}, {text(_CURRENCIES)})), true)"
        f" and count(distinct {after}) <= 1 and coalesce(max(length({after})), 0) <= {_LONGEST_UNIT})"
    )


def _signed(value: str) -> str:
    """SQL of the text with a minus where parentheses stand around the number, as accounts have it."""
    value = f"translate({value}, '{MINUSES}', '{'-' * len(MINUSES)}')"
    return f"(case when {value} like '(%)' then '-' || trim({value}, '()') else {value} end)"
