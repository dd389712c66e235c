"""The engine: threads run compiled programs, and trials stream through their lanes."""

from __future__ import annotations

import functools
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import Any

from kexp.errors import ConfigError, in_a_line
from kexp.experiment import Prepared
from kexp.fused.functional.lowering import device_count
from kexp.fused.lanes.streams import Stream, drive, next_stream
from kexp.fused.lanes.worker import OnEpoch, OnResume
from kexp.fused.planning import Fallback, Plan, Session, plan
from kexp.fused.program.tables import Tables
from kexp.fused.trial import LaneResult, Trial
from kexp.training import Checkpointing, History

__all__ = ["compile_ahead", "default_threads", "run_trials", "train_one", "verify"]


def compile_ahead(trials: Sequence[Trial], session: Session) -> None:
    """Plans trials and compiles their programs, and keeps them in the session for `run_trials`.

    Raises:
        ConfigError: see `plan`.
    """
    tables = Tables()
    for group in plan(trials, session=session).groups:
        Stream(group, default_threads(), default_threads()).program(tables)


def run_trials(
    trials: Sequence[Trial],
    *,
    on_epoch: OnEpoch | None = None,
    on_resume: OnResume | None = None,
    width: int | None = None,
    threads: int | None = None,
    planned: Plan | None = None,
    session: Session | None = None,
) -> Iterator[LaneResult | Fallback]:
    """Trains trials as lanes, and yields results in the order in which trials end.

    Args:
        trials: see `plan`.
        on_epoch: called with (trial, epoch from 1, metrics) after each epoch of each lane, by one thread at a time. If
            it returns a string, the trial is pruned for that reason.
        on_resume: called with (trial, history) before the first new epoch of a trial that resumes from a checkpoint.
        width: number of lanes of a program; None for the device's default. The last bits of a result depend on it.
        threads: how many programs run at once; None for `default_threads`.
        planned: the result of `plan` for these trials; None to plan them here.
        session: see `plan`.

    Yields:
        First a `Fallback` for each trial that cannot be a lane, then a result for each other trial.

    Raises:
        ConfigError: see `plan`.
    """
    planned = planned or plan(trials, width=width, session=session)
    yield from planned.fallbacks
    count = threads or default_threads()
    results: queue.Queue[LaneResult | BaseException | None] = queue.Queue()
    stop, calling, tables = threading.Event(), threading.Lock(), Tables()

    def one_at_a_time(hook: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with calling:
                return hook(*arguments)

        return call

    hooks = one_at_a_time(on_epoch or _ignore), one_at_a_time(on_resume or _ignore)
    streams = deque(Stream(group, count, default_threads()) for group in planned.groups)
    work = functools.partial(_drive_streams, streams, tables, hooks, results.put, stop)
    workers = [threading.Thread(target=work, name=f"kexp-fused-{i}", daemon=True) for i in range(count)]
    for each in workers:
        each.start()
    yield from _collect(results, workers, stop)


def _ignore(*_: Any) -> None:
    pass


def _drive_streams(
    streams: deque[Stream], tables: Tables, hooks: tuple[OnEpoch, OnResume], emit: Callable[[Any], None], stop: Event
) -> None:
    """The work of a thread: stream after stream. Emits results, an exception if one ended it, and at last None."""
    try:
        while not stop.is_set() and (stream := next_stream(streams)) is not None:
            try:
                drive(stream, tables, *hooks, emit, stop)
            except Exception as error:  # only this group's program has failed
                for trial in stream.take_rest():
                    emit(LaneResult(trial, "failed", in_a_line(error), History(), error=error))
    except BaseException as error:
        emit(error)
    finally:
        emit(None)


def train_one(
    prepared: Prepared,
    *,
    on_epoch: OnEpoch | None = None,
    on_resume: OnResume | None = None,
    width: int | None = None,
    checkpoint: Checkpointing | None = None,
) -> LaneResult:
    """Trains one trial with the program of its structure, to the same bits as a lane among others.

    Args:
        prepared: the trial's prepared experiment.
        on_epoch: see `run_trials`.
        on_resume: see `run_trials`.
        width: see `run_trials`.
        checkpoint: where to look for a checkpoint and when to write one; None for no checkpoints.

    Raises:
        ConfigError: the trial cannot be a lane; the message names the component.
    """
    trial = Trial(0, prepared, checkpoint)
    (result,) = run_trials([trial], on_epoch=on_epoch, on_resume=on_resume, width=width, threads=1)
    if isinstance(result, Fallback):
        raise ConfigError(f"trainer.engine: compiled cannot run this experiment; {result.reason}")
    return result


def verify(results: Sequence[LaneResult], count: int) -> list[str]:
    """Trains some trials again, each alone, and compares history and weights bit by bit.

    Args:
        results: results of `run_trials`; only those of finished trials are used.
        count: how many trials to choose at random.

    Returns:
        A sentence for each trial with another result; empty if there is none.
    """
    import random

    import numpy as np

    finished = [result for result in results if result.status == "finished"]
    wrong = []
    for result in random.Random(0).sample(finished, min(count, len(finished))):
        again = train_one(result.trial.prepared, width=result.width)
        same = again.history.epochs == result.history.epochs and all(
            np.array_equal(a, b) for a, b in zip(again.weights, result.weights, strict=True)
        )
        if not same:
            name = getattr(result.trial.key, "number", result.trial.key)
            wrong.append(f"trial {name} gives another result when it is trained alone")
    return wrong


def default_threads() -> int:
    """Returns how many programs run at once by default: one per CPU core, at most 4; one on a GPU or several devices.

    Threads serve for that, because JAX releases Python's global lock while it computes.
    """
    import jax

    if jax.default_backend() != "cpu" or device_count() > 1:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(4, cores))


def _collect(
    results: queue.Queue[Any], workers: Sequence[threading.Thread], stop: threading.Event
) -> Iterator[LaneResult]:
    """Yields results until every worker has ended; raises the exception of one. Stops the others when it is closed."""
    running = len(workers)
    try:
        while running:
            result = results.get()
            if result is None:
                running -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        stop.set()
        for each in workers:
            each.join()
