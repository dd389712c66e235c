"""One sweep from its trials to its answer: skip what is done, run the rest, record, rank, report."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from kexp.errors import ConfigError
from kexp.schema import Experiment
from kexp.sweeps.compare.comparison import Comparison
from kexp.sweeps.events import Launcher
from kexp.sweeps.execution.closing import Report, closing_lines, describe, summarise
from kexp.sweeps.execution.sweep_run import lock_sweep, open_sweep_run
from kexp.sweeps.execution.trial_events import TrialEvents
from kexp.sweeps.feed import Feed
from kexp.sweeps.objective import Objective, choose_objectives
from kexp.sweeps.plan.earlier import earlier_sweep, sweep_key
from kexp.sweeps.plan.jobs import Jobs
from kexp.sweeps.plan.planning import mark_done
from kexp.sweeps.record.keeping import Keeping
from kexp.sweeps.record.recorder import Recorder
from kexp.sweeps.record.trial_records import TrialRecords
from kexp.sweeps.table import LiveTable
from kexp.sweeps.tasks import make_task
from kexp.sweeps.trials import Outcome, Task, Trial
from kexp.system.disk import disk_full_error, is_disk_full
from kexp.system.interrupts import deferred_interrupts, no_interrupts
from kexp.tracking import (
    StoreSettings,
    Tracker,
    command_line,
    left_alone,
)
from kexp.tracking.reading.stale import unfinished_runs
from kexp.tracking.status import ended_with, sigterm_raises
from kexp.training import remove_checkpoints

__all__ = ["ARGUMENTS", "Session"]

ARGUMENTS = "sweep/arguments.json"
"""An artifact of a sweep's run: what to run it with again."""


