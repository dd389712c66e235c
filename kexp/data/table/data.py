"""Create Data from a table: choose its columns, extract targets and weights, and compute its digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.source import (
    Data,
    GivenSplits,
    check_classes,
    check_splits,
    check_weights,
    consecutive,
    from_source,
)
from kexp.data.table.encoding.encoder import EncodedTable, TableEncoder, encoded_spec
from kexp.data.table.files.csv_form import UNNAMED
from kexp.data.table.files.matching import table_files
from kexp.data.table.options import ReadOptions
from kexp.data.table.order import groups_of, times_of
from kexp.data.table.plan import Plan
from kexp.data.table.reading import read_query, read_table
from kexp.data.table.stored import Column, Table
from kexp.data.table.targets import known_targets, numbers_of, rows_with, targets_of
from kexp.data.table.unfitted import Unfitted, digest_of, kinds_read
from kexp.errors import DataError
from kexp.system.large_arrays import moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["data_of", "table_data", "table_encoded"]


def table_data(paths: Mapping[str, str | None], query: str | None, how: ReadOptions, plan: Plan) -> Data:
    """Load Data from files, whose encoding is not fitted yet.

    Args:
        paths: config key (`path`, `validation_path`, `test_path`) -> path.
        query: SQL that returns the rows, instead of files.
        how: how to read text files.
        plan: the settings of the columns.

    Raises:
        DataError: a file does not exist or cannot be read, or `data_of` refuses the table.
    """
    how = replace(how, kinds=plan.kinds())
    if query is not None:
        if any(paths.values()):
            raise DataError("data.query: must not be given with data.validation_path or data.test_path")
        how.refuse_unused(())
        return data_of(read_query(query, how), plan, how=how)
    files, parts = [], []
    for name, path in paths.items():
        found = [] if path is None else table_files(path, f"data.{name}")
        files += found
        parts += ["train" if name == "path" else name.removesuffix("_path")] * len(found)
    how.refuse_unused([file.form for file in files])
    table = read_table(files, how)
    counts = dict.fromkeys(parts, 0)
    for part, count in zip(parts, table.file_rows, strict=True):
        counts[part] += count
    return data_of(table, plan, consecutive(counts) if len(counts) > 1 else None, how)


def data_of(table: Table, plan: Plan, splits: GivenSplits | None = None, how: ReadOptions | None = None) -> Data:
    """Create Data from a table.

    Args:
        table: the table.
        plan: the settings of the columns.
        splits: row numbers of given parts; None to split by seed.
        how: how the table's text was read; stored with the encoding.

    Raises:
        DataError: a column does not exist, there are no features, targets have the wrong kind, or a number is not
            finite.
    """
    columns = [table.column(name, "data.target") for name in plan.target]
    features = _features(table, plan)
    kept = _rows_kept(table, columns, plan)
    dropped = len(table) - len(kept)
    targets = targets_of(columns, kept, plan.task, plan.classes)
    targets = replace(targets, values=moved(targets.values))
    spec = targets.spec((len(features),), target_names=None if targets.task == "classification" else plan.target)
    check_classes(targets.values, spec, "data.target")
    if spec.task == "regression" and len(kept) > 1 and (targets.values == targets.values[0]).all():
        raise DataError(f"data.target: column {plan.target[0]!r} must vary, got the same value in all {len(kept)} rows")
    if splits is not None:
        splits = check_splits(_kept(splits, kept, len(table)), len(kept), "data")
    weights = None
    if plan.weight is not None:
        column = table.column(plan.weight, "data.weight")
        weights = check_weights(numbers_of(column, kept, "data.weight"), targets.values, spec, "data.weight")
    used = [table.columns[name] for name in features]
    digest = digest_of(used, kept, targets.values, spec.task, splits, weights)
    about = {
        "target": list(plan.target),
        "weight": plan.weight,
        "kinds": kinds_read(used, columns),
        "reading": (how or ReadOptions()).kept(table.has_header, table.missing),
    }
    encoder = TableEncoder(
        table,
        kept,
        targets.values,
        spec,
        features,
        plan,
        about,
        (dropped, " or ".join(plan.target)),
    )
    times, groups = times_of(table, plan.time, kept), groups_of(table, plan.group, kept)
    return Data(
        Unfitted(len(kept)),
        spec,
        digest,
        targets.values,
        splits,
        encoder,
        weights,
        None if times is None else np.stack([times, times], axis=1),
        groups,
        "time" if times is not None else "group" if groups is not None else "random",
    )


def table_encoded(path: str, encoding: Mapping[str, Any], *, key: str = "data.path") -> Data:
    """Load another table with the encoding of a run, its `data_encoding.json`.

    Args:
        path: a table with the feature columns and the target columns.
        encoding: the encoding, as in `Splits.encoding`. If it lists no target columns, targets are zeros.
        key: the config key or argument, for messages.

    Returns:
        Data with the run's features, in the order of the file's rows, without rows that have no target.

    Raises:
        DataError: a column of the encoding does not exist, or has text instead of numbers.
    """
    how = ReadOptions.as_kept(encoding)
    used = [column["name"] for column in encoding["columns"] if "left_out" not in column]
    wanted = {name: (how.kinds or {})[name] for name in (*used, *encoding["target"])}
    table = read_table(table_files(path, key), replace(how, kinds=wanted))
    for name in used:
        table.column(name, key)
    spec = encoded_spec(encoding)
    targets = [table.column(name, key) for name in encoding["target"]]
    rows = rows_with(targets, len(table))
    if targets:
        y = known_targets(table, encoding, rows, key)
    else:
        shape = (len(rows),) if spec.task == "classification" else (len(rows), spec.outputs)
        y = np.zeros(shape, dtype=np.int64 if spec.task == "classification" else np.float32)
    if not len(rows):
        raise DataError(f"{key}: {table.name} has no rows with a target")
    weights = None
    if encoding.get("weight") in table.columns:
        column = table.columns[encoding["weight"]]
        weights = check_weights(numbers_of(column, rows, key), y, spec, key)
    data = from_source(EncodedTable(table, rows, y, encoding), spec, key=key, any_classes=True)
    return replace(data, weights=weights)


def _rows_kept(table: Table, targets: Sequence[Column], plan: Plan) -> NDArray[np.intp]:
    """Return the rows that have targets.

    Raises:
        DataError: there is none, or every row must have targets.
    """
    kept = rows_with(targets, len(table))
    if len(kept) < len(table) and plan.missing_target == "error":
        row = int(np.setdiff1d(np.arange(len(table)), kept)[0]) + 1
        names = " and ".join(repr(name) for name in plan.target)
        raise DataError(f"data.target: column {names} must have a value in every row, got none in row {row}")
    if not len(kept):
        raise DataError(f"data.target: column {plan.target[0]!r} is empty in every row")
    return kept


def _features(table: Table, plan: Plan) -> list[str]:
    plan.refuse_unknown(table)
    for name in plan.columns or ():
        if name in plan.target:
            raise DataError(f"data.columns: must not hold the target, got {name!r}")
    if plan.weight is not None:
        table.column(plan.weight, "data.weight")
        if plan.weight in plan.target:
            raise DataError(f"data.weight: must not be the target, got {plan.weight!r}")
    if plan.group is not None:
        table.column(plan.group, "data.group")
    wanted = table.columns if plan.columns is None else plan.columns
    out = {*plan.target, *plan.drop, plan.weight, plan.group if plan.columns is None else None}
    features = [name for name in table.columns if name in wanted and name not in out and not _counts_rows(table, name)]
    if not features:
        others = [name for name in table.columns if name not in out]
        why = (
            f"{others[0]!r} counts the rows" if others else f"{table.name} has {' and '.join(map(repr, table.columns))}"
        )
        raise DataError(
            f"data.columns: leaves no feature columns; {why if len(table.columns) < 6 else 'all are taken'}"
        )
    return features


def _counts_rows(table: Table, name: str) -> bool:
    """Return whether a column is the row numbers that pandas and R write as a first column without a name."""
    column = table.columns[name]
    if name != UNNAMED or column.kind != "number" or table.has_header is False:
        return False
    values = np.asarray(column.values)
    return bool(len(values) > 1 and (np.diff(values) == 1).all())


def _kept(splits: GivenSplits, kept: NDArray[np.intp], count: int) -> dict[str, NDArray[np.intp]]:
    """Return given splits as positions among the kept rows."""
    place = np.full(count, -1, dtype=np.intp)
    place[kept] = np.arange(len(kept))
    return {name: place[rows][place[rows] >= 0] for name, rows in splits.items()}
