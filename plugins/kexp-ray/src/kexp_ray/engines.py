"""Lanes on the actors of a Ray cluster; the driver's side. Each actor is an engine, and batches are shared out."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from kexp.launching import (
    Batch,
    Events,
    Fused,
    LaneGroup,
    LaneRunner,
    Outcome,
    Task,
    Verified,
    WorkerError,
    has_foreign_code,
    too_long,
)
from kexp_ray.cluster import how_many_fit
from kexp_ray.crew import START_S, STARTS, Crew, Member
from kexp_ray.files import TrialFiles
from kexp_ray.lane_worker import BatchEnded
from kexp_ray.launcher import save_here
from kexp_ray.node import Hello
from kexp_ray.retries import Death, Ran
from kexp_ray.worker import Ended

__all__ = ["RayEngines"]

_LANES = 4  # so many trials make another actor worth its start
_MOST = 4096  # trials that are handed over at once


class RayEngines(LaneRunner):
    """Runs lanes on the engines of a cluster.

    Args:
        crew: of `LaneWorker`s.
        ran: is added to; says how often a trial is tried again.
        events: see `LaneRunner`, as for the two that follow.
        memory_limit_mb: an actor whose resident memory is above this when a batch ends is replaced.
    """

    def __init__(
        self,
        crew: Crew,
        ran: Ran,
        events: Events,
        fused: Fused,
        groups: dict[str, LaneGroup],
        memory_limit_mb: float,
    ) -> None:
        super().__init__(events, fused, groups)
        self._crew, self._ran = crew, ran
        self.memory_limit_mb = memory_limit_mb
        self._waiting: deque[Task] = deque()
        self._folder = Path()
        self._idle_deaths = 0
        self._verified = Verified(0, ())

    def most(self, grows: bool) -> int:
        if not grows:
            return _MOST
        engines = min(self._crew.n_workers or how_many_fit(self._crew.needs), how_many_fit(self._crew.needs))
        ready = [member.hello for member in self._crew.members if member.hello is not None]
        return max(1, engines) * max(map(self._lanes, ready), default=_LANES)

    def run(self, batch: Sequence[Task], dry: bool = False) -> tuple[bool, list[tuple[Task, str]]]:
        if saving := [task for task in batch if task.saves]:
            save_here(saving, self.events)
        self._waiting = deque(task for task in batch if not task.saves)
        self.refused = []
        self._folder = batch[0].sweep_folder if batch else Path()
        going = True
        while going and (self._crew.busy or self._waiting):
            if self._waiting:
                self._crew.grow(-(-len(self._waiting) // _LANES), self._folder)
            self._start_batches(dry)
            for member, heard in self._crew.news():
                going = self._lost(member, heard) if isinstance(heard, Death) else self._hear(member, heard)
                if not going:
                    break
        return going, self.refused

    def verify(self) -> Verified:
        asked = [member.actor.verify.remote() for member in self._crew.idle]
        for each in asked:
            with contextlib.suppress(RayError):
                more: Verified = ray.get(each)
                self._verified = Verified(self._verified.count + more.count, [*self._verified.wrong, *more.wrong])
        return self._verified

    def let_go(self) -> None:
        """Makes room on the cluster for other trials."""
        if self.fused.verify:
            self.verify()
        self.close()

    def close(self) -> None:
        self._crew.close()

    def _start_batches(self, dry: bool) -> None:
        for member in self._crew.idle:
            assert member.hello is not None
            tasks = [self._waiting.popleft() for _ in range(self._share(self._lanes(member.hello)))]
            if not tasks:
                return
            log = self._log(member.hello)
            log.parent.mkdir(parents=True, exist_ok=True)
            verify = -(-self.fused.verify // len(self._crew.members))
            job = Batch(tasks, str(log), self.events.settings.trial_timeout_s, dry, self.fused.threads, verify)
            files = {task.number: TrialFiles.for_task(task) for task in tasks} if member.hello.away else {}
            self._crew.give(member, tasks, job, files)
            self._wait_for(member)

    def _share(self, lanes: int) -> int:
        """How many of the waiting trials an actor gets: enough for its lanes, and not so many that others end early."""
        left, actors = len(self._waiting), len(self._crew.members)
        return min(left, max(-(-left // (2 * actors)), min(lanes, -(-left // actors))))

    def _lanes(self, hello: Hello) -> int:
        """How many trials an actor runs at once."""
        widest = self.fused.max_lanes
        return (
            hello.lanes if widest is None else widest * (self.fused.threads or max(1, int(self._crew.needs.num_cpus)))
        )

    def _log(self, hello: Hello) -> Path:
        return self._folder / f"fused-{hello.host}.log"

    def _wait_for(self, member: Member) -> None:
        limit = self.events.settings.trial_timeout_s
        member.deadline = float("inf") if limit is None else time.monotonic() + limit + START_S

    def _hear(self, member: Member, heard: Sequence[Any]) -> bool:
        """What an actor says of its trials; whether the sweep goes on."""
        if heard:
            self._wait_for(member)
        going = True
        for message in heard:
            if isinstance(message, BatchEnded):
                self._batch_ended(member, message)
                continue
            if isinstance(message, Ended):
                if message.files is not None:
                    message.files.put_where(member.tasks[message.outcome.number])
                self._count(member, message.outcome)
            report = message.outcome if isinstance(message, Ended) else message
            going = self.receive(report, member.tasks) and going
            member.answer = self.answer
            if self.begun:
                self._idle_deaths = 0
        return going

    def _count(self, member: Member, outcome: Outcome) -> None:
        if outcome.state != "INVALID":
            assert member.hello is not None
            self._ran.trials[member.hello.node_id] += 1

    def _batch_ended(self, member: Member, ended: BatchEnded) -> None:
        assert member.hello is not None
        if ended.log:
            with open(self._log(member.hello), "ab") as log:
                log.write(ended.log)
        member.tasks, member.busy, self._idle_deaths = {}, False, 0
        if ended.memory_mb > self.memory_limit_mb:
            self._crew.drop(member)

    def _lost(self, member: Member, death: Death) -> bool:
        """Trials that were running are tried again, or have failed; the others wait for another actor."""
        self._ran.hear(death)
        begun = [number for number in member.tasks if number in self.begun]
        if not begun and not death.lost_node:
            self._idle_deaths += 1
            if self._idle_deaths >= STARTS:
                raise WorkerError(f"no process of lanes stays on the cluster: {death.reason}")
        reason = death.reason or too_long(self.events.settings.trial_timeout_s or START_S)
        going = True
        for number in begun:
            task = member.tasks[number]
            if not death.lost_node and not self.fused.strict and task.ordinary and has_foreign_code(task.config):
                self.refuse(number, f"the process of the lanes died with it: {reason}", member.tasks)
            elif not self._ran.again(number, bool(death.lost_node)):
                outcome = Outcome(number, "FAILED", reason, repeatable=True)
                self._count(member, outcome)
                going = self.end(outcome, member.tasks) and going
        self.begun.difference_update(member.tasks)
        self._waiting.extendleft(reversed(member.tasks.values()))
        return going