class Session:
    """A sweep.

    Args:
        trials: planned; more may be added by a sweeper that searches.
        experiment: any valid trial's config, for the settings that trials share.
        arguments: what is swept over, as on the command line.
        store: where runs are recorded; None keeps none.
        folder: `multirun/NAME`; an earlier run of the same sweep has its own.
        name: the sweep's name, where the user gave none and there is no earlier run.
        command: all of the command line, for `kexp resume`.
        jobs: the trials as Hydra's jobs; None where a launcher of Hydra's sees to that.
    """

    def __init__(
        self,
        trials: list[Trial],
        experiment: Experiment,
        *,
        arguments: Sequence[str],
        store: StoreSettings | None,
        folder: Path,
        name: str,
        command: Mapping[str, Any] | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        self.trials, self.settings, self.arguments = trials, experiment.sweep, tuple(arguments)
        self.store, self.folder, self.name = store, folder, name
        self.verbose, self.tracking = experiment.trainer.verbose, experiment.tracking
        self.objective: Objective | None = None
        self.run_id = ""
        self.jobs, self._own_folder = jobs, folder.name != name
        self.notices: list[str] = []
        self.remarks: list[str] = []  # what a reader of the table and the report should know
        self.objectives: Sequence[Objective] = ()  # of a search that has several: all of them
        self._command = dict(command or {"arguments": list(arguments)})
        self.records = TrialRecords(store, self.task)
        self.table: LiveTable | None = None
        self._events = TrialEvents(self)
        self.goes_on = False  # the store has an earlier run of this sweep
        save, tracking = experiment.save, experiment.tracking
        added = tracking.enabled and save.model
        self._keep = save.keep if added or save.formats else "none"
        if save.register and self._keep == "none":
            raise ConfigError.at(
                "save.keep", "must not be none with save.register, which needs the best model", save.keep
            )
        self._coming = ["model"] if added and self._keep != "none" else []
        self.keeping = Keeping(folder, self._keep)
        self._asked_to_save = False
        self.trials_waiting = self.rows_waiting = 0  # on disk, as the store did not take them
        self._launched: Callable[[], list[str]] = list  # the launcher's own closing lines
        self._interrupted = False
        self._report = Report(self)

    @contextmanager
    def running(self, objective: Objective | None = None) -> Iterator[Tracker]:
        """The sweep's own run, RUNNING within the block. What a killed sweep left is taken up again.

        Raises:
            ConfigError: the same sweep is running already.
            StoreError: the store is away, or did not take every trial that is over.
        """
        from kexp.experiment import log_extras

        self.objective = objective or self.objective
        key = sweep_key(self.arguments)
        with ExitStack() as stack, sigterm_raises(), ExitStack() as ending:
            lock_sweep(stack, self.folder.parent, key)
            before = self._take_up(key)
            self.goes_on = before is not None
            self.keeping = Keeping(self.folder, self._keep)
            with deferred_interrupts():  # a run that is open is one that will be ended
                self.notices += left_alone() if self.store is not None else []
                tracker = open_sweep_run(
                    self.store,
                    name=self.name,
                    folder=self.folder,
                    key=key,
                    tracking=self.tracking,
                    run_id=before,
                    say=_say if self.verbose else None,
                )
                ending.enter_context(ended_with(tracker))
            ending.enter_context(log_extras(tracker, self.tracking) if self.store is not None else nullcontext())
            self.folder.mkdir(exist_ok=True)  # only now: a sweep that never opened leaves no folder
            self.run_id = tracker.run_id
            replaced = unfinished_runs(self.store, before) if self.store is not None and before else {}
            recorder = Recorder(
                self.store,
                replaced,
                folder=self.folder,
                run_id=self.run_id,
                notices=self.notices,
                coming=self._coming,
                go_on=self.resume_command,
            )
            self.records.begin(recorder, tracker, self.folder)
            tracker.log_text(json.dumps({**self._command, "cwd": os.getcwd()}), ARGUMENTS)
            try:
                yield tracker
            except (KeyboardInterrupt, SystemExit):
                self._interrupted = True
                print(f"\nkexp: the sweep was interrupted; to go on: {self.resume_command}", file=sys.stderr)
                raise
            finally:
                stack.enter_context(no_interrupts([signal.SIGINT]))  # until its run has ended
                with no_interrupts():
                    self._interrupt()
                    self._end(tracker)
        self.rows_waiting = tracker.undelivered
        waits_with_trials = (
            self.records.was_waited_for and tracker.undelivered
        )  # in the same folder, as is told already
        if tracker.notice and not waits_with_trials:
            self.notices.append(tracker.notice)

    @property
    def resume_command(self) -> str:
        """What to type to go on with the sweep."""
        return command_line("resume", self.name, store=self.store, experiment=True)

    @property
    def compare_command(self) -> str:
        """What to type to rank its choices again."""
        return command_line("compare", self.name, store=self.store, experiment=True)

    @property
    def comparison(self) -> Comparison | None:
        """Its ranked choices, once it is over; None where nothing was measured."""
        return self._report.comparison()

    def skip_done(self) -> None:
        """Marks what the store has finished already, unless everything is to be run again."""
        if self.store is not None and not self.settings.rerun:
            mark_done(self.trials, self.store)
            self.know_objective({key: value for trial in self.trials for key, value in trial.metrics.items()})
            for trial in self.trials:
                if trial.state == "DONE":
                    self.keeping.consider(trial, self.objective)
            # A kill may have left an earlier attempt beside the good one.
            self.replace_earlier(trial for trial in self.trials if trial.state == "DONE")

    def replace_earlier(self, trials: Iterable[Trial]) -> None:
        """Deletes the earlier attempts of trials that the store has now."""
        self.records.replace(trials)

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
        """Runs the trials that wait; of trials that are the same experiment, one.

        Args:
            launcher: runs them.
            trials: those known from the start.
            ask: whether each epoch waits for a word on whether to go on.
            more: asked for another trial whenever there is room for one; None is none for now.
            most: how many trials `more` will give at most.
            then: asked once nothing else waits: gives trials that go on, or none while others are to end first.
        """
        waiting = self._events.expect(trials)

        def another() -> Task | None:
            trial = more() if more is not None else None
            if trial is None:
                return None
            self._events.expect_another(trial)
            return self.task(trial, ask)

        def last() -> Sequence[Task]:
            going = then()
            for trial in going:
                self.held.pop(trial.number, None)
            return [self.task(trial, ask) for trial in going] or self._saving_tasks()

        self._launched = getattr(launcher, "closing", list)
        self.table = LiveTable(self.trials, self.objective, self.verbose, more=most)
        try:
            tasks = Feed([self.task(trial, ask) for trial in waiting], more and another, most, last)
            launcher.run_tasks(tasks, self._events)
        finally:
            with no_interrupts():
                self._interrupt()
                self.table.close()

    def prune_with(self, judge: Callable[[Trial, int, Mapping[str, float]], str | None]) -> None:
        """Asks `judge` after each epoch whether a trial is to end, and why."""
        self._events.prune = judge

    def call_at_ends(self, on_end: Callable[[Trial, Outcome], None]) -> None:
        """Calls `on_end` for each trial that is over, before the next one is asked for."""
        self._events.at_end = on_end

    @property
    def held(self) -> dict[int, Outcome]:
        """The outcomes of trials that are paused."""
        return self._events.held

    @property
    def models_missing(self) -> int:
        """How many models to be kept are not saved, or not in the store yet."""
        return self._events.models_missing + self.records.models_left

    def give_up(self, trial: Trial, reason: str) -> None:
        """Ends a trial that is paused; its record is what it had measured by then."""
        outcome = self.held[trial.number]
        remove_checkpoints(Path(self.task(trial).checkpoint))
        record = outcome.record
        if record is not None:
            record = replace(record, tags={**record.tags, "kexp.state": "PRUNED", "kexp.reason": reason})
        self._events.ended(trial, replace(outcome, state="PRUNED", reason=reason, record=record))

    def take_over(self, trial: Trial, donor: Trial, fingerprint: str) -> None:
        """What a trial has measured is from now on what another has; `fingerprint` is what its own was before."""
        self.records.take_over(trial, donor, fingerprint)
        trial.metrics = dict(donor.metrics)

    def task(self, trial: Trial, ask: bool = False) -> Task:
        """The task of a trial; `ask` has each epoch wait for an answer."""
        trial.folder = self.folder / (str(trial.number) if self.jobs is None else self.jobs.subdir(trial))
        return make_task(
            trial,
            ask=ask,
            sweep=self.folder,
            name=f"{self.name}-{trial.number}",
            parent_run_id=self.run_id or None,
            state=self.keeping.file(trial),
        )

    def _saving_tasks(self) -> list[Task]:
        """Once all trials are over: tasks that save the models of the best, each once. Their numbers are negative."""
        if self._asked_to_save or any(not trial.over for trial in self.trials):
            return []
        self._asked_to_save = True
        tasks = self.keeping.tasks(self.task, self.records.header)
        if tasks and self.records.go_to_a_store:  # the report is written while models are saved
            self._report.begin(after=lambda: self.records.wait(self.trials))
        return tasks

    def value(self, trial: Trial) -> float | None:
        """What a trial is judged by; None where it has not measured it."""
        return None if self.objective is None else trial.metrics.get(self.objective.metric)

    def closing(self) -> list[str]:
        """The closing lines: the ranking, what went wrong, where things are."""
        again = command_line("reproduce", "RUN", "--save", store=self.store)
        launched = self._launched() + [f"{label:<8} {text}" for label, text in self._events.decided]
        launched += [line] if (line := self.keeping.line(self.objective, again)) else []
        return closing_lines(self, launched)

    def _take_up(self, key: str) -> str | None:
        """The id of the earlier run of this sweep, whose name and folder become this one's."""
        before = None if self.store is None else earlier_sweep(self.store, key, self.settings.name)
        if before is None or self.settings.rerun:
            return None
        self.name = before.name
        if before.folder.is_dir():
            self.folder = before.folder
        elif not self._own_folder:
            self.folder = self.folder.with_name(before.name)
        return before.run_id

    def _interrupt(self) -> None:
        """What still runs when the sweep ends was killed with it."""
        reason = "ended by sweep.fail_fast" if self.settings.fail_fast else "the sweep was interrupted"
        for trial in self.trials:
            if trial.state == "RUNNING":
                self._events.ended(trial, Outcome(trial.number, "KILLED", reason))

    def know_objective(self, metrics: Mapping[str, float]) -> None:
        """Chooses what trials are judged by, once there are metrics to choose from."""
        if self.objective is None and metrics:
            self.objective, *_ = choose_objectives(  # a search may have several; a table is ranked by the first
                metrics, self.settings.objective, self.settings.direction, key="sweep.objective"
            )
            if self.table is not None:
                self.table.objective = self.objective

    def _end(self, tracker: Tracker) -> None:
        """Everything recorded, then the summary of it, then the report over what the store has."""
        try:
            self.records.close(self.trials, _say if self.verbose else None)
        finally:
            self.trials_waiting = self.records.trials_left
            tracker.hurries = self.records.was_waited_for
            for left in ("checkpoints", "states"):
                with contextlib.suppress(OSError):  # there is something in it where a trial was interrupted
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


def _say(line: str) -> None:
    print(line, file=sys.stderr)
