"""Get a plain local file from any file of a table: download it, decompress it, and detect its format."""

from __future__ import annotations

import re
import shutil
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kexp.data.table.files.matching import ENDINGS, Form, TableFile, ending_of, form_of
from kexp.errors import DataError

__all__ = ["plain"]

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd"}
_FORMS: dict[bytes, Form] = {b"PAR1": "parquet", b"ARROW1": "feather", b"FEA1": "feather"}
_READ = "CSV, TSV, Parquet, Feather and JSON are read"
_EXCEL = f"an Excel file: {_READ}, and Excel saves a sheet as CSV"
_OTHERS = {
    b"\xd0\xcf\x11\xe0": _EXCEL,
    b"SQLite format 3": f"a SQLite database: {_READ}",
    b"\x89HDF": f"an HDF5 file: {_READ}",
    b"\x93NUMPY": "a NumPy array: data=npz reads .npz files",
    b"<!doctype": f"a web page, not a table: {_READ}",
    b"<table": f"a web page, not a table: {_READ}",
    b"<html": f"a web page, not a table: {_READ}",
    b"<?xml": f"XML: {_READ}",
    b"%pdf": f"a PDF: {_READ}",
    b"@relation": f"an ARFF file: {_READ}",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"rar!": "a RAR archive: unpack it first",
    b"rdx": f"an R data file: {_READ}",
    b"$fl2": f"an SPSS file: {_READ}",
    b"version https://git-lfs": "a pointer of Git LFS: git lfs pull fetches the file",
}
_LIBSVM = re.compile(rb"[-+]?\d[\d.]* \d+:[-+\d.e]+ \d+:")
_ENDINGS = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods"), _EXCEL),
    **dict.fromkeys(
        (".dta", ".sav", ".sas7bdat", ".rds", ".rdata", ".pkl", ".orc", ".avro"), f"no table of text: {_READ}"
    ),
}


def plain(file: TableFile, folder: Path) -> TableFile:
    """Return the file, or the file that it contains, as a plain file.

    Args:
        file: a local file.
        folder: the folder for decompressed files.

    Raises:
        DataError: an archive has several tables or none, or the file is not a table.
    """
    start = _start(file.path)
    said = _ENDINGS.get(ending_of(file.name))
    if said is None and start.startswith(b"PK\x03\x04"):
        return plain(_unzipped(file, folder), folder)
    packing = next((name for magic, name in _PACKED.items() if start.startswith(magic)), None)
    if packing or file.path.lower().endswith(".xz"):
        return plain(_unpacked(file, folder, packing), folder)
    said = next((words for magic, words in _OTHERS.items() if start.lower().startswith(magic)), said)
    if _LIBSVM.match(start):
        said = f"a LIBSVM file: {_READ}, and sklearn.datasets.load_svmlight_file in a function of yours reads it"
    if said:
        raise DataError(f"{file.key}: {file.name} is {said}")
    known = next((form for magic, form in _FORMS.items() if start.startswith(magic)), None)
    if known is None and ending_of(file.name) not in ENDINGS and start[:1] in (b"{", b"["):
        known = "json"
    return replace(file, form=known or file.form)


def _start(path: str) -> bytes:
    with open(path, "rb") as content:
        return content.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")


def _unpacked(file: TableFile, folder: Path, packing: str | None) -> TableFile:
    import lzma

    import pyarrow as pa

    target = folder / f"unpacked-{Path(file.name).stem}"
    try:
        unpack: Any = lzma.open if packing is None else partial(pa.input_stream, compression=packing)
        with unpack(file.path) as packed, open(target, "wb") as out:
            shutil.copyfileobj(packed, out, 1 << 20)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{file.key}: {file.name} cannot be unpacked: {error}") from None
    return replace(file, path=str(target), called=file.name)


def _unzipped(file: TableFile, folder: Path) -> TableFile:
    try:
        with zipfile.ZipFile(file.path) as archive:
            names = [each for each in archive.namelist() if not each.endswith("/") and not each.startswith("__MACOSX")]
            if any(each.startswith("xl/") for each in names) or "mimetype" in names:
                raise DataError(f"{file.key}: {file.name} is {_EXCEL}")
            tables = [each for each in names if ending_of(each) in ENDINGS and not Path(each).name.startswith(".")]
            if len(tables) != 1:
                found = f"{len(tables)}: {', '.join(tables[:4])}" if tables else "none"
                raise DataError(f"{file.key}: {file.name} must hold one table, got {found}; unpack it and name a file")
            target = folder / f"unpacked-{Path(tables[0]).name}"
            with archive.open(tables[0]) as packed, open(target, "wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"{file.key}: {file.name} cannot be unpacked: {error}") from None
    return replace(file, path=str(target), form=form_of(tables[0]), called=file.name)
