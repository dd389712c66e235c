"""The engine's process: trials come in by a pipe, run as lanes of compiled programs, and go out as outcomes."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kexp.errors import ConfigError, in_a_line
from kexp.run_names import run_name
from kexp.sweeps.launch.trial_run import LOG, too_long
from kexp.sweeps.launch.weighing import Scales, Weigh
from kexp.sweeps.record.keeping import save_trial
from kexp.sweeps.trials import Outcome, State, Task
from kexp.tracking.collected import CollectedRun
from kexp.training import remove_checkpoints

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from kexp import fused
    from kexp.data import Data
    from kexp.experiment import Prepared

__all__ = [
    "Ahead",
    "Batch",
    "Channel",
    "Grouped",
    "LaneEngine",
    "Narrowed",
    "NotALane",
    "Told",
    "Verified",
    "Verify",
    "work",
]

_WATCH_S = 0.5
_TELL_S = 0.1  # epochs gather so long before they are told
_STATES: dict[str, State] = {
    "finished": "FINISHED",
    "pruned": "PRUNED",
    "diverged": "FAILED",
    "failed": "FAILED",
    "paused": "PAUSED",
}


@dataclass(frozen=True)
class Batch:
    """Trials to run, or only to say how they would be run.

    Attributes:
        tasks: which.
        timeout_s: longest time for one of them.
        log: the file that takes what is printed meanwhile.
        dry: only group them.
        threads: programs at once; None for the device's own number.
        verify: so many lanes of the sweep, chosen at random, are kept to be trained again alone; see `Verify`.
    """

    tasks: Sequence[Task]
    log: str
    timeout_s: float | None = None
    dry: bool = False
    threads: int | None = None
    verify: int = 0


@dataclass(frozen=True)
class Verify:
    """Asks for the lanes that were kept to be trained again, each alone, and compared to the last bit."""


@dataclass(frozen=True)
class Ahead:
    """Tasks like those that will come: their programs can be compiled meanwhile. There is no answer.

    Attributes:
        tasks: a few of them.
        unsure: what they may run as; nothing is compiled unless lanes win that clearly. None where they will be lanes.
    """

    tasks: Sequence[Task]
    unsure: Weigh | None = None


@dataclass(frozen=True)
class Verified:
    """How many lanes were trained again alone, and a sentence for each that came out otherwise."""

    count: int
    wrong: Sequence[str]


@dataclass(frozen=True)
class Grouped:
    """How trials share programs: for each, what tells it from others, its trials, its lanes, why it is one."""

    groups: Sequence[tuple[str, Sequence[int], int, str]]


@dataclass(frozen=True)
class Narrowed:
    """A group whose program has fewer lanes than was planned: what tells it from others, its lanes, why."""

    key: str
    lanes: int
    why: str


@dataclass(frozen=True)
class NotALane:
    """A trial that cannot be a lane."""

    number: int
    reason: str


@dataclass(frozen=True)
class Told:
    """Epochs that have ended: (trial, epoch, metrics). Where an answer is wanted there is one alone."""

    epochs: Sequence[tuple[int, int, Mapping[str, float]]]
    ask: bool = False


class Channel(Protocol):
    """The way to whoever asked for a batch."""

    def send(self, message: Any, /) -> None:
        """Says what there is to say: `Grouped`, `NotALane`, `Told`, and an `Outcome` of each trial."""

    def recv(self) -> Any:
        """The word that was waited for."""


@dataclass
class _Running:
    """What is noted of a lane while it runs."""

    started: float = field(default_factory=time.time)
    stamps: list[int] = field(default_factory=list)
    timed_out: bool = False
    paused: float = 0.0  # when it was
    waited_s: float = 0.0

    def again(self) -> _Running:
        """For a trial that goes on where this one was paused."""
        waited_s = self.waited_s + time.time() - self.paused
        return _Running(self.started, list(self.stamps), waited_s=waited_s)


@dataclass(frozen=True)
class _Kept:
    """A lane that is parked, what is noted of it, and what it was made of."""

    parked: fused.Parked
    lane: _Running
    prepared: Prepared
    config: Mapping[str, Any]


def work(pipe: Connection) -> None:
    """The process's life: batch after batch until the connection is closed."""
    from kexp.training import own_process, prepare_backend

    own_process()
    prepare_backend("jax")
    from kexp import fused

    engine = LaneEngine(pipe)
    threading.Thread(target=engine.watch, daemon=True).start()
    pipe.send(fused.default_width() * fused.default_threads())
    while True:
        asked = pipe.recv()
        if isinstance(asked, Verify):
            pipe.send(engine.verify())
        elif isinstance(asked, Weigh):
            _log_to(asked.log)
            pipe.send(engine.scales.weigh(asked))
        elif isinstance(asked, Ahead):
            engine.compile_ahead(asked)
        else:
            _log_to(asked.log)
            engine.run(asked)
            pipe.send(None)


