"""What is measured of a sweep's trials, and the record that each leaves when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from kexp.schema.run_names import run_name
from kexp.sweeps.record.recorder import Recorder
from kexp.sweeps.trials import Outcome, Task, Trial
from kexp.tracking import Header, RunRecord, StoreSettings, Tracker, prepare_store, resolve_uri
from kexp.tracking.reading.histories import KeptHistories, history_of
from kexp.tracking.record.common import without_common
from kexp.tracking.settings import is_remote

__all__ = ["TrialRecords"]


class TrialRecords:
    """The records of a sweep's trials.

    Args:
        store: where they go; None keeps none.
        task: makes the task of a trial.

    Attributes:
        models_left: after `close`, how many saved models the store does not have.
        trials_left: the same of trials.
        was_waited_for: whether the store was waited for, and did not take all.
    """

    def __init__(self, store: StoreSettings | None, task: Callable[[Trial], Task]) -> None:
        self._store, self._task = store, task
        self._folder = Path()
        self.models_left = self.trials_left = 0
        self.was_waited_for = False
        self._recorder: Recorder | None = None
        self._tracker: Tracker | None = None
        self._common: set[str] = set()  # places of texts that trials share, and that the sweep's run has
        self._points: dict[int, list[tuple[int, dict[str, float], int]]] = {}

    def begin(self, recorder: Recorder | None, tracker: Tracker, folder: Path) -> None:
        """Takes records from now on.

        Args:
            recorder: writes them; None without a store.
            tracker: of the sweep's run, for what trials share.
            folder: the sweep's.
        """
        self._recorder, self._tracker, self._folder = recorder, tracker, folder

    def start(self, trial: Trial) -> bool:
        """Notes a start; False where the trial goes on after a pause."""
        if trial.goes_on is not None and trial.number in self._points:
            return False
        self._points[trial.number] = []
        return True

    def epoch(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> None:
        """Notes what an epoch has measured."""
        self._points[trial.number].append((epoch, dict(metrics), time.time_ns() // 1_000_000))

    def forget(self, trial: Trial) -> None:
        """Drops the notes on a trial that is over."""
        self._points.pop(trial.number, None)

    def take_over(self, trial: Trial, donor: Trial, fingerprint: str) -> None:
        """Gives a trial the notes of another; `fingerprint` is what its own was before."""
        if self._recorder is not None:
            self._recorder.rename(fingerprint, trial.fingerprint)
        self._points[trial.number] = list(self._points.get(donor.number, ()))

    def replace(self, trials: Iterable[Trial]) -> None:
        """Deletes the earlier attempts of trials that the store has now."""
        if self._recorder is not None:
            self._recorder.replace([trial.fingerprint for trial in trials])

    def put(self, trial: Trial, outcome: Outcome) -> None:
        """Hands the trial's record to the recorder, its own or, where its process could not give one, ours."""
        if outcome.record is None and outcome.state == "INVALID":
            return
        record = outcome.record or self._record_of(trial, outcome)
        trial.run_id = record.run_id
        if self._recorder is None:
            return
        record = self._without_common(record)
        if self._store is not None and is_remote(resolve_uri(self._store)):  # the report need not ask for it
            KeptHistories(self._folder).keep(record.run_id, history_of(record))
        self._recorder.put(record)

    def _without_common(self, record: RunRecord) -> RunRecord:
        """The record without what trials share, which the sweep's run is given once."""
        own, common = without_common(record)
        try:
            for place in common.keys() - self._common:
                assert self._tracker is not None
                self._tracker.log_text(common[place], place)
                self._common.add(place)
        except OSError:  # the disk is full: the trial keeps what it shares, should the store take it
            return record
        return own

    def _record_of(self, trial: Trial, outcome: Outcome) -> RunRecord:
        """The record of a trial whose process could not give one."""
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
        """Of the trial's run, for a task that adds a model to it."""
        if self._store is None:
            return None
        name = self._task(trial).name
        return Header(resolve_uri(self._store), trial.run_id, prepare_store(self._store), name)

    def add_model(self, folder: Path, is_saved: Callable[[], None]) -> None:
        """Delivers a model that waits in a trial's folder; `is_saved` is called once that is done."""
        if self._recorder is not None:
            self._recorder.add(folder, is_saved)
        else:
            is_saved()

    @property
    def go_to_a_store(self) -> bool:
        """Whether there is a store to wait for."""
        return self._recorder is not None

    def wait(self, trials: Sequence[Trial]) -> None:
        """Waits until the store has the trials that are over, or does not answer."""
        recorder = self._recorder
        if recorder is not None:
            recorder.flush()
            self._take_run_ids(recorder, trials)

    def close(self, trials: Sequence[Trial], say: Callable[[str], None] | None) -> None:
        """Writes what is left.

        Args:
            trials: of the sweep; each is given its run's id in the store.
            say: see `Recorder.close`, as for what is raised.
        """
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            recorder.close(say)
        finally:
            self.models_left = recorder.models_left + recorder.models_refused
            self.trials_left = recorder.trials_left
            self.was_waited_for = bool(recorder.models_left or recorder.trials_left)
            self._take_run_ids(recorder, trials)

    def _take_run_ids(self, recorder: Recorder, trials: Sequence[Trial]) -> None:
        KeptHistories(self._folder).rename(recorder.run_ids)
        for trial in trials:
            trial.run_id = recorder.run_ids.get(trial.run_id, trial.run_id)
