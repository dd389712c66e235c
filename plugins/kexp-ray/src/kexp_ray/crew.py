"""The actors of a sweep: started where the cluster has room, given jobs, heard, and given up when they die."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError

from kexp.errors import first_line
from kexp.launching import Task, WorkerError
from kexp_ray.cluster import Needs, described, how_many_fit, node_is_lost
from kexp_ray.node import Driver, Hello
from kexp_ray.retries import Death

__all__ = ["STARTS", "START_S", "Crew", "Member"]

START_S = 300.0  # the longest that an actor may take to start where no other runs, and to import Keras
STARTS = 3  # so many actors in a row that die before they have done anything, and none will live
_SILENCE_S = 60.0  # a node that cannot be reached for so long is lost
_LOOK_S = 2.0  # how often the cluster is asked for its nodes: some may have joined


@dataclass(eq=False)
class Member:
    """An actor, as the driver knows it.

    Attributes:
        actor: Ray's handle.
        waits: for its next messages; None where it is to be asked for them.
        hello: what it said of itself; None until it is ready.
        tasks: those of its job that are not over.
        busy: whether it has a job.
        backend: Keras', of which a process can import one; empty until it has run a trial.
        answer: to its last message.
        deadline: when it is given up.
        attempt: how many jobs there were by its own.
        heard: how many messages of it.
        silent_since: since when it cannot be reached.
    """

    actor: Any
    waits: Any
    hello: Hello | None = None
    tasks: dict[int, Task] = field(default_factory=dict)
    busy: bool = False
    backend: str = ""
    answer: str | None = None
    deadline: float = float("inf")
    attempt: int = 0
    heard: int = 0
    silent_since: float | None = None


class Crew:
    """Actors of one kind.

    Args:
        kind: the actor's class; has `hello(driver)`, `run(attempt, *job)` and `news(attempt, heard, answer)`.
        needs: what each takes of its node.
        n_workers: how many at most; as many as have room unless given.
        runtime_env: Ray's, for each.
        scratch: a folder of the nodes' own to work in; empty for none.
    """

    def __init__(
        self, kind: type, needs: Needs, *, n_workers: int | None, runtime_env: Mapping[str, Any], scratch: str
    ) -> None:
        options: dict[str, Any] = {"max_restarts": 0, "max_task_retries": 0, "concurrency_groups": {"io": 4}}
        self._kind = ray.remote(**options)(kind)
        self.needs, self.n_workers, self.runtime_env, self.scratch = needs, n_workers, dict(runtime_env), scratch
        self.members: list[Member] = []
        self._driver: Driver | None = None
        self._attempts, self._failed_starts, self._ever = 0, 0, False
        self._room, self._looked, self._hopeful = 0, float("-inf"), time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether some actor has a job."""
        return any(member.busy for member in self.members)

    @property
    def idle(self) -> list[Member]:
        """Actors that are ready, and have no job."""
        return [member for member in self.members if member.hello is not None and not member.busy]

    def grow(self, wanted: int, folder: Path) -> None:
        """Starts actors while there is room for them.

        Args:
            wanted: how many there are to be at most.
            folder: the sweep's.

        Raises:
            WorkerError: there is room for none.
        """
        now = time.monotonic()
        if now - self._looked > _LOOK_S:
            self._room, self._looked = how_many_fit(self.needs), now
        if any(member.hello for member in self.members):
            self._hopeful, self._ever = now, True
        elif not self._room and not self._ever and self.n_workers is None:
            raise WorkerError(f"no Ray actor has room: {self._room_there_is()}")
        elif now - self._hopeful > START_S:
            raise WorkerError(f"no Ray actor had room within {START_S:g} s: {self._room_there_is()}")
        while len(self.members) < min(self.n_workers or self._room, wanted):
            self.members.append(self._start(folder))

    def give(self, member: Member, tasks: Iterable[Task], *job: Any) -> None:
        """Gives an actor a job.

        Args:
            member: idle; `busy` is set, and cleared by whoever hears of the job's end.
            tasks: what the job comes to.
            job: for its `run`.
        """
        self._attempts += 1
        member.tasks, member.busy = {task.number: task for task in tasks}, True
        member.attempt, member.heard, member.answer, member.waits = self._attempts, 0, None, None
        member.actor.run.remote(member.attempt, *job)

    def news(self) -> Iterator[tuple[Member, Sequence[Any] | Death]]:
        """Waits a moment for what actors have to say; those that died are members no more."""
        for member in self.members:
            if member.busy and member.waits is None:
                self._ask(member)
        waits = {member.waits: member for member in self.members if member.hello is None or member.busy}
        if not waits:  # a cluster that has lost its nodes may get others
            time.sleep(0.2)
            return
        soonest = min(member.deadline for member in waits.values())
        timeout = max(0.0, min(_LOOK_S, soonest - time.monotonic()))
        found, _ = ray.wait(list(waits), num_returns=1, timeout=timeout)
        if found:  # and what else is there by now
            found, _ = ray.wait(list(waits), num_returns=len(waits), timeout=0)
        for member in [waits[each] for each in found]:
            heard = self._hear(member)
            if heard is not None:
                yield member, heard
        for member in waits.values():
            unheard = member in self.members and member.busy and member.waits is not None
            if unheard and time.monotonic() >= member.deadline:
                self.drop(member)
                yield member, Death("")

    def drop(self, member: Member) -> None:
        """Ends an actor."""
        with contextlib.suppress(Exception):
            ray.kill(member.actor)
        self.members = [each for each in self.members if each is not member]

    def close(self) -> None:
        """Ends every actor, at once."""
        for member in self.members:
            with contextlib.suppress(Exception):  # it, or all of Ray, may be gone
                ray.kill(member.actor)
        self.members = []
        self._hopeful = time.monotonic()
        if self._driver is not None:
            Path(self._driver.mark).unlink(missing_ok=True)
            self._driver = None

    def _room_there_is(self) -> str:
        return f"a trial takes {self.needs}, and the cluster is {described()}"

    def _start(self, folder: Path) -> Member:
        if self._driver is None:
            self._driver = _marked(folder, self.scratch)
        actor = self._kind.options(
            num_cpus=self.needs.num_cpus,
            num_gpus=self.needs.num_gpus,
            resources=dict(self.needs.resources) or None,
            runtime_env=self.runtime_env or None,
        ).remote(max(1, int(self.needs.num_cpus)), self.needs.num_gpus)
        return Member(actor, actor.hello.remote(self._driver))

    def _ask(self, member: Member) -> None:
        member.waits = member.actor.news.remote(member.attempt, member.heard, member.answer)

    def _hear(self, member: Member) -> Sequence[Any] | Death | None:
        try:
            said = ray.get(member.waits)
        except RayError as error:
            if isinstance(error, ActorUnavailableError) and self._has_patience(member):
                return None
            return self._died(member, error)
        member.silent_since, member.waits, member.answer = None, None, None
        if isinstance(said, Hello):
            member.hello, self._failed_starts = said, 0
            return None
        member.heard += len(said)
        messages: Sequence[Any] = said
        return messages

    def _has_patience(self, member: Member) -> bool:
        """Whether a call that was lost on its way is repeated."""
        member.silent_since = member.silent_since or time.monotonic()
        if time.monotonic() - member.silent_since > _SILENCE_S:
            return False
        time.sleep(0.2)
        if member.hello is None:
            member.waits = member.actor.hello.remote(self._driver)
        else:
            self._ask(member)
        return True

    def _died(self, member: Member, error: Exception) -> Death | None:
        self.drop(member)
        self._looked = float("-inf")
        if member.hello is None:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise WorkerError(f"no Ray actor starts: {_why(error)}")
            return None
        lost = node_is_lost(member.hello.node_id, error)
        host = member.hello.host
        return (
            Death(f"its node {host} was lost", member.hello.node_id)
            if lost
            else Death(f"its process on {host} {_how(error)}")
        )


def _marked(folder: Path, scratch: str) -> Driver:
    """Leaves a word in the sweep's folder, by which a node can tell whether it sees the driver's files."""
    word = uuid.uuid4().hex
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".{word[:8]}"
    mark.write_text(word, encoding="utf-8")
    path = [os.path.abspath(each) for each in sys.path]
    return Driver(str(mark), word, os.getcwd(), path, scratch)


def _how(error: Exception) -> str:
    """How a process died, as far as Ray knows."""
    if "low on memory" in str(error):
        return "was killed; the node ran out of memory"
    return "died; killed, or out of memory, perhaps"


def _why(error: Exception) -> str:
    """The cause of a failed start: what the actor raised, where it raised something."""
    cause = getattr(error, "cause", None)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return first_line(cause) if isinstance(cause, BaseException) else lines[-1] if lines else type(error).__name__