class LaneEngine:
    """Runs batches, in a process whose Keras is on JAX, and keeps programs and data between them.

    Args:
        pipe: where what there is to say goes.
    """

    def __init__(self, pipe: Channel) -> None:
        from kexp import fused
        from kexp.tracking import environment

        self.pipe, self.session, self.scales = pipe, fused.Session(), Scales(self.prepare)
        self.ran_on = environment()
        self.data: dict[str, Data] = {}
        self.running: dict[int, _Running] = {}
        self.parked: dict[tuple[int, int], _Kept] = {}
        self.summaries: dict[int, tuple[str, dict[str, int]]] = {}
        self._summary_of: dict[str, tuple[str, dict[str, int]]] = {}
        self._untold: deque[tuple[int, int, Mapping[str, float]]] = deque()  # programs add to it while it is told
        self._told = 0.0
        self._sending = threading.Lock()
        self._limit_s: float | None = None
        self._ended, self._kept = 0, list[fused.LaneResult]()

    def run(self, batch: Batch) -> None:
        from kexp import fused

        self.running.clear()
        self._forget(batch.tasks)
        for task in batch.tasks:
            if task.saves:
                self._send(save_trial(task))
        trials = list(self._trials([task for task in batch.tasks if not task.saves]))
        plan = fused.plan(trials, session=self.session)
        self._send(Grouped([(_name(g), [t.key.number for t in g.trials], g.width, g.why) for g in plan.groups]))
        for fallback in plan.fallbacks:
            self._send(NotALane(fallback.trial.key.number, fallback.reason))
        if batch.dry:
            return
        self._limit_s = batch.timeout_s
        self.summaries = {group.number: self._summary(group) for group in plan.groups}

        def listen(trial: fused.Trial, epoch: int, metrics: Mapping[str, float]) -> str | None:
            return self._listen(trial.key, epoch, metrics, batch.timeout_s)

        plan.fallbacks.clear()
        for result in fused.run_trials(trials, on_epoch=listen, threads=batch.threads, planned=plan):
            if isinstance(result, fused.Fallback):
                continue
            if result.parked is not None:
                self._send(self._paused(result, result.parked))
            elif result.status == "failed" and _goes_on_elsewhere(result.trial.key):
                self._hand_over(result)
            else:
                self._send(self._outcome(result, batch.timeout_s))
                if batch.verify and result.status == "finished":
                    self._keep(result, batch.verify)
        for group in plan.groups:
            if group.narrowed:
                self._send(Narrowed(_name(group), group.width, group.narrowed))

    def _forget(self, tasks: Sequence[Task]) -> None:
        """Lets go of lanes that were parked before those that the tasks go on with; once models are saved, of all."""
        epochs = [task.goes_on[1] for task in tasks if task.goes_on is not None]
        if epochs:
            self.parked = {key: kept for key, kept in self.parked.items() if key[1] >= min(epochs)}
        elif all(task.saves for task in tasks):
            self.parked.clear()

    def _paused(self, result: fused.LaneResult, parked: fused.Parked) -> Outcome:
        """Keeps a lane for those that go on with it. What it has measured is its record, should none do."""
        task: Task = result.trial.key
        lane = self.running.pop(task.number, _Running())
        lane.paused = time.time()
        self.parked[task.number, parked.epoch] = _Kept(parked, lane, result.trial.prepared, task.config)
        if task.varies:  # a member of a population goes on in any case
            return Outcome(task.number, "PAUSED", "", parked.history.last, parked.history.duration_s)
        self.running[task.number] = lane
        return self._outcome(result, None)

    def _summary(self, group: fused.Group) -> tuple[str, dict[str, int]]:
        """What Keras says of a group's model; once for each structure, however many stages there are."""
        name = _name(group)
        if name not in self._summary_of:
            self._summary_of[name] = _summary(group)
        return self._summary_of[name]

    def _hand_over(self, result: fused.LaneResult) -> None:
        """A lane that ended in an error: an ordinary training tells whether it is one there too."""
        task: Task = result.trial.key
        self.running.pop(task.number, None)
        if result.trial.checkpoint is not None:
            remove_checkpoints(result.trial.checkpoint.folder)
        self._send(NotALane(task.number, str(result.error or result.reason)))

    def watch(self) -> None:
        """Ends this process when a callback takes longer than a trial may: nothing else ends it, nor what it holds."""
        from kexp import fused

        while True:
            time.sleep(_WATCH_S)
            limit_s = self._limit_s
            for trial, since in list(fused.IN_CALLBACKS.values()):
                if limit_s is not None and trial is not None and time.monotonic() - since > limit_s:
                    task: Task = trial.key
                    if _goes_on_elsewhere(task):
                        self._send(NotALane(task.number, "a callback takes longer than sweep.trial_timeout_s"))
                    else:
                        self._send(Outcome(task.number, "FAILED", too_long(limit_s), repeatable=True))
                    os._exit(1)

    def compile_ahead(self, asked: Ahead) -> None:
        """What goes wrong here goes wrong again when the tasks are run, and is told then."""
        from kexp import fused

        with contextlib.suppress(Exception):
            if asked.unsure is None or self.scales.clear(asked.unsure):
                fused.compile_ahead([fused.Trial(task, self.prepare(task)) for task in asked.tasks], self.session)

    def _keep(self, result: fused.LaneResult, most: int) -> None:
        """Keeps some of a sweep's results, each with the same chance however many there are: reservoir sampling."""
        self._ended += 1
        place = len(self._kept) if len(self._kept) < most else random.randrange(self._ended)
        if place < most:
            self._kept[place : place + 1] = [result]

    def verify(self) -> Verified:
        """Trains the results that were kept again, each alone."""
        from kexp import fused

        return Verified(len(self._kept), fused.verify(self._kept, len(self._kept)))

    def _trials(self, tasks: Sequence[Task]) -> Iterator[fused.Trial]:
        """The tasks prepared; one that cannot be is told as invalid."""
        from kexp import fused
        from kexp.experiment import checkpointing_of

        for task in tasks:
            try:
                kept = None if task.goes_on is None else self.parked.get(task.goes_on)
                with fused.settings_kept():
                    prepared = kept.prepared if kept and kept.config == task.config else self.prepare(task)
                left = Path(task.checkpoint) if task.checkpoint else None
                checkpointing = checkpointing_of(prepared, left, Path(task.folder))
                if kept:
                    self.running[task.number] = kept.lane.again()
                parked = kept.parked if kept else None  # without, it begins: after this process was replaced
                yield fused.Trial(task, prepared, checkpointing, task.until or None, parked, task.varies)
            except ConfigError as error:
                self._send(Outcome(task.number, "INVALID", str(error), repeatable=True))
            except (Exception, SystemExit) as error:
                self._send(NotALane(task.number, _sentence(error)))

    def prepare(self, task: Task) -> Prepared:
        """The task's experiment; data is loaded once."""
        import json

        from kexp.experiment import load_data, prepare
        from kexp.schema import check

        experiment = check(task.config)
        key = json.dumps([experiment.data.name, experiment.data.parameters], sort_keys=True, default=str)
        if key not in self.data:
            self.data[key] = load_data(experiment.data)
        return prepare(experiment, self.data[key])

    def _listen(self, task: Task, epoch: int, metrics: Mapping[str, float], timeout_s: float | None) -> str | None:
        lane = self.running.setdefault(task.number, _Running())
        lane.stamps.append(time.time_ns() // 1_000_000)
        ended = task.number, epoch, dict(metrics)
        if timeout_s is not None and time.time() - lane.started - lane.waited_s > timeout_s:
            self._untold.append(ended)
            lane.timed_out = True
            return too_long(timeout_s)
        if task.ask:
            with self._sending:  # held from here on: an outcome sent between would take the question with it
                self._untold.append(ended)
                self._tell(ask=True)
                answer: str | None = self.pipe.recv()
                return answer
        self._untold.append(ended)
        if time.monotonic() - self._told > _TELL_S:
            with self._sending:
                self._tell()
        return None

    def _tell(self, ask: bool = False) -> None:
        epochs = [self._untold.popleft() for _ in range(len(self._untold))]
        if epochs:
            self.pipe.send(Told(epochs, ask))
        self._told = time.monotonic()

    def _send(self, message: Any) -> None:
        with self._sending:
            self._tell()
            self.pipe.send(message)

    def _outcome(self, result: fused.LaneResult, timeout_s: float | None) -> Outcome:
        task: Task = result.trial.key
        lane = self.running.pop(task.number, _Running())
        state, reason = _STATES[result.status], result.reason
        if lane.timed_out:
            state = "FAILED"
        try:
            record = self._record(task, result, lane, state, reason)
        except Exception as error:
            traceback.print_exc()
            return Outcome(task.number, "FAILED", f"its record could not be made: {type(error).__name__}: {error}")
        if result.trial.checkpoint is not None and state in ("FINISHED", "PRUNED"):
            remove_checkpoints(result.trial.checkpoint.folder)
        metrics = {**result.history.last, **{f"test_{key}": value for key, value in result.test.items()}}
        shown, notices = reason if state != "FINISHED" else "", result.trial.prepared.notices
        spent_s = result.history.duration_s
        return Outcome(task.number, state, shown, metrics, spent_s, record=record, repeatable=True, notices=notices)

    def _record(self, task: Task, result: fused.LaneResult, lane: _Running, state: State, reason: str) -> Any:
        from kexp.experiment import Source, leave_state, log_epoch_time, log_rates, record_setup, run_tags

        prepared, folder = result.trial.prepared, Path(task.folder)
        folder.mkdir(parents=True, exist_ok=True)
        tags = run_tags(prepared, folder, {**task.tags, **result.tags})
        name = run_name(prepared.experiment.as_dict()) or task.name
        run = CollectedRun(name, folder, tags=tags, parent_run_id=task.parent_run_id)
        run.start_ms = int(lane.started * 1000)
        source = Source(overrides=task.overrides, yaml=task.yaml)
        record_setup(run, prepared, source, *self.summaries.get(result.group, ("", {})), self.ran_on)
        # What was told of twice counts as it was told last; what a checkpoint brought back, as the lane's start.
        epochs = result.history.epochs
        stamps = ([run.start_ms] * len(epochs) + lane.stamps)[len(lane.stamps) :]
        for (epoch, metrics), stamp in zip(epochs, stamps, strict=True):
            run.log_metrics(metrics, step=epoch, timestamp_ms=stamp)
        ended = dict(zip((epoch for epoch, _ in epochs), stamps, strict=True))
        log_rates(run, prepared, result.history, ended)
        log_epoch_time(run, result.history, stamps[-1] if stamps else None)
        if result.history.resumed_from:
            run.set_tags({"kexp.resumed_from": result.history.resumed_from})
        if result.test:
            tested = {f"test_{key}": value for key, value in result.test.items()}
            run.log_metrics(tested, step=result.history.epochs[-1][0])
        run.set_tags({"kexp.duration_s": f"{result.history.duration_s:.3f}"})
        if result.history.stopped:
            run.set_tags({"kexp.stopped": result.history.stopped})
        if result.history.notices:
            run.set_tags({"kexp.notices": "; ".join(result.history.notices)})
        if state == "PRUNED":
            run.set_tags({"kexp.state": "PRUNED"})
        if state in ("PRUNED", "FAILED"):
            run.set_tags({"kexp.reason": " ".join(reason.split())[:500]})
        if state == "FAILED":
            (folder / LOG).write_text(f"{reason}\n")
        if task.state and state == "FINISHED" and result.state is not None:
            leave_state(Path(task.state), prepared, result.state, result.history, run.last_points)
        run.end("FAILED" if state == "FAILED" else "FINISHED")
        return run.record()


def _goes_on_elsewhere(task: Task) -> bool:
    """Whether a trial that ends in an error here is to be run as an ordinary one."""
    return task.ordinary is not None and not task.config["fused"]["strict"]


def _sentence(error: BaseException) -> str:
    from kexp import fused

    return f"making it {error}" if isinstance(error, fused.NotALaneError) else in_a_line(error)


def _log_to(file: str) -> None:
    """Sends standard output and error there, those of libraries written in C too."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.close(descriptor)


def _name(group: fused.Group) -> str:
    assert group.structure is not None
    return group.structure.digest


def _summary(group: fused.Group) -> tuple[str, dict[str, int]]:
    """Keras' table of the layers, and how many weights there are."""
    from kexp.experiment import size_of, summary_of

    assert group.structure is not None
    model = group.structure.blueprint.model
    return summary_of(model), size_of(model)
