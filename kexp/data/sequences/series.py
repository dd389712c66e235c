"""Windows of time series: a window of steps as features, and the steps after it as targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.sequences.windows import SeriesPlan, Windows, in_order, series_name, starts_of
from kexp.data.source import Data, DataSpec, Encoded
from kexp.data.table.encoding.encoder import EncodedTable, TableEncoder, encoded_spec
from kexp.data.table.files.matching import table_files
from kexp.data.table.options import ReadOptions
from kexp.data.table.reading import read_query, read_table
from kexp.data.table.stored import Table
from kexp.data.table.unfitted import Unfitted, digest_of, kinds_read
from kexp.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["forecasts", "series_data", "series_encoded"]


@dataclass(frozen=True)
class _Encoder:
    """Encodes the columns, with an encoding learned from the rows of training windows."""

    columns: TableEncoder
    starts: NDArray[np.intp]
    size: int
    targets: NDArray[np.float32]
    summary: str

    def with_encoding(self, encoding: Mapping[str, Any], label: str) -> _Encoder:
        """See `TableEncoder.with_encoding`."""
        return replace(self, columns=self.columns.with_encoding(encoding, label))

    def fit(self, rows: NDArray[np.intp]) -> Encoded:
        seen = np.zeros(len(self.columns.rows), dtype=bool)
        for step in range(self.size):
            seen[self.starts[rows] + step] = True
        made = self.columns.fit(np.flatnonzero(seen))
        assert isinstance(made.source, EncodedTable)
        source = Windows(made.source, self.starts, self.size, self.targets)
        return Encoded(source, _spec(made.encoding), made.encoding, f"{self.summary}; {made.summary}")


def series_data(path: str | None, query: str | None, how: ReadOptions, plan: SeriesPlan) -> Data:
    """Load windows over a table, whose encoding is not fitted yet.

    Args:
        path: the path of `data=series`; None with a query.
        query: SQL that returns the rows; None with a path.
        how: how to read text files.
        plan: the settings of the windows.

    Raises:
        DataError: a file cannot be read, a column does not exist or cannot be ordered, or every series is shorter than
            a window and its horizon.
    """
    how = replace(how, kinds=plan.kinds())
    files = [] if path is None else table_files(path, "data.path")
    how.refuse_unused([file.form for file in files])
    table = read_table(files, how) if files else read_query(str(query), how)
    features = _features(table, plan)
    order, groups, times = in_order(table, plan)
    starts, y, parts, left_out = _cut(table, plan, order, groups, times)
    if not len(starts):
        raise DataError(f"data.target: column {plan.target[0]!r} has no {plan.horizon} values in a row after a window")
    columns = [table.columns[name] for name in features]
    targets = [table.columns[name] for name in plan.target]
    about = {
        "target": list(plan.target),
        "names": list(plan.names),
        "kinds": kinds_read(columns, [*targets, table.columns[plan.time]]),
        "reading": how.kept(table.has_header, table.missing),
        "series": {key: getattr(plan, key) for key in ("time", "group", "window", "horizon", "stride")},
    }
    spec = DataSpec((plan.window, len(features)), "regression", None, y.shape[1], target_names=plan.names)
    encoder = TableEncoder(table, order, np.zeros((len(order), 1), np.float32), spec, features, plan, about)
    form = f"series of {plan.window} {plan.horizon} {plan.stride} regression"
    return Data(
        Unfitted(len(starts)),
        spec,
        digest_of([*columns], order, y, form, None, None),
        y,
        encoder=_Encoder(encoder, starts, plan.window, y, _summary(groups, starts, left_out, plan)),
        **parts,
    )


def series_encoded(path: str, encoding: Mapping[str, Any], *, key: str = "data.path") -> Data:
    """Load all windows of other series that have targets, with the encoding of a run.

    Args:
        path: the path of a table.
        encoding: the run's encoding.
        key: the config key or argument, for messages.

    Raises:
        DataError: the table cannot be read, or has no window with all of its targets.
    """
    table, order, groups, times, plan = _read_again(path, encoding, key)
    starts, y, parts, _ = _cut(table, plan, order, groups, times)
    if not len(starts):
        raise DataError(f"{key}: {table.name} has no window with all of its targets")
    encoded = EncodedTable(table, order, np.zeros((len(order), 1), np.float32), encoding)
    used = [table.columns[column["name"]] for column in encoding["columns"] if "left_out" not in column]
    digest = digest_of(used, order, y, "regression", None, None)
    return Data(Windows(encoded, starts, plan.window, y), _spec(encoding), digest, y, **parts)


def forecasts(path: str, encoding: Mapping[str, Any], *, key: str) -> tuple[Windows, dict[str, list[str]]]:
    """Load the last window of each series, to forecast the steps after it.

    Args:
        path: the path of a table.
        encoding: the run's encoding.
        key: the argument, for messages.

    Returns:
        The windows, one for each series, sorted by name; and labels of the windows: the columns of the group and of the
        time of the last step.

    Raises:
        DataError: a series is shorter than the window.
    """
    table, order, groups, _, plan = _read_again(path, encoding, key)
    ends = np.append(np.flatnonzero(np.diff(groups)) + 1, len(groups))
    begins = np.append(0, ends[:-1])
    if (ends - begins).min() < plan.window:
        short = int(np.argmin(ends - begins))
        raise DataError(
            f"{key}: every series must have the {plan.window} rows of a window, got {(ends - begins)[short]} in "
            f"{series_name(table, plan, order[begins[short]])}"
        )
    encoded = EncodedTable(table, order, np.zeros((len(order), 1), np.float32), encoding)
    outputs = np.zeros((len(ends), len(encoding["names"])), np.float32)
    last = order[ends - 1]
    labels = {} if plan.group is None else {plan.group: [table.columns[plan.group].shown(row) for row in last]}
    labels[f"{plan.time} of the last step"] = [table.columns[plan.time].shown(row) for row in last]
    return Windows(encoded, ends - plan.window, plan.window, outputs), labels


def _read_again(path: str, encoding: Mapping[str, Any], key: str) -> tuple[Table, Any, Any, Any, SeriesPlan]:
    """Read another table sorted by series, and the run's settings."""
    settings = encoding["series"]
    table = read_table(table_files(path, key), ReadOptions.as_kept(encoding))
    for column in encoding["columns"]:
        if "left_out" not in column:
            table.column(column["name"], key)
    plan = SeriesPlan(target=tuple(encoding["target"]), **settings)
    return table, *in_order(table, plan), plan


