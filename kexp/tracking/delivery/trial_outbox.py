"""The finished trials of a sweep on disk, until the store has them.

FOLDER/outbox/trials/RUN.jsonl    two lines: the store and the run; the whole run as one row
FOLDER/outbox/trials/RUN.refused  the same for a trial that the store refused, and a line with the reason

A file is written whole or not at all, and is deleted when the store has its trial.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kexp.errors import StoreError
from kexp.system.disk import needing
from kexp.system.whole_files import whole_file
from kexp.tracking.delivery.outbox import as_line
from kexp.tracking.record.run_record import RunRecord
from kexp.tracking.settings import StoreSettings, resolve_uri

__all__ = ["TrialOutbox"]


class TrialOutbox:
    """The records of one sweep that wait on disk.

    Args:
        folder: the sweep's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.sweep_folder = folder
        self.folder = folder / "outbox" / "trials"
        self._change = threading.Lock()  # one thread writes while another deletes the last file and the folder

    def keep(self, store: StoreSettings, records: Iterable[RunRecord]) -> None:
        """Writes the records that are not there yet.

        Raises:
            OSError: a record could not be written.
        """
        for record in records:
            if not self._file(record).exists():
                with self._change:
                    _write(self._file(record), _lines(store, record))

    def drop(self, records: Iterable[RunRecord]) -> None:
        """Deletes the files of records that the store has."""
        with self._change:
            for record in records:
                self._file(record).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others still wait
                self.folder.rmdir()

    def refuse(self, store: StoreSettings, record: RunRecord, reason: str) -> None:
        """Sets aside a record that the store refuses, so that it stops no other."""
        _write(self._file(record).with_suffix(".refused"), [*_lines(store, record), {"reason": reason}])
        self.drop([record])

    def waiting(self) -> list[tuple[StoreSettings, RunRecord]]:
        """Returns the records that wait, the oldest first, each with its store.

        Empty files are left out: the machine went down before their content was on the disk.

        Raises:
            StoreError: a file is damaged.
        """
        found = [_read(file) for file in self.folder.glob("*.jsonl") if file.stat().st_size]
        return sorted(found, key=lambda each: (each[1].end_ms, each[1].run_id))

    def _file(self, record: RunRecord) -> Path:
        return self.folder / f"{record.run_id}.jsonl"


def _lines(store: StoreSettings, record: RunRecord) -> list[dict[str, Any]]:
    store_fields = {
        "uri": resolve_uri(store),
        "experiment": store.experiment,
        "artifact_location": store.artifact_location,
    }
    return [{"run": {"store": store_fields, **record.about}}, record.row]


def _write(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    content = b"".join(map(as_line, lines))
    with needing(len(content)):
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            whole_file(file) as fresh,
            # Only the user may read it: the address of a store may contain a password.
            open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written,
        ):
            written.write(content)


def _read(file: Path) -> tuple[StoreSettings, RunRecord]:
    try:
        first, row, *_ = map(json.loads, file.read_bytes().splitlines())
        store = first["run"].pop("store")
        return StoreSettings(**store), RunRecord.from_row(first["run"], row)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file}: does not hold the record of a trial: {error}") from error
