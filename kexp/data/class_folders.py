"""Data as files in one folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kexp.errors import DataError

__all__ = ["class_files"]


def class_files(path: str, endings: Sequence[str], key: str) -> tuple[list[Path], list[str]]:
    """List the files of a folder that has one folder for each class.

    Args:
        path: the folder.
        endings: the endings of file names to include.
        key: the config key, for messages.

    Returns:
        The files, and the class name of each, sorted by name.

    Raises:
        DataError: the path is not a folder, has fewer than two classes, or a class has no such file.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{key}: must be a folder with a folder for each class, got {path!r}")
    folders = sorted(each for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
    if len(folders) < 2:
        names = ", ".join(each.name for each in folders) or "none"
        raise DataError(f"{key}: must hold a folder for each of two classes at least, got {names} in {path!r}")
    files, classes = [], []
    for folder in folders:
        found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in endings)
        if not found:
            raise DataError(f"{key}: the folder of class {folder.name!r} holds no file ({', '.join(endings)})")
        files += found
        classes += [folder.name] * len(found)
    return files, classes
