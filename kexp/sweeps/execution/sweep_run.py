"""Locks a sweep, and opens its own run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from kexp.errors import ConfigError
from kexp.sweeps.execution.state import SweepState
from kexp.tracking import Tracker, null_run, open_run
from kexp.tracking.store.locks import file_lock

__all__ = ["lock_sweep", "open_sweep_run"]


def lock_sweep(stack: ExitStack, folder: Path, key: str) -> None:
    """Locks a sweep on this machine, so that the same command does not run twice at once.

    Args:
        stack: holds the lock.
        folder: the folder of all sweeps.
        key: the sweep's key; see `sweep_key`.

    Raises:
        ConfigError: the sweep is running.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not stack.enter_context(file_lock(folder / f".{key}.lock", wait=False)):
        raise ConfigError("sweep: the same sweep is running in another process; wait for it, or end it")


def open_sweep_run(
    sweep: SweepState, key: str, run_id: str | None, print_line: Callable[[str], None] | None
) -> Tracker:
    """Opens the sweep's run.

    Args:
        sweep: the sweep.
        key: the sweep's key; see `sweep_key`.
        run_id: the id of the earlier run to continue; None opens another.
        print_line: see `open_run`.
    """
    name, folder = sweep.name, sweep.folder
    if sweep.store is None:
        return null_run(name=name, folder=folder)
    from kexp.experiment import config_tags

    tags = {
        **config_tags(sweep.tracking),
        "kexp.sweep.name": name,
        "kexp.sweep.key": key,
        "kexp.folder": str(folder.resolve()),
    }
    return open_run(sweep.store, name=name, folder=folder, tags=tags, run_id=run_id, print_line=print_line)
