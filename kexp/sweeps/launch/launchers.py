"""kexp's launchers. Each is also a Hydra launcher, so that any sweeper can use it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from kexp.config import key_of
from kexp.errors import ConfigError
from kexp.rules import Positive, check_value
from kexp.sweeps.events import Events
from kexp.sweeps.feed import Feed
from kexp.sweeps.launch.trial_run import TimeUpError, run_trial, too_long
from kexp.sweeps.launch.worker_process import default_workers, import_keras
from kexp.sweeps.launch.workers import WorkerPool
from kexp.sweeps.trials import Trial
from kexp.training import forget_model, loaded_backend

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

__all__ = ["HydraLauncher", "ProcessesLauncher", "SerialLauncher", "check_workers"]


class HydraLauncher:
    """What Hydra requires of a launcher. Each of kexp's adds `run_tasks`; see `kexp.sweeps.events.Launcher`."""

    config: DictConfig
    hydra_context: HydraContext
    task_function: TaskFunction

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context, self.task_function = config, hydra_context, task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[Any]:
        """Runs the jobs that another package's sweeper has chosen, as trials of one sweep."""
        from kexp.sweeps.hydra_jobs import launch_jobs

        return launch_jobs(self, job_overrides, initial_job_idx)


HydraSide = HydraLauncher  # its name in kexp 0.1: such a plugin imports, and `runs_tasks` reports what has changed


class SerialLauncher(HydraLauncher):
    """Runs one trial after another in this process."""

    def adapt(self, config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
        """Returns a trial's config with the backend that this process has imported, unless the user chose one."""
        if any(key_of(each) == "backend" for each in overrides):
            return config
        return {**config, "backend": loaded_backend(config["backend"])}

    def run_tasks(self, tasks: Feed, events: Events) -> None:
        for task in tasks:
            events.on_start(task.number)
            import_keras(task)
            with _time_limit(events.settings.trial_timeout_s):
                outcome = run_trial(task, events.on_epoch)
            forget_model()
            if not events.on_end(outcome):
                return


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raises `TimeUpError` in the block after so many seconds. Code that hangs outside of Python is not interrupted.

    Signal handlers work in the main thread only; in other threads there is no limit.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise TimeUpError(too_long(seconds))

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check_workers(n_workers: Any, memory_limit_mb: Any) -> None:
    """Checks the parameters of a launcher that starts worker processes.

    Raises:
        ConfigError: one breaks its rule.
    """
    if n_workers is not None and (not isinstance(n_workers, int) or n_workers < 1):
        raise ConfigError.at("hydra.launcher.n_workers", "must be a whole number, at least 1", n_workers)
    check_value("hydra.launcher.memory_limit_mb", memory_limit_mb, Positive)


class ProcessesLauncher(HydraLauncher):
    """Runs trials in worker processes, each of which imports Keras once.

    Args:
        n_workers: the number of workers; one per core by default.
        memory_limit_mb: a worker that uses more memory when a trial ends is replaced.
    """

    def __init__(self, n_workers: int | None = None, memory_limit_mb: float = 4096) -> None:
        check_workers(n_workers, memory_limit_mb)
        self.n_workers, self.memory_limit_mb = n_workers, memory_limit_mb
        self._warm: WorkerPool | None = None

    def prepare(self, trials: Sequence[Trial]) -> None:
        """Starts the workers that planned trials will need; they import Keras while the store is opened."""
        waiting = [trial for trial in trials if trial.state == "WAITING"]
        if waiting:
            self._warm = WorkerPool(self._workers(len(waiting)), memory_limit_mb=self.memory_limit_mb)
            self._warm.warm_up(waiting[0].config["backend"])

    def close(self) -> None:
        """Ends the workers that `prepare` started, if they were not used."""
        if self._warm is not None:
            self._warm.close()
            self._warm = None

    def _workers(self, tasks: int) -> int:
        return min(self.n_workers or default_workers(), tasks)

    def run_tasks(self, tasks: Feed, events: Events) -> None:
        if not tasks:
            return
        pool, self._warm = self._warm or WorkerPool(1, memory_limit_mb=self.memory_limit_mb), None
        pool.n_workers = self._workers(len(tasks))
        pool.run(tasks, events)
