"""Find the files of a table, and the format of each from its name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kexp.data.files import matching
from kexp.errors import DataError

__all__ = ["ENDINGS", "Form", "TableFile", "ending_of", "form_of", "table_files"]

Form = Literal["csv", "parquet", "feather", "json"]

ENDINGS: dict[str, Form] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".dat": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")
ADDRESSES = ("s3://", "http://", "https://", "gs://", "hf://", "az://")


@dataclass(frozen=True)
class TableFile:
    """A file of a table.

    Attributes:
        path: a path or a URL.
        key: the config key that names it.
        form: its format.
        called: its name in messages, if that is not the name of the path.
    """

    path: str
    key: str
    form: Form
    called: str = ""

    @property
    def name(self) -> str:
        """The file's name in messages."""
        return self.called or self.path.rpartition("/")[2] or self.path

    @property
    def is_remote(self) -> bool:
        """Whether the path is a URL."""
        return self.path.startswith(ADDRESSES)


def table_files(path: str, key: str) -> list[TableFile]:
    """Return the files of a path, a pattern, a folder or a URL.

    Raises:
        DataError: no file exists, or the folder has no table.
    """
    if path.startswith(ADDRESSES):
        return [TableFile(path, key, form_of(path))]
    folder = Path(path).expanduser()
    if folder.is_dir():
        found = _tables_among(folder.iterdir()) or _tables_among(folder.rglob("*/*"))  # as partitions are written
        if not found:
            raise DataError(f"{key}: the folder {path!r} holds no table (.csv, .tsv, .parquet, .feather or .jsonl)")
    else:
        found = matching(path, key)
    return [TableFile(os.fspath(file), key, form_of(file.name)) for file in found]


def _tables_among(files: Iterable[Path]) -> list[Path]:
    return sorted(file for file in files if file.is_file() and ending_of(file.name) in ENDINGS)


def form_of(name: str) -> Form:
    """Return the format of a file from its name; an unknown ending means delimited text."""
    return ENDINGS.get(ending_of(name), "csv")


def ending_of(name: str) -> str:
    """Return the ending of a file's name, without the ending of its compression."""
    stem = name.lower().partition("?")[0]
    for packed in PACKED:
        stem = stem.removesuffix(packed)
    return Path(stem).suffix
