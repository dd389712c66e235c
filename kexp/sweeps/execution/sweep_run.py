"""A sweep's own run: opened once on this machine, or taken up again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from kexp.errors import ConfigError
from kexp.tracking import StoreSettings, Tracker, null_run, open_run
from kexp.tracking.store.locks import file_lock

if TYPE_CHECKING:
    from kexp.schema import Tracking

__all__ = ["lock_sweep", "open_sweep_run"]


def lock_sweep(stack: ExitStack, folder: Path, key: str) -> None:
    """Two of the same command at once, on this machine, do not even begin.

    Args:
        stack: holds the lock.
        folder: of all sweeps.
        key: the sweep's.

    Raises:
        ConfigError: the sweep is running.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not stack.enter_context(file_lock(folder / f".{key}.lock", wait=False)):
        raise ConfigError("sweep: the same sweep is running in another process; wait for it, or end it")


def open_sweep_run(
    store: StoreSettings | None,
    *,
    name: str,
    folder: Path,
    key: str,
    tracking: Tracking,
    run_id: str | None,
    say: Callable[[str], None] | None,
) -> Tracker:
    """Opens the sweep's run.

    Args:
        store: where; None keeps none.
        name: the sweep's.
        folder: the sweep's.
        key: what tells the sweep from others.
        tracking: the config's `tracking`, for tags.
        run_id: of the earlier run to go on with; None opens another.
        say: see `open_run`.
    """
    if store is None:
        return null_run(name=name, folder=folder)
    from kexp.experiment import own_tags

    tags = {
        **own_tags(tracking),
        "kexp.sweep.name": name,
        "kexp.sweep.key": key,
        "kexp.folder": str(folder.resolve()),
    }
    return open_run(store, name=name, folder=folder, tags=tags, run_id=run_id, say=say)