def _spec(encoding: Mapping[str, Any]) -> DataSpec:
    rows, plan = encoded_spec(encoding), encoding["series"]
    return replace(
        rows,
        feature_shape=(plan["window"], *rows.feature_shape),
        feature_names=None,
        target_names=tuple(encoding["names"]),
    )


def _features(table: Table, plan: SeriesPlan) -> list[str]:
    plan.refuse_unknown(table)
    wanted = plan.columns or [name for name in table.columns if name not in (plan.time, plan.group)]
    features = [name for name in table.columns if name in wanted and name not in plan.drop]
    if not features:
        raise DataError("data.columns: leaves no feature columns")
    return features


def _cut(
    table: Table, plan: SeriesPlan, order: NDArray[np.intp], groups: NDArray[np.intp], times: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float32], dict[str, Any], tuple[int, int]]:
    """Cut series into the windows that have all of their targets.

    Returns:
        The first position of each window; its targets; the arguments of `Data` by which windows are split; and the
        number of series that are too short and of windows that lack a target.
    """
    wanted = _targets(table, plan, order)
    starts, short = starts_of(groups, plan)
    steps = starts[:, None] + plan.window + np.arange(plan.horizon)
    y = wanted[steps].reshape(len(starts), -1)
    whole = np.isfinite(y).all(axis=1)
    starts, steps = starts[whole], steps[whole]
    parts = {
        "times": np.stack([times[steps[:, 0]], times[steps[:, -1]]], axis=1),
        "groups": groups[starts] if plan.group is not None else None,
        "split_by": "time",
    }
    return starts, y[whole], parts, (short, int((~whole).sum()))


def _targets(table: Table, plan: SeriesPlan, order: NDArray[np.intp]) -> NDArray[np.float32]:
    wanted = []
    for name in plan.target:
        column = table.column(name, "data.target")
        if column.kind not in ("number", "boolean"):
            raise DataError(f"data.target: column {name!r} must hold numbers to forecast, got {column.kind}")
        wanted.append(np.asarray(column.values[order], dtype=np.float32))
    return np.stack(wanted, axis=1)


def _summary(groups: NDArray[np.intp], starts: NDArray[np.intp], left_out: tuple[int, int], plan: SeriesPlan) -> str:
    count, (short, empty) = len(np.unique(groups)), left_out
    line = f"{count} series, {len(starts)} windows of {plan.window} steps, {plan.horizon} ahead"
    line += f"; {short} series shorter than {plan.window + plan.horizon} rows left out" if short else ""
    return line + (f"; {empty} windows without all targets left out" if empty else "")
