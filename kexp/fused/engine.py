"""The engine: trials stream through the lanes of compiled programs, several threads at once."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kexp.errors import ConfigError, in_a_line
from kexp.fused.bindings import TRACING
from kexp.fused.cache import use_compilation_cache
from kexp.fused.config_numbers import Key, changes_of, numbers_after, numbers_of
from kexp.fused.grouping import by_structure, rows_digest, structure_key, told_apart, unfit
from kexp.fused.lowering import device_count
from kexp.fused.streams import Group, Stream, drive, is_streamed, next_stream
from kexp.fused.structure import NotFusableError, Structure, analyse
from kexp.fused.table import Tables
from kexp.fused.trial import LaneResult, Trial
from kexp.training import Checkpointing, History

__all__ = ["Fallback", "Group", "Plan", "Session", "compile_ahead", "plan", "run_trials", "train_one", "verify"]

CPU_WIDTH = 4
GPU_WIDTH = 256

EpochHook = Callable[[Trial, int, Mapping[str, float]], Any]
ResumeHook = Callable[[Trial, History], None]


@dataclass(frozen=True)
class Fallback:
    """A trial that cannot be a lane, and why, as a sentence."""

    trial: Trial
    reason: str


@dataclass
class Plan:
    """What would run as lanes, in which groups, and what would not."""

    groups: list[Group]
    fallbacks: list[Fallback]


class Session:
    """Structures and programs that were made before, for a sweep that hands over its trials a few at a time."""

    def __init__(self) -> None:
        self._known: dict[str, list[Structure]] = {}

    def of(self, key: str) -> list[Structure]:
        """What is known of a structure's key: one for each set of constants and branches."""
        return self._known.setdefault(key, [])


def plan(
    trials: Sequence[Trial], *, width: int | None = None, strict: bool = False, session: Session | None = None
) -> Plan:
    """Groups trials by program. Builds a model or two for each structure and traces them; trains nothing.

    Args:
        trials: whose experiments have `backend: jax`, in a process whose Keras runs on JAX.
        width: lanes of a program; by each trial's `fused.max_lanes` or else the device unless given.
        strict: a trial that cannot be a lane is an error.
        session: what was made for earlier calls is used again, and what is made is kept there.

    Raises:
        ConfigError: `strict`, and a trial cannot be a lane; or Keras runs on another backend.
    """
    _hold_backend()
    use_compilation_cache()
    made = Plan([], [])
    fit_for_lanes = []
    for trial in trials:
        reason = unfit(trial)
        if reason:
            made.fallbacks.append(Fallback(trial, reason))
        else:
            fit_for_lanes.append(trial)
    tables = Tables()
    structures = by_structure(fit_for_lanes)
    session = session or Session()
    for key, members in structures.items():
        why = told_apart(key, list(structures))
        for lanes, some in _by_lanes(members, width).items():
            _plan_structure(made, some, session.of(key), tables, lanes, why)
            why = "another fused.max_lanes"
    if strict and made.fallbacks:
        first = made.fallbacks[0]
        raise ConfigError(f"fused.strict: trial {first.trial.key} cannot be fused; {first.reason}")
    return made


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
    on_epoch: EpochHook | None = None,
    on_resume: ResumeHook | None = None,
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
    stop, told = threading.Event(), threading.Lock()

    def tell(trial: Trial, epoch: int, metrics: Mapping[str, float]) -> Any:
        if on_epoch is None:
            return None
        with told:
            return on_epoch(trial, epoch, metrics)

    def tell_resumed(trial: Trial, history: History) -> None:
        if on_resume is not None:
            with told:
                on_resume(trial, history)

    streams = deque(Stream(group, count, default_threads()) for group in made.groups)
    tables = Tables()

    def work() -> None:
        try:
            while not stop.is_set():
                stream = next_stream(streams)
                if stream is None:
                    break
                try:
                    drive(stream, tables, tell, tell_resumed, results.put, stop)
                except Exception as error:  # the program of this group alone is what failed
                    for trial in stream.left():
                        results.put(LaneResult(trial, "failed", in_a_line(error), History(), error=error))
        except BaseException as error:
            results.put(error)
        finally:
            results.put(None)

    workers = [threading.Thread(target=work, name=f"kexp-fused-{i}", daemon=True) for i in range(count)]
    for each in workers:
        each.start()
    yield from _collect(results, workers, stop)


