"""`data=npz`: data from a NumPy archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kexp.data.source import Data

__all__ = ["npz"]


def npz(
    path: str,
    *,
    x: str = "x",
    y: str = "y",
    x_validation: str | None = None,
    y_validation: str | None = None,
    x_test: str | None = None,
    y_test: str | None = None,
    train_rows: str | None = None,
    validation_rows: str | None = None,
    test_rows: str | None = None,
    task: Literal["auto", "classification", "regression", "labels"] = "auto",
    classes: list[str] | None = None,
    image_shape: list[int] | None = None,
) -> Data:
    """Arrays of an .npz file. Arrays of Python objects are refused, because reading them could run code.

    Args:
        path: the file.
        x: name of the array of features, shape (rows, ...).
        y: name of the array of targets: whole numbers or text are classes, other numbers a regression.
        x_validation: name of the array of validation features; with `y_validation`.
        y_validation: name of the array of validation targets.
        x_test: name of the array of test features; with `y_test`.
        y_test: name of the array of test targets.
        train_rows: name of an array of row numbers of `x` to train on.
        validation_rows: name of an array of row numbers to validate on.
        test_rows: name of an array of row numbers to test on.
        task: classification, regression or labels; auto infers it from the targets' type.
        classes: class names by class index.
        image_shape: height, width and channels of the image that a row of flat features is.
    """
    from kexp.data.inference import arrays

    named = {
        "train": (x, y, train_rows),
        "validation": (x_validation, y_validation, validation_rows),
        "test": (x_test, y_test, test_rows),
    }
    with _open(path) as archive:
        features, targets, splits = _parts(archive, path, named)
    return arrays(
        features,
        targets,
        task=None if task == "auto" else task,
        classes=classes,
        image_shape=image_shape,
        splits=splits,
    )


def _parts(
    archive: Any, path: str, named: Mapping[str, tuple[str | None, str | None, str | None]]
) -> tuple[Any, Any, dict[str, Any] | None]:
    """Return features and targets of all parts, concatenated, and the rows of each part; None if no parts are given."""
    import numpy as np

    from kexp.data.source import consecutive
    from kexp.errors import DataError

    xs: list[Any] = []
    ys: list[Any] = []
    counts: dict[str, int] = {}
    rows: dict[str, Any] = {}
    for part, (x, y, part_rows) in named.items():
        if part_rows is not None:
            rows[part] = _read(archive, path, f"data.{part}_rows", part_rows)
        if x is None and y is None:
            continue
        suffix = "" if part == "train" else f"_{part}"
        if x is None or y is None:
            missing, other = ("x", "y") if x is None else ("y", "x")
            raise DataError(f"data.{missing}{suffix}: must be set, because data.{other}{suffix} is set")
        features = _read(archive, path, f"data.x{suffix}", x)
        targets = _read(archive, path, f"data.y{suffix}", y)
        if len(features) != len(targets):
            raise DataError(
                f"data.y{suffix}: must have as many rows as data.x{suffix}, got {len(targets)} and {len(features)}"
            )
        if xs and features.shape[1:] != xs[0].shape[1:]:
            raise DataError(
                f"data.x{suffix}: must have rows of shape {xs[0].shape[1:]} as data.x has, got {features.shape[1:]}"
            )
        counts[part] = len(features)
        xs.append(features)
        ys.append(targets)
    if rows and len(counts) > 1:
        raise DataError("data.train_rows: must not be given together with arrays of validation or test rows")
    features = xs[0] if len(xs) == 1 else np.concatenate(xs)
    features.flags.writeable = False
    return features, np.concatenate(ys), rows or (consecutive(counts) if len(counts) > 1 else None)


def _open(path: str) -> Any:
    import zipfile

    import numpy as np

    from kexp.data.files import existing
    from kexp.errors import DataError

    file = existing(path, "data.path")
    try:
        archive = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile):
        raise DataError(f"data.path: must be an .npz archive, but {file.name} is not") from None
    if not hasattr(archive, "files"):
        raise DataError(f"data.path: must be an .npz archive of named arrays, but {file.name} is a single array")
    return archive


def _read(archive: Any, path: str, key: str, name: str) -> Any:
    from pathlib import Path

    from kexp.errors import DataError, suggestion

    if name not in archive.files:
        raise DataError(f"{key}: there is no array {name!r} in {Path(path).name}{suggestion(name, archive.files)}")
    try:
        values = archive[name]
    except ValueError:
        raise DataError(f"{key}: array {name!r} has Python objects, which are not loaded for safety") from None
    if values.ndim == 0:
        raise DataError(f"{key}: array {name!r} must have rows, got a single value")
    return values
