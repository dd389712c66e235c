"""Run one trial: an ordinary experiment, whose record is collected and whose failures are classified."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.errors import ConfigError, KexpError, TrainingError, in_a_line
from kexp.schema.run_names import run_name
from kexp.sweeps.record.kept_models import save_trial
from kexp.sweeps.trials import Outcome, State, Task
from kexp.system.disk import full_disk, is_disk_full
from kexp.tracking import Terminated
from kexp.tracking.record.collected import CollectedRun

if TYPE_CHECKING:
    from kexp.experiment import Prepared

__all__ = ["LOG", "OnEpoch", "TimeUpError", "logged", "run_trial", "too_long"]

LOG = "trial.log"
_EXHAUSTED = "RESOURCE_EXHAUSTED"  # in the messages of JAX; TensorFlow's error has a class of its own
OnEpoch = Callable[[int, int, Mapping[str, float]], str | None]
"""(trial number, epoch, metrics) -> the reason to end the trial now, or None."""


class TimeUpError(BaseException):
    """A trial took too long. Not an `Exception`, so that `except Exception` in a user's code does not catch it."""


def too_long(timeout_s: float) -> str:
    """Returns the reason of a trial that was ended at its time limit."""
    return f"took longer than sweep.trial_timeout_s={timeout_s:g}"


def run_trial(task: Task, on_epoch: OnEpoch) -> Outcome:
    """Runs a trial, and returns its outcome. Only Ctrl-C and SIGTERM are raised, because they end the process.

    Args:
        task: the trial's task.
        on_epoch: called after each epoch.
    """
    from kexp import experiment
    from kexp.schema import check
    from kexp.sweeps.sweep_command import announce_backend

    announce_backend([f"backend={task.config.get('backend')}"])
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    attempt = _Attempt(task, on_epoch)
    with logged(folder / LOG):
        if task.saves:
            return save_trial(task)
        try:
            result = experiment.run(
                check(task.config),
                folder,
                source=experiment.Source(overrides=task.overrides, yaml=task.yaml),
                open_tracker=attempt.open_tracker,
                listeners=[attempt.epoch],
                checkpoint=Path(task.checkpoint) if task.checkpoint else None,
                state_file=Path(task.state) if task.state else None,
                report=attempt.notices.extend,
            )
            attempt.metrics.update(result.metrics)
            print(*result.history.notices, sep="\n", end="")
            return attempt.outcome("PRUNED" if attempt.pruned else "FINISHED", attempt.pruned)
        except (KeyboardInterrupt, Terminated):
            raise
        except BaseException as error:
            if not is_disk_full(error):  # the log may be full too, and the reason is enough
                traceback.print_exc()
            if isinstance(error, ConfigError) and attempt.tracker is None:
                return attempt.outcome("INVALID", str(error), repeatable=True)
            return attempt.outcome("FAILED", *_why(error))


class _Attempt:
    """Collects the results of a trial while it runs.

    Args:
        task: the trial's task.
        on_epoch: see `run_trial`.

    Attributes:
        tracker: collects the record; None until the run begins.
        metrics: the last value of each metric.
        pruned: the reason why the trial was ended early; empty if it was not.
        notices: (label, text) of the lines that a single run prints.
    """

    def __init__(self, task: Task, on_epoch: OnEpoch) -> None:
        self._task, self._on_epoch = task, on_epoch
        self._started = time.perf_counter()
        self.tracker: CollectedRun | None = None
        self.metrics: dict[str, float] = {}
        self.pruned = ""
        self.notices: list[tuple[str, str]] = []

    def open_tracker(self, prepared: Prepared, tags: Mapping[str, Any]) -> CollectedRun:
        """Starts the record."""
        task = self._task
        name = run_name(prepared.experiment.as_dict()) or task.name
        tags = {**tags, **task.tags}
        self.tracker = CollectedRun(name, Path(task.folder), tags=tags, parent_run_id=task.parent_run_id)
        return self.tracker

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> str | None:
        """Reports an epoch; returns the reason to end the trial, or None."""
        self.metrics.update(metrics)
        reason = self._on_epoch(self._task.number, epoch, metrics)
        self.pruned = self.pruned or reason or ""
        return reason

    def outcome(self, state: State, reason: str, repeatable: bool = False) -> Outcome:
        """Returns the outcome, with the record if the run has begun."""
        record = None
        if self.tracker is not None:
            if self.pruned:
                self.tracker.set_tags({"kexp.state": "PRUNED"})
            if reason:  # the same text as in the table
                self.tracker.set_tags({"kexp.reason": " ".join(reason.split())[:500]})
            record = self.tracker.record()
        return Outcome(
            self._task.number,
            state,
            reason,
            self.metrics,
            time.perf_counter() - self._started,
            record=record,
            repeatable=repeatable,
            notices=self.notices,
        )


def _why(error: BaseException) -> tuple[str, bool]:
    """Returns why a trial failed, and whether another attempt would fail in the same way."""
    if is_disk_full(error):
        return full_disk(error), True
    if isinstance(error, (ConfigError, TrainingError, TimeUpError)):
        return str(error), True
    if isinstance(error, KexpError):
        return str(error), False
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError" or _EXHAUSTED in str(error):
        return "out of memory", False
    if isinstance(error, SystemExit):
        return f"the trial called sys.exit({'' if error.code is None else repr(error.code)})", True
    return in_a_line(error), True


@contextlib.contextmanager
def logged(file: Path) -> Iterator[None]:
    """Redirects standard output and error to a file within the block, including the output of C libraries."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open(file, "ab", buffering=0) as log:
        kept = [os.dup(number) for number in (1, 2)]
        try:
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
