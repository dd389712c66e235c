"""What the store knows of a sweep from before: its run to go on with, and whether it runs elsewhere right now."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kexp.config import key_of
from kexp.errors import ConfigError
from kexp.tracking import RunView, StoreSettings, prepare_store, resolve_uri, search
from kexp.tracking.client import client_for, store_errors

__all__ = ["Earlier", "delete_runs", "earlier_sweep", "refuse_running", "sweep_key", "unfinished_runs"]

_HEARTBEAT_S = 120.0  # a sweep whose run has shown no life for so long is taken to be dead
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
    beat = float(view.tags.get("kexp.heartbeat", 0))
    if view.status == "RUNNING" and time.time() - beat < _HEARTBEAT_S and _may_run(view.tags):
        raise ConfigError(
            f"sweep: {view.name} is running in process {view.tags.get('kexp.pid')} on {view.tags.get('kexp.host')}, "
            f"and last showed life {max(0.0, time.time() - beat):.0f} s ago; wait for it, or end it"
        )


def unfinished_runs(store: StoreSettings, parent_run_id: str) -> dict[str, list[str]]:
    """The sweep's trials that failed or were killed before: fingerprint -> run ids. Their successors replace them."""
    found: dict[str, list[str]] = {}
    for status in ("FAILED", "KILLED", "RUNNING"):
        for view in search(store, parent_run_id=parent_run_id, status=status):
            if not (status == "RUNNING" and _is_alive(view)):
                found.setdefault(view.tags.get("kexp.fingerprint", ""), []).append(view.run_id)
    found.pop("", None)
    return found


def delete_runs(store: StoreSettings, run_ids: Sequence[str]) -> None:
    """Deletes runs, as MLflow's page does: they can be restored until its garbage collection."""
    uri = resolve_uri(store)
    client = client_for(uri)
    with store_errors(uri, "deleting a trial's earlier runs"):
        for run_id in run_ids:
            client.delete_run(run_id)


def _is_alive(view: RunView) -> bool:
    try:
        refuse_running(view)
    except ConfigError:
        return True
    return False


def _may_run(tags: Mapping[str, str]) -> bool:
    """Whether the process that a run names may be at work. Of another machine's, its heartbeat alone can tell."""
    import psutil

    if tags.get("kexp.host") != socket.gethostname() or not tags.get("kexp.pid", "").isdigit():
        return True
    pid = int(tags["kexp.pid"])
    if pid == os.getpid():
        return False
    try:
        process = psutil.Process(pid)
        # A number is given to new processes again: one that began after the last sign of life is another's.
        began_later = process.create_time() > float(tags.get("kexp.heartbeat", 0)) + 60
        return process.status() != psutil.STATUS_ZOMBIE and not began_later
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
