"""Summarise for the user what became of a table's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["summary_line", "unseen_notices"]

PLURALS = {"number": "numbers", "category": "categories", "date": "dates", "boolean": "booleans"}
MOST_NAMED = 4


def summary_line(rows: int, dropped: tuple[int, str], columns: Sequence[Mapping[str, Any]]) -> str:
    """Return a line on a table: its rows, its columns by kind, and the columns that are left out and why."""
    count, target = dropped
    without = f" ({count} without {target} left out)" if count else ""
    kinds = [column["kind"] for column in columns if "left_out" not in column]
    parts = [
        f"{kinds.count(kind)} {kind if kinds.count(kind) == 1 else plural}"
        for kind, plural in PLURALS.items()
        if kind in kinds
    ]
    out = [f"{column['name']} ({column['left_out']})" for column in columns if "left_out" in column]
    more = f" and {len(out) - MOST_NAMED} more" if len(out) > MOST_NAMED else ""
    left = f"; left out: {', '.join(out[:MOST_NAMED])}{more}" if out else ""
    return f"{rows} rows{without}: {', '.join(parts)}{left}"


def unseen_notices(unseen: Mapping[str, int]) -> list[str]:
    """Return a notice for each column with categories that the training rows did not have."""
    return [
        f"{count} row{'s have' if count > 1 else ' has'} a {name!r} that the training rows did not have"
        for name, count in unseen.items()
    ]
