"""The rows of a run on disk, before the store has them.

FOLDER/outbox/rows.jsonl     one row a line; the first line names the store and the run
FOLDER/outbox/cursor.json    how many bytes of it are delivered, and the ids of the models that the store created
FOLDER/outbox/refused.jsonl  rows that the store refused, each with the reason
FOLDER/outbox/trials/        finished trials of a sweep, see `trial_outbox`
FOLDER/outbox/lock           locked by the process that writes here, or that delivers in its place
FOLDER/outbox/files/         the arrays that figures are drawn from, and copies of files that are outside of FOLDER
FOLDER/outbox/models/        models that are not delivered yet
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from kexp.errors import StoreError, first_line
from kexp.system.disk import needing
from kexp.system.whole_files import whole_file
from kexp.tracking.record.rows import Row
from kexp.tracking.settings import command_line

__all__ = ["Cursor", "Header", "Outbox", "Row", "as_line"]


@dataclass(frozen=True)
class Header:
    """The first line, which names the run. An empty `artifact_uri` is not known, and is read from the store."""

    uri: str
    run_id: str
    experiment_id: str
    name: str
    artifact_uri: str = ""


@dataclass
class Cursor:
    """What is delivered: the rows up to byte `delivered`, and model name in the outbox -> MLflow's id of it."""

    delivered: int = 0
    models: dict[str, str] = field(default_factory=dict)


class Outbox:
    """The rows of one run, on disk.

    One process appends rows, from any of its threads. One process, the same or another, delivers them.
    """

    def __init__(self, folder: Path) -> None:
        self.run_folder = folder
        self.folder = folder / "outbox"
        self.files = self.folder / "files"
        self._rows = self.folder / "rows.jsonl"
        self._cursor = self.folder / "cursor.json"
        self._writing: FileIO | None = None
        self._lock = threading.Lock()

    def exists(self) -> bool:
        """Returns whether the outbox was ever opened."""
        return self._rows.is_file()

    def make_folder(self) -> None:
        """Creates the outbox's folder.

        Raises:
            StoreError: it cannot be created.
        """
        try:
            self.files.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._write_error(error) from error

    def open(self, header: Header, again: bool = False) -> None:
        """Starts the outbox, or continues that of the same run.

        Args:
            header: the run.
            again: whether everything is logged again, so that rows of the same run that still wait are dropped.

        Raises:
            StoreError: the folder cannot be written, or holds another run's rows that still wait.
        """
        self.make_folder()
        try:
            content = self._rows.read_bytes() if self.exists() else b""
            keep = content.rfind(b"\n") + 1  # a crash may have cut the last line short
            if keep and (before := self.header().run_id) != header.run_id:
                if self.waiting():
                    sync = command_line("sync", str(self.run_folder))
                    raise StoreError(f"{self.run_folder}: rows of run {before} wait here; first: {sync}")
                self._cursor.unlink(missing_ok=True)
                keep = 0
            elif keep and again:
                keep = max(self.cursor().delivered, content.index(b"\n") + 1)
            # Only the user may read it: the URI may contain a password.
            descriptor = os.open(self._rows, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self._writing = os.fdopen(descriptor, "ab", buffering=0)
            self._writing.truncate(keep)
            if not keep:
                self.append({"run": asdict(header)})
        except OSError as error:
            self.close()
            raise self._write_error(error) from error

    def append(self, row: Row) -> None:
        """Adds a row. It survives the process, and after `flush` a power cut.

        Raises:
            OSError: the row could not be written; no part of it is on the disk.
        """
        line = memoryview(as_line(row))
        with self._lock:
            if self._writing is None:
                raise StoreError(f"{self.run_folder}: the run has ended; nothing more can be logged to it")
            end = self._writing.seek(0, os.SEEK_END)
            try:
                with needing(len(line)):
                    while line:
                        line = line[self._writing.write(line) :]
            except OSError as error:
                self._writing.truncate(end)
                error.filename = str(self._rows)
                raise

    def flush(self) -> None:
        """Flushes the rows to the disk."""
        with open(self._rows, "rb") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        """Ends writing."""
        with self._lock:
            if self._writing is not None:
                self._writing.close()
                self._writing = None

    def header(self) -> Header:
        """Returns the store and run of these rows.

        Raises:
            StoreError: the first line is damaged.
        """
        with open(self._rows, "rb") as file:
            first = file.readline()
        try:
            return Header(**json.loads(first)["run"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._rows}: the first line does not name a run") from error

    def rows(self, start: int = 0) -> Iterator[tuple[int, Row]]:
        """Yields the rows from byte `start` on, each with the offset of its end, without a line that was cut off."""
        with open(self._rows, "rb") as file:
            file.seek(start)
            offset = start
            for line in file:
                offset += len(line)
                if not line.endswith(b"\n"):
                    return
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if "run" not in row:
                    yield offset, row

    def waiting(self) -> int:
        """Returns how many rows are not delivered."""
        return sum(1 for _ in self.rows(self.cursor().delivered))

    def cursor(self) -> Cursor:
        """Returns what is delivered. If the file is damaged, all rows are sent again, which does no harm."""
        try:
            return Cursor(**json.loads(self._cursor.read_text()))
        except (OSError, ValueError, TypeError):
            return Cursor()

    def advance(self, cursor: Cursor) -> None:
        """Writes down what is delivered."""
        with whole_file(self._cursor) as fresh:
            fresh.write_text(json.dumps(asdict(cursor)))

    def refuse(self, row: Row, reason: str) -> None:
        """Sets aside a row that the store refuses, so that it stops no other."""
        with open(self.folder / "refused.jsonl", "a") as file:
            file.write(json.dumps({"reason": reason, "row": row}) + "\n")

    def _write_error(self, error: OSError) -> StoreError:
        return StoreError(f"{self.run_folder}: cannot keep the run's rows here: {error.strerror or first_line(error)}")


def as_line(content: Mapping[str, Any]) -> bytes:
    """Returns the line of a row in a file of the outbox."""
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
