"""Runs a sweep: skips the trials that are done, runs and records the rest, compares them, writes the report."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.events import Launcher
from kexp.sweeps.execution.closing import Report, closing_lines, describe, summarise
from kexp.sweeps.execution.state import SweepState
from kexp.sweeps.execution.sweep_run import lock_sweep, open_sweep_run
from kexp.sweeps.execution.trial_events import TrialEvents
from kexp.sweeps.feed import Feed
from kexp.sweeps.objective import Objective
from kexp.sweeps.plan.earlier import earlier_sweep, sweep_key
from kexp.sweeps.plan.planning import mark_done
from kexp.sweeps.record.recorder import Recorder
from kexp.sweeps.table import LiveTable
from kexp.sweeps.trials import Outcome, Task, Trial
from kexp.system.disk import disk_full_error, is_disk_full
from kexp.system.interrupts import deferred_interrupts, no_interrupts
from kexp.tracking import Tracker, command_line, ignored_variables
from kexp.tracking.reading.stale import unfinished_runs
from kexp.tracking.status import ended_with, sigterm_raises
from kexp.training import remove_checkpoints

__all__ = ["ARGUMENTS", "Session"]

ARGUMENTS = "sweep/arguments.json"
"""An artifact of a sweep's run: the command that runs it again."""


