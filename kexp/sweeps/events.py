"""The interface between a sweep and its launcher: the tasks to run, and the events to report."""

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
    """The events of a sweep, which its launcher reports. They are called from one thread at a time."""

    @property
    def settings(self) -> Sweep:
        """The config's `sweep`. The launcher must implement `trial_timeout_s` and `max_retries`."""

    def on_start(self, number: int) -> None:
        """Reports that a trial starts.

        Args:
            number: the trial's number, as in its `Task`.
        """

    def on_epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
        """Reports that an epoch of a trial has ended.

        Args:
            number: the trial's number.
            epoch: the epoch, from 1.
            metrics: metric -> value at the epoch.

        Returns:
            The reason to end the trial now, or None to continue. Ignored unless the trial's `Task.ask` is set.
        """

    def on_end(self, outcome: Outcome) -> bool:
        """Reports that a trial has ended or is paused.

        Returns:
            Whether the sweep continues. If not, the launcher ends the running trials, starts no others, and returns.
        """


class Launcher(Protocol):
    """Runs a sweep's tasks."""

    def run_tasks(self, tasks: Feed, events: Events) -> None:
        """Runs every task, and reports each start, epoch and end.

        Args:
            tasks: the tasks, in the order to start them. A search chooses its next trial from the results so far, so a
                launcher must take a task only when a worker is free.
            events: the events of the sweep.
        """


class NoEvents:
    """Events that do nothing, for trials that are planned but not run."""

    settings = Sweep()

    def on_start(self, number: int) -> None:
        pass

    def on_epoch(self, number: int, epoch: int, metrics: Mapping[str, float]) -> str | None:
        return None

    def on_end(self, outcome: Outcome) -> bool:
        return True


def runs_tasks(launcher: Any) -> bool:
    """Returns whether a launcher runs kexp's tasks, unlike Hydra's own launchers, which run jobs.

    Raises:
        ConfigError: its `run_tasks` takes other arguments, as for an earlier version of kexp.
    """
    run_tasks = getattr(launcher, "run_tasks", None)
    if run_tasks is None:
        return False
    signature = inspect.signature(run_tasks)
    try:
        signature.bind(Feed(), NoEvents())
    except TypeError:
        name = f"{run_tasks.__module__}:{run_tasks.__qualname__}"
        raise ConfigError(
            f"hydra/launcher: {name} must take (tasks, events), got {signature}; "
            "events has what a launcher for an earlier kexp took: settings, on_start, on_epoch, on_end"
        ) from None
    return True
