"""One trial, where it is run: the ordinary experiment, its record collected, its bad ends told apart."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kexp.errors import ConfigError, KexpError, TrainingError, first_line
from kexp.run_names import run_name
from kexp.sweeps.record.keeping import save_trial
from kexp.sweeps.trials import Outcome, Task
from kexp.tracking import Terminated
from kexp.tracking.collected import CollectedRun

__all__ = ["LOG", "TimeUpError", "Told", "logged", "run_trial", "too_long"]

LOG = "trial.log"
_EXHAUSTED = "RESOURCE_EXHAUSTED"  # how JAX's errors say so; TensorFlow's have a class of their own
Told = Callable[[int, int, Mapping[str, float]], str | None]
"""(trial, epoch, metrics) -> why to stop it now, or None."""


class TimeUpError(BaseException):
    """A trial has had its time. No Exception, so that no trial's own `except Exception` swallows it."""


def too_long(timeout_s: float) -> str:
    """Why a trial that was ended at its time limit did not finish."""
    return f"took longer than sweep.trial_timeout_s={timeout_s:g}"


def run_trial(task: Task, tell: Told) -> Outcome:
    """Runs a trial to its end, whatever that is. Only Ctrl-C and SIGTERM leave here: they are meant for the process.

    Args:
        task: what to run.
        tell: told of each epoch.
    """
    from kexp import experiment
    from kexp.schema import check
    from kexp.sweeps.opening import announce_backend

    announce_backend([f"backend={task.config.get('backend')}"])
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    collected: list[CollectedRun] = []
    latest: dict[str, float] = {}
    pruned: list[str] = []
    notices: list[tuple[str, str]] = []

    def open_tracker(prepared: experiment.Prepared, tags: Mapping[str, Any]) -> CollectedRun:
        name = run_name(prepared.experiment.as_dict()) or task.name
        tracker = CollectedRun(name, folder, tags={**tags, **task.tags}, parent_run_id=task.parent_run_id)
        collected.append(tracker)
        return tracker

    def listen(epoch: int, metrics: Mapping[str, float]) -> str | None:
        latest.update(metrics)
        reason = tell(task.number, epoch, metrics)
        if reason:
            pruned.append(reason)
        return reason

    def outcome(state: Any, reason: str = "", repeatable: bool = False) -> Outcome:
        record = None
        if collected:
            if pruned:
                collected[0].set_tags({"kexp.state": "PRUNED"})
            if reason:  # the table's words, in the store too
                collected[0].set_tags({"kexp.reason": " ".join(reason.split())[:500]})
            record = collected[0].record()
        spent_s = time.perf_counter() - started
        return Outcome(
            task.number, state, reason, latest, spent_s, record=record, repeatable=repeatable, notices=notices
        )

    with logged(folder / LOG):
        if task.saves:
            return save_trial(task)
        try:
            result = experiment.run(
                check(task.config),
                folder,
                source=experiment.Source(overrides=task.overrides, yaml=task.yaml),
                open_tracker=open_tracker,
                listeners=[listen],
                checkpoint=Path(task.checkpoint) if task.checkpoint else None,
                state_file=Path(task.state) if task.state else None,
                report=notices.extend,
            )
            latest.update(result.metrics)
            print(*result.history.notices, sep="\n", end="")
            return outcome("PRUNED" if pruned else "FINISHED", pruned[0] if pruned else "")
        except (KeyboardInterrupt, Terminated):
            raise
        except BaseException as error:
            traceback.print_exc()
            if isinstance(error, ConfigError) and not collected:
                return outcome("INVALID", str(error), repeatable=True)
            return outcome("FAILED", *_why(error))


def _why(error: BaseException) -> tuple[str, bool]:
    """Why a trial failed, and whether it would fail so again."""
    if isinstance(error, (ConfigError, TrainingError, TimeUpError)):
        return str(error), True
    if isinstance(error, KexpError):
        return str(error), False
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError" or _EXHAUSTED in str(error):
        return "out of memory", False
    if isinstance(error, SystemExit):
        return f"the trial called sys.exit({'' if error.code is None else repr(error.code)})", True
    return f"{type(error).__name__}: {first_line(error)}", True


@contextlib.contextmanager
def logged(file: Path) -> Iterator[None]:
    """Standard output and error go to `file`, those of libraries written in C too."""
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
