"""The engine: runs batches of trials as lanes of compiled programs, and reports their outcomes."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError, in_a_line
from kexp.sweeps.launch.lanes.estimates import Estimator
from kexp.sweeps.launch.lanes.lane_record import LaneTimes, Summary, lane_outcome
from kexp.sweeps.launch.lanes.messages import Batch, Channel, CompileAhead, Grouped, Narrowed, NotALane, Verified
from kexp.sweeps.launch.lanes.reports import Reports
from kexp.sweeps.launch.trial_run import too_long
from kexp.sweeps.record.kept_models import save_trial
from kexp.sweeps.trials import Outcome, Task
from kexp.training import remove_checkpoints

if TYPE_CHECKING:
    from kexp import fused
    from kexp.data import Data
    from kexp.experiment import Prepared

__all__ = ["LaneEngine", "import_engine"]

_WATCH_S = 0.5  # between two looks at running callbacks


def import_engine(threads: int | None = None) -> int:
    """Imports Keras on JAX, in a process of kexp's own.

    Args:
        threads: how many programs run at once; None for the device's default.

    Returns:
        How many trials run at once.
    """
    from kexp.training import own_process, prepare_backend

    own_process()
    prepare_backend("jax")
    from kexp import fused

    return fused.default_width() * (threads or fused.default_threads())


@dataclass(frozen=True)
class _Paused:
    """A paused lane, its times, and the experiment and config of its trial."""

    lane: fused.PausedLane
    times: LaneTimes
    prepared: Prepared
    config: Mapping[str, Any]


class LaneEngine:
    """Runs batches of trials in this process, whose Keras runs on JAX. Keeps programs and data between batches.

    Args:
        channel: the connection to the sweep.
    """

    def __init__(self, channel: Channel) -> None:
        from kexp import fused
        from kexp.tracking import environment

        self.session, self.estimator = fused.Session(), Estimator(self.prepare)
        self._reports = Reports(channel)
        self._ran_on = environment()
        self._data: dict[str, Data] = {}
        self._times: dict[int, LaneTimes] = {}
        self._paused: dict[tuple[int, int], _Paused] = {}
        self._summaries: dict[int, Summary] = {}
        self._summary_of: dict[str, Summary] = {}
        self._limit_s: float | None = None
        self._ended, self._kept = 0, list[fused.LaneResult]()

    def run(self, batch: Batch) -> None:
        """Runs a batch until every trial has ended, and reports epochs and outcomes."""
        from kexp import fused

        self._times.clear()
        self._forget(batch.tasks)
        for task in batch.tasks:
            if task.saves:
                self._reports.send(save_trial(task))
        trials = list(self._trials([task for task in batch.tasks if not task.saves]))
        plan = fused.plan(trials, session=self.session)
        groups = [(g.structure.digest, [t.key.number for t in g.trials], g.width, g.why) for g in plan.groups]
        self._reports.send(Grouped(groups))
        for fallback in plan.fallbacks:
            self._reports.send(NotALane(fallback.trial.key.number, fallback.reason))
        if batch.dry:
            return
        self._limit_s = batch.timeout_s
        self._summaries = {group.number: self._summary(group) for group in plan.groups}
        plan.fallbacks.clear()
        for result in fused.run_trials(trials, on_epoch=self._epoch, threads=batch.threads, planned=plan):
            if not isinstance(result, fused.Fallback):
                self._lane_ended(result, batch.verify)
        for group in plan.groups:
            if group.narrowed:
                self._reports.send(Narrowed(group.structure.digest, group.width, group.narrowed))

    def _lane_ended(self, result: fused.LaneResult, verify: int) -> None:
        """Reports a result; keeps it for `Verify` if `verify` results are to be kept."""
        if result.paused is not None:
            self._reports.send(self._pause(result, result.paused))
        elif result.status == "failed" and _has_fallback(result.trial.key):
            self._report_fallback(result)
        else:
            self._reports.send(self._outcome(result))
            if verify and result.status == "finished":
                self._keep(result, verify)

    def _outcome(self, result: fused.LaneResult) -> Outcome:
        times = self._times.pop(result.trial.key.number, None) or LaneTimes()
        return lane_outcome(result, times, self._summaries.get(result.group, ("", {})), self._ran_on)

    def _forget(self, tasks: Sequence[Task]) -> None:
        """Frees paused lanes that no later task resumes: those of earlier epochs; all once models are being saved."""
        epochs = [task.goes_on[1] for task in tasks if task.goes_on is not None]
        if epochs:
            self._paused = {key: kept for key, kept in self._paused.items() if key[1] >= min(epochs)}
        elif all(task.saves for task in tasks):
            self._paused.clear()

    def _pause(self, result: fused.LaneResult, paused: fused.PausedLane) -> Outcome:
        """Keeps a paused lane. The outcome has a record, in case the trial is not resumed."""
        task: Task = result.trial.key
        times = self._times.pop(task.number, None) or LaneTimes()
        times.paused_at = time.time()
        self._paused[task.number, paused.epoch] = _Paused(paused, times, result.trial.prepared, task.config)
        if task.varies:  # a member of a population always continues, so it needs no record yet
            return Outcome(task.number, "PAUSED", "", paused.history.last, paused.history.duration_s)
        self._times[task.number] = times
        return self._outcome(result)

    def _summary(self, group: fused.Group) -> Summary:
        """Returns the summary of a group's model, computed once for each structure."""
        from kexp.experiment import model_size, model_summary

        digest = group.structure.digest
        if digest not in self._summary_of:
            model = group.structure.blueprint.model
            self._summary_of[digest] = model_summary(model), model_size(model)
        return self._summary_of[digest]

    def _report_fallback(self, result: fused.LaneResult) -> None:
        """Reports that a failed trial cannot be a lane. It then runs as an ordinary training, which may succeed."""
        task: Task = result.trial.key
        self._times.pop(task.number, None)
        if result.trial.checkpoint is not None:
            remove_checkpoints(result.trial.checkpoint.folder)
        self._reports.send(NotALane(task.number, str(result.error or result.reason)))

    def watch(self) -> None:
        """Ends this process if a callback runs longer than a trial may. Nothing else can interrupt a callback."""
        from kexp import fused

        while True:
            time.sleep(_WATCH_S)
            limit_s = self._limit_s
            for trial, since in list(fused.IN_CALLBACKS.values()):
                if limit_s is not None and time.monotonic() - since > limit_s:
                    task: Task = trial.key
                    if _has_fallback(task):
                        reason = "a callback takes longer than sweep.trial_timeout_s"
                        self._reports.send(NotALane(task.number, reason))
                    else:
                        self._reports.send(Outcome(task.number, "FAILED", too_long(limit_s), repeatable=True))
                    os._exit(1)

    def compile_ahead(self, request: CompileAhead) -> None:
        """Compiles the programs of tasks. An error is ignored, because it occurs again when they run."""
        from kexp import fused

        with contextlib.suppress(Exception):
            if request.unsure is None or self.estimator.clearly_lanes(request.unsure):
                fused.compile_ahead([fused.Trial(task, self.prepare(task)) for task in request.tasks], self.session)

    def _keep(self, result: fused.LaneResult, most: int) -> None:
        """Keeps at most `most` results of a sweep, each with the same probability (reservoir sampling)."""
        self._ended += 1
        place = len(self._kept) if len(self._kept) < most else random.randrange(self._ended)
        if place < most:
            self._kept[place : place + 1] = [result]

    def verify(self) -> Verified:
        """Trains the kept results again, each alone, and compares bit by bit."""
        from kexp import fused

        return Verified(len(self._kept), fused.verify(self._kept, len(self._kept)))

    def _trials(self, tasks: Sequence[Task]) -> Iterator[fused.Trial]:
        """Yields the tasks as trials; reports a task whose experiment cannot be prepared."""
        from kexp import fused
        from kexp.experiment import checkpointing_of

        for task in tasks:
            try:
                kept = None if task.goes_on is None else self._paused.get(task.goes_on)
                with fused.settings_guarded():
                    prepared = kept.prepared if kept and kept.config == task.config else self.prepare(task)
                folder = Path(task.checkpoint) if task.checkpoint else None
                checkpointing = checkpointing_of(prepared, folder, Path(task.folder))
                if kept:
                    self._times[task.number] = kept.times.resumed()
                paused = kept.lane if kept else None  # None if the engine that paused it has died: it starts again
                yield fused.Trial(task, prepared, checkpointing, task.until or None, paused, task.varies)
            except ConfigError as error:
                self._reports.send(Outcome(task.number, "INVALID", str(error), repeatable=True))
            except (Exception, SystemExit) as error:
                self._reports.send(NotALane(task.number, _sentence(error)))

    def prepare(self, task: Task) -> Prepared:
        """Returns a task's prepared experiment. Each data set is loaded once.

        Raises:
            ConfigError: the experiment is not valid.
        """
        import json

        from kexp.experiment import load_data, prepare
        from kexp.schema import check

        experiment = check(task.config)
        key = json.dumps([experiment.data.name, experiment.data.parameters], sort_keys=True, default=str)
        if key not in self._data:
            self._data[key] = load_data(experiment.data)
        return prepare(experiment, self._data[key])

    def _epoch(self, trial: fused.Trial, epoch: int, metrics: Mapping[str, float]) -> str | None:
        """Reports an epoch; returns the reason to end the trial, or None."""
        task: Task = trial.key
        times = self._times.setdefault(task.number, LaneTimes())
        times.stamps.append(time.time_ns() // 1_000_000)
        times.timed_out = self._limit_s is not None and times.trained_s > self._limit_s
        answer = self._reports.epoch(task, epoch, metrics, ask=task.ask and not times.timed_out)
        return too_long(self._limit_s or 0) if times.timed_out else answer


def _has_fallback(task: Task) -> bool:
    """Returns whether a trial that fails as a lane may run again as an ordinary training."""
    return task.ordinary is not None and not task.config["fused"]["strict"]


def _sentence(error: BaseException) -> str:
    """Returns why a trial could not be prepared."""
    from kexp import fused

    return f"making it {error}" if isinstance(error, fused.NotALaneError) else in_a_line(error)