def train_one(
    prepared: Any,
    *,
    on_epoch: EpochHook | None = None,
    on_resume: ResumeHook | None = None,
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


def default_width() -> int:
    """Lanes of a program: on each device few on a CPU, where wider programs gain nothing, and many on a GPU."""
    import jax

    return device_count() * (CPU_WIDTH if jax.default_backend() == "cpu" else GPU_WIDTH)


def default_threads() -> int:
    """Programs that run at once: one a core, for JAX lets go of Python's lock while it computes; one where lanes are
    split among devices, or run on a GPU.
    """
    import jax

    if jax.default_backend() != "cpu" or device_count() > 1:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(4, cores))


def _by_lanes(trials: Sequence[Trial], width: int | None) -> dict[int | None, list[Trial]]:
    """Trials by the lanes of their program that were asked for; None where that was left to the device."""
    found: dict[int | None, list[Trial]] = {}
    for trial in trials:
        found.setdefault(width or trial.prepared.experiment.fused.max_lanes, []).append(trial)
    return found


def _plan_structure(
    made: Plan, members: list[Trial], known: list[Structure], tables: Tables, width: int | None, why: str
) -> None:
    """Cuts trials of one structure into groups: by numbers that are no inputs, and by branches."""
    waiting = members
    constants = known[-1].constants if known else frozenset[Key]()
    tried = list(known)
    while waiting:
        first = waiting[0]
        structure = tried.pop(0) if tried else None
        if structure is None:
            try:
                with TRACING:
                    structure = analyse(first.prepared, tables.first_batches(first.prepared, 2), constants)
            except Exception as error:
                told = isinstance(error, (NotFusableError, ConfigError))
                made.fallbacks.append(Fallback(first, str(error) if told else in_a_line(error)))
                waiting = waiting[1:]
                continue
            known.append(structure)
            constants = structure.constants
        mine = [trial for trial in waiting if _fits(trial, structure)]
        taken = {id(trial) for trial in mine}
        stiff = {id(trial): refusal for trial in mine if (refusal := _cannot_change(trial, structure))}
        made.fallbacks += [Fallback(trial, stiff[id(trial)]) for trial in mine if id(trial) in stiff]
        mine = [trial for trial in mine if id(trial) not in stiff]
        if mine:
            number, lanes = len(made.groups) + 1, width or default_width()
            said = f"{why}, its data fed in blocks" if is_streamed(first.prepared) else why
            made.groups.append(Group(number, mine, said, lanes, structure, given=width is not None))
            why = _why_split(constants)
        elif not taken and structure is known[-1] and not tried and structure.blueprint.prepared is first.prepared:
            made.fallbacks.append(Fallback(first, "the trial does not fit the program that was made for it"))
            taken = {id(first)}
        waiting = [trial for trial in waiting if id(trial) not in taken]


def _fits(trial: Trial, structure: Structure) -> bool:
    """Whether a trial, of the structure's key, can be a lane of its program."""
    theirs, constants = structure.blueprint.prepared, structure.constants
    return (
        (not constants or structure_key(trial.prepared, constants) == structure.key)
        and structure.lane.slots.agree(numbers_of(trial.prepared.experiment))
        and (not structure.by_split or rows_digest(trial.prepared) == rows_digest(theirs))
    )


def _cannot_change(trial: Trial, structure: Structure) -> str:
    """Why a number of a trial that changes while it trains cannot; empty where all can."""
    experiment = trial.prepared.experiment
    changes = changes_of(experiment)
    changeable = {".".join(map(str, key)) for key in structure.changeable - structure.constants}
    for key in [*trial.varies, *(".".join(map(str, each)) for each in changes)]:
        if key not in changeable:
            return f"{key}: cannot change while a model trains, for {_whereof(key, structure)}"
    for epoch in sorted({epoch for values in changes.values() for epoch in values}):
        if not structure.lane.slots.agree(numbers_after(experiment, epoch)):
            return f"trainer.changes: Keras computes something else with the numbers from epoch {epoch + 1} on"
    return ""


def _whereof(key: str, structure: Structure) -> str:
    numbers = {".".join(map(str, each)) for each in numbers_of(structure.blueprint.prepared.experiment)}
    if key not in numbers:
        return "it is part of the model's structure here, and no number that steps read"
    if key in {".".join(map(str, each)) for each in structure.constants}:
        return "it is a constant of the compiled program"
    return "it is read at the beginning alone"


def _why_split(constants: frozenset[Key]) -> str:
    if not constants:
        return "Keras computes something else for these numbers"
    return f"{', '.join(sorted('.'.join(map(str, key)) for key in constants))} cannot be an input of a program"


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


def _hold_backend() -> None:
    import keras

    if keras.config.backend() != "jax":
        raise ConfigError(
            f"backend: compiled programs run on jax, but this process has imported Keras on {keras.config.backend()}"
        )
