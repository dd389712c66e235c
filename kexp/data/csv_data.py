"""A table as Data: which columns are features and of what kind, the targets, the digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kexp.data.csv_encoding import CsvEncoder, EncodedTable, encoded_spec
from kexp.data.csv_table import NUMBER, TEXT, CsvTable, known_column
from kexp.data.inference import index_targets
from kexp.data.source import CHUNK_ROWS, ContentHash, Data, DataSpec, GivenSplits, check_classes, check_splits
from kexp.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["read_csv_data", "read_encoded"]

MOST_INTEGER_CLASSES = 20


def read_csv_data(
    table: CsvTable,
    target: Sequence[str],
    *,
    task: str,
    columns: Sequence[str] | None,
    drop: Sequence[str] | None,
    categorical: Sequence[str] | None,
    classes: Sequence[str] | None,
    splits: GivenSplits | None,
    max_categories: int,
) -> Data:
    """Data over a table, its encoding still to be fitted; arguments as in `csv`.

    Raises:
        DataError: a column that is not there, no features, targets missing or of the wrong kind, numbers not finite.
    """
    if max_categories < 1:
        raise DataError(f"data.max_categories: must be a positive integer, got {max_categories!r}")
    if not target:
        raise DataError("data.target: must name at least one column")
    for name in target:
        known_column(name, table, "data.target")
    features = _features(table, target, columns, drop)
    for name in categorical or ():
        known_column(name, table, "data.categorical")
    kinds = _kinds(table, [*features, *target], categorical or ())
    y, names, outputs = _targets(table, target, kinds, task, classes)
    spec = DataSpec((len(features),), "regression" if names is None else "classification", names, outputs)
    check_classes(y, spec, "data.target")
    if splits is not None:
        splits = check_splits(splits, len(table), "data")
    feature_kinds = {name: kinds[name] for name in features}
    digest = _digest(table, feature_kinds, y, spec.task, splits)
    about = {"target": list(target), "delimiter": table.delimiter}
    encoder = CsvEncoder(table, y, spec, feature_kinds, max_categories, about)
    return Data(_Unfitted(len(table)), spec, digest, y, splits, encoder)


def read_encoded(table: CsvTable, encoding: Mapping[str, Any], key: str) -> Data:
    """Data over a table with an encoding that is already known; arguments as in `csv_encoded`."""
    for column in encoding["columns"]:
        known_column(column["name"], table, key)
    spec = encoded_spec(encoding)
    target = [name for name in encoding["target"] if name in table.columns]
    if target and len(target) < len(encoding["target"]):
        raise DataError(f"{key}: must hold all target columns or none, got {', '.join(target)} alone")
    if target:
        y = _known_targets(table, target, spec, key)
    elif spec.task == "classification":
        y = np.zeros(len(table), dtype=np.int64)
    else:
        y = np.zeros((len(table), spec.outputs), dtype=np.float32)
    source = EncodedTable(table, y, encoding)
    hashed = ContentHash()
    for rows in _chunks(len(table)):
        x, part = source.read(rows)
        if not np.isfinite(x).all():
            name = (spec.feature_names or ())[int(np.argmin(np.isfinite(x).all(axis=0)))]
            raise DataError(f"{key}: column {name!r} must be finite, got infinity")
        hashed.add("features", x)
        hashed.add("targets", part)
    return Data(source, spec, hashed.digest(spec.task, None), y)


class _Unfitted:
    """Stands for the source until `split` has fitted the encoding on the training rows."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def read(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        raise TypeError("the encoding of this data is fitted on its training rows: call kexp.data.split first")


def _chunks(n: int) -> Iterator[NDArray[np.intp]]:
    for start in range(0, n, CHUNK_ROWS):
        yield np.arange(start, min(start + CHUNK_ROWS, n), dtype=np.intp)


def _features(
    table: CsvTable, target: Sequence[str], columns: Sequence[str] | None, drop: Sequence[str] | None
) -> list[str]:
    for key, names in (("data.columns", columns), ("data.drop", drop)):
        for name in names or ():
            known_column(name, table, key)
    for name in columns or ():
        if name in target:
            raise DataError(f"data.columns: must not hold the target, got {name!r}")
    wanted = table.columns if columns is None else columns
    features = [name for name in table.columns if name in wanted and name not in target and name not in (drop or ())]
    if not features:
        raise DataError("data.columns: leaves no feature columns")
    return features


def _kinds(table: CsvTable, columns: Sequence[str], categorical: Sequence[str]) -> dict[str, str]:
    """Whether each column is numbers in every row, or text."""
    import pandas as pd

    kinds = dict.fromkeys(columns, NUMBER) | dict.fromkeys((n for n in categorical if n in columns), TEXT)
    for rows in _chunks(len(table)):
        open_ = [name for name, kind in kinds.items() if kind == NUMBER]
        if not open_:
            break
        frame = table.frame(rows, open_)
        for name in open_:
            values = frame[name]
            if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
                kinds[name] = TEXT
    return kinds


