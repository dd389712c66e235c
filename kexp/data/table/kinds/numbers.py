"""Parse formatted numbers: with thousands separators, a decimal comma, a currency, a percent sign, a unit, a scale."""

from __future__ import annotations

from kexp.data.table.sql import text
from kexp.serving.cells import COMMA, FORMS, GROUPED, MINUSES, SCALED, SCALES, grouped

__all__ = ["COMMA", "FORMS", "GROUPED", "SCALED", "affixes_fit", "number_in"]

_CURRENCIES = "[$€£¥₹]|US[$]|USD|EUR|GBP|CHF"
_SPACES = " '\u00a0\u202f"  # these separate thousands too
_LONGEST_UNIT = 6


def number_in(value: str, form: str) -> str:
    """Return SQL of the number in a text of this form; NULL if the text is not such a number.

    Args:
        value: SQL of the text, trimmed.
        form: one of `FORMS`.
    """
    group, mark = (".", ",") if form == COMMA else (",", ".")
    signed = _signed(value)
    bare = f"regexp_replace({signed}, '[^0-9]*$', '')"
    bare = f"regexp_replace({bare}, '^[^0-9.,+-]*([+-]?)[^0-9.,]*', '\\1')"
    apart = f"[{group}{_SPACES}]"
    pattern = f"[+-]?([0-9]*|{grouped(group + _SPACES)})([{mark}][0-9]+)?"
    plain = f"regexp_replace({bare}, {text(apart)}, '', 'g')"
    plain = f"replace({plain}, ',', '.')"
    number = f"try_cast({plain + _scale(signed) if form == SCALED else plain} as double)"
    return f"(case when regexp_full_match({bare}, {text(pattern)}) then {number} end)"


def affixes_fit(value: str, form: str, known: bool) -> str:
    """Return SQL of an aggregate: whether all numbers have at most one unit and one currency.

    Numbers of the form `SCALED` have no unit but a scale, not all the same: a single one is taken for a unit.

    Args:
        value: SQL of the text, trimmed; NULL for a missing value.
        form: one of `FORMS`.
        known: whether the column is known to have this form.
    """
    value = _signed(value)
    before = f"nullif(trim(regexp_replace(regexp_extract({value}, '^[^0-9.,]*'), '[+-]', '')), '')"
    after = f"nullif(trim(regexp_extract({value}, '[^0-9]*$')), '')"
    if form == SCALED:
        scaled = f"coalesce(bool_and(regexp_full_match({value}, '.*[0-9.]([KkMB])?')), false)"
        several = "" if known else f" and count(distinct regexp_extract({value}, '[KkMB]?$')) > 1"
        return f"({scaled}{several} and count(distinct {before}) <= 1)"
    return (
        f"(count(distinct {before}) <= 1 and coalesce(bool_and(regexp_full_match({before}, {text(_CURRENCIES)})), true)"
        f" and count(distinct {after}) <= 1 and coalesce(max(length({after})), 0) <= {_LONGEST_UNIT})"
    )


def _scale(value: str) -> str:
    """Return SQL that appends the exponent of a number's scale."""
    cases = " ".join(f"when '{letter}' then '{exponent}'" for letter, exponent in SCALES.items())
    return f" || (case regexp_extract({value}, '[0-9.]([KkMB])$', 1) {cases} else '' end)"


def _signed(value: str) -> str:
    """Return SQL of the text with a minus in front, if it has parentheses or a minus behind the number."""
    value = f"translate({value}, '{MINUSES}', '{'-' * len(MINUSES)}')"
    behind = f"when {value} like '%-' and {value} not like '-%' then '-' || rtrim({value}, '- ')"
    return f"(case when {value} like '(%)' then '-' || trim({value}, '()') {behind} else {value} end)"
