"""Finds the earlier run of the same sweep in the store, to resume it, and refuses a sweep that is still running."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence

from kexp.config import key_of
from kexp.errors import ConfigError
from kexp.tracking import RunView, StoreSettings, prepare_store, search
from kexp.tracking.reading.stale import is_in_progress
from kexp.tracking.store.heartbeat import HEARTBEAT, HOST, PID

__all__ = ["earlier_sweep", "refuse_running", "sweep_key"]

_EXECUTION_KEYS = re.compile(
    r"sweep\.(rerun|fail_fast|max_retries|trial_timeout_s|objective|direction|name)|hydra\.sweeper\.n_trials|trainer\.(verbose|checkpoint\w*)"
    r"|fused\.(threads|strict|verify)|tracking\.(uri|experiment|figures)"
)


def sweep_key(arguments: Sequence[str]) -> str:
    """Returns a key that equal sweeps share: a hash of the arguments that affect results, and the working directory."""
    kept = sorted(argument for argument in arguments if not _EXECUTION_KEYS.fullmatch(key_of(argument)))
    return hashlib.sha256(json.dumps([os.getcwd(), *kept]).encode()).hexdigest()[:32]


def earlier_sweep(store: StoreSettings, key: str, name: str | None) -> RunView | None:
    """Returns the newest run of the same sweep, or None if there is none.

    Args:
        store: the store to search.
        key: see `sweep_key`.
        name: the sweep's name, which must match; None accepts any.

    Raises:
        ConfigError: the sweep is still running.
        StoreError: the store cannot be read.
    """
    prepare_store(store)
    tags = {"kexp.sweep.key": key} | ({} if name is None else {"kexp.sweep.name": name})
    for view in search(store, tags=tags, limit=1):
        refuse_running(view)
        return view
    return None


def refuse_running(view: RunView) -> None:
    """Refuses to start a sweep that is already running, on this machine or another.

    Raises:
        ConfigError: the sweep is running.
    """
    if is_in_progress(view):
        beat = float(view.tags.get(HEARTBEAT, 0))
        raise ConfigError(
            f"sweep: {view.name} is running in process {view.tags.get(PID)} on {view.tags.get(HOST)}, "
            f"and sent its last heartbeat {max(0.0, time.time() - beat):.0f} s ago; wait for it, or end it"
        )
