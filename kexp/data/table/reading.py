"""Read files into columns with DuckDB, and cache the columns under a digest of the files' content.

DuckDB detects delimiter, quotes and types. One further query detects the kinds of text columns.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.data.table.appending import Rows
from kexp.data.table.files.addresses import fetched
from kexp.data.table.files.csv_form import TRIED, ReadCsv, read_csv
from kexp.data.table.files.frames import readable
from kexp.data.table.files.local import plain
from kexp.data.table.files.matching import TableFile
from kexp.data.table.files.nested import flat
from kexp.data.table.kinds.kinds import Found, find_kinds
from kexp.data.table.options import ReadOptions
from kexp.data.table.sql import outside, sentence, text, types_of
from kexp.data.table.stored import BLOCKS, HEAD, Column, Head, Table, write_head
from kexp.errors import DataError
from kexp.system.cache_limit import make_room
from kexp.system.disk import disk_full_error, needing
from kexp.system.folders import cache_folder

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

__all__ = ["read_frame", "read_query", "read_table"]

VERSION = 12
ROWS_AT_ONCE = 1 << 19
_MOST_NAMED = 4  # words in a notice


def read_table(files: Sequence[TableFile], how: ReadOptions) -> Table:
    """Read files with the same columns into one table.

    Raises:
        DataError: a file cannot be read, has no rows, has a column twice, or has a row with another number of fields.
    """
    name = files[0].name
    files = [fetched(each) if each.is_remote else each for each in files]
    folder = cache_folder() / "tables" / _key(files, how)
    if not (folder / HEAD).is_file():
        with _room(folder) as made, _connected() as connection:
            _write(connection, made, _load_files(connection, files, how), how)
    (folder / HEAD).touch()  # the time of last use: the least recently used folders are removed first
    return Table(folder, name)


def read_query(query: str, how: ReadOptions) -> Table:
    """Read the result of an SQL query, which may name files.

    Raises:
        DataError: the query fails, or returns no rows.
    """

    def load(connection: duckdb.DuckDBPyConnection) -> Head:
        import duckdb

        try:
            connection.execute(f"create table rows as {query.rstrip().rstrip(';')}")
        except duckdb.Error as error:
            raise DataError(f"data.query: {sentence(error)}") from None
        return Head([_count(connection, "data.query", "the query")], flat(connection))

    return _temporary("the query", load, how)


def read_frame(frame: pd.DataFrame, how: ReadOptions) -> Table:
    """Convert a pandas data frame to a table."""

    def load(connection: duckdb.DuckDBPyConnection) -> Head:
        connection.register("frame", readable(frame))
        connection.execute("create table rows as select * from frame")
        return Head([len(frame)], flat(connection))

    return _temporary("the data frame", load, how)


def _temporary(name: str, load: Any, how: ReadOptions) -> Table:
    """Create a table in a temporary folder, which is removed with the table."""
    folder = Path(tempfile.mkdtemp(prefix="kexp-table-"))
    try:
        with _connected() as connection:
            _write(connection, folder, load(connection), how)
        table = Table(folder, name)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(table, shutil.rmtree, folder, True)
    return table


def _load_files(connection: duckdb.DuckDBPyConnection, files: Sequence[TableFile], how: ReadOptions) -> Head:
    """Load all rows into the table `rows`, and return the number of rows of each file."""
    import duckdb

    counts: list[int] = []
    notes: list[str] = []
    header, known, rows = None, set[str](), Rows(connection, how, len(files) > 1)
    with tempfile.TemporaryDirectory(prefix="kexp-plain-") as folder:
        for file in files:
            try:
                query, read = _query(connection, file, how, Path(folder))
                if read:
                    header = read.has_header
                    notes += read.notes
                columns = set(types_of(connection, f"({query})"))
                if known and columns != known:
                    other = outside(sorted(columns ^ known)[0])
                    raise DataError(
                        f"{file.key}: {file.name} must have the columns of {files[0].name}, not so {other!r}"
                    )
                known = columns
                before = sum(counts)
                rows.append(query)
            except duckdb.Error as error:
                raise DataError(f"{file.key}: {file.name} cannot be read: {sentence(error)}") from None
            counts.append(_count(connection, file.key, file.name, before))
    return Head(counts, [*dict.fromkeys(notes), *flat(connection)], header)


def _query(
    connection: duckdb.DuckDBPyConnection, given: TableFile, how: ReadOptions, folder: Path
) -> tuple[str, ReadCsv | None]:
    """Return a query that gives a file's rows, and how a CSV file was read."""
    file = plain(given, folder)
    if file.form == "csv":
        return TRIED, read_csv(connection, file, how, folder)
    if file.form == "feather":
        import pyarrow as pa
        from pyarrow import feather

        try:
            connection.register("feather", feather.read_table(file.path))
        except (pa.ArrowInvalid, OSError):
            raise DataError(f"{file.key}: {file.name} is no Feather file") from None
        return "select * from feather", None
    reader = "read_parquet" if file.form == "parquet" else "read_json"
    query = f"select * from {reader}({text(file.path)})"
    if file.form == "json":
        _check_rows(connection, file, query)
    return query, None


