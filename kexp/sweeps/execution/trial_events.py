"""Handles the events that a launcher reports: updates the trials, records them, decides whether the sweep continues."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from kexp.errors import StoreError
from kexp.sweeps.execution.state import SweepState
from kexp.sweeps.trials import Outcome, Trial
from kexp.system.disk import disk_full_error, is_nearly_full, mentions_disk_full
from kexp.system.interrupts import deferred_interrupts

__all__ = ["TrialEvents"]


class TrialEvents:
    """The events of a sweep's trials; see `kexp.sweeps.events.Events`. Tasks below 0 save models.

    Args:
        sweep: the sweep.

    Attributes:
        settings: the config's `sweep`.
        paused: the outcomes of paused trials, by number.
        trial_notices: (label, text) of the notices of trials, each once.
        models_missing: how many of the models to keep could not be saved.
        stopped_by: why the sweep ends before all trials have run; empty while it continues.
        prune: called after each epoch; returns the reason why the trial ends now, or None.
        at_end: called for each trial that is over, before the next one is taken.
    """

    def __init__(self, sweep: SweepState) -> None:
        self._sweep, self.settings = sweep, sweep.settings
        self.paused: dict[int, Outcome] = {}
        self.trial_notices: dict[tuple[str, str], None] = {}
        self.models_missing = 0
        self.stopped_by = ""
        self.prune: Callable[[Trial, int, Mapping[str, float]], str | None] | None = None
        self.at_end: Callable[[Trial, Outcome], None] | None = None
        self._trials: dict[int, Trial] = {}
        self._twins: dict[str, list[Trial]] = {}

    def register(self, trials: Sequence[Trial]) -> list[Trial]:
        """Registers trials, and returns those to run: of the waiting trials that are the same experiment, the first."""
        self._trials |= {trial.number: trial for trial in trials}
        leaders: dict[str, Trial] = {}
        for trial in trials:
            if trial.state == "WAITING" and leaders.setdefault(trial.fingerprint, trial) is not trial:
                self._twins.setdefault(trial.fingerprint, []).append(trial)
        return list(leaders.values())

    def on_start(self, number: int) -> None:
        if number < 0:
            return
        sweep, trial = self._sweep, self._trials[number]
        if not sweep.records.start(trial):  # it continues after a pause
            return
        trial.state = "RUNNING"
        trial.attempts += 1
        trial.epoch, trial.metrics = 0, {}
        trial.started_ms = time.time_ns() // 1_000_000
        if sweep.jobs is not None:
            sweep.jobs.started(trial)
        assert sweep.table is not None
        sweep.table.update(trial)

    def on_epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
        sweep, trial = self._sweep, self._trials[number]
        trial.epoch = epoch
        trial.metrics.update(metrics)
        sweep.records.add_epoch(trial, epoch, metrics)
        sweep.choose_objective_from(metrics)
        assert sweep.table is not None
        sweep.table.update(trial)
        return None if self.prune is None else self.prune(trial, epoch, metrics)

    def on_end(self, outcome: Outcome) -> bool:
        return self._on_model_end(outcome) if outcome.number < 0 else self.ended(self._trials[outcome.number], outcome)

    def ended(self, trial: Trial, outcome: Outcome) -> bool:
        """Updates a trial that is over or paused; returns whether the sweep continues."""
        if outcome.state == "PAUSED":
            trial.metrics.update(outcome.metrics)
            self.paused[trial.number] = outcome
            return not self.stopped_by
        sweep = self._sweep
        self.paused.pop(trial.number, None)
        with deferred_interrupts():  # a trial is either recorded and over, or neither
            self._apply_outcome(trial, outcome)
        assert sweep.table is not None
        sweep.table.update(trial)
        if sweep.jobs is not None:
            sweep.jobs.ended(trial, sweep.value(trial))
        if self.at_end is not None:
            self.at_end(trial, outcome)
        if self.stopped_by:
            return False
        if mentions_disk_full(outcome.reason) or is_nearly_full(sweep.folder):
            self.stopped_by = "ended by a full disk"  # every other trial would fail as well
            error, file = StoreError(outcome.reason), sweep.folder / "trial"
            sweep.notices.append(str(disk_full_error(error, file=file, go_on=sweep.resume_command)))
        elif self.settings.fail_fast and not trial.good:
            self.stopped_by = "ended by sweep.fail_fast"
        return not self.stopped_by

    def _apply_outcome(self, trial: Trial, outcome: Outcome) -> None:
        """Sets the state of a trial and of its equals, which do not run, and records the trial."""
        sweep = self._sweep
        trial.reason, trial.duration_s = outcome.reason, outcome.duration_s
        trial.metrics.update(outcome.metrics)
        self.trial_notices |= dict.fromkeys(outcome.notices)
        sweep.records.put(trial, outcome)
        trial.state = outcome.state
        sweep.choose_objective_from(trial.metrics)
        sweep.kept_models.add(trial, sweep.objective)
        sweep.records.drop_metrics(trial)
        for twin in self._twins.pop(trial.fingerprint, ()):
            twin.state, twin.run_id, twin.folder = "DONE" if trial.good else trial.state, trial.run_id, trial.folder
            twin.metrics, twin.reason = dict(trial.metrics), f"the same experiment as trial {trial.number}"

    def _on_model_end(self, outcome: Outcome) -> bool:
        """Adds a model that was saved to its trial's run; returns True, because the sweep continues either way."""
        sweep = self._sweep
        trial = sweep.kept_models.trial(outcome.number)
        self.trial_notices |= dict.fromkeys(outcome.notices)
        if outcome.state == "FINISHED":
            sweep.records.add_model(trial.folder, lambda: sweep.kept_models.mark_saved(trial))
        else:
            sweep.notices.append(f"the model of trial {trial.number} is not saved: {outcome.reason}")
            self.models_missing += 1
        return True
