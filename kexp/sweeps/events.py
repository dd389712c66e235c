"""Between a sweep and its launcher: the tasks that a launcher is given, and the events that it reports."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

from kexp.errors import ConfigError
from kexp.schema import Sweep
from kexp.sweeps.feed import Feed
from kexp.sweeps.trials import Outcome

__all__ = ["Events", "Launcher", "NoEvents", "runs_tasks"]


class Events(Protocol):
    """A sweep, as its launcher sees it. Called from one thread at a time."""

    @property
    def settings(self) -> Sweep:
        """The config's `sweep`: `trial_timeout_s` and `max_retries` are for the launcher to keep."""

    def on_start(self, number: int) -> None:
        """A trial starts.

        Args:
            number: the trial's, of its `Task`.
        """

    def on_epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
        """An epoch of a trial has ended.

        Args:
            number: the trial's.
            epoch: counted from 1.
            metrics: of the epoch, by name.

        Returns:
            Why the trial is to end now; None lets it go on. The answer counts where the trial's `Task.ask` is set.
        """

    def on_end(self, outcome: Outcome) -> bool:
        """A trial has ended, or is paused.

        Returns:
            Whether the sweep goes on. If not, the launcher ends what runs, starts nothing more, and returns.
        """


class Launcher(Protocol):
    """Runs a sweep's tasks."""

    def run_tasks(self, tasks: Feed, events: Events) -> None:
        """Runs every task, and reports each start, epoch and end.

        Args:
            tasks: in the order to start them. A search decides on its next trial when there is room for it, so a
                launcher takes a task when a worker is free, and not before.
            events: the sweep.
        """


class NoEvents:
    """Events that nobody listens to, as of trials that are planned and not run."""

    settings = Sweep()

    def on_start(self, number: int) -> None:
        pass

    def on_epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
        return None

    def on_end(self, outcome: Outcome) -> bool:
        return True


def runs_tasks(launcher: Any) -> bool:
    """Whether a launcher runs kexp's tasks; one of Hydra's own runs jobs.

    Raises:
        ConfigError: its `run_tasks` takes other arguments, as it did for an earlier kexp.
    """
    run_tasks = getattr(launcher, "run_tasks", None)
    if run_tasks is None:
        return False
    signature = inspect.signature(run_tasks)
    try:
        signature.bind(Feed(), NoEvents())
    except TypeError:
        made = f"{run_tasks.__module__}:{run_tasks.__qualname__}"
        raise ConfigError(
            f"hydra/launcher: {made} must take (tasks, events), got {signature}; "
            "events has what a launcher for an earlier kexp took: settings, on_start, on_epoch, on_end"
        ) from None
    return True