def _check_rows(connection: duckdb.DuckDBPyConnection, file: TableFile, query: str) -> None:
    """Refuse JSON that is a single object around all rows or columns."""
    rows = connection.execute(f"select 1 from ({query}) limit 2").fetchall()
    kinds = types_of(connection, f"({query})").values()
    if len(rows) == 1 and any(kind.startswith(("STRUCT", "MAP", "JSON")) or kind.endswith("]") for kind in kinds):
        raise DataError(
            f"{file.key}: {file.name} must hold a list of objects, or an object a line, for each row one, got a single "
            "object; pandas writes that by to_json(orient='records')"
        )


def _count(connection: duckdb.DuckDBPyConnection, key: str, name: str, before: int = 0) -> int:
    ((found,),) = connection.execute("select count(*) from rows").fetchall()
    if found == before:
        raise DataError(f"{key}: {name} has no rows")
    return int(found) - before


def _write(connection: duckdb.DuckDBPyConnection, folder: Path, loaded: Head, how: ReadOptions) -> None:
    """Write the table `rows` as columns into a folder."""
    found = find_kinds(connection, how)
    count, places = sum(loaded.files), dict.fromkeys(BLOCKS, 0)
    columns, words = [], []
    for each in found:
        block = "codes" if each.kind == "text" else "numbers"
        columns.append(Column(each.name, each.kind, folder, places[block], each.format))
        words.append(_write_words(connection, each, columns[-1].words_file) if each.kind == "text" else None)
        places[block] += 1
    # One file for all columns of a type: creating and opening thousands of files would take seconds.
    blocks = {
        name: _new_array(folder / f"{name}.npy", dtype, (places[name], count))
        for name, dtype in BLOCKS.items()
        if places[name]
    }
    targets = [blocks[column.block][column.place] for column in columns]
    chosen = ", ".join(f"{each.expression} as c{index}" for index, each in enumerate(found))
    reader = connection.sql(f"select {chosen} from rows").to_arrow_reader(ROWS_AT_ONCE)
    first = 0
    for batch in reader:
        for array, target, known in zip(batch.columns, targets, words, strict=True):
            target[first : first + len(array)] = _numbers(array, known)
        first += batch.num_rows
    missing = {each.name: each.missing for each in found if each.missing}
    if missing and how.missing is None:
        listed = ", ".join(f"{_few(words)} in {name}" for name, words in missing.items())
        loaded.notes.append(f"taken for missing: {listed} (data.na_values says otherwise)")
    write_head(folder, replace(loaded, missing=missing), columns)


def _few(words: Sequence[str]) -> str:
    """Return a list of words for a notice, which names three of many."""
    return " and ".join(words) if len(words) <= _MOST_NAMED else f"{', '.join(words[:3])} and {len(words) - 3} more"


def _new_array(file: Path, dtype: Any, shape: tuple[int, int]) -> Any:
    """Create an array in a file and reserve its disk space.

    On a full disk, a write to a mapped file without reserved space ends the process by SIGBUS.

    Raises:
        DiskFullError: it does not fit.
    """
    import numpy as np

    array = np.lib.format.open_memmap(file, "w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with open(file, "r+b") as opened:
            size = file.stat().st_size
            try:
                with needing(size):
                    os.posix_fallocate(opened.fileno(), 0, size)
            except OSError as error:
                raise disk_full_error(error, file=file) from error
    return array


def _numbers(array: Any, words: Any) -> Any:
    """Return a column's values as they are stored."""
    import pyarrow.compute as pc

    if words is not None:
        return pc.fill_null(pc.index_in(array, words), -1).to_numpy(zero_copy_only=False)
    return array.to_numpy(zero_copy_only=False)


def _write_words(connection: duckdb.DuckDBPyConnection, found: Found, file: Path) -> Any:
    import pyarrow as pa

    query = f"select distinct w from (select {found.expression} as w from rows) where w is not null order by w"
    table = connection.sql(query).to_arrow_table()
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    words = table.column(0).combine_chunks()
    return words.chunk(0) if isinstance(words, pa.ChunkedArray) else words


@contextlib.contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a new connection, which keeps the order of rows and writes to a temporary folder if memory is full."""
    import duckdb

    with (
        tempfile.TemporaryDirectory(prefix="kexp-duckdb-") as folder,
        duckdb.connect(config={"temp_directory": folder, "preserve_insertion_order": True}) as connection,
    ):
        connection.execute("set enable_progress_bar = false")
        yield connection


@contextlib.contextmanager
def _room(folder: Path) -> Iterator[Path]:
    """Yield a new folder, which is renamed to `folder` after the block, unless another process was faster."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        yield made
        make_room(folder.parent, HEAD)
        with contextlib.suppress(OSError):
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _key(files: Sequence[TableFile], how: ReadOptions) -> str:
    import duckdb

    told = {**asdict(how), "kinds": dict(how.kinds or {}), "formats": dict(how.formats or {}), "missing": None}
    told["missing"] = None if how.missing is None else dict(how.missing)
    whole = hashlib.sha256(json.dumps([VERSION, duckdb.__version__, told], sort_keys=True).encode())
    for file in files:
        with open(file.path, "rb") as content:
            whole.update(f"|{file.form}:{hashlib.file_digest(content, 'sha256').hexdigest()}".encode())
    return whole.hexdigest()
