"""Which files make a table, and what each is by its name."""

from __future__ import annotations

import os
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
    """One file.

    Attributes:
        path: a path, or an address.
        key: the config key that names it.
        form: what it is.
        called: what messages call it, where that is not the path's name.
    """

    path: str
    key: str
    form: Form
    called: str = ""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return self.called or self.path.rpartition("/")[2] or self.path

    @property
    def is_remote(self) -> bool:
        """Whether it is an address."""
        return self.path.startswith(ADDRESSES)


def table_files(path: str, key: str) -> list[TableFile]:
    """A file, all that a pattern matches, all tables of a folder, or what an address names.

    Raises:
        DataError: there is no such file, the folder holds no table.
    """
    if path.startswith(ADDRESSES):
        return [TableFile(path, key, form_of(path))]
    folder = Path(path).expanduser()
    if folder.is_dir():
        found = sorted(file for file in folder.iterdir() if file.is_file() and ending_of(file.name) in ENDINGS)
        if not found:
            raise DataError(f"{key}: the folder {path!r} holds no table (.csv, .tsv, .parquet, .feather or .jsonl)")
    else:
        found = matching(path, key)
    return [TableFile(os.fspath(file), key, form_of(file.name)) for file in found]


def form_of(name: str) -> Form:
    """What a file is by its name; a file of unknown name is taken for text with delimiters."""
    return ENDINGS.get(ending_of(name), "csv")


def ending_of(name: str) -> str:
    """The ending of a file's name, that of its packing left out."""
    stem = name.lower().partition("?")[0]
    for packed in PACKED:
        stem = stem.removesuffix(packed)
    return Path(stem).suffix