class Session(SweepState):
    """Runs a sweep. The folder and the name become those of an earlier run of the same sweep, if there is one.

    Attributes:
        has_earlier_run: whether the store has an earlier run of this sweep.
        rows_waiting: how many rows of the sweep's own run wait on disk after the end, for a store that was away.
    """

    has_earlier_run = False
    rows_waiting = 0
    _models_requested = False
    _interrupted = False
    _launched: Callable[[], list[str]] = list  # the launcher's own closing lines

    @contextmanager
    def running(self, objective: Objective | None = None) -> Iterator[Tracker]:
        """Opens the sweep's own run, or that of an earlier attempt, which is RUNNING within the block.

        Raises:
            ConfigError: the same sweep is running already.
            StoreError: the store is away, or did not accept every finished trial.
        """
        from kexp.experiment import log_extras

        self.objective = objective or self.objective
        key = sweep_key(self.arguments)
        with ExitStack() as stack, sigterm_raises(), ExitStack() as ending:
            lock_sweep(stack, self.folder.parent, key)
            before = self._adopt_earlier_run(key)
            self.has_earlier_run = before is not None
            with deferred_interrupts():  # from here on, the run must be ended
                self.notices += ignored_variables() if self.store is not None else []
                tracker = open_sweep_run(self, key, before, _print_line if self.verbose else None)
                ending.enter_context(ended_with(tracker))
            ending.enter_context(log_extras(tracker, self.tracking) if self.store is not None else nullcontext())
            self.folder.mkdir(exist_ok=True)  # only now: a sweep that never opened leaves no folder
            self.run_id = tracker.run_id
            self.records.begin(self._recorder(before), tracker, self.folder)
            tracker.log_text(json.dumps({**self.command, "cwd": os.getcwd()}), ARGUMENTS)
            try:
                yield tracker
            except (KeyboardInterrupt, SystemExit):
                self._interrupted = True
                print(f"\nkexp: the sweep was interrupted; to go on: {self.resume_command}", file=sys.stderr)
                raise
            finally:
                stack.enter_context(no_interrupts([signal.SIGINT]))  # until its run has ended
                with no_interrupts():
                    self._record_interrupted()
                    self._end(tracker)
        self.rows_waiting = tracker.undelivered
        # A notice on trials that wait in the same folder covers the rows too.
        if tracker.notice and not (self.records.store_timed_out and tracker.undelivered):
            self.notices.append(tracker.notice)

    @cached_property
    def _events(self) -> TrialEvents:
        return TrialEvents(self)

    @cached_property
    def _report(self) -> Report:
        return Report(self)

    @property
    def comparison(self) -> Comparison | None:
        """The ranked choices, once the sweep is over; None if nothing was measured."""
        return self._report.comparison()

    def skip_done(self) -> None:
        """Marks the trials that are finished in the store as DONE, unless `sweep.rerun` is set."""
        if self.store is not None and not self.settings.rerun:
            mark_done(self.trials, self.store)
            self.choose_objective_from({key: value for trial in self.trials for key, value in trial.metrics.items()})
            for trial in self.trials:
                if trial.state == "DONE":
                    self.kept_models.add(trial, self.objective)
            # A kill may have left an earlier attempt beside the good one.
            self.records.delete_replaced(trial for trial in self.trials if trial.state == "DONE")

    def run(
        self,
        launcher: Launcher,
        trials: Sequence[Trial],
        *,
        ask: bool = False,
        more: Callable[[], Trial | None] | None = None,
        most: int = 0,
        then: Callable[[], Sequence[Trial]] = tuple,
    ) -> None:
        """Runs the waiting trials. Of trials that are the same experiment, one runs.

        Args:
            launcher: runs the tasks.
            trials: the trials that are known from the start.
            ask: whether a trial asks after each epoch whether to continue, and waits for the answer.
            more: called when a worker is free; returns a further trial, or None if there is none at this time.
            most: the most trials that `more` will return.
            then: called when no other trial waits; returns paused trials to continue, or none at this time.
        """
        waiting = self._events.register(trials)

        def next_task() -> Task | None:
            trial = more() if more is not None else None
            if trial is None:
                return None
            self._events.register([trial])
            return self.task(trial, ask)

        def last_tasks() -> Sequence[Task]:
            continued = then()
            for trial in continued:
                self.paused.pop(trial.number, None)
            return [self.task(trial, ask) for trial in continued] or self._saving_tasks()

        self._launched = getattr(launcher, "closing", list)
        self.table = LiveTable(self.trials, self.objective, self.verbose, more=most)
        try:
            tasks = Feed([self.task(trial, ask) for trial in waiting], more and next_task, most, last_tasks)
            launcher.run_tasks(tasks, self._events)
        finally:
            with no_interrupts():
                self._record_interrupted()
                self.table.close()

    def set_pruner(self, judge: Callable[[Trial, int, Mapping[str, float]], str | None]) -> None:
        """Calls `judge` after each epoch; it returns the reason why the trial ends now, or None."""
        self._events.prune = judge

    def on_trial_end(self, on_end: Callable[[Trial, Outcome], None]) -> None:
        """Calls `on_end` for each trial that is over, before the next one is taken."""
        self._events.at_end = on_end

    @property
    def paused(self) -> dict[int, Outcome]:
        """The outcomes of trials that are paused."""
        return self._events.paused

    @property
    def models_missing(self) -> int:
        """How many of the models to keep are not saved, or not in the store."""
        return self._events.models_missing + self.records.models_left

    def prune_paused(self, trial: Trial, reason: str) -> None:
        """Ends a paused trial as PRUNED, with the metrics that it has measured so far."""
        outcome = self.paused[trial.number]
        remove_checkpoints(Path(self.task(trial).checkpoint))
        record = outcome.record
        if record is not None:
            record = replace(record, tags={**record.tags, "kexp.state": "PRUNED", "kexp.reason": reason})
        self._events.ended(trial, replace(outcome, state="PRUNED", reason=reason, record=record))

    def copy_metrics(self, trial: Trial, donor: Trial, fingerprint: str) -> None:
        """Gives a trial the metrics of another, its donor; `fingerprint` is that of the trial before."""
        self.records.copy_metrics(trial, donor, fingerprint)
        trial.metrics = dict(donor.metrics)

    def _saving_tasks(self) -> list[Task]:
        """Returns the tasks that save the models to keep, once all trials are over. Their numbers are negative."""
        if self._models_requested or any(not trial.over for trial in self.trials):
            return []
        self._models_requested = True
        tasks = self.kept_models.saving_tasks(self.task, self.records.header)
        if tasks and self.records.has_store:  # the report is written while models are saved
            self._report.begin(after=lambda: self.records.wait(self.trials))
        return tasks

    def closing(self) -> list[str]:
        """Returns the closing lines: the ranking, how trials were launched, and what went wrong."""
        again = command_line("reproduce", "RUN", "--save", store=self.store)
        launched = self._launched() + [f"{label:<8} {text}" for label, text in self._events.trial_notices]
        launched += [line] if (line := self.kept_models.closing_line(self.objective, again)) else []
        return closing_lines(self, self.comparison, launched)

    def _adopt_earlier_run(self, key: str) -> str | None:
        """Takes the name and folder of an earlier run of this sweep. Returns the run's id; None if there is none."""
        user_chose_folder = self.folder.name != self.name  # by `hydra.sweep.dir`
        before = None if self.store is None else earlier_sweep(self.store, key, self.settings.name)
        if before is None or self.settings.rerun:
            return None
        self.name = before.tags["kexp.sweep.name"]
        if (folder := Path(before.tags["kexp.folder"])).is_dir():
            self.folder = folder
        elif not user_chose_folder:
            self.folder = self.folder.with_name(self.name)
        self.kept_models.folder = self.folder
        return before.run_id

    def _recorder(self, before: str | None) -> Recorder | None:
        """Returns the recorder of the trials; `before` is the id of the earlier run of this sweep, if it has one."""
        if self.store is None:
            return None
        return Recorder(
            self.store,
            unfinished_runs(self.store, before) if before else {},
            folder=self.folder,
            run_id=self.run_id,
            notices=self.notices,
            preload=["model"] if self.logs_models else [],
            resume_command=self.resume_command,
        )

    def _record_interrupted(self) -> None:
        """Records as KILLED the trials that are still running when the sweep ends."""
        reason = self._events.stopped_by or "the sweep was interrupted"
        for trial in self.trials:
            if trial.state == "RUNNING":
                self._events.ended(trial, Outcome(trial.number, "KILLED", reason))

    def _end(self, tracker: Tracker) -> None:
        """Writes the remaining records, then the summary, then the report on the trials in the store."""
        try:
            self.records.close(self.trials, _print_line if self.verbose else None)
        finally:
            tracker.skips_wait = self.records.store_timed_out
            for left in ("checkpoints", "states"):
                with contextlib.suppress(OSError):  # not empty if a trial was interrupted
                    (self.folder / left).rmdir()
            self._summarise(tracker)
        if self.store is not None and not self._interrupted:
            self._report.begin()
            files = self._report.files()
            for file in files:
                tracker.log_file(file)
            describe(tracker, self.tracking, files)

    def _summarise(self, tracker: Tracker) -> None:
        try:
            summarise(self, tracker)
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise disk_full_error(error, go_on=self.resume_command) from error


def _print_line(line: str) -> None:
    print(line, file=sys.stderr)
