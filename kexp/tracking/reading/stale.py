"""Finds runs whose status is RUNNING although their process has ended, and ends or deletes them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence

from kexp.tracking.reading.runs import RunView, search
from kexp.tracking.settings import StoreSettings, resolve_uri
from kexp.tracking.store.client import client_for, store_errors
from kexp.tracking.store.heartbeat import HEARTBEAT, HOST, PID, end_run

__all__ = ["delete_runs", "is_in_progress", "mark_failed", "stale_runs", "unfinished_runs"]

_HEARTBEAT_S = 120.0  # a run without a heartbeat for so long counts as dead


def stale_runs(settings: StoreSettings, older_than_s: float = _HEARTBEAT_S) -> list[RunView]:
    """Returns kexp's RUNNING runs without a heartbeat for `older_than_s`, or whose process here has ended."""
    running = search(settings, status="RUNNING")
    # Runs of other programs have no heartbeat, and may be in progress.
    with_heartbeat = [view for view in running if view.tags.get(HEARTBEAT, "").isdigit()]
    return [view for view in with_heartbeat if not is_in_progress(view, older_than_s, ours=True)]


def mark_failed(settings: StoreSettings, runs: Iterable[RunView]) -> None:
    """Ends runs as FAILED, at the time of their last heartbeat, with the reason in `kexp.reason`."""
    uri = resolve_uri(settings)
    client = client_for(uri)
    with store_errors(uri, "marking runs as failed"):
        for view in runs:
            beat = view.tags.get(HEARTBEAT, "")
            ended_ms = int(beat) * 1000 if beat.isdigit() else None
            end_run(client, view.run_id, "FAILED", ended_ms, {"kexp.reason": "its process ended without a word"})


def unfinished_runs(store: StoreSettings, parent_run_id: str) -> dict[str, list[str]]:
    """Returns fingerprint -> run ids of a sweep's trials that failed or were killed, and are to be repeated."""
    found: dict[str, list[str]] = {}
    for status in ("FAILED", "KILLED", "RUNNING"):
        for view in search(store, parent_run_id=parent_run_id, status=status):
            if not is_in_progress(view):
                found.setdefault(view.tags.get("kexp.fingerprint", ""), []).append(view.run_id)
    found.pop("", None)
    return found


def delete_runs(store: StoreSettings, run_ids: Sequence[str]) -> None:
    """Deletes runs as MLflow's page does: they can be restored until MLflow's garbage collection."""
    uri = resolve_uri(store)
    client = client_for(uri)
    with store_errors(uri, "deleting a trial's earlier runs"):
        for run_id in run_ids:
            client.delete_run(run_id)


def is_in_progress(view: RunView, within_s: float = _HEARTBEAT_S, *, ours: bool = False) -> bool:
    """Returns whether a process, on this or another machine, works on a run.

    Args:
        view: the run.
        within_s: the greatest age of its last heartbeat, in seconds.
        ours: whether runs of this process count.
    """
    beat = float(view.tags.get(HEARTBEAT, 0))
    return view.status == "RUNNING" and time.time() - beat < within_s and _may_run(view.tags, ours)


def _may_run(tags: Mapping[str, str], ours: bool) -> bool:
    """Returns whether the process that a run names may still run. A process of another machine may always."""
    import psutil

    if tags.get(HOST) != socket.gethostname() or not tags.get(PID, "").isdigit():
        return True
    pid = int(tags[PID])
    if pid == os.getpid():
        return ours
    try:
        process = psutil.Process(pid)
        # Systems reuse process ids: a process that began after the last heartbeat is another one.
        began_later = process.create_time() > float(tags.get(HEARTBEAT, 0)) + 60
        return process.status() != psutil.STATUS_ZOMBIE and not began_later
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
