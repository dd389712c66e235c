"""The queue from which a launcher takes its tasks. It may grow while earlier trials are running."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from kexp.sweeps.trials import Task

__all__ = ["Feed"]


class Feed:
    """A queue of tasks, in the order to start them.

    A search chooses its next trial from the results so far. A launcher must therefore take a task only when a worker is
    free: `while feed: start(feed.popleft())`. An empty feed may grow again when a running trial ends.

    Args:
        tasks: the tasks that are planned from the start.
        more: returns a further task, or None if there is none at this time.
        most: the most tasks that `more` will return.
        last: called when there is no other task; returns the tasks to run after all trials, or none at this time.
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
        """Whether tasks are added while the sweep runs."""
        return self._more is not None

    @property
    def waiting(self) -> list[Task]:
        """The tasks that are waiting."""
        return list(self._waiting)

    def __len__(self) -> int:
        """Returns the most tasks that there can be."""
        return max(self.most, len(self._waiting))

    def __iter__(self) -> Iterator[Task]:
        """Yields one task after another, for a launcher that runs one at a time."""
        while self:
            yield self.popleft()

    def popleft(self) -> Task:
        """Removes and returns the next task."""
        return self._waiting.popleft()

    def take(self, fits: Callable[[Task], bool]) -> Task:
        """Removes and returns the first waiting task that fits, or the next one if none fits."""
        for place, task in enumerate(self._waiting):
            if fits(task):
                del self._waiting[place]
                return task
        return self.popleft()

    def appendleft(self, task: Task) -> None:
        """Puts a task back as the next one."""
        self._waiting.appendleft(task)