def _targets(
    table: CsvTable, target: Sequence[str], kinds: Mapping[str, str], task: str, classes: Sequence[str] | None
) -> tuple[NDArray[Any], tuple[str, ...] | None, int]:
    """Targets, class names and outputs as `index_targets` gives them."""
    texts = [name for name in target if kinds[name] == TEXT]
    if texts and (len(target) > 1 or task == "regression"):
        raise DataError(f"data.target: column {texts[0]!r} must hold numbers for a regression, got text")
    if texts:
        codes, names = _text_codes(table, texts[0])
        order = [str(name) for name in classes] if classes else sorted(names)
        unknown = sorted(set(names) - set(order))
        if unknown:
            raise DataError(f"data.classes: must name every class, but {unknown[0]!r} of {texts[0]!r} is not there")
        place = np.array([order.index(name) for name in names], dtype=np.int64)
        return place[codes], tuple(order), len(order)
    values = _numbers(table, target)
    if len(target) == 1:
        whole = bool((values == np.round(values)).all())
        if task == "auto":
            few = whole and len(np.unique(values)) <= MOST_INTEGER_CLASSES
            task = "classification" if few or classes else "regression"
        if task == "classification" and whole:
            y = values[:, 0].astype(np.int64)
            named = classes and set(map(str, np.unique(y))) <= set(map(str, classes))
            return index_targets(y.astype(str) if named else y, "classification", classes, "data")
    return index_targets(values, None if task == "auto" else task, classes, "data")  # type: ignore[arg-type]


def _known_targets(table: CsvTable, target: Sequence[str], spec: DataSpec, key: str) -> NDArray[Any]:
    """Targets of rows that come after training: the classes are those of the run."""
    if spec.task == "regression":
        return index_targets(_numbers(table, target, key), "regression", None, key)[0]
    names = spec.classes or ()
    if len(target) > 1:
        return index_targets(_numbers(table, target, key), "classification", names, key)[0]
    codes, found = _text_codes(table, target[0], key)
    place = {name: index for index, name in enumerate(names)}
    by_number = {_as_number(name): index for index, name in enumerate(names)}  # 1.0 in this file, 1 in the run's
    index = [place.get(name, by_number.get(_as_number(name), -1)) for name in found]
    if -1 in index:
        raise DataError(f"{key}: there is no class {found[index.index(-1)]!r} of {target[0]!r} in the run")
    return np.array(index, dtype=np.int64)[codes]


def _as_number(name: str) -> float | str:
    try:
        return float(name)
    except ValueError:
        return name


def _text_codes(table: CsvTable, column: str, key: str = "data.target") -> tuple[NDArray[np.int64], list[str]]:
    """A text column as indices into its distinct values, in the order they appear."""
    places: dict[str, int] = {}
    codes = []
    for rows in _chunks(len(table)):
        values = table.frame(rows, [column], {column: TEXT})[column]
        _refuse_missing(values, column, int(rows[0]), key)
        for name in values.unique():
            places.setdefault(str(name), len(places))
        codes.append(values.map(places).to_numpy(dtype=np.int64))
    return np.concatenate(codes), list(places)


def _numbers(table: CsvTable, columns: Sequence[str], key: str = "data.target") -> NDArray[np.float64]:
    """Number columns, shape (rows, columns)."""
    parts = []
    for rows in _chunks(len(table)):
        frame = table.frame(rows, columns, dict.fromkeys(columns, NUMBER))
        for name in columns:
            _refuse_missing(frame[name], name, int(rows[0]), key)
        parts.append(frame.to_numpy(dtype=np.float64))
    values = np.concatenate(parts)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).all(axis=1)))
        raise DataError(f"{key}: targets must be finite, got NaN or infinity in row {row + 1}")
    return values


def _refuse_missing(values: pd.Series[Any], column: str, first: int, key: str) -> None:
    missing = values.isna().to_numpy()
    if missing.any():
        row = first + int(np.argmax(missing)) + 1
        raise DataError(f"{key}: column {column!r} must have a value in every row, got none in row {row}")


def _digest(table: CsvTable, kinds: Mapping[str, str], y: NDArray[Any], task: str, splits: GivenSplits | None) -> str:
    """Digest of a table before encoding, so that it is the file's and not the split's.

    A table of numbers alone has the digest of the same numbers in any other form.
    """
    hashed = ContentHash()
    numbers = [name for name, kind in kinds.items() if kind == NUMBER]
    for rows in _chunks(len(table)):
        frame = table.frame(rows, list(kinds), kinds)
        if numbers:
            wide = frame[numbers].to_numpy(dtype=np.float64)
            with np.errstate(over="ignore"):  # what does not fit float32 becomes infinity, and is refused as such
                block = np.array(wide, dtype=np.float32, order="C")
            endless = np.isinf(block).any(axis=0)
            if endless.any():
                name, row = numbers[int(np.argmax(endless))], int(np.argmax(np.isinf(block).any(axis=1)))
                raise DataError(f"data.path: column {name!r} must be finite, got infinity in row {rows[0] + row + 1}")
            block[np.isnan(block)] = np.nan  # one NaN, whatever its bits were
            hashed.add("features", block)
        for name, kind in kinds.items():
            if kind == TEXT:
                hashed.add(f"column {name}", _text_bytes(frame[name]))
        hashed.add("targets", y[rows])
    return hashed.digest(task, splits)


def _text_bytes(values: pd.Series[Any]) -> NDArray[np.uint8]:
    """Text with its length before it, so that no two columns look alike; missing values as the length -1."""
    pieces = []
    for value in values.tolist():
        if isinstance(value, str):
            raw = value.encode()
            pieces.append(len(raw).to_bytes(4, "little") + raw)
        else:
            pieces.append(b"\xff\xff\xff\xff")
    return np.frombuffer(b"".join(pieces), dtype=np.uint8)
