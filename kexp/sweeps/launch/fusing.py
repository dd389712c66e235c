"""The fused launcher: runs trials as lanes of compiled programs, and in worker processes those that cannot be lanes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kexp.config import key_of
from kexp.errors import ConfigError
from kexp.registry import OURSELVES, find
from kexp.schema import Fused
from kexp.sweeps.events import Events, NoEvents
from kexp.sweeps.feed import Feed
from kexp.sweeps.launch.lanes.engine import Engine, EngineProcess
from kexp.sweeps.launch.lanes.estimates import ENGINE_S, START_S, Estimate, EstimateRequest, Share, add_share
from kexp.sweeps.launch.lanes.lane_runner import LaneGroup, LaneRunner
from kexp.sweeps.launch.lanes.messages import CompileAhead, Verified
from kexp.sweeps.launch.launchers import HydraLauncher, ProcessesLauncher, check_workers
from kexp.sweeps.launch.probing import structure_key
from kexp.sweeps.launch.worker_process import default_workers
from kexp.sweeps.trials import Outcome, Task, Trial
from kexp.system.wording import counted

__all__ = ["FusedLauncher", "as_written", "is_lane", "planned_tasks"]


_REASONS = 8  # the most reasons that are listed why trials are not lanes


class FusedLauncher(HydraLauncher):
    """Runs trials as lanes of compiled programs, on Keras' JAX backend, with the settings of the config's `fused`.

    Args:
        n_workers: number of worker processes for trials that cannot be lanes; one per core by default.
        memory_limit_mb: a worker process that uses more memory when a trial ends is replaced.
    """

    name = "fused"
    parks_lanes = True

    def __init__(self, n_workers: int | None = None, memory_limit_mb: float = 4096) -> None:
        check_workers(n_workers, memory_limit_mb)
        self.n_workers, self.memory_limit_mb = n_workers, memory_limit_mb
        self._verified: Verified | None = None
        self.groups: dict[str, LaneGroup] = {}
        self._process: EngineProcess | None = None
        self._fallbacks: Counter[str] = Counter()

    def setup(self, **given: Any) -> None:
        super().setup(**given)
        self.start()

    def start(self) -> None:
        """Starts the engine's process early, because importing JAX takes seconds."""
        self._process = self._process or EngineProcess()

    def close(self) -> None:
        """Ends the engine's process, if no trial is a lane."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def estimate_request(self, shares: Mapping[str, Share], log: str) -> EstimateRequest:
        """Returns a request for these structures; `log` is the file for the engine's output."""
        listed = list(shares.values())
        threads = listed[0].task.config["fused"]["threads"]
        return EstimateRequest(listed, self.n_workers or default_workers(), threads, log)

    def estimate(self, request: EstimateRequest) -> list[Estimate]:
        """Returns the time of structures as lanes and in worker processes; empty if measuring killed the process."""
        self.start()
        assert self._process is not None
        return self._process.estimate(request)

    def seconds(
        self, tasks: Sequence[Task], folder: Path, as_lanes: Callable[[Task], bool] = lambda task: True
    ) -> float:
        """Estimates the seconds of the tasks that may be lanes: as lanes if `as_lanes` agrees, or in workers."""
        shares: dict[str, Share] = {}
        for task in filter(is_lane, tasks):
            add_share(shares, structure_key(task.config), task)
        if not shares:
            return 0.0
        listed = list(shares.values())
        estimates = self.estimate(self.estimate_request(shares, str(folder / "fused.log")))
        lanes = [each.fused_s for each in estimates if _is_run_as_lane(each, listed, as_lanes)]
        others = [each.workers_s for each in estimates if not _is_run_as_lane(each, listed, as_lanes)]
        return sum(lanes) + sum(others) + (ENGINE_S if lanes else 0.0) + (START_S if others else 0.0)

    def _started(self) -> EngineProcess:
        """Returns the process that `setup` started; a new one for a second sweep of this launcher."""
        process, self._process = self._process or EngineProcess(), None
        return process

    def prepare(self, trials: Sequence[Trial], unsure: EstimateRequest | None = None) -> None:
        """Lets the engine compile the programs of planned trials ahead. The first and the last trial have most of them.

        Args:
            trials: the sweep's trials.
            unsure: structures to estimate first, if it is not decided yet that the trials are lanes.
        """
        waiting = [trial for trial in trials if trial.state == "WAITING"]
        if self._process is not None:
            ends = dict.fromkeys([0, len(waiting) - 1]) if waiting else ()
            some = [Task(number, waiting[number].config, (), "", "") for number in ends]
            self._process.compile_ahead(CompileAhead(some, unsure))

    def adapt(self, config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
        """Returns a trial's config with the JAX backend and the compiled engine.

        Raises:
            ConfigError: the user chose another backend.
        """
        named = any(key_of(each) == "backend" for each in overrides)
        backend = config.get("backend")
        if backend != "jax" and (named or backend != "tensorflow"):
            raise ConfigError.at("backend", f"must be jax, or left out, with hydra/launcher={self.name}", backend)
        return {**config, "backend": "jax", "trainer": {**config["trainer"], "engine": "compiled"}}

    def run_tasks(self, tasks: Feed, events: Events) -> None:
        def engine(fused: Fused) -> Engine:
            return Engine(self._started(), events, fused, self.groups)

        self.run_on(engine, ProcessesLauncher(self.n_workers, self.memory_limit_mb).run_tasks, tasks, events)

    def run_on(
        self,
        engine_for: Callable[[Fused], LaneRunner],
        run_others: Callable[[Feed, Events], None],
        feed: Feed,
        events: Events,
    ) -> None:
        """Runs tasks as `run_tasks` does, on any runner of lanes.

        Args:
            engine_for: creates the runner of lanes, which adds to `groups`.
            run_others: runs the tasks that cannot be lanes, while no lane runs.
            feed: the tasks.
            events: the events of the sweep.
        """
        if not feed:
            return
        fused = Fused(**feed.waiting[0].config["fused"])
        engine = engine_for(fused)
        going = True
        try:
            if fused.strict:
                engine.check([task for task in feed.waiting if is_lane(task)])
            while going and feed:
                ordinary: list[Task] = []
                while going and feed:
                    batch: list[Task] = []
                    while len(batch) < engine.most(feed.grows) and feed:
                        task = feed.popleft()
                        (batch if is_lane(task) else ordinary).append(task)
                    going, refused = engine.run(batch)
                    ordinary += [self._ordinary(task, reason) for task, reason in refused]
                if going and ordinary:
                    run_others(Feed(ordinary, last=None if feed.grows else lambda: _others(feed)), events)
            if going and fused.verify:
                self._verified = engine.verify()
        finally:
            engine.close()

    def _ordinary(self, task: Task, reason: str) -> Task:
        """Counts the reason why a task is no lane, and returns the task for a worker process."""
        self._fallbacks[reason] += 1
        return as_written(task)

    def explain(self, trials: Sequence[Trial], folder: Path) -> tuple[list[str], float]:
        """Returns lines on how trials would run (groups, lanes, worker processes), and for how many seconds.

        Trains at most a few steps, to compare lanes with worker processes.

        Args:
            trials: the planned trials.
            folder: the folder for the engine's log.
        """
        seconds = self.seconds(planned_tasks(trials, folder), folder)
        self.group(trials, folder)
        return [*self.closing(), *self.unsure(trials)], seconds

    def unsure(self, trials: Sequence[Trial]) -> list[str]:
        """Returns a line if a plan cannot know whether all trials can be lanes, because of the user's own callbacks."""
        names = {
            node["name"] for trial in trials for node in trial.config.get("callbacks", {}).values() if node is not None
        }
        asking = any(find("callbacks", name).distribution != OURSELVES for name in names)
        if not (asking and self.groups):
            return []
        return ["         a trial whose callback asks for what a lane does not have runs again in a worker process"]

    def group(self, trials: Sequence[Trial], folder: Path) -> None:
        """Plans trials as lanes, for the closing lines. A trial that cannot be built becomes INVALID."""
        tasks = planned_tasks(trials, folder)
        by_number = {trial.number: trial for trial in trials}
        if not tasks:
            self.close()
            return

        class Refusals(NoEvents):
            def on_end(self, outcome: Outcome) -> bool:
                by_number[outcome.number].state, by_number[outcome.number].reason = "INVALID", outcome.reason
                return True

        fused = Fused(**tasks[0].config["fused"])
        engine = Engine(self._started(), Refusals(), fused, self.groups)
        try:
            for task, reason in engine.run(tasks, dry=True)[1]:
                self._ordinary(task, reason)
        finally:
            engine.close()

    def closing(self) -> list[str]:
        """Returns lines on the groups of lanes, and on the trials that were not lanes and why."""
        lines = [
            f"fused    group {number}: {counted(each.trials, 'trial')} from {each.first} on, "
            f"{counted(each.lanes, 'lane')}; {each.why}"
            for number, each in enumerate(self.groups.values(), 1)
        ]
        lines += [f"         {each.narrowed}" for each in self.groups.values() if each.narrowed]
        shown = self._fallbacks.most_common(_REASONS)
        lines += [f"workers  {counted(count, 'trial')} that cannot be lanes: {reason}" for reason, count in shown]
        if others := self._fallbacks.total() - sum(count for _, count in shown):
            lines.append(f"workers  {counted(others, 'trial')} more, for other reasons")
        if self._verified is not None:
            wrong = self._verified.wrong
            lines.append(
                f"verified {counted(self._verified.count, 'lane')} trained again alone, {len(wrong)} came out otherwise"
            )
            lines += [f"         {sentence}" for sentence in wrong]
        return lines


def is_lane(task: Task | Trial) -> bool:
    """Return whether a task or trial is for the engine. A sweep may have others, such as models to save."""
    return bool(task.config["trainer"]["engine"] == "compiled")


def _is_run_as_lane(estimate: Estimate, shares: Sequence[Share], as_lanes: Callable[[Task], bool]) -> bool:
    return math.isfinite(estimate.fused_s) and as_lanes(shares[estimate.shares[0]].task)


def as_written(task: Task) -> Task:
    """Return the task with the config as the user wrote it, for a worker process."""
    return task if task.ordinary is None else replace(task, config=task.ordinary, yaml="")


def planned_tasks(trials: Sequence[Trial], folder: Path) -> list[Task]:
    """Return the waiting trials as tasks that are planned and not run."""
    return [
        Task(trial.number, trial.config, trial.overrides, str(folder / str(trial.number)), "", ordinary=trial.ordinary)
        for trial in trials
        if trial.state == "WAITING"
    ]


def _others(feed: Feed) -> list[Task]:
    """Remove the tasks from the feed that are not for the engine, and return them."""
    tasks = [feed.popleft() for _ in feed.waiting] if feed else []
    for task in reversed(tasks):
        if is_lane(task):
            feed.appendleft(task)
    return [task for task in tasks if not is_lane(task)]
