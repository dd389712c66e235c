"""Collects the measurements of trials, and passes the record of each finished trial to the recorder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from kexp.schema.run_names import run_name
from kexp.sweeps.record.recorder import Recorder
from kexp.sweeps.trials import Outcome, Task, Trial
from kexp.tracking import Header, RunRecord, StoreSettings, Tracker, prepare_store, resolve_uri
from kexp.tracking.reading.histories import HistoryCache, history_of
from kexp.tracking.record.shared_texts import without_shared_texts
from kexp.tracking.settings import is_remote

__all__ = ["TrialRecords"]


class TrialRecords:
    """The records of a sweep's trials.

    Args:
        store: the store; None records nothing.
        task: returns the task of a trial.

    Attributes:
        models_left: after `close`, how many saved models the store does not have.
        trials_left: after `close`, how many trials the store does not have.
        store_timed_out: after `close`, whether the store was waited for and did not take everything.
    """

    def __init__(self, store: StoreSettings | None, task: Callable[[Trial], Task]) -> None:
        self._store, self._task = store, task
        self._folder = Path()
        self.models_left = self.trials_left = 0
        self.store_timed_out = False
        self._recorder: Recorder | None = None
        self._tracker: Tracker | None = None
        self._common: set[str] = set()  # paths of the texts that trials share, once the sweep's run has them
        self._points: dict[int, list[tuple[int, dict[str, float], int]]] = {}

    def begin(self, recorder: Recorder | None, tracker: Tracker, folder: Path) -> None:
        """Sets the recorder and the folder, which exist only once the sweep's run is open.

        Args:
            recorder: writes the records; None without a store.
            tracker: the tracker of the sweep's run, which has the texts that trials share.
            folder: the sweep's folder.
        """
        self._recorder, self._tracker, self._folder = recorder, tracker, folder

    def start(self, trial: Trial) -> bool:
        """Notes the start of a trial; returns False if it continues after a pause."""
        if trial.goes_on is not None and trial.number in self._points:
            return False
        self._points[trial.number] = []
        return True

    def add_epoch(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Notes the metrics of an epoch."""
        self._points[trial.number].append((epoch, dict(metrics), time.time_ns() // 1_000_000))

    def drop_metrics(self, trial: Trial) -> None:
        """Drops the metrics of a trial that is over."""
        self._points.pop(trial.number, None)

    def copy_metrics(self, trial: Trial, donor: Trial, fingerprint: str) -> None:
        """Gives a trial the metrics of its donor; `fingerprint` is that of the trial before."""
        if self._recorder is not None:
            self._recorder.change_fingerprint(fingerprint, trial.fingerprint)
        self._points[trial.number] = list(self._points.get(donor.number, ()))

    def delete_replaced(self, trials: Iterable[Trial]) -> None:
        """Deletes the earlier attempts of trials that the store has."""
        if self._recorder is not None:
            self._recorder.delete_replaced([trial.fingerprint for trial in trials])

    def put(self, trial: Trial, outcome: Outcome) -> None:
        """Passes the trial's record to the recorder. If its process returned none, a record is made from the events."""
        if outcome.record is None and outcome.state == "INVALID":
            return
        record = outcome.record or self._record_of(trial, outcome)
        trial.run_id = record.run_id
        if self._recorder is None:
            return
        record = self._without_shared_texts(record)
        if self._store is not None and is_remote(
            resolve_uri(self._store)
        ):  # so that the report need not read it from the server
            HistoryCache(self._folder).add(record.run_id, history_of(record))
        self._recorder.put(record)

    def _without_shared_texts(self, record: RunRecord) -> RunRecord:
        """Returns a record without the texts that trials share, which are logged once, to the sweep's run."""
        own, common = without_shared_texts(record)
        try:
            for place in common.keys() - self._common:
                assert self._tracker is not None
                self._tracker.log_text(common[place], place)
                self._common.add(place)
        except OSError:  # the disk is full; the trial's own record may still reach the store
            return record
        return own

    def _record_of(self, trial: Trial, outcome: Outcome) -> RunRecord:
        """Makes the record of a trial whose process returned none."""
        from kexp.experiment import run_parameters
        from kexp.tracking import CollectedRun

        task = self._task(trial)
        tags = {**task.tags, "kexp.fingerprint": trial.fingerprint}
        name = run_name(trial.config) if trial.config else None
        run = CollectedRun(name or task.name, trial.folder, tags=tags, parent_run_id=task.parent_run_id)
        run.start_ms = trial.started_ms or run.start_ms
        run.log_params(run_parameters(trial.config, trial.overrides))
        for epoch, metrics, stamp in self._points.get(trial.number, ()):
            run.log_metrics(metrics, step=epoch, timestamp_ms=stamp)
        run.end("KILLED" if outcome.state == "KILLED" else "FAILED", outcome.reason)
        return run.record()

    def header(self, trial: Trial) -> Header | None:
        """Returns the header of the trial's run, for a task that adds a model to it; None without a store."""
        if self._store is None:
            return None
        name = self._task(trial).name
        return Header(resolve_uri(self._store), trial.run_id, prepare_store(self._store), name)

    def add_model(self, folder: Path, is_saved: Callable[[], None]) -> None:
        """Delivers the saved model in a trial's folder, and calls `is_saved` afterwards."""
        if self._recorder is not None:
            self._recorder.add_model(folder, is_saved)
        else:
            is_saved()

    @property
    def has_store(self) -> bool:
        """Whether records are written to a store."""
        return self._recorder is not None

    def wait(self, trials: Sequence[Trial]) -> None:
        """Waits until the store has the trials that are over, or has been away for a minute."""
        recorder = self._recorder
        if recorder is not None:
            recorder.flush()
            self._take_run_ids(recorder, trials)

    def close(self, trials: Sequence[Trial], print_line: Callable[[str], None] | None) -> None:
        """Writes the remaining records; see `Recorder.close`, also for the errors.

        Args:
            trials: the sweep's trials; each gets the id of its run in the store.
            print_line: see `Recorder.close`.
        """
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            recorder.close(print_line)
        finally:
            self.models_left = recorder.models_left + recorder.models_refused
            self.trials_left = recorder.trials_left
            self.store_timed_out = bool(recorder.models_left or recorder.trials_left)
            self._take_run_ids(recorder, trials)

    def _take_run_ids(self, recorder: Recorder, trials: Sequence[Trial]) -> None:
        HistoryCache(self._folder).rename(recorder.run_ids)
        for trial in trials:
            trial.run_id = recorder.run_ids.get(trial.run_id, trial.run_id)
