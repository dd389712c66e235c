"""What the store knows of a sweep from before: its run to go on with, and whether it runs elsewhere right now."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kexp.config import key_of
from kexp.errors import ConfigError
from kexp.tracking import RunView, StoreSettings, prepare_store, search
from kexp.tracking.stale import is_in_progress

__all__ = ["Earlier", "earlier_sweep", "refuse_running", "sweep_key"]

_HOW = re.compile(
    r"sweep\.(rerun|fail_fast|max_retries|trial_timeout_s|objective|direction|name)|hydra\.sweeper\.n_trials|trainer\.(verbose|checkpoint\w*)"
    r"|fused\.(threads|strict|verify)|tracking\.(uri|experiment|figures)"
)


@dataclass(frozen=True)
class Earlier:
    """A sweep's run that is in the store.

    Attributes:
        run_id: MLflow's.
        name: the sweep's.
        folder: where its files are.
    """

    run_id: str
    name: str
    folder: Path


def sweep_key(arguments: Sequence[str]) -> str:
    """What makes another sweep the same: its arguments, less those that only say how it is run, and the folder."""
    kept = sorted(argument for argument in arguments if not _HOW.fullmatch(key_of(argument)))
    return hashlib.sha256(json.dumps([os.getcwd(), *kept]).encode()).hexdigest()[:32]


def earlier_sweep(store: StoreSettings, key: str, name: str | None) -> Earlier | None:
    """The newest run of the same sweep, to go on with.

    Args:
        store: where.
        key: see `sweep_key`.
        name: the name that the sweep was given; one of another name is another sweep. None takes any.

    Raises:
        ConfigError: it is running.
        StoreError: the store cannot be read.
    """
    prepare_store(store)
    tags = {"kexp.sweep.key": key} | ({} if name is None else {"kexp.sweep.name": name})
    for view in search(store, tags=tags, limit=1):
        refuse_running(view)
        return Earlier(view.run_id, view.tags["kexp.sweep.name"], Path(view.tags["kexp.folder"]))
    return None


def refuse_running(view: RunView) -> None:
    """Guards a sweep that is running, here or on another machine, from being run twice at once.

    Raises:
        ConfigError: it is.
    """
    if is_in_progress(view):
        beat = float(view.tags.get("kexp.heartbeat", 0))
        raise ConfigError(
            f"sweep: {view.name} is running in process {view.tags.get('kexp.pid')} on {view.tags.get('kexp.host')}, "
            f"and last showed life {max(0.0, time.time() - beat):.0f} s ago; wait for it, or end it"
        )
