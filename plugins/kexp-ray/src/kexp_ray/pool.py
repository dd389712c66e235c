"""Trials on the actors of a Ray cluster, each in a process that runs it alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from kexp.launching import Events, Feed, Outcome, Task, too_long
from kexp_ray.crew import START_S, Crew, Member
from kexp_ray.files import TrialFiles
from kexp_ray.retries import Death, Ran
from kexp_ray.worker import Begun, Ended, Epoch

__all__ = ["RayPool"]


class RayPool:
    """Runs tasks on actors, as many as have room.

    Args:
        crew: of `TrialWorker`s.
        ran: is added to; says how often a trial is tried again.
        events: of the sweep.
        memory_limit_mb: an actor whose resident memory is above this when a trial ends is replaced.
    """

    def __init__(self, crew: Crew, ran: Ran, events: Events, memory_limit_mb: float) -> None:
        self._crew, self._ran, self._events, self.memory_limit_mb = crew, ran, events, memory_limit_mb

    def run(self, tasks: Feed) -> list[Task]:
        """Runs every trial.

        Args:
            tasks: asked for its next task when an actor is free.

        Returns:
            The tasks that save models, which are the driver's own: its tracking store is theirs.

        Raises:
            WorkerError: no actor can be had.
        """
        if not tasks:
            return []
        folder = tasks.waiting[0].sweep_folder  # the sweep's
        saving: list[Task] = []
        going = True
        try:
            while going and (self._crew.busy or tasks):
                if tasks:
                    self._crew.grow(len(tasks), folder)
                self._start_tasks(tasks, saving)
                for member, heard in self._crew.news():
                    lost = isinstance(heard, Death) and bool(heard.lost_node)
                    if isinstance(heard, Death):
                        self._ran.hear(heard)
                    outcome = self._over(member, heard)
                    if outcome is None:
                        continue
                    task, member.busy = member.tasks.pop(outcome.number), False
                    if outcome.state == "FAILED" and not outcome.repeatable and self._ran.again(task.number, lost):
                        tasks.appendleft(task)
                        continue
                    assert member.hello is not None
                    self._ran.trials[member.hello.node_id] += 1
                    going = self._events.on_end(outcome) and going
        finally:
            self._crew.close()
        return saving

    def _start_tasks(self, tasks: Feed, saving: list[Task]) -> None:
        for member in self._crew.idle:
            if not tasks:  # asked only where there is room: a search decides on its next trial then
                return
            task = tasks.take(_is_of(member.backend))
            while task.saves:
                saving.append(task)
                if not tasks:
                    return
                task = tasks.popleft()
            backend = str(task.config["backend"])
            if member.backend not in ("", backend):  # none of its own is left
                tasks.appendleft(task)
                self._crew.drop(member)
                continue
            member.backend = backend
            self._events.on_start(task.number)
            assert member.hello is not None
            member.deadline = time.monotonic() + START_S
            self._crew.give(member, [task], task, TrialFiles.for_task(task) if member.hello.away else None)

    def _over(self, member: Member, heard: Sequence[Any] | Death) -> Outcome | None:
        """What is heard of an actor; an Outcome when its trial is over."""
        (task,) = member.tasks.values()
        limit_s = self._events.settings.trial_timeout_s
        if isinstance(heard, Death):
            late = not heard.reason
            reason = too_long(limit_s or START_S) if late else heard.reason
            return Outcome(task.number, "FAILED", reason, repeatable=late)
        for message in heard:
            if isinstance(message, Begun):
                member.deadline = time.monotonic() + limit_s if limit_s else float("inf")
            elif isinstance(message, Epoch):
                member.answer = self._events.on_epoch(message.number, message.epoch, message.metrics)
            else:
                return self._ended(member, task, message)
        return None

    def _ended(self, member: Member, task: Task, message: Ended) -> Outcome:
        if message.files is not None:
            message.files.put_where(task)
        if message.memory_mb > self.memory_limit_mb:
            self._crew.drop(member)
        return message.outcome


def _is_of(backend: str) -> Callable[[Task], bool]:
    return lambda task: bool(task.config["backend"] == backend)
