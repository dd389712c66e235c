"""Describe a table's columns for the user, before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kexp.data.table.encoding.encoder import EncodedTable
from kexp.data.table.stored import Column
from kexp.serving.encoding import feature_names
from kexp.system.wording import counted

__all__ = ["columns_of"]

HEADINGS = ("column", "kind", "missing", "distinct", "range", "becomes")


def columns_of(source: EncodedTable, encoding: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a text table of the columns that may be features: a row of headings, then one row for each column."""
    found: list[tuple[str, ...]] = [HEADINGS]
    for fitted in encoding["columns"]:
        column = source.table.columns[fitted["name"]]
        values = np.asarray(column.values[source.rows])
        missing = column.missing(values)
        distinct = np.unique(values[~missing])
        found.append(
            (
                column.name,
                fitted.get("kind", column.kind),
                str(int(missing.sum())),
                str(len(distinct)),
                _range(column, distinct),
                _becomes(fitted),
            )
        )
    return found


def _range(column: Column, distinct: Any) -> str:
    if not len(distinct):
        return ""
    if column.kind == "text":
        shown = ", ".join(" ".join(column.words[code].split()) for code in distinct[:4])  # a line, whatever is in it
        return f"{shown[:40]}{', ...' if len(distinct) > 4 else ''}"
    low, high = distinct[0], distinct[-1]
    if column.kind == "date":
        return f"{np.datetime64(int(low), 's').astype('datetime64[D]')} to {np.datetime64(int(high), 's')}"[
            :36
        ].replace("T00:00:00", "")
    return f"{low:g} to {high:g}"


def _becomes(fitted: Mapping[str, Any]) -> str:
    if "left_out" in fitted:
        return f"left out: {fitted['left_out']}"
    count = len(feature_names(fitted))
    what = counted(count, "feature")
    filled = f"; missing as {fitted['median']:g}" if fitted["missing"] and fitted["kind"] == "number" else ""
    others = "; rare ones together" if fitted.get("others") else ""
    return what + filled + others
