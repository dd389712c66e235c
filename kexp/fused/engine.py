"""The engine: trials stream through the lanes of compiled programs, several threads at once."""

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
from kexp.fused.functional.lowering import device_count
from kexp.fused.lanes.streams import Stream, drive, next_stream
from kexp.fused.lanes.worker import OnEpoch, OnResume
from kexp.fused.planning import Fallback, Plan, Session, plan
from kexp.fused.program.tables import Tables
from kexp.fused.trial import LaneResult, Trial
from kexp.training import Checkpointing, History

__all__ = ["compile_ahead", "default_threads", "run_trials", "train_one", "verify"]


def compile_ahead(trials: Sequence[Trial], session: Session) -> None:
    """Plans trials and compiles their programs, which `run_trials` then finds in the session.

    Raises:
        ConfigError: as for `plan`.
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
    strict: bool = False,
    planned: Plan | None = None,
    session: Session | None = None,
) -> Iterator[LaneResult | Fallback]:
    """Trains trials as lanes and gives each one's result as soon as it has ended, in the order in which they end.

    Args:
        trials: as for `plan`.
        on_epoch: called with (trial, epoch from 1, metrics) after each epoch of each lane, by one thread at a time; a
            string returned prunes the lane, for that reason.
        on_resume: called with (trial, history) where a trial goes on from a checkpoint, before its first new epoch.
        width: lanes of a program; by the device unless given. Part of what decides the last bits.
        threads: how many programs run at once; one for each of at most 4 CPU cores, one on a GPU.
        strict: a trial that cannot be a lane is an error.
        planned: what `plan` gave for these trials, to save doing it again.
        session: as for `plan`.

    Yields:
        A result for each trial; a `Fallback` for each that cannot be a lane, first.

    Raises:
        ConfigError: as for `plan`.
    """
    made = planned or plan(trials, width=width, strict=strict, session=session)
    yield from made.fallbacks
    count = threads or default_threads()
    results: queue.Queue[LaneResult | BaseException | None] = queue.Queue()
    stop, calling, tables = threading.Event(), threading.Lock(), Tables()

    def one_at_a_time(hook: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with calling:
                return hook(*arguments)

        return call

    hooks = one_at_a_time(on_epoch or _ignore), one_at_a_time(on_resume or _ignore)
    streams = deque(Stream(group, count, default_threads()) for group in made.groups)
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
    """A thread's work: stream after stream. It emits results, what ended it, and at last None."""
    try:
        while not stop.is_set() and (stream := next_stream(streams)) is not None:
            try:
                drive(stream, tables, *hooks, emit, stop)
            except Exception as error:  # the program of this group alone is what failed
                for trial in stream.left():
                    emit(LaneResult(trial, "failed", in_a_line(error), History(), error=error))
    except BaseException as error:
        emit(error)
    finally:
        emit(None)


def train_one(
    prepared: Any,
    *,
    on_epoch: OnEpoch | None = None,
    on_resume: OnResume | None = None,
    width: int | None = None,
    checkpoint: Checkpointing | None = None,
) -> LaneResult:
    """One trial through the same program: the same bits as a lane among others. For `trainer.engine=compiled`.

    Raises:
        ConfigError: the trial cannot be a lane; the message names the component.
    """
    trial = Trial(0, prepared, checkpoint)
    (result,) = run_trials([trial], on_epoch=on_epoch, on_resume=on_resume, width=width, threads=1)
    if isinstance(result, Fallback):
        raise ConfigError(f"trainer.engine: compiled cannot run this experiment; {result.reason}")
    return result


def verify(results: Sequence[LaneResult], count: int, seed: int = 0) -> list[str]:
    """Trains some trials again, each alone, and compares to the last bit.

    Args:
        results: of `run_trials`; those that were paused, pruned or failed are passed over.
        count: how many to choose at random.
        seed: decides which.

    Returns:
        A sentence for each trial that came out otherwise; empty where all are the same.
    """
    import random

    import numpy as np

    whole = [result for result in results if result.status == "finished"]
    wrong = []
    for result in random.Random(seed).sample(whole, min(count, len(whole))):
        again = train_one(result.trial.prepared, width=result.width)
        same = again.history.epochs == result.history.epochs and all(
            np.array_equal(a, b) for a, b in zip(again.weights, result.weights, strict=True)
        )
        if not same:
            name = getattr(result.trial.key, "number", result.trial.key)
            wrong.append(f"trial {name} gives another result when it is trained alone")
    return wrong


def default_threads() -> int:
    """Programs that run at once: one a core, for JAX lets go of Python's lock while it computes; one where lanes are
    split among devices, or run on a GPU.
    """
    import jax

    if jax.default_backend() != "cpu" or device_count() > 1:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(4, cores))


def _collect(
    results: queue.Queue[Any], workers: Sequence[threading.Thread], stop: threading.Event
) -> Iterator[LaneResult]:
    left = len(workers)
    try:
        while left:
            result = results.get()
            if result is None:
                left -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        stop.set()
        for each in workers:
            each.join()
