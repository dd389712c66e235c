"""Trials that are over and that the store does not have yet: kept on disk until it does.

FOLDER/outbox/trials/RUN.jsonl    two lines: the store and the run, and all of the run as one row
FOLDER/outbox/trials/RUN.refused  the same for a trial that the store will never take, and a line with the reason

A file is written whole or not at all, and is deleted once the store has its trial.
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
        folder: the sweep's.
    """

    def __init__(self, folder: Path) -> None:
        self.sweep_folder = folder
        self.folder = folder / "outbox" / "trials"
        self._change = threading.Lock()  # one thread keeps while another drops, and the folder comes and goes

    def keep(self, store: StoreSettings, records: Iterable[RunRecord]) -> None:
        """Writes the records that are not there yet.

        Raises:
            OSError: the disk does not take them.
        """
        for record in records:
            if not self._file(record).exists():
                with self._change:
                    _write(self._file(record), _lines(store, record))

    def drop(self, records: Iterable[RunRecord]) -> None:
        """Deletes records that the store has."""
        with self._change:
            for record in records:
                self._file(record).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others still wait
                self.folder.rmdir()

    def refuse(self, store: StoreSettings, record: RunRecord, reason: str) -> None:
        """Keeps a record that the store will never take, so that it stops no other."""
        _write(self._file(record).with_suffix(".refused"), [*_lines(store, record), {"reason": reason}])
        self.drop([record])

    def waiting(self) -> list[tuple[StoreSettings, RunRecord]]:
        """What waits, the oldest first, each with the store that it is for.

        A file that is empty is of a machine that went down: it had its name, and its content was on its way.

        Raises:
            StoreError: a file is not one that `keep` has written.
        """
        found = [_read(file) for file in self.folder.glob("*.jsonl") if file.stat().st_size]
        return sorted(found, key=lambda each: (each[1].end_ms, each[1].run_id))

    def _file(self, record: RunRecord) -> Path:
        return self.folder / f"{record.run_id}.jsonl"


def _lines(store: StoreSettings, record: RunRecord) -> list[dict[str, Any]]:
    where = {"uri": resolve_uri(store), "experiment": store.experiment, "artifact_location": store.artifact_location}
    return [{"run": {"store": where, **record.about}}, record.row]


def _write(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    content = b"".join(map(as_line, lines))
    with needing(len(content)):
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            whole_file(file) as fresh,
            # The address of a store may carry a password.
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
