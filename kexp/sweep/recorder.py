"""The one writer of a sweep: trials that are over go to the store in batches, each exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from kexp.errors import StoreError
from kexp.sweep.earlier import delete_runs
from kexp.tracking import RunRecord, StoreSettings, log_finished_runs
from kexp.tracking.client import is_transient

__all__ = ["Recorder"]

_RETRY_S = 5.0
_LAST_S = 30.0  # how long a store that is away is waited for at the end, besides each attempt's own patience


class Recorder:
    """Writes records in the background.

    Args:
        store: where; None keeps nothing.
        replaced: fingerprint -> runs of an earlier attempt, deleted once their successor is written.
        interval_s: how long records gather before they are written.
        most: how many at most; more are written at once.
    """

    def __init__(
        self,
        store: StoreSettings | None,
        replaced: Mapping[str, Sequence[str]] | None = None,
        interval_s: float = 1.0,
        most: int = 100,
    ) -> None:
        self._store, self._interval_s, self._most = store, interval_s, most
        self._replaced = {key: list(ids) for key, ids in (replaced or {}).items()}
        self._waiting: list[RunRecord] = []
        self._change = threading.Condition()
        self._closing = False
        self.failure = ""
        self.refused: list[str] = []
        self._thread = threading.Thread(target=self._work, name="kexp-recorder", daemon=True)
        self._thread.start()

    def put(self, record: RunRecord) -> None:
        """Hands over the record of a trial that is over."""
        if self._store is None:
            return
        with self._change:
            self._waiting.append(record)
            if len(self._waiting) >= self._most:
                self._change.notify()

    def flush(self, timeout_s: float = _LAST_S) -> None:
        """Waits until the store has what was put so far; not for ever."""
        deadline = time.monotonic() + timeout_s
        with self._change:
            self._change.notify()
        while self._waiting and time.monotonic() < deadline and self._store is not None:
            time.sleep(0.02)

    def close(self) -> None:
        """Writes what is left.

        Raises:
            StoreError: the store did not take it; the message says how many trials are not recorded.
        """
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()
        if self._waiting:
            raise StoreError(f"{len(self._waiting)} trials that are over could not be recorded: {self.failure}")
        if self.refused:
            raise StoreError(f"{len(self.refused)} trials that are over were refused by the store: {self.refused[0]}")

    def replace(self, fingerprints: Sequence[str]) -> None:
        """Deletes the earlier attempts of trials that are recorded now.

        Raises:
            StoreError: the store did not do it.
        """
        if self._store is None:
            return
        run_ids = [run_id for each in fingerprints for run_id in self._replaced.pop(each, ())]
        if run_ids:
            delete_runs(self._store, run_ids)

    def _pause(self, seconds: float) -> None:
        with self._change:
            self._change.wait(seconds)

    def _work(self) -> None:
        last = 0.0
        while True:
            with self._change:
                if not self._closing:
                    self._change.wait(self._interval_s)
                batch, closing = list(self._waiting), self._closing
            written = self._write(batch)
            if closing:
                last = last or time.monotonic() + _LAST_S
                if (written and not self._waiting) or time.monotonic() > last:
                    return
            if not written:
                time.sleep(1.0) if closing else self._pause(_RETRY_S)

    def _write(self, batch: Sequence[RunRecord]) -> bool:
        """Whether the store has dealt with all of them. What it refuses for good stops no other."""
        if not batch or self._store is None:
            return True
        try:
            log_finished_runs(self._store, batch)
        except StoreError as error:
            self.failure = str(error)
            if not _is_refusal(error):
                return False
            if len(batch) > 1:
                return self._write_each(batch)
            self.refused.append(f"{batch[0].name}: {error}")
        except Exception as error:  # the thread must not die over one record, and take the others with it
            self.failure = f"{type(error).__name__}: {error}"
            if len(batch) > 1:
                return self._write_each(batch)
            self.refused.append(f"{batch[0].name}: {self.failure}")
        written = {id(record) for record in batch}
        with self._change:
            self._waiting = [record for record in self._waiting if id(record) not in written]
        try:
            self.replace([str(record.tags.get("kexp.fingerprint", "")) for record in batch])
        except StoreError as error:
            self.failure = str(error)
        return True

    def _write_each(self, batch: Sequence[RunRecord]) -> bool:
        written = [self._write([record]) for record in batch]
        return all(written)


def _is_refusal(error: StoreError) -> bool:
    """Whether the store, or our own check before it, said no to the record itself, and will say so again."""
    cause = error.__cause__
    return cause is None or not is_transient(cause)
