"""Makes the outcome and the record of a lane, like those of an ordinary run, from its result and its times."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kexp.schema.run_names import run_name
from kexp.sweeps.launch.trial_run import LOG
from kexp.sweeps.trials import Outcome, State, Task
from kexp.tracking.record.collected import CollectedRun
from kexp.training import remove_checkpoints

if TYPE_CHECKING:
    from kexp import fused

__all__ = ["LaneTimes", "Summary", "lane_outcome"]

_STATES: dict[str, State] = {
    "finished": "FINISHED",
    "pruned": "PRUNED",
    "diverged": "FAILED",
    "failed": "FAILED",
    "paused": "PAUSED",
}
Summary = tuple[str, dict[str, int]]
"""Keras' table of a model's layers, and the number of its weights by metric name; see `kexp.experiment.model_size`."""


@dataclass
class LaneTimes:
    """The times of a lane.

    Attributes:
        started: when it started, seconds since 1970.
        stamps: when each epoch ended, milliseconds since 1970.
        timed_out: whether it has reached its time limit.
        paused_at: when it was paused last, seconds since 1970.
        waited_s: how long it was paused, seconds.
    """

    started: float = field(default_factory=time.time)
    stamps: list[int] = field(default_factory=list)
    timed_out: bool = False
    paused_at: float = 0.0
    waited_s: float = 0.0

    @property
    def trained_s(self) -> float:
        """How long it has been running, without its pauses."""
        return time.time() - self.started - self.waited_s

    def resumed(self) -> LaneTimes:
        """Returns the times of a trial that resumes this paused lane now."""
        waited_s = self.waited_s + time.time() - self.paused_at
        return LaneTimes(self.started, list(self.stamps), waited_s=waited_s)


def lane_outcome(result: fused.LaneResult, times: LaneTimes, summary: Summary, ran_on: Any) -> Outcome:
    """Returns the outcome of a lane that has ended, with its record.

    Args:
        result: the lane's result.
        times: the lane's times.
        summary: the summary of its model.
        ran_on: the environment, see `kexp.tracking.run.environment`.
    """
    task: Task = result.trial.key
    state, reason = _STATES[result.status], result.reason
    if times.timed_out:
        state = "FAILED"
    try:
        record = _record(task, result, times, state, summary, ran_on)
    except Exception as error:
        traceback.print_exc()
        return Outcome(task.number, "FAILED", f"its record could not be made: {type(error).__name__}: {error}")
    if result.trial.checkpoint is not None and state in ("FINISHED", "PRUNED"):
        remove_checkpoints(result.trial.checkpoint.folder)
    metrics = {**result.history.last, **{f"test_{key}": value for key, value in result.test.items()}}
    shown, notices = reason if state != "FINISHED" else "", result.trial.prepared.notices
    spent_s = result.history.duration_s
    return Outcome(task.number, state, shown, metrics, spent_s, record=record, repeatable=True, notices=notices)


def _record(task: Task, result: fused.LaneResult, times: LaneTimes, state: State, summary: Summary, ran_on: Any) -> Any:
    """Collects what an ordinary run logs."""
    from kexp.experiment import Source, record_setup, run_tags, write_trained_state

    prepared, folder = result.trial.prepared, Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    tags = run_tags(prepared, folder, {**task.tags, **result.tags})
    name = run_name(prepared.experiment.as_dict()) or task.name
    run = CollectedRun(name, folder, tags=tags, parent_run_id=task.parent_run_id)
    run.start_ms = int(times.started * 1000)
    record_setup(run, prepared, Source(overrides=task.overrides, yaml=task.yaml), *summary, ran_on)
    _log_epochs(run, result, times)
    _tag_end(run, result, state)
    if state == "FAILED":
        (folder / LOG).write_text(f"{result.reason}\n")
    if task.state and state == "FINISHED" and result.state is not None:
        write_trained_state(Path(task.state), prepared, result.state, result.history, run.last_points)
    run.end("FAILED" if state == "FAILED" else "FINISHED")
    return run.record()


def _log_epochs(run: CollectedRun, result: fused.LaneResult, times: LaneTimes) -> None:
    """Logs the metrics of each epoch at the time when it ended, and the test's metrics with the last epoch."""
    from kexp.experiment import log_epoch_time, log_rates

    # An epoch that was trained twice has its last time; epochs that a checkpoint restored have the lane's start.
    epochs = result.history.epochs
    stamps = ([run.start_ms] * len(epochs) + times.stamps)[len(times.stamps) :]
    for (epoch, metrics), stamp in zip(epochs, stamps, strict=True):
        run.log_metrics(metrics, step=epoch, timestamp_ms=stamp)
    ended = dict(zip((epoch for epoch, _ in epochs), stamps, strict=True))
    log_rates(run, result.trial.prepared, result.history, ended)
    log_epoch_time(run, result.history, stamps[-1] if stamps else None)
    if result.test:
        run.log_metrics({f"test_{key}": value for key, value in result.test.items()}, step=epochs[-1][0])


def _tag_end(run: CollectedRun, result: fused.LaneResult, state: State) -> None:
    history = result.history
    if history.resumed_from:
        run.set_tags({"kexp.resumed_from": history.resumed_from})
    run.set_tags({"kexp.duration_s": f"{history.duration_s:.3f}"})
    if history.stopped:
        run.set_tags({"kexp.stopped": history.stopped})
    if history.notices:
        run.set_tags({"kexp.notices": "; ".join(history.notices)})
    if state == "PRUNED":
        run.set_tags({"kexp.state": "PRUNED"})
    if state in ("PRUNED", "FAILED"):
        run.set_tags({"kexp.reason": " ".join(result.reason.split())[:500]})
