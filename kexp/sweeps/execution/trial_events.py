"""What a launcher reports of a sweep's trials, and what follows: their state, their records, whether they go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kexp.errors import StoreError
from kexp.sweeps.trials import Outcome, Trial
from kexp.system.disk import disk_full_error, is_nearly_full, mentions_disk_full
from kexp.system.interrupts import deferred_interrupts

if TYPE_CHECKING:
    from kexp.schema import Sweep
    from kexp.sweeps.objective import Objective
    from kexp.sweeps.plan.jobs import Jobs
    from kexp.sweeps.record.keeping import Keeping
    from kexp.sweeps.record.trial_records import TrialRecords
    from kexp.sweeps.table import LiveTable

__all__ = ["TrialEvents"]


class Sweeping(Protocol):
    """The interface of a running sweep that this module uses; a `Session` has it."""

    settings: Sweep
    folder: Path
    notices: list[str]
    objective: Objective | None
    jobs: Jobs | None
    keeping: Keeping
    records: TrialRecords
    table: LiveTable | None

    @property
    def resume_command(self) -> str:
        """The command that goes on with the sweep."""

    def know_objective(self, metrics: Mapping[str, float]) -> None:
        """Chooses the objective, once there are metrics to choose from."""

    def value(self, trial: Trial) -> float | None:
        """A trial's value of the objective."""


class TrialEvents:
    """The events of a sweep's trials; see `kexp.sweeps.events.Events`. Tasks below 0 save models.

    Args:
        session: the sweep.

    Attributes:
        settings: of the sweep.
        held: the outcomes of trials that are paused.
        decided: what trials decided for the user: (label, text), each once.
        models_missing: how many models to be kept are not saved.
        prune: called after each epoch; says why the trial is to end, or None.
        at_end: called for each trial that is over, before the next one is asked for.
    """

    def __init__(self, session: Sweeping) -> None:
        self._session, self.settings = session, session.settings
        self.held: dict[int, Outcome] = {}
        self.decided: dict[tuple[str, str], None] = {}
        self.models_missing = 0
        self.prune: Callable[[Trial, int, Mapping[str, float]], str | None] | None = None
        self.at_end: Callable[[Trial, Outcome], None] | None = None
        self._trials: dict[int, Trial] = {}
        self._twins: dict[str, list[Trial]] = {}
        self._disk_is_full = False

    def expect(self, trials: Sequence[Trial]) -> list[Trial]:
        """Takes trials that will run; of those that are the same experiment, one.

        Returns:
            Those to run.
        """
        self._trials |= {trial.number: trial for trial in trials}
        leaders: dict[str, Trial] = {}
        for trial in trials:
            if trial.state == "WAITING" and leaders.setdefault(trial.fingerprint, trial) is not trial:
                self._twins.setdefault(trial.fingerprint, []).append(trial)
        return list(leaders.values())

    def expect_another(self, trial: Trial) -> None:
        """Takes a trial that was decided on meanwhile."""
        self._trials[trial.number] = trial

    def on_start(self, number: int) -> None:
        if number >= 0:
            self.started(self._trials[number])

    def on_epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
        return self.epoch_ended(self._trials[number], epoch, metrics)

    def on_end(self, outcome: Outcome) -> bool:
        return self._saved(outcome) if outcome.number < 0 else self.ended(self._trials[outcome.number], outcome)

    def started(self, trial: Trial) -> None:
        """A trial starts, or goes on after a pause."""
        session = self._session
        if not session.records.start(trial):
            return
        trial.state = "RUNNING"
        trial.attempts += 1
        trial.epoch, trial.metrics = 0, {}
        trial.started_ms = time.time_ns() // 1_000_000
        if session.jobs is not None:
            session.jobs.started(trial)
        assert session.table is not None
        session.table.update(trial)

    def epoch_ended(self, trial: Trial, epoch: int, metrics: Mapping[str, float]) -> str | None:
        """An epoch of a trial has ended; why the trial is to end, or None."""
        session = self._session
        trial.epoch = epoch
        trial.metrics.update(metrics)
        session.records.epoch(trial, epoch, metrics)
        session.know_objective(metrics)
        assert session.table is not None
        session.table.update(trial)
        return None if self.prune is None else self.prune(trial, epoch, metrics)

    def ended(self, trial: Trial, outcome: Outcome) -> bool:
        """A trial is over, or paused; whether the sweep goes on."""
        if outcome.state == "PAUSED":
            trial.metrics.update(outcome.metrics)
            self.held[trial.number] = outcome
            return not self._disk_is_full
        session = self._session
        self.held.pop(trial.number, None)
        with deferred_interrupts():  # a trial is either recorded and over, or neither
            self._settle(trial, outcome)
        assert session.table is not None
        session.table.update(trial)
        if session.jobs is not None:
            session.jobs.ended(trial, session.value(trial))
        if self.at_end is not None:
            self.at_end(trial, outcome)
        if not self._disk_is_full and (mentions_disk_full(outcome.reason) or is_nearly_full(session.folder)):
            self._disk_is_full = True  # every other trial would fail as well
            error, file = StoreError(outcome.reason), session.folder / "trial"
            session.notices.append(str(disk_full_error(error, file=file, go_on=session.resume_command)))
        return not self._disk_is_full and not (self.settings.fail_fast and not trial.good)

    def _settle(self, trial: Trial, outcome: Outcome) -> None:
        session = self._session
        trial.reason, trial.duration_s = outcome.reason, outcome.duration_s
        trial.metrics.update(outcome.metrics)
        self.decided |= dict.fromkeys(outcome.notices)
        session.records.put(trial, outcome)
        trial.state = outcome.state
        session.know_objective(trial.metrics)
        session.keeping.consider(trial, session.objective)
        session.records.forget(trial)
        for twin in self._twins.pop(trial.fingerprint, ()):
            twin.state, twin.run_id, twin.folder = "DONE" if trial.good else trial.state, trial.run_id, trial.folder
            twin.metrics, twin.reason = dict(trial.metrics), f"the same experiment as trial {trial.number}"

    def _saved(self, outcome: Outcome) -> bool:
        session = self._session
        trial = session.keeping.trial(outcome.number)
        self.decided |= dict.fromkeys(outcome.notices)
        if outcome.state == "FINISHED":
            session.records.add_model(trial.folder, lambda: session.keeping.is_saved(trial))
        else:
            session.notices.append(f"the model of trial {trial.number} is not saved: {outcome.reason}")
            self.models_missing += 1
        return True
