"""Data as files in one folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["class_files"]

_Found = tuple[list[Path], list[str], "dict[str, NDArray[np.intp]] | None"]

PARTS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}


def class_files(path: str, endings: Sequence[str], key: str) -> _Found:
    """List the files of a folder that has one folder for each class, or folders train and test that have those.

    Args:
        path: the folder.
        endings: the endings of file names to include.
        key: the config key, for messages.

    Returns:
        The files, and the class name of each, sorted by part and name; and the positions of each given part, if the
        folder has a folder `train`.

    Raises:
        DataError: the path is not a folder, has fewer than two classes, or a class has no such file.
    """
    from kexp.data.source import consecutive

    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{key}: must be a folder with a folder for each class, got {path!r}")
    files: list[Path] = []
    classes: list[str] = []
    counts: dict[str, int] = {}
    for part, folder in _parts(root, key).items():
        found, names = _of_classes(folder, endings, key)
        counts[part] = len(found)
        files += found
        classes += names
    return files, classes, consecutive(counts) if len(counts) > 1 else None


def _parts(root: Path, key: str) -> dict[str, Path]:
    """Return part -> folder; the whole folder as `train` if it has no folders of parts."""
    folders = [each for each in root.iterdir() if each.is_dir()]
    given = {PARTS[each.name.lower()]: each for each in folders if each.name.lower() in PARTS}
    if "train" not in given:
        return {"train": root}
    others = sorted(each.name for each in folders if each.name.lower() not in PARTS and not each.name.startswith("."))
    if others:
        raise DataError(f"{key}: must hold folders of parts or of classes, got both: train and {others[0]}")
    return {part: given[part] for part in ("train", "validation", "test") if part in given}


def _of_classes(root: Path, endings: Sequence[str], key: str) -> tuple[list[Path], list[str]]:
    folders = sorted(each for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
    if len(folders) < 2:
        names = ", ".join(each.name for each in folders) or "none"
        raise DataError(f"{key}: must hold a folder for each of two classes at least, got {names} in {str(root)!r}")
    files, classes = [], []
    for folder in folders:
        found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in endings)
        if not found:
            raise DataError(f"{key}: the folder of class {folder.name!r} holds no file ({', '.join(endings)})")
        files += found
        classes += [folder.name] * len(found)
    return files, classes
