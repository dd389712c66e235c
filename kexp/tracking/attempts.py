"""Earlier attempts of a sweep's trials: which runs they are, whether one is still in progress, and their deletion."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence

from kexp.tracking.client import client_for, store_errors
from kexp.tracking.reading import RunView, search
from kexp.tracking.settings import StoreSettings, resolve_uri

__all__ = ["delete_runs", "is_in_progress", "unfinished_runs"]

_HEARTBEAT_S = 120.0  # a run that has shown no life for so long is taken to be dead


def unfinished_runs(store: StoreSettings, parent_run_id: str) -> dict[str, list[str]]:
    """The sweep's trials that failed or were killed before: fingerprint -> run ids. Their successors replace them."""
    found: dict[str, list[str]] = {}
    for status in ("FAILED", "KILLED", "RUNNING"):
        for view in search(store, parent_run_id=parent_run_id, status=status):
            if not is_in_progress(view):
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


def is_in_progress(view: RunView) -> bool:
    """Whether another process, here or on another machine, is at work on a run."""
    beat = float(view.tags.get("kexp.heartbeat", 0))
    return view.status == "RUNNING" and time.time() - beat < _HEARTBEAT_S and _may_run(view.tags)


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
