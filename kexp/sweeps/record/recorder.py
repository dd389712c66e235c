"""Writes finished trials to the store in batches, each exactly once, and then the saved models.

A trial's record is on disk until the store has it. If the sweep is killed or the store cannot be reached, the next
`kexp resume` or `kexp sync` delivers the rest.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from kexp.errors import StoreError, in_a_line
from kexp.system.disk import disk_full_error, is_disk_full
from kexp.system.wording import counted, plural
from kexp.tracking import RunRecord, StoreSettings, resolve_uri
from kexp.tracking.delivery.delivery_thread import DeliveryThread
from kexp.tracking.delivery.finished_runs import deliver_records
from kexp.tracking.delivery.progress import refused_notice, wait_for, waiting_notice
from kexp.tracking.delivery.run_sender import preload_modules
from kexp.tracking.delivery.sync import deliver, deliver_trials
from kexp.tracking.delivery.trial_outbox import TrialOutbox
from kexp.tracking.reading.stale import delete_runs, unfinished_runs
from kexp.tracking.settings import is_remote
from kexp.tracking.store.concurrent import MAX_CONNECTIONS, run_concurrently

__all__ = ["Recorder"]

_BATCH_SIZE = 100  # records in one batch for a database; a server gets two for each connection
_PATIENCE_S = 60.0  # the longest wait for a store that is away: a server restarts in half a minute


class Recorder:
    """Writes records in a background thread, beginning with those that an earlier run of the sweep left on disk.

    Args:
        store: the store to write to.
        replaced: fingerprint -> ids of the runs of earlier attempts, which are deleted once their successor is written.
        folder: the sweep's folder, in which undelivered records are kept.
        run_id: the id of the sweep's run.
        notices: the list to which sentences for the user are added.
        preload: kinds of rows that will be added to runs, as for `open_run`; their libraries are imported beforehand.
        resume_command: the command that continues the sweep.
        interval_s: seconds between two batches.

    Attributes:
        run_ids: id of a record -> id of the run in the store; a server assigns ids of its own.
        trials_left: after `close`, how many trials the store does not have.
        models_left: after `close`, how many saved models the store does not have.
        models_refused: how many saved models the store has refused.

    Raises:
        StoreError: the store does not take what waits on disk.
    """

    def __init__(
        self,
        store: StoreSettings,
        replaced: Mapping[str, Sequence[str]] | None = None,
        *,
        folder: Path,
        resume_command: str,
        run_id: str = "",
        notices: list[str] | None = None,
        preload: Collection[str] = (),
        interval_s: float = 1.0,
    ) -> None:
        self._store = store
        self._replaced = {key: list(ids) for key, ids in (replaced or {}).items()}
        self._outbox = TrialOutbox(folder)
        self._batch_size = 2 * MAX_CONNECTIONS if is_remote(resolve_uri(store)) else _BATCH_SIZE
        self._notices = notices if notices is not None else []
        self._waiting: list[RunRecord] = []
        self._untried: set[str] = set()  # ids of records that were never sent, by this process or another
        self._added: deque[tuple[Path, Callable[[], None]]] = deque()
        self._preload, self._resume_command = [] if store is None else ["trial", *preload], resume_command
        self.run_ids: dict[str, str] = {}
        self._change = threading.Lock()
        self._sending = self.trials_left = self.models_left = self.models_refused = 0
        self.refused: list[str] = []
        self._deliver_earlier_records(run_id)
        self._thread = DeliveryThread(
            "kexp-recorder", self._deliver, self._remaining, interval_s=interval_s, patience_s=_PATIENCE_S
        )
        self._thread.wake()  # MLflow is imported while the first trials train
        self._thread.start()

    def put(self, record: RunRecord) -> None:
        """Adds the record of a finished trial. It is on disk when this returns, unless the disk is full."""
        # If the disk is full, the store may still accept the record; if not, the store's error explains the problem.
        with contextlib.suppress(OSError, StoreError):
            self._outbox.keep(self._store, [record])
        with self._change:
            self._untried.add(record.run_id)
            self._waiting.append(record)
        if len(self._waiting) >= _BATCH_SIZE:
            self._thread.wake()

    def add_model(self, folder: Path, then: Callable[[], None]) -> None:
        """Delivers the saved model in a trial's folder to the trial's run, once the store has all trials.

        Args:
            folder: the trial's folder.
            then: called when the store has it or has refused it, or when it is left to `kexp sync`.
        """
        self._added.append((folder, then))
        self._thread.wake()

    def flush(self) -> None:
        """Waits until the store has all records so far, or has taken none for a minute."""
        waiting, deadline = len(self._waiting), time.monotonic() + _PATIENCE_S
        self._thread.wake()
        while self._waiting and time.monotonic() < deadline:
            time.sleep(0.02)
            if len(self._waiting) < waiting:
                waiting, deadline = len(self._waiting), time.monotonic() + _PATIENCE_S

    def close(self, print_line: Callable[[str], None] | None = None) -> None:
        """Writes the remaining records. Those that the store does not accept stay on disk, with a notice for the user.

        Args:
            print_line: called every few seconds with a line on how much is left. Ctrl-C leaves the rest on disk.

        Raises:
            StoreError: the store refused trials; or it is away, and they cannot be written to disk either.
        """
        self._thread.finish()
        ending = wait_for(self._thread.state, self._remaining, "trials and models", print_line, self._thread.give_up)
        self.trials_left, self.models_left = len(self._waiting), len(self._added)
        self._keep_on_disk(self._waiting)
        for _, then in self._added:  # `kexp sync` will deliver them; they must not be saved again
            then()
        if self.trials_left or self.models_left:
            waiting = [
                (self.trials_left, "of the sweep's trials"),
                (self.models_left, plural("saved model", self.models_left)),
            ]
            or_resume = "" if self.models_left else f"go on with the sweep by `{self._resume_command}`"
            self._notices.append(waiting_notice(ending, waiting, self._outbox.sweep_folder, or_resume))
        if self.refused:
            raise StoreError(
                f"the store refused {counted(len(self.refused), 'finished trial')}, kept in "
                f"{self._outbox.folder}: {self.refused[0]}"
            )

    def _remaining(self) -> int:
        return len(self._waiting) + len(self._added) + self._sending

    def delete_replaced(self, fingerprints: Sequence[str]) -> None:
        """Deletes the earlier attempts of trials that the store has.

        Raises:
            StoreError: a run could not be deleted.
        """
        run_ids = [run_id for each in fingerprints for run_id in self._replaced.pop(each, ())]
        if run_ids:
            delete_runs(self._store, run_ids)

    def change_fingerprint(self, fingerprint: str, now: str) -> None:
        """Replaces the fingerprint of a trial whose config has changed."""
        self._replaced.setdefault(now, []).extend(self._replaced.pop(fingerprint, ()))

    def _deliver_earlier_records(self, run_id: str) -> None:
        """Delivers what an earlier run of this sweep left on disk, so that those trials count as done."""
        left = [record for _, record in self._outbox.waiting() if record.parent_run_id == run_id]
        if not left:
            return
        written, refused = deliver_trials(self._outbox.sweep_folder, self._store, run_id, left)
        self.refused += refused
        self._notices.append(f"{written} of the sweep's trials had waited on disk, and are in the store now")
        self._replaced = unfinished_runs(self._store, run_id)

    def _deliver(self) -> None:
        """Writes the waiting trials in batches, and then delivers the saved models.

        Raises:
            StoreError: the store is away.
        """
        while self._preload:
            preload_modules(self._preload.pop(0))
        waiting = list(self._waiting)
        for first in range(0, len(waiting), self._batch_size):
            if not self._thread.given_up:
                self._write(waiting[first : first + self._batch_size])
        if not self._waiting and not self._thread.given_up:
            self._deliver_added()

    def _write(self, batch: Sequence[RunRecord]) -> None:
        """Writes a batch. A trial that the store refuses does not stop the others."""
        fresh = self._untried & {record.run_id for record in batch}
        self._untried -= fresh
        store_away = True
        try:
            _, refused = deliver_records(self._outbox, self._store, batch, fresh, self._replaced, self.run_ids)
            self.refused += refused
            store_away = False
        finally:  # if the store went away, only those that it took before count as delivered
            delivered = {record.run_id for record in batch if not store_away or record.run_id in self.run_ids}
            with self._change:
                self._waiting = [record for record in self._waiting if record.run_id not in delivered]
            for record in batch:
                if record.run_id in delivered:
                    self._replaced.pop(record.fingerprint, None)

    def _deliver_added(self) -> None:
        added = [self._added.popleft() for _ in range(len(self._added))]
        if not added:
            return
        self._sending = len(added)
        most = MAX_CONNECTIONS if is_remote(resolve_uri(self._store)) else 1  # a file of SQLite takes one writer
        run_concurrently([partial(self._deliver_one, *each) for each in added], most)

    def _deliver_one(self, folder: Path, then: Callable[[], None]) -> None:
        """Delivers one saved model, or notes that the store refuses it.

        Raises:
            StoreError: the store is away.
        """
        try:
            delivered = deliver(folder, self.run_ids)
            if delivered is None:
                raise StoreError(f"{folder}: another process delivers it")
        except StoreError:
            self._added.append((folder, then))
            raise
        except Exception as error:  # one model must not stop the others
            self._notices.append(f"{folder}: {in_a_line(error)}")
        else:
            if delivered.refused:
                self._notices.append(refused_notice(delivered.refused, folder / "outbox"))
                self.models_refused += delivered.models_refused
        finally:
            with self._change:
                self._sending -= 1
        then()

    def _keep_on_disk(self, records: Sequence[RunRecord]) -> None:
        try:
            self._outbox.keep(self._store, records)
        except OSError as error:
            if is_disk_full(error):  # these trials are run again
                raise disk_full_error(error, go_on=self._resume_command) from error
            raise StoreError(
                f"{counted(len(records), 'finished trial')} could not be recorded: {self._thread.failure}; and could "
                f"not be kept in {self._outbox.folder}: {error.strerror}"
            ) from error
