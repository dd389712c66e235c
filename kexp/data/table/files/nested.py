"""Flatten nested columns: each field of a record becomes a column; lists are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kexp.data.table.sql import quoted, types_of

if TYPE_CHECKING:
    import duckdb

__all__ = ["flat"]


def flat(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Flatten the nested columns of the table `rows`.

    The fields of a record become columns named `record.field`, as in pandas' json_normalize.

    Returns:
        A notice for each column that was dropped.
    """
    left: list[str] = []
    while True:
        described = types_of(connection, "rows")
        chosen = []
        for name, kind in described.items():
            if kind.startswith("STRUCT") and not kind.endswith("]"):
                fields = connection.execute(
                    f"select unnest(struct_keys({quoted(name)})) from rows limit 100"
                ).fetchall()
                names = dict.fromkeys(field for (field,) in fields)
                chosen += [f"{quoted(name)}.{quoted(field)} as {quoted(f'{name}.{field}')}" for field in names]
            elif kind.endswith("]") or kind.partition("(")[0] in ("MAP", "UNION", "BLOB", "VARIANT"):
                left.append(name)
            else:
                chosen.append(quoted(name))
        if not chosen or chosen == [quoted(name) for name in described]:
            break
        connection.execute(f"create or replace table rows as select {', '.join(chosen)} from rows")
    return [f"left out, for they hold lists or the like: {', '.join(left)}"] if left else []
