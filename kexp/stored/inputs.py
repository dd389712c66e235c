"""Reads the rows to predict with a stored model, from files of the kinds that the run's data has."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kexp.errors import DataError, UnknownNameError
from kexp.schema import Experiment
from kexp.stored.description import Description

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ENDINGS", "ending", "read_inputs"]

ENDINGS = (".npz", ".csv")
_KEY = "INPUT"


def ending(path: Path, key: str) -> str:
    """Returns the file name's ending, `.npz` or `.csv`.

    Raises:
        DataError: the name has another ending.
    """
    found = path.suffix.lower()
    if found not in ENDINGS:
        raise DataError(f"{key}: must end in {' or '.join(ENDINGS)}, got {path.name!r}")
    return found


def is_table(path: Path) -> bool:
    """Returns whether a file is a table, by its name."""
    from kexp.data.table.files.matching import ENDINGS as TABLES
    from kexp.data.table.files.matching import ending_of

    return ending_of(path.name) in TABLES


def read_inputs(
    path: Path,
    experiment: Experiment,
    run_data: Description,
    batch_size: int,
    array: str | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> tuple[Mapping[str, Sequence[str]], Iterator[NDArray[Any]]]:
    """Reads the rows of a file in batches.

    Args:
        path: an .npz archive; a table with a header line, whose target columns are ignored; or texts or images.
        experiment: the run's config.
        run_data: the description of the run's data.
        batch_size: rows of a batch.
        array: the name of the features in an .npz archive; derived unless given.
        notify: called with each notice on the rows, such as categories that the training rows did not have.

    Returns:
        Labels of the rows (column name -> values), and an iterator over batches of features: float32 arrays of shape
        (rows, *feature_shape), in the file's order. A file of series gives one row for each series, its last window.

    Raises:
        DataError: the file does not exist, its columns or arrays do not fit the model, or a value is not finite.
    """
    labels, read, count = _source(path, experiment, run_data, array, notify)
    if not count:
        raise DataError(f"{_KEY}: {path.name} has no rows")
    return labels, _batches(read, count, batch_size, path)


def _source(
    path: Path, experiment: Experiment, run_data: Description, array: str | None, notify: Callable[[str], None]
) -> tuple[Mapping[str, Sequence[str]], Callable[[NDArray[Any]], NDArray[Any]], int]:
    """Returns the labels of the rows, a function that reads the features of given rows, and the number of rows."""
    encoding = run_data.encoding or {}
    if path.suffix.lower() == ".npz":
        x = _npz(path, experiment, run_data, array)
        return {}, (lambda rows: x[rows]), len(x)
    if "series" in encoding:
        from kexp.data.sequences.series import forecasts

        windows, labels = forecasts(str(path), encoding, key=_KEY)
        return labels, (lambda rows: windows.read(rows)[0]), len(windows)
    if "text" in encoding:
        from kexp.data.sequences.text import texts_of
        from kexp.serving.texts import tokens

        texts, labels = texts_of(path, encoding, _KEY)
        vocabulary, length = encoding["text"]["vocabulary"], encoding["text"]["length"]
        return labels, (lambda rows: tokens([texts[row] for row in rows], vocabulary, length)), len(texts)
    if experiment.data.name == "image_folder":
        from kexp.data.sources.image_folder import image_files, images_like

        files = image_files(path, _KEY)
        images = images_like(files, run_data.feature_shape)
        names = [str(file.relative_to(path)) if path.is_dir() else file.name for file in files]
        return {"file": names}, (lambda rows: images.read(rows)[0]), len(files)
    if run_data.encoding is None and (path.is_dir() or not is_table(path)):
        raise DataError(f"{_KEY}: must be an .npz archive or a table for a run of data={experiment.data.name}")
    read, count = _table(path, run_data, notify)
    return {}, read, count


def _batches(read: Any, count: int, batch_size: int, path: Path) -> Iterator[NDArray[Any]]:
    for start in range(0, count, batch_size):
        rows = np.arange(start, min(start + batch_size, count), dtype=np.intp)
        batch = np.ascontiguousarray(read(rows), dtype=np.float32)
        finite = np.isfinite(batch).reshape(len(batch), -1).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite)) + 1
            raise DataError(f"{_KEY}: features must be finite, got NaN or infinity in row {row} of {path.name}")
        yield batch


def _table(path: Path, run_data: Description, notify: Callable[[str], None]) -> tuple[Any, int]:
    if run_data.encoding is not None:
        from kexp.data import table_encoded
        from kexp.data.table.encoding.summary import unseen_notices

        data = table_encoded(str(path), {**run_data.encoding, "target": [], "weight": None}, key=_KEY)
        for note in unseen_notices(data.source.unseen()):  # type: ignore[attr-defined]
            notify(note)
        return (lambda rows: data.source.read(rows)[0]), len(data)
    x = _plain_csv(path, run_data)
    return (lambda rows: x[rows]), len(x)


def _plain_csv(path: Path, run_data: Description) -> NDArray[Any]:
    """Reads a table of numbers for a run whose data was not a table, by feature names or else by column order."""
    import pandas as pd

    from kexp.data.files import existing

    file = existing(str(path), _KEY)
    try:
        header: Literal["infer"] | None = None if _all_numbers(file) else "infer"
        frame = pd.read_csv(file, header=header)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{_KEY}: {path.name} cannot be read as CSV: {error}") from None
    names, wanted = [str(name) for name in frame.columns], run_data.feature_names
    if header is not None and wanted is not None and set(wanted) & set(names):
        for name in wanted:
            if name not in names:
                raise UnknownNameError(_KEY, f"column of {path.name}", name, names)
        frame = frame[list(wanted)]
    count = math.prod(run_data.feature_shape)
    if frame.shape[1] != count:
        raise DataError(f"{_KEY}: {path.name} must have {count} columns as the run's features, got {frame.shape[1]}")
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise DataError(f"{_KEY}: column {str(name)!r} of {path.name} must hold numbers")
    return frame.to_numpy(dtype=np.float32).reshape(len(frame), *run_data.feature_shape)


def _all_numbers(file: Path) -> bool:
    with file.open(encoding="utf-8-sig") as lines:
        first = lines.readline()
    try:
        [float(cell) for cell in first.strip().split(",")]
    except ValueError:
        return False
    return True


def _npz(path: Path, experiment: Experiment, run_data: Description, array: str | None) -> NDArray[Any]:
    """Reads the rows of an .npz archive.

    Raises:
        DataError: the file is no archive, or its rows do not fit the model.
        UnknownNameError: the archive has no array of that name.
    """
    from kexp.data.files import existing

    file = existing(str(path), _KEY)
    try:
        archive = np.load(file, allow_pickle=False)
        names = list(archive.files)
    except (ValueError, EOFError, OSError, AttributeError, zipfile.BadZipFile):
        raise DataError(f"{_KEY}: must be an .npz archive, but {path.name} is not") from None
    own = experiment.data.parameters.get("x") if experiment.data.name == "npz" else None
    name = array or next((each for each in (own, "x", *(names if len(names) == 1 else ())) if each in names), None)
    if name is None or name not in names:
        raise UnknownNameError("--array", f"array in {path.name}", name or own or "x", names)
    try:
        x = archive[name]
    except ValueError:
        raise DataError(f"{_KEY}: array {name!r} has Python objects, which are not loaded for safety") from None
    if x.dtype.kind not in "fiub":
        raise DataError(f"{_KEY}: array {name!r} must hold numbers, got {x.dtype.name}")
    if x.shape[1:] != run_data.feature_shape:
        raise DataError(
            f"{_KEY}: array {name!r} must have rows of shape {run_data.feature_shape} as the run's data has, "
            f"got {x.shape[1:]}"
        )
    return np.asarray(x)
