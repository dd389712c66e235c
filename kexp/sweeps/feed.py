"""Where a launcher gets its tasks: a queue that may grow while the trials before are running."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from kexp.sweeps.trials import Task

__all__ = ["Feed", "as_feed"]


class Feed:
    """Tasks in the order to start them.

    A search decides on its next trial when there is room for it, knowing what has ended by then. So a launcher asks
    for a task when a worker is free, and not before: `while feed: start(feed.popleft())`. A feed that is empty may
    give more once a running trial has ended.

    Args:
        tasks: those known from the start.
        more: gives another, or None where there is none for now.
        most: how many tasks `more` will give at most.
        last: asked when there is nothing else; gives the tasks that come after all trials, or none for now.
    """

    def __init__(
        self,
        tasks: Iterable[Task] = (),
        more: Callable[[], Task | None] | None = None,
        most: int = 0,
        last: Callable[[], Sequence[Task]] | None = None,
    ) -> None:
        self._waiting = deque(tasks)
        self._more, self._last = more, last
        self.most = len(self._waiting) + most

    def __bool__(self) -> bool:
        if not self._waiting and self._more is not None:
            task = self._more()
            if task is not None:
                self._waiting.append(task)
        if not self._waiting and self._last is not None:
            self._waiting.extend(self._last())
        return bool(self._waiting)

    @property
    def grows(self) -> bool:
        """Whether tasks are decided on as the sweep goes."""
        return self._more is not None

    @property
    def known(self) -> list[Task]:
        """The tasks that are decided on and wait."""
        return list(self._waiting)

    def __len__(self) -> int:
        """How many tasks there are at most."""
        return max(self.most, len(self._waiting))

    def __iter__(self) -> Iterator[Task]:
        """The tasks one after another, for a launcher that runs them so."""
        while self:
            yield self.popleft()

    def popleft(self) -> Task:
        """The next task."""
        return self._waiting.popleft()

    def take(self, fits: Callable[[Task], bool]) -> Task:
        """The first of the waiting tasks that fits; the next one where none does."""
        for place, task in enumerate(self._waiting):
            if fits(task):
                del self._waiting[place]
                return task
        return self.popleft()

    def appendleft(self, task: Task) -> None:
        """Puts a task back, to be tried again before any other."""
        self._waiting.appendleft(task)


def as_feed(tasks: Sequence[Task] | Feed) -> Feed:
    """The tasks as a feed."""
    return tasks if isinstance(tasks, Feed) else Feed(tasks)
